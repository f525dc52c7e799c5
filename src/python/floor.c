/* The floor. A copy of `_socket` loaded by path has method tables of its own; its calls
 * still raise CPython's audit events. Here they are judged by the same verdict, and what
 * cannot be read exactly is refused. */
#include "python/floor.h"

#include <string.h>
#include <sys/socket.h>

#include "python/address.h"
#include "python/interpose.h"
#include "python/loopback.h"
#include "python/refuse.h"
#include "python/socket_object.h"

#define PROOF_EVENT "egressguard.floor"

/* What this thread's route announced. A signal handler can run Python between a route's
 * call and its end, but not between the announcement and the event: it would find the
 * event already consumed. */
static _Thread_local PyObject *expected EG_THREAD_LOCAL_MODEL;
static _Thread_local bool heard EG_THREAD_LOCAL_MODEL;

void eg_floor_expect(PyObject *exact)
{
    expected = exact;
}

void eg_floor_forget(void)
{
    expected = NULL;
}

/* The announced object is the event's first argument (lookups) or its second (addresses). */
static bool was_expected(PyObject *args)
{
    Py_ssize_t size = PyTuple_GET_SIZE(args);
    PyObject *object = expected;

    if (object == NULL || size == 0 ||
        (PyTuple_GET_ITEM(args, 0) != object && (size == 1 || PyTuple_GET_ITEM(args, 1) != object))) {
        return false;
    }
    expected = NULL;
    return true;
}

static int refuse_shape(eg_route route, const char *host)
{
    eg_attempt attempt = {.route = route, .reason = EG_REFUSED_SHAPE, .host = host, .port = EG_NO_PORT};
    return eg_refuse(&attempt);
}

/* connect, sendto, sendmsg and bind raise (socket, address). */
static int judge_address(eg_state *state, eg_route route, PyObject *socket, PyObject *address)
{
    eg_parsed parsed = {0};
    int family = -1, done = -1;
    eg_socket_kind kind = eg_socket_object_ask_kind(socket, &family);

    if (address == Py_None && route == EG_ROUTE_SENDMSG) {
        return 0;
    }
    if ((PyTuple_Check(address) && !PyTuple_CheckExact(address)) || eg_address_parse(address, family, &parsed) < 0) {
        PyErr_Clear(); /* whatever it is, it is refused in our own words */
        return refuse_shape(route, "an address");
    }
    /* Only what is exact already: the original acts on its own reading of the object. */
    bool exact = parsed.exact == address || PyUnicode_CheckExact(address) || PyBytes_CheckExact(address);
    if (parsed.kind != EG_PARSED_ENDPOINT || !exact) {
        done = refuse_shape(route, parsed.host == NULL ? "an address" : PyBytes_AS_STRING(parsed.host));
    } else if (route == EG_ROUTE_BIND) {
        eg_reason reason = eg_verdict_for_bind(&parsed.endpoint);
        done = reason == EG_ALLOWED ? 0 : eg_refuse_endpoint(route, reason, &parsed.endpoint);
    } else {
        eg_dial dial = {.endpoint = &parsed.endpoint,
                        .action = route == EG_ROUTE_SENDTO || route == EG_ROUTE_SENDMSG ? EG_ACTION_SEND
                                                                                       : EG_ACTION_CONNECT,
                        .socket = kind,
                        .loopback_open = eg_loopback_is_open()};
        eg_reason reason = eg_verdict_for_dial(state, &dial);
        done = reason == EG_ALLOWED ? 0 : eg_refuse_endpoint(route, reason, &parsed.endpoint);
    }
    eg_parsed_clear(&parsed);
    return done;
}

/* Lookups raise the host first. The C library must be asked the absolute name, which is
 * what a route hands on; a name that came by another way is refused. */
static int judge_lookup(eg_state *state, eg_route route, PyObject *host)
{
    PyObject *encoded;
    eg_name_decision decision;
    int done = -1;

    if (host == Py_None) {
        return 0;
    }
    if (PyTuple_CheckExact(host) && PyTuple_GET_SIZE(host) > 0) {
        host = PyTuple_GET_ITEM(host, 0); /* getnameinfo */
    }
    /* Before the event the codec made of a str what libc gets, and the codec is Python code that
     * anybody can change: bytes alone, and getnameinfo's text, are what they say. */
    if (!PyBytes_CheckExact(host) && (route != EG_ROUTE_GETNAMEINFO || !PyUnicode_CheckExact(host))) {
        return refuse_shape(route, "a host");
    }
    encoded = eg_address_encode_host(host);
    if (encoded == NULL) {
        PyErr_Clear(); /* refused in our own words */
        return refuse_shape(route, "a host");
    }
    eg_reason reason = eg_verdict_for_name(state, PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded),
                                           EG_ANY_PORT, &decision);
    bool reverse = route == EG_ROUTE_GETHOSTBYADDR || route == EG_ROUTE_GETNAMEINFO;
    if (reason == EG_ALLOWED && decision.kind == EG_NAME_NUMBER && !reverse) {
        done = 0;
    } else if (reason == EG_ALLOWED && decision.kind == EG_NAME_NUMBER) {
        eg_endpoint number;
        bool listed = eg_endpoint_from_number(PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded), &number) &&
                      eg_verdict_for_reverse(state, &number.address) == EG_REVERSE_LISTED;
        done = listed ? 0 : refuse_shape(route, PyBytes_AS_STRING(encoded));
    } else {
        eg_attempt attempt = {.route = route,
                              .reason = reason == EG_ALLOWED ? EG_REFUSED_SHAPE : reason,
                              .host = PyBytes_AS_STRING(encoded),
                              .port = EG_NO_PORT};
        done = eg_refuse(&attempt);
    }
    Py_DECREF(encoded);
    return done;
}

/* A socket is made: (socket, family, type, protocol). -1 stands for "whatever the
 * descriptor is", which the object then learns from the kernel. */
static int notice_socket(eg_state *state, PyObject *args)
{
    int numbers[3];

    if (!eg_interpose_owns(PyTuple_GET_ITEM(args, 0))) {
        /* Its connect would look a name up before the floor hears of it. */
        eg_attempt attempt = {
            .route = EG_ROUTE_CONNECT, .reason = EG_REFUSED_COPY, .host = "a copied socket module", .port = EG_NO_PORT};
        if (eg_refuse(&attempt) < 0) {
            return -1;
        }
    }
    for (Py_ssize_t i = 0; i < 3; i++) {
        numbers[i] = PyLong_Check(PyTuple_GET_ITEM(args, i + 1)) ? (int)PyLong_AsLong(PyTuple_GET_ITEM(args, i + 1)) : -2;
        if (numbers[i] == -1 && PyErr_Occurred()) {
            PyErr_Clear(); /* a number beyond int is exotic enough */
            numbers[i] = -2;
        }
    }
    int family = numbers[0] == -1 ? AF_INET : numbers[0], type = numbers[1] == -1 ? SOCK_STREAM : numbers[1];
    if (eg_socket_object_is_exotic(family, type, numbers[2] == -1 ? 0 : numbers[2])) {
        state->shared->sockets_distrusted = true;
    }
    return 0;
}

static const struct {
    const char *event;
    eg_route route;
    bool is_address;
} events[] = {
    {"connect", EG_ROUTE_CONNECT, true},
    {"sendto", EG_ROUTE_SENDTO, true},
    {"sendmsg", EG_ROUTE_SENDMSG, true},
    {"bind", EG_ROUTE_BIND, true},
    {"getaddrinfo", EG_ROUTE_GETADDRINFO, false},
    {"gethostbyname", EG_ROUTE_GETHOSTBYNAME, false},
    {"gethostbyaddr", EG_ROUTE_GETHOSTBYADDR, false},
    {"getnameinfo", EG_ROUTE_GETNAMEINFO, false},
};

static int judge_event(eg_state *state, const char *event, PyObject *args)
{
    Py_ssize_t size = PyTuple_GET_SIZE(args);

    if (strcmp(event, "__new__") == 0) {
        return size == 4 ? notice_socket(state, args) : 0;
    }
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (strcmp(event, events[i].event) != 0) {
            continue;
        }
        Py_ssize_t place = events[i].is_address ? 1 : 0;
        if (size <= place) {
            return refuse_shape(events[i].route, "an event without an address");
        }
        PyObject *subject = PyTuple_GET_ITEM(args, place);
        return events[i].is_address ? judge_address(state, events[i].route, PyTuple_GET_ITEM(args, 0), subject)
                                    : judge_lookup(state, events[i].route, subject);
    }
    return 0;
}

static int hook(const char *event, PyObject *args, void *unused)
{
    (void)unused;
    /* Every audited event of the process passes here: one comparison sorts most of them out. */
    if (event[0] != 's' || strncmp(event, "socket.", 7) != 0) {
        if (event[0] == 'e' && strcmp(event, PROOF_EVENT) == 0) {
            heard = true;
        }
        return 0;
    }
    if (was_expected(args)) {
        return 0;
    }
    eg_state *state = eg_guard_get();
    return state == NULL ? 0 : judge_event(state, event + 7, args);
}

int eg_floor_is_heard(void)
{
    heard = false;
    if (PySys_Audit(PROOF_EVENT, NULL) < 0) {
        return -1;
    }
    return heard;
}

int eg_floor_add(void)
{
    int is_heard = eg_floor_is_heard();
    if (is_heard != 0) {
        return is_heard < 0 ? -1 : 0;
    }
    if (PySys_AddAuditHook(hook, NULL) < 0) {
        return -1;
    }
    is_heard = eg_floor_is_heard();
    if (is_heard == 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "egressguard cannot install: an audit hook that was added earlier refused the guard's own "
                        "hook without a word");
        return -1;
    }
    return is_heard < 0 ? -1 : 0;
}
