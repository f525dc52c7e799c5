/* Reading addresses. The fast path takes exact tuples of exact str and int as they are:
 * nothing in them can change. Everything else is copied into such a tuple first. */
#include "python/address.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void eg_parsed_clear(eg_parsed *parsed)
{
    Py_CLEAR(parsed->exact);
    Py_CLEAR(parsed->host);
}

/* ---- exact copies of the items ---- */

PyObject *eg_address_encode_host(PyObject *host)
{
    if (PyUnicode_Check(host)) {
        if (PyUnicode_IS_ASCII(host)) {
            return PyUnicode_AsASCIIString(host);
        }
        return PyUnicode_AsEncodedString(host, "idna", NULL);
    }
    if (PyBytes_Check(host)) {
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(host), PyBytes_GET_SIZE(host));
    }
    if (PyByteArray_Check(host)) {
        return PyBytes_FromStringAndSize(PyByteArray_AS_STRING(host), PyByteArray_GET_SIZE(host));
    }
    return NULL;
}

/* New reference. A host that is no host is handed on: the original refuses its type. */
static PyObject *exact_host(PyObject *host)
{
    PyObject *encoded, *text;

    if (PyUnicode_CheckExact(host) && PyUnicode_IS_ASCII(host)) {
        return Py_NewRef(host);
    }
    encoded = eg_address_encode_host(host);
    if (encoded == NULL) {
        if (!PyErr_Occurred()) {
            return Py_NewRef(host);
        }
        if (PyErr_ExceptionMatches(PyExc_UnicodeError)) {
            /* What the original makes of it (idna_converter in Modules/socketmodule.c). */
            PyErr_SetString(PyExc_TypeError, "encoding of hostname failed");
        }
        return NULL;
    }
    text = PyUnicode_DecodeLatin1(PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded), NULL);
    if (text != NULL && !PyUnicode_IS_ASCII(text)) {
        /* Bytes above 0x7f mean themselves: keep them bytes. */
        Py_SETREF(text, Py_NewRef(encoded));
    }
    Py_DECREF(encoded);
    return text;
}

PyObject *eg_address_exact_int(PyObject *number)
{
    PyObject *index, *exact;

    if (PyLong_CheckExact(number)) {
        return Py_NewRef(number);
    }
    index = PyNumber_Index(number);
    if (index == NULL || PyLong_CheckExact(index)) {
        return index;
    }
    /* A bool or another subclass of int: its value, in a plain int. */
    exact = PyLong_Type.tp_as_number->nb_int(index);
    Py_DECREF(index);
    return exact;
}

/* ---- AF_INET, AF_INET6 ---- */

/* The host of the exact tuple, into the endpoint or as a name. */
static int read_host(int family, const char *text, size_t length, eg_parsed *out)
{
    eg_endpoint number;

    if (family == AF_INET && eg_address_parse_ipv4(text, length, &out->endpoint.address)) {
        out->kind = EG_PARSED_ENDPOINT; /* the common case */
        return 0;
    }
    if (length == 0) {
        /* '' is INADDR_ANY or in6addr_any. */
        static const uint8_t any[4];
        if (family == AF_INET) {
            out->endpoint.address = eg_address_from_ipv4(any);
        }
        out->kind = EG_PARSED_ENDPOINT;
        return 0;
    }
    if (family == AF_INET && strcmp(text, "<broadcast>") == 0) {
        static const uint8_t broadcast[4] = {255, 255, 255, 255};
        out->endpoint.address = eg_address_from_ipv4(broadcast);
        out->kind = EG_PARSED_ENDPOINT;
        return 0;
    }
    if (strcmp(text, "<broadcast>") == 0) {
        out->kind = EG_PARSED_MALFORMED;
        return 0;
    }
    if (family == AF_INET6 && inet_pton(AF_INET6, text, out->endpoint.address.bytes) == 1) {
        out->kind = EG_PARSED_ENDPOINT;
        return 0;
    }
    if (eg_endpoint_from_number(text, length, &number)) {
        /* A number of the other family: libc refuses it without asking anybody. */
        out->kind = number.family == family ? EG_PARSED_ENDPOINT : EG_PARSED_MALFORMED;
        out->endpoint.address = number.address;
        /* A scope in the text counts for nothing: the tuple's own, or 0, is put in its place. */
        return 0;
    }
    out->host = PyBytes_FromStringAndSize(text, (Py_ssize_t)length);
    if (out->host == NULL) {
        return -1;
    }
    out->kind = EG_PARSED_NAME;
    return 0;
}

/* Is this what getaddrinfo(3) can be asked: an exact str or bytes without a NUL? `*length` is
 * its length. NULL without an exception where it is not. */
static const char *text_of_host(PyObject *host, Py_ssize_t *length)
{
    const char *text = NULL;
    if (PyUnicode_CheckExact(host) && PyUnicode_IS_ASCII(host)) {
        text = PyUnicode_AsUTF8AndSize(host, length);
    } else if (PyBytes_CheckExact(host)) {
        text = PyBytes_AS_STRING(host);
        *length = PyBytes_GET_SIZE(host);
    }
    return text == NULL || strlen(text) != (size_t)*length ? NULL : text;
}

/* A host that is none: the original says so before it reads the numbers, or looks anything up. */
static int malformed_host(PyObject *host, eg_parsed *out)
{
    PyObject *quiet = Py_BuildValue("(Oi)", host, 0);
    Py_XSETREF(out->exact, quiet);
    return quiet == NULL ? -1 : 0;
}

/* The original complains about a port or a flow label after it looked the host up: a name is
 * replaced by an address that needs no lookup. `flow` is NULL or an exact int. */
static int malformed_number(int family, PyObject *host, PyObject *port, PyObject *flow, eg_parsed *out)
{
    Py_ssize_t length;
    const char *text = text_of_host(host, &length);
    PyObject *quiet;

    if (text == NULL || read_host(family, text, (size_t)length, out) < 0) {
        return -1;
    }
    if (out->kind == EG_PARSED_NAME) {
        text = family == AF_INET ? "0.0.0.0" : "::";
    }
    out->kind = EG_PARSED_MALFORMED;
    quiet = flow == NULL ? Py_BuildValue("(sO)", text, port) : Py_BuildValue("(sOO)", text, port, flow);
    Py_CLEAR(out->host);
    Py_XSETREF(out->exact, quiet);
    return quiet == NULL ? -1 : 0;
}

/* The numbers behind the host into `numbers`, exact; in the order in which the original reads
 * them. 1: all of them; 0: malformed, `out->exact` is set; -1: an exception. */
static int read_numbers(PyObject *address, int family, PyObject *host, PyObject *numbers[3], eg_parsed *out)
{
    int overflow, done;

    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(address); i++) {
        PyObject *number = numbers[i - 1] = eg_address_exact_int(PyTuple_GET_ITEM(address, i));
        if (number == NULL && !PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        long port = number == NULL || i > 1 ? 0 : PyLong_AsLongAndOverflow(number, &overflow);
        if (number != NULL && (i > 1 || (overflow == 0 && port >= INT_MIN && port <= INT_MAX))) {
            continue;
        }
        /* Whichever number overflows, and in whose `__index__`: the original blames the port. */
        PyErr_Clear();
        PyObject *beyond = PyLong_FromLong(65536);
        done = beyond == NULL ? -1 : malformed_number(family, host, beyond, NULL, out);
        Py_XDECREF(beyond);
        return done;
    }
    return 1;
}

static bool is_exact(PyObject *address)
{
    if (!PyTuple_CheckExact(address) || !PyUnicode_CheckExact(PyTuple_GET_ITEM(address, 0)) ||
        !PyUnicode_IS_ASCII(PyTuple_GET_ITEM(address, 0))) {
        return false;
    }
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(address); i++) {
        if (!PyLong_CheckExact(PyTuple_GET_ITEM(address, i))) {
            return false;
        }
    }
    return true;
}

/* `address` with exact items, all of them read once. 1, or as read_numbers(). */
static int read_exact(PyObject *address, int family, eg_parsed *out)
{
    PyObject *numbers[3] = {NULL, NULL, NULL}, *host;
    Py_ssize_t size = PyTuple_GET_SIZE(address), length;
    int done;

    if (is_exact(address)) {
        out->exact = Py_NewRef(address);
        return 1;
    }
    host = exact_host(PyTuple_GET_ITEM(address, 0));
    if (host == NULL) {
        return -1;
    }
    if (text_of_host(host, &length) == NULL) {
        done = PyErr_Occurred() ? -1 : malformed_host(host, out);
        Py_DECREF(host);
        return done;
    }
    done = read_numbers(address, family, host, numbers, out);
    if (done == 1) {
        out->exact = PyTuple_New(size);
        for (Py_ssize_t i = 0; out->exact != NULL && i < size; i++) {
            PyTuple_SET_ITEM(out->exact, i, Py_NewRef(i == 0 ? host : numbers[i - 1]));
        }
        done = out->exact == NULL ? -1 : 1;
    }
    Py_DECREF(host);
    for (size_t i = 0; i < 3; i++) {
        Py_XDECREF(numbers[i]);
    }
    return done;
}

static int parse_inet(PyObject *address, int family, eg_parsed *out)
{
    Py_ssize_t size = PyTuple_Check(address) ? PyTuple_GET_SIZE(address) : 0, length;
    int done, overflow;

    if (size < 2 || size > (family == AF_INET ? 2 : 4)) {
        out->exact = Py_NewRef(address); /* refused by its shape alone: nothing in it is read */
        return 0;
    }
    done = read_exact(address, family, out);
    if (done != 1) {
        return done;
    }
    PyObject *host = PyTuple_GET_ITEM(out->exact, 0), *port = PyTuple_GET_ITEM(out->exact, 1);
    const char *text = text_of_host(host, &length);
    if (text == NULL) {
        return PyErr_Occurred() ? -1 : malformed_host(host, out);
    }
    long number = PyLong_AsLongAndOverflow(port, &overflow);
    if (overflow != 0 || number < 0 || number > 65535) {
        return malformed_number(family, host, port, NULL, out);
    }
    out->endpoint.port = (uint16_t)number;
    if (size > 2) {
        PyObject *flow = PyTuple_GET_ITEM(out->exact, 2);
        out->endpoint.flow_info = (uint32_t)PyLong_AsUnsignedLongMask(flow);
        if (out->endpoint.flow_info > 0xfffff) {
            return malformed_number(family, host, port, flow, out);
        }
    }
    if (size > 3) {
        out->endpoint.scope_id = (uint32_t)PyLong_AsUnsignedLongMask(PyTuple_GET_ITEM(out->exact, 3));
    }
    return read_host(family, text, (size_t)length, out);
}

PyObject *eg_address_build(const eg_endpoint *endpoint)
{
    char text[EG_ENDPOINT_TEXT_SIZE];

    if (endpoint->family == AF_INET6) {
        /* Not eg_address_text: a mapped address must stay IPv6 on an IPv6 socket. */
        if (inet_ntop(AF_INET6, endpoint->address.bytes, text, sizeof text) == NULL) {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        return Py_BuildValue("(siII)", text, (int)endpoint->port, endpoint->flow_info, endpoint->scope_id);
    }
    eg_address_text(&endpoint->address, text);
    return Py_BuildValue("(si)", text, (int)endpoint->port);
}

/* ---- other families ---- */

static int parse_unix(PyObject *address, eg_parsed *out)
{
    Py_buffer view;
    PyObject *exact;

    if (PyUnicode_Check(address)) {
        exact = PyUnicode_EncodeFSDefault(address);
    } else if (PyObject_CheckBuffer(address)) {
        if (PyObject_GetBuffer(address, &view, PyBUF_SIMPLE) < 0) {
            return -1;
        }
        exact = PyBytes_FromStringAndSize(view.buf, view.len);
        PyBuffer_Release(&view);
    } else {
        out->exact = Py_NewRef(address);
        return 0;
    }
    if (exact == NULL) {
        return -1;
    }
    out->exact = exact;
    size_t length = (size_t)PyBytes_GET_SIZE(exact);
    if (length > sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        return 0; /* "AF_UNIX path too long" */
    }
    out->endpoint.path = PyBytes_AS_STRING(exact);
    out->endpoint.path_length = length > 0 && out->endpoint.path[0] != '\0' ? strlen(out->endpoint.path) : length;
    out->kind = EG_PARSED_ENDPOINT;
    return 0;
}

#ifdef __linux__
static int parse_netlink(PyObject *address, eg_parsed *out)
{
    if (!PyTuple_Check(address) || PyTuple_GET_SIZE(address) != 2) {
        out->exact = Py_NewRef(address);
        return 0;
    }
    PyObject *pid = eg_address_exact_int(PyTuple_GET_ITEM(address, 0));
    PyObject *groups = pid == NULL ? NULL : eg_address_exact_int(PyTuple_GET_ITEM(address, 1));
    if (groups != NULL) {
        out->exact = PyTuple_Pack(2, pid, groups);
    }
    if (out->exact != NULL) {
        out->endpoint.netlink_pid = (uint32_t)PyLong_AsUnsignedLongMask(pid);
        out->endpoint.netlink_groups = (uint32_t)PyLong_AsUnsignedLongMask(groups);
        out->kind = EG_PARSED_ENDPOINT;
    }
    Py_XDECREF(pid);
    Py_XDECREF(groups);
    return out->exact == NULL ? -1 : 0;
}
#endif

int eg_address_parse(PyObject *address, int family, eg_parsed *out)
{
    out->kind = EG_PARSED_MALFORMED;
    out->exact = out->host = NULL;
    memset(&out->endpoint, 0, sizeof out->endpoint);
    out->endpoint.family = (uint16_t)family;
    switch (family) {
    case AF_INET:
    case AF_INET6:
        return parse_inet(address, family, out);
    case AF_UNIX:
        return parse_unix(address, out);
#ifdef __linux__
    case AF_NETLINK:
        return parse_netlink(address, out);
    case AF_ALG: /* a tuple of names of algorithms: nothing is dialled, whatever it says */
#endif
    default: /* the verdict knows the family alone */
        out->exact = Py_NewRef(address);
        out->kind = EG_PARSED_ENDPOINT;
        return 0;
    }
}
