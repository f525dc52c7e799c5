/* The allowlist between Python and the core. */
#ifndef EG_PYTHON_ENTRIES_H
#define EG_PYTHON_ENTRIES_H

#include "python/guard.h"

/* The list that install() uses when it is given none; it lives here and nowhere else. */
#define EG_DEFAULT_ALLOWLIST "api.anthropic.com:443"

/* A new block with these entries: an iterable of str, or None for the default list. NULL
 * with TypeError (no iterable of str) or ValueError (an entry, named, and what is wrong). */
eg_state *eg_entries_parse(PyObject *allow);

/* The canonical entries of a block: new tuple of str. */
PyObject *eg_entries_of(const eg_state *state);

#endif
