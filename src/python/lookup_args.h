/* The arguments of the lookup routes, read once into exact values. */
#ifndef EG_PYTHON_LOOKUP_ARGS_H
#define EG_PYTHON_LOOKUP_ARGS_H

#include "python/guard.h"

/* getaddrinfo(host, port, family=0, type=0, proto=0, flags=0). References are owned. */
typedef struct eg_lookup_args {
    PyObject *host;    /* what to hand on: `encoded`, None, or what the original refuses by its type */
    PyObject *encoded; /* bytes of the name as libc gets it; NULL where host is None or no host */
    PyObject *port;    /* exact: None, int, str or bytes; else the original refuses its type */
    int family, type, protocol, flags;
} eg_lookup_args;

/* 0, or -1 with CPython's own exception. */
int eg_lookup_args_parse(PyObject *args, PyObject *kwargs, eg_lookup_args *out);
void eg_lookup_args_clear(eg_lookup_args *args);

/* The port as libc would read it: a number (wrapped to 16 bits, as libc does), the number
 * of a service, EG_ANY_PORT where none is named (None, 0). False where it is no service:
 * the lookup then fails by itself. */
bool eg_lookup_args_port(const eg_lookup_args *args, int *port);

/* The only argument of gethostbyname and its kin as exact bytes: new reference. NULL with an
 * exception, or NULL without one where the original should complain about `args`. */
PyObject *eg_lookup_args_one_host(PyObject *args);

/* The tuple that getnameinfo takes, of exact values: new reference, NULL with an exception.
 * `*host` is its text, NULL where the original refuses what is returned by its shape. */
PyObject *eg_lookup_args_sockaddr(PyObject *address, const char **host);

#endif
