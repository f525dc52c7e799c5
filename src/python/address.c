/* Reading addresses. The fast path takes exact tuples of exact str and int as they are:
 * nothing in them can change. Everything else is copied into such a tuple first. */
#include "python/address.h"

#include <arpa/inet.h>
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

static bool is_exact(PyObject *address)
{
    Py_ssize_t size = PyTuple_GET_SIZE(address);
    if (size == 0 || !PyUnicode_CheckExact(PyTuple_GET_ITEM(address, 0)) ||
        !PyUnicode_IS_ASCII(PyTuple_GET_ITEM(address, 0))) {
        return false;
    }
    for (Py_ssize_t i = 1; i < size; i++) {
        if (!PyLong_CheckExact(PyTuple_GET_ITEM(address, i))) {
            return false;
        }
    }
    return true;
}

PyObject *eg_address_exact_tuple(PyObject *address)
{
    Py_ssize_t size = PyTuple_GET_SIZE(address);
    PyObject *copy, *item;

    if (PyTuple_CheckExact(address) && is_exact(address)) {
        return Py_NewRef(address);
    }
    copy = PyTuple_New(size);
    if (copy == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        item = i == 0 ? exact_host(PyTuple_GET_ITEM(address, i)) : eg_address_exact_int(PyTuple_GET_ITEM(address, i));
        if (item == NULL) {
            Py_DECREF(copy);
            return NULL;
        }
        PyTuple_SET_ITEM(copy, i, item);
    }
    return copy;
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
    if (strlen(text) != length) {
        return 0; /* an embedded NUL: "host name must not contain null character" */
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
        if (number.scope_id != 0 && out->endpoint.scope_id == 0) {
            out->endpoint.scope_id = number.scope_id;
        }
        return 0;
    }
    out->host = PyBytes_FromStringAndSize(text, (Py_ssize_t)length);
    if (out->host == NULL) {
        return -1;
    }
    out->kind = EG_PARSED_NAME;
    return 0;
}

static int parse_inet(PyObject *address, int family, eg_parsed *out)
{
    PyObject *host, *exact;
    const char *text;
    Py_ssize_t size, length;
    long port;
    int overflow;

    if (!PyTuple_Check(address)) {
        out->exact = Py_NewRef(address);
        return 0;
    }
    exact = out->exact = eg_address_exact_tuple(address);
    if (exact == NULL) {
        return -1;
    }
    size = PyTuple_GET_SIZE(exact);
    if (size < 2 || size > (family == AF_INET ? 2 : 4)) {
        return 0;
    }
    host = PyTuple_GET_ITEM(exact, 0);
    if (PyUnicode_CheckExact(host) && PyUnicode_IS_ASCII(host)) {
        text = PyUnicode_AsUTF8AndSize(host, &length);
    } else if (PyBytes_CheckExact(host)) {
        text = PyBytes_AS_STRING(host);
        length = PyBytes_GET_SIZE(host);
    } else {
        return 0;
    }
    if (text == NULL) {
        return -1;
    }
    port = PyLong_AsLongAndOverflow(PyTuple_GET_ITEM(exact, 1), &overflow);
    if (overflow != 0 || port < 0 || port > 65535) {
        /* The original looks a name up before it complains about the port. It still says
         * what is wrong, about an address that needs no lookup. */
        PyObject *numeric = PyUnicode_FromString(family == AF_INET ? "0.0.0.0" : "::");
        PyObject *quiet = numeric == NULL ? NULL : PyTuple_Pack(2, numeric, PyTuple_GET_ITEM(exact, 1));
        Py_XDECREF(numeric);
        if (quiet == NULL) {
            return -1;
        }
        Py_SETREF(out->exact, quiet);
        return 0;
    }
    out->endpoint.port = (uint16_t)port;
    if (size > 2) {
        unsigned long flow = PyLong_AsUnsignedLongMask(PyTuple_GET_ITEM(exact, 2));
        if ((uint32_t)flow > 0xfffff) {
            return 0; /* "flowinfo must be 0-1048575." comes before any packet, but after the lookup */
        }
        out->endpoint.flow_info = (uint32_t)flow;
    }
    if (size > 3) {
        out->endpoint.scope_id = (uint32_t)PyLong_AsUnsignedLongMask(PyTuple_GET_ITEM(exact, 3));
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
