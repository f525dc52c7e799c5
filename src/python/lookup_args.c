/* Reading the arguments of lookups. */
#include "python/lookup_args.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "python/address.h"

void eg_lookup_args_clear(eg_lookup_args *args)
{
    Py_CLEAR(args->host);
    Py_CLEAR(args->encoded);
    Py_CLEAR(args->port);
}

static PyObject *exact_port(PyObject *port)
{
    if (PyUnicode_CheckExact(port) || PyBytes_CheckExact(port) || port == Py_None) {
        return Py_NewRef(port);
    }
    if (PyUnicode_Check(port)) {
        return PyUnicode_FromObject(port);
    }
    if (PyBytes_Check(port)) {
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(port), PyBytes_GET_SIZE(port));
    }
    return Py_NewRef(port); /* an int; the original takes no other type, whatever its methods say */
}

/* Would the codec take this ASCII name as it is? RFC 1035, 2.3.4: labels of 1 to 63 bytes. */
static bool labels_are_good(PyObject *name)
{
    const char *text = PyUnicode_DATA(name);
    size_t length = (size_t)PyUnicode_GET_LENGTH(name), label = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] != '.') {
            label++;
        } else if (label == 0) {
            return false;
        } else {
            label = 0;
        }
        if (label > 63) {
            return false;
        }
    }
    return true;
}

/* The lookups put every str through the codec, ASCII too, so an empty label is a UnicodeError
 * here and a name in connect(). New bytes; NULL as eg_address_encode_host(). */
static PyObject *encode_host(PyObject *host)
{
    if (PyUnicode_Check(host) && !(PyUnicode_IS_ASCII(host) && labels_are_good(host))) {
        return PyUnicode_AsEncodedString(host, "idna", NULL);
    }
    return eg_address_encode_host(host);
}

int eg_lookup_args_parse(PyObject *args, PyObject *kwargs, eg_lookup_args *out)
{
    static char host_word[] = "host", port_word[] = "port", family_word[] = "family", type_word[] = "type";
    static char protocol_word[] = "proto", flags_word[] = "flags"; /* CPython wants them writable */
    static char *keywords[] = {host_word, port_word, family_word, type_word, protocol_word, flags_word, NULL};
    PyObject *host, *port;

    memset(out, 0, sizeof *out);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|iiii:getaddrinfo", keywords, &host, &port, &out->family,
                                     &out->type, &out->protocol, &out->flags)) {
        return -1;
    }
    /* No bytearray here, other than in an address. */
    out->encoded = PyUnicode_Check(host) || PyBytes_Check(host) ? encode_host(host) : NULL;
    if (out->encoded == NULL && PyErr_Occurred()) {
        return -1;
    }
    /* Handed on as the bytes that were judged: a str would go through the codec again, which is
     * Python code that anybody can change. */
    out->host = Py_NewRef(out->encoded == NULL ? host : out->encoded);
    out->port = exact_port(port);
    if (out->port == NULL) {
        eg_lookup_args_clear(out);
        return -1;
    }
    return 0;
}

/* A service name is a file look-up (services(5)); no host is involved. */
static bool service_port(const char *service, int type, int *port)
{
    struct addrinfo hints = {.ai_socktype = type}, *found = NULL;
    eg_endpoint endpoint;

    bool known = getaddrinfo(NULL, service, &hints, &found) == 0 && found != NULL &&
                 eg_endpoint_from_sockaddr(&endpoint, found->ai_addr, found->ai_addrlen) == 0;
    if (found != NULL) {
        freeaddrinfo(found);
    }
    *port = known ? endpoint.port : EG_ANY_PORT;
    return known;
}

static bool text_port(const char *text, size_t length, int type, int *port)
{
    char *end;

    if (length == 0 || strlen(text) != length) {
        *port = EG_ANY_PORT;
        return length == 0;
    }
    unsigned long number = strtoul(text, &end, 10);
    if (*end == '\0') {
        *port = (uint16_t)number;
        return true;
    }
    return service_port(text, type, port);
}

bool eg_lookup_args_port(const eg_lookup_args *args, int *port)
{
    Py_ssize_t length;
    bool known = true;

    *port = EG_ANY_PORT;
    if (PyLong_CheckExact(args->port)) {
        int overflow;
        *port = (uint16_t)PyLong_AsLongAndOverflow(args->port, &overflow);
        if (overflow != 0) {
            *port = EG_ANY_PORT; /* the original raises OverflowError */
            return false;
        }
    } else if (PyUnicode_CheckExact(args->port)) {
        const char *text = PyUnicode_AsUTF8AndSize(args->port, &length);
        if (text == NULL) {
            PyErr_Clear(); /* surrogates: the original raises its own error about them */
            return false;
        }
        known = text_port(text, (size_t)length, args->type, port);
    } else if (PyBytes_CheckExact(args->port)) {
        known = text_port(PyBytes_AS_STRING(args->port), (size_t)PyBytes_GET_SIZE(args->port), args->type, port);
    } else if (args->port != Py_None) {
        return false;
    }
    if (*port == 0) {
        *port = EG_ANY_PORT; /* the common way to say "no port yet" */
    }
    return known;
}

PyObject *eg_lookup_args_one_host(PyObject *args)
{
    if (PyTuple_GET_SIZE(args) != 1) {
        return NULL;
    }
    return encode_host(PyTuple_GET_ITEM(args, 0));
}

PyObject *eg_lookup_args_sockaddr(PyObject *address, const char **host)
{
    Py_ssize_t size = PyTuple_GET_SIZE(address), length;
    PyObject *copy, *item;

    *host = NULL;
    if (size < 2 || size > 4 || !PyUnicode_Check(PyTuple_GET_ITEM(address, 0))) {
        return Py_NewRef(address);
    }
    const char *text = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(address, 0), &length);
    if (text == NULL || strlen(text) != (size_t)length) {
        PyErr_Clear(); /* surrogates: the original raises its own error about them */
        return Py_NewRef(address);
    }
    copy = PyTuple_New(size);
    for (Py_ssize_t i = 0; copy != NULL && i < size; i++) {
        item = i == 0 ? PyUnicode_FromObject(PyTuple_GET_ITEM(address, 0))
                      : eg_address_exact_int(PyTuple_GET_ITEM(address, i));
        if (item == NULL) {
            Py_CLEAR(copy);
            break;
        }
        PyTuple_SET_ITEM(copy, i, item);
    }
    *host = copy == NULL ? NULL : PyUnicode_AsUTF8(PyTuple_GET_ITEM(copy, 0));
    if (copy != NULL && *host == NULL) {
        Py_CLEAR(copy);
    }
    return copy;
}
