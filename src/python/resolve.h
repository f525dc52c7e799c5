/* The guard's own lookups, in the shapes that CPython gives its callers. */
#ifndef EG_PYTHON_RESOLVE_H
#define EG_PYTHON_RESOLVE_H

#include "python/guard.h"

/* A lookup of a name that the verdict let through (EG_NAME_LISTED or EG_NAME_THIS_MACHINE). */
typedef struct eg_resolve_question {
    eg_route route;
    PyObject *module; /* the `_socket` of this interpreter, borrowed */
    const eg_name_decision *decision;
    int asked_port;   /* for the violation: EG_NO_PORT where the caller named none */
    PyObject *port;   /* what to ask libc: exact int, str, bytes or None; NULL means None; borrowed */
    int family, type, protocol, flags;
} eg_resolve_question;

/* getaddrinfo's list with the answers that may be dialled, each of them granted: new list.
 * NULL with EgressViolation where none is left, or with the lookup's own error. */
PyObject *eg_resolve_list(eg_state *state, const eg_resolve_question *question);

/* The first answer of that list as an endpoint. 0 / -1 with an exception. */
int eg_resolve_first(eg_state *state, const eg_resolve_question *question, eg_endpoint *out);

/* The original getaddrinfo with exact arguments; `host` is announced to the floor. New list. */
PyObject *eg_resolve_ask(const eg_resolve_question *question, PyObject *host, int flags);

/* One answer of getaddrinfo's list as an endpoint; false where it is no IP address. */
bool eg_resolve_read_answer(PyObject *answer, eg_endpoint *out);

#endif
