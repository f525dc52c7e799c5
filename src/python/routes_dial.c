/* connect, connect_ex, bind. */
#include <errno.h>

#include "python/floor.h"
#include "python/interpose.h"
#include "python/judge.h"
#include "python/perform.h"
#include "python/refuse.h"
#include "python/routes.h"
#include "python/socket_object.h"
#include "python/unix_dial.h"

/* Hand the exact address to the original, which raises one event about it. */
static PyObject *act(eg_route route, PyObject *self, PyObject *exact)
{
    PyObject *result;
    eg_floor_expect(exact);
    result = eg_original(route)(self, exact);
    eg_floor_forget();
    return result;
}

static bool is_violation(void)
{
    PyObject *violation = PyErr_Occurred(), *type;
    if (violation == NULL) {
        return false;
    }
    PyObject *value, *traceback, *raised;
    PyErr_Fetch(&raised, &value, &traceback);
    type = eg_of_interpreter_violation_type();
    PyErr_Clear(); /* without the type there is no violation either */
    PyErr_Restore(raised, value, traceback);
    bool matches = type != NULL && PyErr_ExceptionMatches(type);
    Py_XDECREF(type);
    return matches;
}

static PyObject *dial(eg_route route, PyObject *self, PyObject *address)
{
    eg_state *state = eg_guard_get();
    eg_parsed parsed;
    PyObject *result = NULL;

    if (state == NULL) {
        return eg_original(route)(self, address);
    }
    if (eg_address_parse(address, eg_socket_object_family(self), &parsed) < 0) {
        goto done;
    }
    if (parsed.kind == EG_PARSED_MALFORMED) {
        result = eg_original(route)(self, parsed.exact); /* raises; should it not, the floor judges */
        goto done;
    }
    eg_judged_dial judged = {.route = route, .action = EG_ACTION_CONNECT, .socket = self};
    if (eg_judge(state, &judged, &parsed) == 0) {
        if (judged.by_file && eg_unix_dial(&judged, &parsed, NULL, &result)) {
            goto done;
        }
        result = eg_performs_connect(&judged) ? eg_perform_connect(&judged, &parsed) : act(route, self, parsed.exact);
        if (eg_perform_check_connected(&judged, &parsed) < 0) {
            Py_CLEAR(result);
        }
    } else if (route == EG_ROUTE_CONNECT_EX && judged.is_closed) {
        PyErr_Clear();
        result = PyLong_FromLong(EBADF);
    } else if (route == EG_ROUTE_CONNECT && is_violation()) {
        /* Clients close their socket on OSError alone, and a violation is none: ADR-0014. */
        eg_socket_object_close_tcp(self);
    }
done:
    eg_parsed_clear(&parsed);
    return result;
}

PyObject *eg_route_connect(PyObject *self, PyObject *address)
{
    return dial(EG_ROUTE_CONNECT, self, address);
}

PyObject *eg_route_connect_ex(PyObject *self, PyObject *address)
{
    return dial(EG_ROUTE_CONNECT_EX, self, address);
}

/* bind dials nobody, but it looks names up, and a packet socket bound to an interface can
 * send without an address from then on. */
PyObject *eg_route_bind(PyObject *self, PyObject *address)
{
    eg_state *state = eg_guard_get();
    eg_parsed parsed;
    PyObject *result = NULL;

    if (state == NULL) {
        return eg_original(EG_ROUTE_BIND)(self, address);
    }
    if (eg_address_parse(address, eg_socket_object_family(self), &parsed) < 0) {
        goto done;
    }
    eg_reason reason = eg_verdict_for_bind(&parsed.endpoint);
    if (reason != EG_ALLOWED && eg_refuse_endpoint(EG_ROUTE_BIND, reason, &parsed.endpoint) < 0) {
        goto done;
    }
    if (parsed.kind == EG_PARSED_NAME && eg_judge_resolve(state, EG_ROUTE_BIND, self, &parsed) < 0) {
        goto done;
    }
    result = parsed.kind == EG_PARSED_MALFORMED ? eg_original(EG_ROUTE_BIND)(self, parsed.exact)
                                                : act(EG_ROUTE_BIND, self, parsed.exact);
done:
    eg_parsed_clear(&parsed);
    return result;
}
