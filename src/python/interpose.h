/* Swap the replacements into CPython's static method tables, all or nothing. */
#ifndef EG_PYTHON_INTERPOSE_H
#define EG_PYTHON_INTERPOSE_H

#include "python/guard.h"

/* One entry of a method table: the function CPython put there, and ours. */
typedef struct eg_swap {
    const char *name;
    bool is_method;          /* of _socket.socket; else a function of _socket */
    int flags;               /* the calling convention that the replacement has */
    PyCFunction replacement;
    PyCFunction original;    /* set by eg_interpose_find() */
    PyMethodDef *definition; /* the static entry, NULL until found */
} eg_swap;

extern eg_swap eg_swaps[EG_ROUTE_COUNT];

static inline PyCFunction eg_original(eg_route route)
{
    return eg_swaps[route].original;
}

/* Find every entry and check that it is what the replacements were written for. 0, or -1
 * with an exception; nothing is changed. */
int eg_interpose_find(void);

/* Put the replacements in, or the originals back. Cannot fail after eg_interpose_find(). */
void eg_interpose_swap(void);
void eg_interpose_undo(void);

/* Is this route swapped, seen from this interpreter's own `_socket`? 1, 0, or -1 with an
 * exception. */
int eg_interpose_is_swapped(eg_route route);

/* Could the route be swapped here: is the entry there, with the expected convention? */
int eg_interpose_is_known(eg_route route);

/* Is the object's type built from the method table that the routes are swapped into? */
bool eg_interpose_owns(PyObject *socket);

/* The module object that this socket's type belongs to, for functions that need it:
 * borrowed, NULL without an exception where it does not matter. */
PyObject *eg_interpose_module_of(PyObject *socket);

#endif
