/* The capability of ADR-0006: a reference to `_set_test_loopback`, minted once. */
#ifndef EG_PYTHON_CAPABILITY_H
#define EG_PYTHON_CAPABILITY_H

#include "python/guard.h"

/* The module's __getattr__ (PEP 562): mints the function for the first who asks before
 * install(), says who has it to the second, knows no such name after install(). */
PyObject *eg_capability_getattr(PyObject *module, PyObject *name);

/* "available", "taken" (somebody holds a reference), "gone": borrowed text. */
const char *eg_capability_state(void);

/* install(): from now on nobody can take it. */
void eg_capability_close(void);

#endif
