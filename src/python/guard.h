/* What the process has of the guard: one state block, one phase. */
#ifndef EG_PYTHON_GUARD_H
#define EG_PYTHON_GUARD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>

#include "core/verdict.h"

/* The block of the installed guard, NULL while there is none. Process-wide, because the
 * method tables that lead to it are. Written once, by install(). */
extern _Atomic(eg_state *) eg_guard_state;

static inline eg_state *eg_guard_get(void)
{
    return atomic_load_explicit(&eg_guard_state, memory_order_acquire);
}

/* install(): parse `allow` (an iterable of str, or None for the default list), put the guard
 * in place and prove it. 0, or -1 with an exception; on failure nothing is enforced. */
int eg_guard_install(PyObject *allow);

#endif
