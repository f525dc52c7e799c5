/* The one funnel of a refusal: journal, log, raise. */
#ifndef EG_PYTHON_REFUSE_H
#define EG_PYTHON_REFUSE_H

#include "python/guard.h"

/* What was refused. `host` is text for people; `address` is what a name resolved to, or
 * NULL; `port` may be EG_NO_PORT. */
typedef struct eg_attempt {
    eg_route route;
    eg_reason reason;
    const char *host;
    int port;
    const char *address;
} eg_attempt;

/* Put the violation in the journal, log it where egressguard is imported, and raise
 * EgressViolation: -1. While the process only observes: 0 without an exception, and the
 * caller lets the attempt through. */
int eg_refuse(const eg_attempt *attempt);

/* The same for an endpoint. */
int eg_refuse_endpoint(eg_route route, eg_reason reason, const eg_endpoint *endpoint);

/* Tell the calling interpreter's listener of a violation. Never fails. */
void eg_refuse_tell(uint64_t number);

/* The calling interpreter's EgressViolation: borrowed, made on first use, NULL with an
 * exception on failure. No object crosses from one interpreter to another. */
PyObject *eg_refuse_exception_type(void);

/* What is called with each violation's number in this interpreter: the first callable that is
 * given stays. 0 / -1. */
int eg_refuse_set_listener(PyObject *callable);

/* A journal record as a dict: new reference. */
PyObject *eg_refuse_record(const eg_violation *violation);

#endif
