/* egressguard explain: what the verdict on an endpoint would be, and by which entry. */
#ifndef EG_PYTHON_EXPLAIN_H
#define EG_PYTHON_EXPLAIN_H

#include "python/guard.h"

/* {"allowed", "reason", "entry", "kind"} for "host:port", "[IPv6]:port" or "unix:..." under the
 * list `allow`: new dict. Asks no network. ValueError where `text` is no endpoint. */
PyObject *eg_explain(PyObject *allow, PyObject *text);

#endif
