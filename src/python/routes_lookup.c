/* getaddrinfo, gethostbyname, gethostbyname_ex. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "core/lookup.h"
#include "core/machine.h"
#include "python/address.h"
#include "python/floor.h"
#include "python/interpose.h"
#include "python/lookup_args.h"
#include "python/refuse.h"
#include "python/resolve.h"
#include "python/routes.h"

#define NO_PORT_TO_TELL(port) ((port) == EG_ANY_PORT ? EG_NO_PORT : (port))

static int refuse_name(eg_route route, eg_reason reason, PyObject *encoded, int port)
{
    eg_attempt attempt = {
        .route = route, .reason = reason, .host = PyBytes_AS_STRING(encoded), .port = NO_PORT_TO_TELL(port)};
    return eg_refuse(&attempt);
}

/* ---- getaddrinfo ---- */

static bool is_exact_argument(PyObject *object)
{
    return PyLong_CheckExact(object) || object == Py_None || PyUnicode_CheckExact(object);
}

/* A number as exact str with exact arguments: nothing can change and nothing leaves, so the
 * original takes the arguments as they are, but for the host. */
static bool is_plain_number(PyObject *args, PyObject *kwargs)
{
    PyObject *host, *key, *value;
    Py_ssize_t size = PyTuple_GET_SIZE(args), length, at = 0;
    unsigned char address[16];

    if (size < 2 || !PyUnicode_CheckExact(host = PyTuple_GET_ITEM(args, 0)) || !PyUnicode_IS_ASCII(host)) {
        return false;
    }
    for (Py_ssize_t i = 1; i < size; i++) {
        if (!is_exact_argument(PyTuple_GET_ITEM(args, i))) {
            return false;
        }
    }
    while (kwargs != NULL && PyDict_Next(kwargs, &at, &key, &value)) {
        if (!PyUnicode_CheckExact(key) || !is_exact_argument(value)) {
            return false;
        }
    }
    const char *text = PyUnicode_AsUTF8AndSize(host, &length);
    if (text == NULL) {
        PyErr_Clear(); /* out of memory: the long way reports it */
        return false;
    }
    return strlen(text) == (size_t)length &&
           (inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1);
}

static PyObject *ask_original(PyObject *self, PyObject *args, PyObject *kwargs, PyObject *host)
{
    PyCFunctionWithKeywords original = (PyCFunctionWithKeywords)(void (*)(void))eg_original(EG_ROUTE_GETADDRINFO);
    PyObject *list;
    eg_floor_expect(host);
    list = original(self, args, kwargs);
    eg_floor_forget();
    return list;
}

/* A plain number, handed on as bytes: a str would go through the codec, which is Python code that
 * anybody can change. */
static PyObject *ask_plain_number(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t size = PyTuple_GET_SIZE(args);
    PyObject *host = PyUnicode_AsASCIIString(PyTuple_GET_ITEM(args, 0)), *exact, *list = NULL;

    exact = host == NULL ? NULL : PyTuple_New(size);
    if (exact != NULL) {
        PyTuple_SET_ITEM(exact, 0, Py_NewRef(host));
        for (Py_ssize_t i = 1; i < size; i++) {
            PyTuple_SET_ITEM(exact, i, Py_NewRef(PyTuple_GET_ITEM(args, i)));
        }
        list = ask_original(self, exact, kwargs, host);
    }
    Py_XDECREF(exact);
    Py_XDECREF(host);
    return list;
}

static PyObject *ask_exact(PyObject *self, const eg_lookup_args *a)
{
    PyObject *exact = Py_BuildValue("(OOiiii)", a->host, a->port, a->family, a->type, a->protocol, a->flags), *list;
    if (exact == NULL) {
        return NULL;
    }
    list = ask_original(self, exact, NULL, a->host);
    Py_DECREF(exact);
    return list;
}

/* While observing: what an unlisted name resolved to is remembered, so that the dial which
 * follows is not told again as a bare address. Takes and returns `list`. */
static PyObject *observed_answers(eg_state *state, PyObject *list, int port)
{
    eg_endpoint answer;
    for (Py_ssize_t i = 0; list != NULL && port != EG_ANY_PORT && i < PyList_GET_SIZE(list); i++) {
        if (eg_resolve_read_answer(PyList_GET_ITEM(list, i), &answer)) {
            eg_grants_add(&state->grants, &answer.address, EG_RECORD_OBSERVED);
        }
    }
    return list;
}

static PyObject *look_up(eg_state *state, PyObject *self, const eg_lookup_args *a)
{
    eg_name_decision decision;
    int port;

    if (a->encoded == NULL) {
        return ask_exact(self, a); /* None: this machine's wildcard or loopback address */
    }
    const char *name = PyBytes_AS_STRING(a->encoded);
    size_t length = (size_t)PyBytes_GET_SIZE(a->encoded);
    if (!eg_lookup_args_port(a, &port)) {
        /* No such service: the lookup fails by itself, and must not ask for the host first. */
        PyObject *nowhere = PyBytes_FromString("127.0.0.1"), *list = NULL;
        eg_lookup_args quiet = *a;
        quiet.host = nowhere;
        if (nowhere != NULL) {
            list = ask_exact(self, &quiet);
        }
        Py_XDECREF(nowhere);
        if (list == NULL) {
            return NULL;
        }
        Py_DECREF(list);
        return refuse_name(EG_ROUTE_GETADDRINFO, EG_REFUSED_SHAPE, a->encoded, EG_NO_PORT) < 0 ? NULL
                                                                                               : ask_exact(self, a);
    }
    if (eg_verdict_for_name(state, name, length, port, &decision) != EG_ALLOWED) {
        return refuse_name(EG_ROUTE_GETADDRINFO, decision.reason, a->encoded, port) < 0
                   ? NULL
                   : observed_answers(state, ask_exact(self, a), port);
    }
    if (decision.kind == EG_NAME_NUMBER) {
        return ask_exact(self, a);
    }
    eg_resolve_question question = {.route = EG_ROUTE_GETADDRINFO,
                                    .module = self,
                                    .decision = &decision,
                                    .asked_port = NO_PORT_TO_TELL(port),
                                    .port = a->port,
                                    .family = a->family,
                                    .type = a->type,
                                    .protocol = a->protocol,
                                    .flags = a->flags};
    return eg_resolve_list(state, &question);
}

PyObject *eg_route_getaddrinfo(PyObject *self, PyObject *args, PyObject *kwargs)
{
    eg_state *state = eg_guard_get();
    eg_lookup_args a;
    PyObject *list;

    if (state == NULL) {
        PyCFunctionWithKeywords original = (PyCFunctionWithKeywords)(void (*)(void))eg_original(EG_ROUTE_GETADDRINFO);
        return original(self, args, kwargs);
    }
    if (is_plain_number(args, kwargs)) {
        return ask_plain_number(self, args, kwargs);
    }
    if (eg_lookup_args_parse(args, kwargs, &a) < 0) {
        return NULL;
    }
    list = look_up(state, self, &a);
    eg_lookup_args_clear(&a);
    return list;
}

/* ---- gethostbyname, gethostbyname_ex ---- */

/* The original with one exact host: new reference. */
static PyObject *ask_one(eg_route route, PyObject *self, PyObject *host)
{
    PyObject *args = PyTuple_Pack(1, host), *result;
    if (args == NULL) {
        return NULL;
    }
    eg_floor_expect(host);
    result = eg_original(route)(self, args);
    eg_floor_forget();
    Py_DECREF(args);
    return result;
}

/* The original with the address that a number means. gethostbyname_r(3) does not read every
 * number that getaddrinfo(3) reads, and asks a nameserver for the others: any hexadecimal
 * number would leave. Its answer repeats the host: there the caller's spelling stands. */
static PyObject *ask_number(eg_route route, PyObject *self, PyObject *encoded)
{
    eg_endpoint number;
    char text[EG_ENDPOINT_TEXT_SIZE] = "0.0.0.0"; /* what '' means */
    const char *spelled = PyBytes_AS_STRING(encoded);
    size_t length = (size_t)PyBytes_GET_SIZE(encoded);

    if (length > 0 && !eg_endpoint_from_number(spelled, length, &number)) {
        PyErr_SetString(PyExc_SystemError, "egressguard: a number that is none");
        return NULL;
    }
    if (length > 0) {
        eg_address_text(&number.address, text);
    }
    PyObject *host = PyBytes_FromString(text), *answer = host == NULL ? NULL : ask_one(route, self, host);
    Py_XDECREF(host);
    if (answer == NULL || route != EG_ROUTE_GETHOSTBYNAME_EX || !PyTuple_Check(answer) || PyTuple_GET_SIZE(answer) != 3) {
        return answer;
    }
    PyObject *respelled =
        Py_BuildValue("(sOO)", spelled, PyTuple_GET_ITEM(answer, 1), PyTuple_GET_ITEM(answer, 2));
    Py_DECREF(answer);
    return respelled;
}

/* `*encoded` new or NULL; decides about it. 1: listed or this machine; 0: `*result` is the
 * answer (or NULL with an exception) already. */
static int begin(eg_state *state, eg_route route, PyObject *self, PyObject *args, PyObject **encoded,
                 eg_name_decision *decision, PyObject **result)
{
    *encoded = eg_lookup_args_one_host(args);
    if (*encoded == NULL) {
        *result = PyErr_Occurred() ? NULL : eg_original(route)(self, args); /* its own TypeError */
        return 0;
    }
    const char *name = PyBytes_AS_STRING(*encoded);
    size_t length = (size_t)PyBytes_GET_SIZE(*encoded);
    if (strlen(name) != length) {
        *result = eg_original(route)(self, args); /* an embedded NUL: its own error */
        return 0;
    }
    if (strcmp(name, "<broadcast>") == 0) {
        *result = ask_one(route, self, *encoded);
        return 0;
    }
    if (eg_verdict_for_name(state, name, length, EG_ANY_PORT, decision) != EG_ALLOWED) {
        if (refuse_name(route, decision->reason, *encoded, EG_NO_PORT) == 0) {
            *result = ask_one(route, self, *encoded);
        }
        return 0;
    }
    if (decision->kind == EG_NAME_NUMBER) {
        *result = ask_number(route, self, *encoded);
        return 0;
    }
    return 1;
}

PyObject *eg_route_gethostbyname(PyObject *self, PyObject *args)
{
    eg_state *state = eg_guard_get();
    PyObject *encoded, *result = NULL;
    eg_name_decision decision;
    eg_endpoint first;
    char text[EG_ENDPOINT_TEXT_SIZE];

    if (state == NULL) {
        return eg_original(EG_ROUTE_GETHOSTBYNAME)(self, args);
    }
    if (begin(state, EG_ROUTE_GETHOSTBYNAME, self, args, &encoded, &decision, &result) == 1) {
        eg_resolve_question question = {.route = EG_ROUTE_GETHOSTBYNAME,
                                        .module = self,
                                        .decision = &decision,
                                        .asked_port = EG_NO_PORT,
                                        .family = AF_INET,
                                        .type = SOCK_DGRAM};
        if (eg_resolve_first(state, &question, &first) == 0) {
            eg_address_text(&first.address, text);
            result = PyUnicode_FromString(text);
        }
    }
    Py_XDECREF(encoded);
    return result;
}

/* The texts of a getaddrinfo list's addresses: new list of str. */
static PyObject *texts_of(PyObject *list)
{
    PyObject *texts = PyList_New(0), *text;
    char buffer[EG_ENDPOINT_TEXT_SIZE];
    eg_endpoint answer;

    for (Py_ssize_t i = 0; texts != NULL && i < PyList_GET_SIZE(list); i++) {
        if (!eg_resolve_read_answer(PyList_GET_ITEM(list, i), &answer)) {
            continue;
        }
        eg_address_text(&answer.address, buffer);
        text = PyUnicode_FromString(buffer);
        if (text == NULL || PyList_Append(texts, text) < 0) {
            Py_CLEAR(texts);
        }
        Py_XDECREF(text);
    }
    return texts;
}

/* (canonical name, aliases, addresses). One lookup, by getaddrinfo, whose canonical name
 * is the end of the CNAME chain; a chain's other names are not told as aliases. */
PyObject *eg_route_gethostbyname_ex(PyObject *self, PyObject *args)
{
    enum { canonical_name = 2 }; /* AI_CANONNAME, netdb.h(0p) */
    eg_state *state = eg_guard_get();
    PyObject *encoded, *result = NULL, *list, *texts;
    eg_name_decision decision;

    if (state == NULL) {
        return eg_original(EG_ROUTE_GETHOSTBYNAME_EX)(self, args);
    }
    if (begin(state, EG_ROUTE_GETHOSTBYNAME_EX, self, args, &encoded, &decision, &result) == 1) {
        bool own = decision.kind == EG_NAME_THIS_MACHINE;
        eg_resolve_question question = {.route = EG_ROUTE_GETHOSTBYNAME_EX,
                                        .module = self,
                                        .decision = &decision,
                                        .asked_port = EG_NO_PORT,
                                        .family = AF_INET,
                                        .type = SOCK_STREAM,
                                        .flags = own ? 0 : canonical_name};
        list = eg_resolve_list(state, &question);
        texts = list == NULL ? NULL : texts_of(list);
        if (texts != NULL) {
            PyObject *canonical = own || PyList_GET_SIZE(list) == 0
                                      ? NULL
                                      : PyTuple_GetItem(PyList_GET_ITEM(list, 0), 3);
            const char *text = canonical == NULL ? NULL : PyUnicode_AsUTF8(canonical);
            PyErr_Clear(); /* a canonical name that cannot be read: the name itself serves */
            eg_endpoint number;
            if (text == NULL || text[0] == '\0' || eg_endpoint_from_number(text, strlen(text), &number)) {
                text = decision.name.text;
            }
            size_t length = strlen(text);
            result = Py_BuildValue("(s#[]O)", text, (Py_ssize_t)(text[length - 1] == '.' ? length - 1 : length), texts);
        }
        Py_XDECREF(list);
        Py_XDECREF(texts);
    }
    Py_XDECREF(encoded);
    return result;
}
