/* What the process has of the guard: one state block, one phase. */
#ifndef EG_PYTHON_GUARD_H
#define EG_PYTHON_GUARD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>

#include "core/verdict.h"

/* A dozen bytes of static TLS, which the dynamic loader keeps in reserve for such modules: an
 * address computation instead of a call, on every dial. */
#if defined(__linux__) && defined(__GNUC__)
#define EG_THREAD_LOCAL_MODEL __attribute__((tls_model("initial-exec")))
#else
#define EG_THREAD_LOCAL_MODEL
#endif

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

/* observe(): the same verdict, but let everything through and only journal. Refuses after
 * install(), which ends it. 0 / -1. */
int eg_guard_observe(PyObject *allow);

#endif
