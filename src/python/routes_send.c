/* sendto, sendmsg, setsockopt. */
#include <string.h>
#include <sys/socket.h>

#include "python/floor.h"
#include "python/interpose.h"
#include "python/judge.h"
#include "python/refuse.h"
#include "python/routes.h"
#include "python/socket_object.h"

static PyObject *act(eg_route route, PyObject *self, PyObject *args, PyObject *exact)
{
    PyObject *result;
    eg_floor_expect(exact);
    result = eg_original(route)(self, args);
    eg_floor_forget();
    return result;
}

/* A private copy of a buffer: new bytes, NULL with an exception. */
static PyObject *copy_buffer(PyObject *data)
{
    Py_buffer view;
    PyObject *copy;

    if (PyBytes_CheckExact(data)) {
        return Py_NewRef(data);
    }
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    copy = PyBytes_FromStringAndSize(view.buf, view.len);
    PyBuffer_Release(&view);
    return copy;
}

/* sendto(data, address) and sendto(data, flags, address). */
PyObject *eg_route_sendto(PyObject *self, PyObject *args)
{
    eg_state *state = eg_guard_get();
    Py_ssize_t size = PyTuple_GET_SIZE(args);
    PyObject *data = NULL, *flags = NULL, *exact_args = NULL, *result = NULL;
    eg_parsed parsed = {0};

    if (state == NULL || size < 2 || size > 3 || !PyObject_CheckBuffer(PyTuple_GET_ITEM(args, 0))) {
        return eg_original(EG_ROUTE_SENDTO)(self, args); /* it complains before it reads the address */
    }
    PyObject *address = PyTuple_GET_ITEM(args, size - 1);
    data = Py_NewRef(PyTuple_GET_ITEM(args, 0));
    if (size == 3) {
        flags = eg_address_exact_int(PyTuple_GET_ITEM(args, 1));
        if (flags == NULL) {
            goto done;
        }
    }
    if (eg_address_parse(address, eg_socket_object_family(self), &parsed) < 0) {
        goto done;
    }
    if (parsed.kind != EG_PARSED_MALFORMED) {
        eg_judged_dial judged = {.route = EG_ROUTE_SENDTO, .action = EG_ACTION_SEND, .socket = self};
        if (eg_judge_needs_payload(&parsed, self)) {
            Py_SETREF(data, copy_buffer(data));
            if (data == NULL) {
                goto done;
            }
            judged.more_to_come = eg_judge_more_to_come(self, flags);
            judged.payload = (const uint8_t *)PyBytes_AS_STRING(data);
            judged.payload_length = (size_t)PyBytes_GET_SIZE(data);
        }
        if (eg_judge(state, &judged, &parsed) < 0) {
            goto done;
        }
    }
    if (parsed.exact == address && data == PyTuple_GET_ITEM(args, 0) &&
        (flags == NULL || flags == PyTuple_GET_ITEM(args, 1))) {
        exact_args = Py_NewRef(args);
    } else {
        exact_args = flags == NULL ? PyTuple_Pack(2, data, parsed.exact) : PyTuple_Pack(3, data, flags, parsed.exact);
    }
    if (exact_args != NULL) {
        result = parsed.kind == EG_PARSED_MALFORMED ? eg_original(EG_ROUTE_SENDTO)(self, exact_args)
                                                    : act(EG_ROUTE_SENDTO, self, exact_args, parsed.exact);
    }
done:
    Py_XDECREF(data);
    Py_XDECREF(flags);
    Py_XDECREF(exact_args);
    eg_parsed_clear(&parsed);
    return result;
}

/* ---- sendmsg ---- */

/* One control message, (level, type, data): judged, and copied so that it stays what was
 * judged. New reference; what is no such triple is left for the original to refuse. */
static PyObject *exact_control_message(PyObject *item)
{
    PyObject *triple = NULL, *level = NULL, *type = NULL, *data = NULL, *exact = NULL;

    if (!PyTuple_Check(item) && !PyList_Check(item)) {
        return Py_NewRef(item);
    }
    triple = PySequence_Tuple(item);
    if (triple == NULL || PyTuple_GET_SIZE(triple) != 3) {
        return triple;
    }
    level = eg_address_exact_int(PyTuple_GET_ITEM(triple, 0));
    if (level == NULL) {
        goto done;
    }
    type = eg_address_exact_int(PyTuple_GET_ITEM(triple, 1));
    if (type == NULL) {
        goto done;
    }
    data = copy_buffer(PyTuple_GET_ITEM(triple, 2));
    if (data == NULL) {
        goto done;
    }
    long level_number = PyLong_AsLong(level), type_number = PyLong_AsLong(type);
    if (PyErr_Occurred()) {
        goto done;
    }
    eg_reason reason = eg_verdict_for_control_message((int)level_number, (int)type_number);
    eg_attempt attempt = {
        .route = EG_ROUTE_SENDMSG, .reason = reason, .host = "a routing control message", .port = EG_NO_PORT};
    if (reason == EG_ALLOWED || eg_refuse(&attempt) == 0) {
        exact = PyTuple_Pack(3, level, type, data);
    }
done:
    Py_XDECREF(triple);
    Py_XDECREF(level);
    Py_XDECREF(type);
    Py_XDECREF(data);
    return exact;
}

/* New reference: a tuple of judged control messages. */
static PyObject *exact_control_messages(PyObject *messages)
{
    PyObject *exact, *item;

    exact = PySequence_Tuple(messages);
    if (exact == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_SetString(PyExc_TypeError, "sendmsg() argument 2 must be an iterable");
        }
        return NULL;
    }
    PyObject *judged = PyTuple_New(PyTuple_GET_SIZE(exact));
    for (Py_ssize_t i = 0; judged != NULL && i < PyTuple_GET_SIZE(exact); i++) {
        item = exact_control_message(PyTuple_GET_ITEM(exact, i));
        if (item == NULL) {
            Py_CLEAR(judged);
            break;
        }
        PyTuple_SET_ITEM(judged, i, item);
    }
    Py_DECREF(exact);
    return judged;
}

/* All buffers as one private copy: new bytes. */
static PyObject *join_buffers(PyObject *buffers)
{
    PyObject *parts = PySequence_Tuple(buffers), *empty = NULL, *joined = NULL;
    if (parts != NULL) {
        empty = PyBytes_FromStringAndSize(NULL, 0);
        joined = empty == NULL ? NULL : PyObject_CallMethod(empty, "join", "(O)", parts);
    }
    Py_XDECREF(parts);
    Py_XDECREF(empty);
    return joined;
}

/* The items of sendmsg's arguments, owned. */
typedef struct message {
    PyObject *buffers, *control, *flags;
    eg_parsed parsed;
    bool has_address;
} message;

static void clear_message(message *m)
{
    Py_CLEAR(m->buffers);
    Py_CLEAR(m->control);
    Py_CLEAR(m->flags);
    eg_parsed_clear(&m->parsed);
}

static int judge_message(eg_state *state, PyObject *self, message *m)
{
    eg_judged_dial judged = {.route = EG_ROUTE_SENDMSG, .action = EG_ACTION_SEND, .socket = self};

    if (m->parsed.kind == EG_PARSED_MALFORMED) {
        return 0;
    }
    if (eg_judge_needs_payload(&m->parsed, self)) {
        PyObject *joined = join_buffers(m->buffers);
        if (joined == NULL) {
            return -1;
        }
        Py_SETREF(m->buffers, PyTuple_Pack(1, joined));
        Py_DECREF(joined); /* the tuple keeps it */
        if (m->buffers == NULL) {
            return -1;
        }
        judged.more_to_come = eg_judge_more_to_come(self, m->flags);
        judged.payload = (const uint8_t *)PyBytes_AS_STRING(joined);
        judged.payload_length = (size_t)PyBytes_GET_SIZE(joined);
    }
    return eg_judge(state, &judged, &m->parsed);
}

/* sendmsg(buffers[, ancdata[, flags[, address]]]) */
PyObject *eg_route_sendmsg(PyObject *self, PyObject *args)
{
    eg_state *state = eg_guard_get();
    Py_ssize_t size = PyTuple_GET_SIZE(args);
    PyObject *exact_args = NULL, *result = NULL;
    message m = {0};

    if (state == NULL || size < 2 || size > 4) {
        return eg_original(EG_ROUTE_SENDMSG)(self, args);
    }
    m.buffers = Py_NewRef(PyTuple_GET_ITEM(args, 0));
    m.control = exact_control_messages(PyTuple_GET_ITEM(args, 1));
    if (m.control == NULL) {
        goto done;
    }
    m.flags = size > 2 ? eg_address_exact_int(PyTuple_GET_ITEM(args, 2)) : PyLong_FromLong(0);
    if (m.flags == NULL) {
        goto done;
    }
    m.has_address = size > 3 && PyTuple_GET_ITEM(args, 3) != Py_None;
    if (!m.has_address) {
        exact_args = PyTuple_Pack(3, m.buffers, m.control, m.flags);
        result = exact_args == NULL ? NULL : act(EG_ROUTE_SENDMSG, self, exact_args, Py_None);
        goto done;
    }
    if (eg_address_parse(PyTuple_GET_ITEM(args, 3), eg_socket_object_family(self), &m.parsed) < 0 ||
        judge_message(state, self, &m) < 0) {
        goto done;
    }
    exact_args = PyTuple_Pack(4, m.buffers, m.control, m.flags, m.parsed.exact);
    if (exact_args != NULL) {
        result = act(EG_ROUTE_SENDMSG, self, exact_args,
                     m.parsed.kind == EG_PARSED_MALFORMED ? NULL : m.parsed.exact);
    }
done:
    Py_XDECREF(exact_args);
    clear_message(&m);
    return result;
}

/* ---- setsockopt ---- */

/* setsockopt(level, option, value[, length]): the routing options are refused. */
PyObject *eg_route_setsockopt(PyObject *self, PyObject *args)
{
    eg_state *state = eg_guard_get();
    Py_ssize_t size = PyTuple_GET_SIZE(args);
    PyObject *level = NULL, *option = NULL, *exact_args = NULL, *result = NULL;
    int overflow;

    if (state == NULL || size < 3 || size > 4) {
        return eg_original(EG_ROUTE_SETSOCKOPT)(self, args);
    }
    level = eg_address_exact_int(PyTuple_GET_ITEM(args, 0));
    if (level == NULL) {
        goto done;
    }
    option = eg_address_exact_int(PyTuple_GET_ITEM(args, 1));
    if (option == NULL) {
        goto done;
    }
    long level_number = PyLong_AsLongAndOverflow(level, &overflow);
    long option_number = overflow != 0 ? 0 : PyLong_AsLongAndOverflow(option, &overflow);
    eg_reason reason = overflow != 0 ? EG_ALLOWED /* the original raises OverflowError */
                                     : eg_verdict_for_option((int)level_number, (int)option_number);
    if (reason != EG_ALLOWED) {
        eg_attempt attempt = {.route = EG_ROUTE_SETSOCKOPT, .reason = reason, .host = "a routing option", .port = EG_NO_PORT};
        if (eg_refuse(&attempt) < 0) {
            goto done;
        }
    }
    if (level == PyTuple_GET_ITEM(args, 0) && option == PyTuple_GET_ITEM(args, 1)) {
        exact_args = Py_NewRef(args);
    } else if (size == 3) {
        exact_args = PyTuple_Pack(3, level, option, PyTuple_GET_ITEM(args, 2));
    } else {
        exact_args = PyTuple_Pack(4, level, option, PyTuple_GET_ITEM(args, 2), PyTuple_GET_ITEM(args, 3));
    }
    result = exact_args == NULL ? NULL : eg_original(EG_ROUTE_SETSOCKOPT)(self, exact_args);
done:
    Py_XDECREF(level);
    Py_XDECREF(option);
    Py_XDECREF(exact_args);
    return result;
}
