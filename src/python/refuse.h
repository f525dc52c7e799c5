/* The one funnel of a refusal: journal, log, raise. */
#ifndef EG_PYTHON_REFUSE_H
#define EG_PYTHON_REFUSE_H

#include "python/guard.h"
#include "python/violation.h"

/* Put the violation in the journal, log it where egressguard is imported, and raise
 * EgressViolation: -1. While the process only observes: 0 without an exception, and the
 * caller lets the attempt through. */
int eg_refuse(const eg_attempt *attempt);

/* The same for an endpoint. */
int eg_refuse_endpoint(eg_route route, eg_reason reason, const eg_endpoint *endpoint);

/* Tell the calling interpreter's listener of a violation. Never fails. */
void eg_refuse_tell(uint64_t number);

/* What is called with each violation's number in this interpreter: the first callable that is
 * given stays. 0 / -1. */
int eg_refuse_set_listener(PyObject *callable);

#endif
