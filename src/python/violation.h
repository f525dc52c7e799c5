/* A violation as Python sees it: the exception with its text, and the record as a dict. */
#ifndef EG_PYTHON_VIOLATION_H
#define EG_PYTHON_VIOLATION_H

#include "core/journal.h"
#include "python/of_interpreter.h"

/* What was refused. `host` is text for people; `address` is what a name resolved to, or
 * NULL; `port` may be EG_NO_PORT. */
typedef struct eg_attempt {
    eg_route route;
    eg_reason reason;
    const char *host;
    int port;
    const char *address;
} eg_attempt;

/* Raise it, with its number in the journal; on failure another exception is raised. */
void eg_violation_raise(eg_of_interpreter *mine, const eg_attempt *attempt, uint64_t number);

/* A journal record as a dict: new reference. */
PyObject *eg_violation_record(const eg_violation *violation);

#endif
