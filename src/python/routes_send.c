/* sendto, sendmsg, setsockopt. */
#include <limits.h>

#include "python/await_answer.h"
#include "python/floor.h"
#include "python/interpose.h"
#include "python/judge.h"
#include "python/payload.h"
#include "python/perform.h"
#include "python/refuse.h"
#include "python/routes.h"
#include "python/socket_object.h"
#include "python/unix_dial.h"

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

/* Flags as an exact int object, and as the C int that the original would make of them: false
 * where it would raise OverflowError. */
static bool read_flags(PyObject *exact, int *out)
{
    int overflow;
    long number = PyLong_AsLongAndOverflow(exact, &overflow);
    *out = (int)number;
    return overflow == 0 && number >= INT_MIN && number <= INT_MAX;
}

/* The payload is part of what is judged where it is a question to a nameserver. */
static int judge_with_payload(eg_state *state, eg_judged_dial *judged, eg_parsed *parsed, eg_payload *payload, int flags)
{
    if (eg_judge_needs_payload(parsed, judged->socket)) {
        if (eg_payload_make_private(payload) < 0) {
            return -1;
        }
        judged->more_to_come = eg_judge_more_to_come(eg_socket_object_descriptor(judged->socket), flags);
        judged->payload = payload->views[0].buf;
        judged->payload_length = (size_t)payload->views[0].len;
    }
    return eg_judge(state, judged, parsed);
}

static PyObject *sendto_original(PyObject *self, PyObject *data, PyObject *flags, PyObject *address, bool announced)
{
    PyObject *args = flags == NULL ? PyTuple_Pack(2, data, address) : PyTuple_Pack(3, data, flags, address);
    PyObject *result = NULL;
    if (args != NULL) {
        result = announced ? act(EG_ROUTE_SENDTO, self, args, address) : eg_original(EG_ROUTE_SENDTO)(self, args);
    }
    Py_XDECREF(args);
    return result;
}

/* sendto(data, address) and sendto(data, flags, address). */
PyObject *eg_route_sendto(PyObject *self, PyObject *args)
{
    eg_state *state = eg_guard_get();
    Py_ssize_t size = PyTuple_GET_SIZE(args);
    PyObject *flags = NULL, *result = NULL;
    eg_parsed parsed = {0};
    eg_payload payload = {0};
    int flag_bits = 0;

    if (state == NULL || size < 2 || size > 3) {
        return eg_original(EG_ROUTE_SENDTO)(self, args);
    }
    PyObject *data = PyTuple_GET_ITEM(args, 0);
    if (eg_payload_from_one(data, &payload) < 0) {
        return NULL;
    }
    if (size == 3) {
        flags = eg_address_exact_int(PyTuple_GET_ITEM(args, 1));
        if (flags == NULL) {
            goto done;
        }
        if (!read_flags(flags, &flag_bits)) {
            result = sendto_original(self, data, flags, Py_None, false); /* its own OverflowError */
            goto done;
        }
    }
    if (eg_address_parse(PyTuple_GET_ITEM(args, size - 1), eg_socket_object_family(self), &parsed) < 0) {
        goto done;
    }
    if (parsed.kind == EG_PARSED_MALFORMED) {
        result = sendto_original(self, data, flags, parsed.exact, false);
        goto done;
    }
    eg_judged_dial judged = {.route = EG_ROUTE_SENDTO, .action = EG_ACTION_SEND, .socket = self};
    if (judge_with_payload(state, &judged, &parsed, &payload, flag_bits) == 0) {
        const eg_unix_message whole = {.payload = &payload, .flags = flag_bits};
        if (judged.by_file && eg_unix_dial(&judged, &parsed, &whole, &result)) {
            goto done;
        }
        result = eg_performs_send(&judged) ? eg_perform_send(&judged, &parsed, &payload, NULL, flag_bits)
                                           : sendto_original(self, data, flags, parsed.exact, true);
        if (result != NULL && eg_await_answer(state, &judged, &parsed.endpoint) < 0) {
            Py_CLEAR(result);
        }
    }
done:
    Py_XDECREF(flags);
    eg_payload_clear(&payload);
    eg_parsed_clear(&parsed);
    return result;
}

/* ---- sendmsg ---- */

/* One control message, (level, type, data): judged, and copied so that it stays what was
 * judged. New reference; what is no such triple is left for the original to refuse. */
static PyObject *exact_control_message(PyObject *item)
{
    PyObject *triple = NULL, *level = NULL, *type = NULL, *data = NULL, *exact = NULL;

    if (!PySequence_Check(item) || PyBytes_Check(item)) {
        return Py_NewRef(item); /* any other sequence is a triple to the original, whatever its type */
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

/* Are these triples of what the kernel is to get? All others are the original's to refuse. */
static bool are_exact_triples(PyObject *messages)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(messages); i++) {
        PyObject *item = PyTuple_GET_ITEM(messages, i);
        int level, type;
        if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != 3 || !PyLong_CheckExact(PyTuple_GET_ITEM(item, 0)) ||
            !PyLong_CheckExact(PyTuple_GET_ITEM(item, 1)) || !PyBytes_CheckExact(PyTuple_GET_ITEM(item, 2)) ||
            !read_flags(PyTuple_GET_ITEM(item, 0), &level) || !read_flags(PyTuple_GET_ITEM(item, 1), &type)) {
            return false;
        }
    }
    return true;
}

/* The arguments of sendmsg, owned. */
typedef struct message {
    PyObject *buffers, *flags, *control;
    eg_parsed parsed;
    eg_payload payload;
} message;

static PyObject *sendmsg_original(PyObject *self, const message *m, PyObject *address, bool announced)
{
    PyObject *args = PyTuple_Pack(4, m->buffers, m->control, m->flags, address), *result = NULL;
    if (args != NULL) {
        result = announced ? act(EG_ROUTE_SENDMSG, self, args, address) : eg_original(EG_ROUTE_SENDMSG)(self, args);
    }
    Py_XDECREF(args);
    return result;
}

/* In the original's order: address, buffers, control messages; the verdict when no code of the
 * caller's can run any more. */
static PyObject *judge_and_send(eg_state *state, PyObject *self, message *m, PyObject *control, int flag_bits)
{
    if (m->parsed.kind == EG_PARSED_MALFORMED) {
        m->control = Py_NewRef(control);
        return sendmsg_original(self, m, m->parsed.exact, false); /* should it not raise, the floor refuses */
    }
    /* Read once, for the original as well: a generator would have nothing left for it. */
    PyObject *parts = eg_payload_parts(m->buffers);
    if (parts == NULL) {
        return NULL;
    }
    Py_SETREF(m->buffers, parts);
    if (eg_payload_from_many(parts, &m->payload) < 0) {
        return NULL;
    }
    m->control = exact_control_messages(control);
    if (m->control == NULL) {
        return NULL;
    }
    eg_judged_dial judged = {.route = EG_ROUTE_SENDMSG, .action = EG_ACTION_SEND, .socket = self};
    if (judge_with_payload(state, &judged, &m->parsed, &m->payload, flag_bits) < 0) {
        return NULL;
    }
    bool exact = are_exact_triples(m->control);
    PyObject *result;
    if (judged.by_file && !exact) {
        return sendmsg_original(self, m, Py_None, true); /* it complains about the triples, and reaches nobody */
    }
    const eg_unix_message whole = {.payload = &m->payload, .control = m->control, .flags = flag_bits};
    if (judged.by_file && eg_unix_dial(&judged, &m->parsed, &whole, &result)) {
        return result;
    }
    result = eg_performs_send(&judged) && exact
                 ? eg_perform_send(&judged, &m->parsed, &m->payload, m->control, flag_bits)
                 : sendmsg_original(self, m, m->parsed.exact, true);
    if (result != NULL && eg_await_answer(state, &judged, &m->parsed.endpoint) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* sendmsg(buffers[, ancdata[, flags[, address]]]) */
PyObject *eg_route_sendmsg(PyObject *self, PyObject *args)
{
    eg_state *state = eg_guard_get();
    Py_ssize_t size = PyTuple_GET_SIZE(args);
    PyObject *result = NULL;
    int flag_bits;

    if (state == NULL || size < 2 || size > 4) {
        return eg_original(EG_ROUTE_SENDMSG)(self, args);
    }
    message m = {.buffers = Py_NewRef(PyTuple_GET_ITEM(args, 0))};
    PyObject *control = PyTuple_GET_ITEM(args, 1), *address = size > 3 ? PyTuple_GET_ITEM(args, 3) : Py_None;
    m.flags = size > 2 ? eg_address_exact_int(PyTuple_GET_ITEM(args, 2)) : PyLong_FromLong(0);
    if (m.flags == NULL) {
        goto done;
    }
    if (!read_flags(m.flags, &flag_bits)) {
        m.control = Py_NewRef(control);
        result = sendmsg_original(self, &m, address, false); /* its own OverflowError */
    } else if (address == Py_None) {
        m.control = exact_control_messages(control); /* they can route; the destination is the connected one */
        result = m.control == NULL ? NULL : sendmsg_original(self, &m, Py_None, true);
    } else if (eg_address_parse(address, eg_socket_object_family(self), &m.parsed) == 0) {
        result = judge_and_send(state, self, &m, control, flag_bits);
    }
done:
    Py_DECREF(m.buffers);
    Py_XDECREF(m.flags);
    Py_XDECREF(m.control);
    eg_payload_clear(&m.payload);
    eg_parsed_clear(&m.parsed);
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
        const char *what = reason == EG_REFUSED_MEMBERSHIP   ? "a multicast group"
                           : reason == EG_REFUSED_NAMESERVER ? "UDP_CORK"
                                                             : "a routing option";
        eg_attempt attempt = {.route = EG_ROUTE_SETSOCKOPT, .reason = reason, .host = what, .port = EG_NO_PORT};
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
