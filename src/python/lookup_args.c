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
    if (PyLong_Check(port)) {
        return eg_address_exact_int(port);
    }
    return Py_NewRef(port); /* the original takes no other type, whatever its methods say */
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
    out->encoded = host == Py_None ? NULL : eg_address_encode_host(host);
    if (out->encoded == NULL && PyErr_Occurred()) {
        return -1;
    }
    /* An ASCII str stays a str; everything else is handed on as the bytes that were judged.
     * A str that needs no encoding is still checked by the original, label by label. */
    if (out->encoded == NULL || (PyUnicode_CheckExact(host) && PyUnicode_IS_ASCII(host))) {
        out->host = Py_NewRef(host);
    } else {
        out->host = Py_NewRef(out->encoded);
    }
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
        *port = (uint16_t)PyLong_AsUnsignedLongMask(args->port);
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
    return eg_address_encode_host(PyTuple_GET_ITEM(args, 0));
}
