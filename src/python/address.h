/* A Python address object, read once into exact values. */
#ifndef EG_PYTHON_ADDRESS_H
#define EG_PYTHON_ADDRESS_H

#include "python/guard.h"

typedef enum eg_parsed_kind {
    EG_PARSED_MALFORMED = 0, /* the original function raises its own error on `exact` */
    EG_PARSED_ENDPOINT,      /* `endpoint` is what `exact` means */
    EG_PARSED_NAME,          /* `host` has to be looked up first; `endpoint.port` is set */
} eg_parsed_kind;

/* All references are owned; eg_parsed_clear() drops them. */
typedef struct eg_parsed {
    eg_parsed_kind kind;
    eg_endpoint endpoint;
    PyObject *exact; /* exact tuple (or bytes) of exact str, bytes and int: what to hand on */
    PyObject *host;  /* bytes of the name, EG_PARSED_NAME only */
} eg_parsed;

/* Read `address` as a socket of `family` would (socket(7), Modules/socketmodule.c). 0, or
 * -1 with CPython's own exception. Runs the caller's `__index__` at most once; afterwards
 * nothing of the caller's can change what was read. */
int eg_address_parse(PyObject *address, int family, eg_parsed *out);

void eg_parsed_clear(eg_parsed *parsed);

/* Any str, bytes or bytearray as a host: new exact bytes in ASCII form. NULL with an
 * exception where it cannot be encoded, NULL without one where it is of another type. */
PyObject *eg_address_encode_host(PyObject *host);

/* Anything with __index__ as an exact int: new reference, or NULL with an exception. */
PyObject *eg_address_exact_int(PyObject *number);

/* (text, port) or (text, port, flow, scope), as CPython makes it: new reference. */
PyObject *eg_address_build(const eg_endpoint *endpoint);

#endif
