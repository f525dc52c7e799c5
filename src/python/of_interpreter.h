/* What the guard keeps for each interpreter. No object crosses from one to another. */
#ifndef EG_PYTHON_OF_INTERPRETER_H
#define EG_PYTHON_OF_INTERPRETER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core/reason.h"

/* The members of a violation, in this order. */
enum { EG_MEMBER_HOST, EG_MEMBER_PORT, EG_MEMBER_ADDRESS, EG_MEMBER_ROUTE, EG_MEMBER_REASON, EG_MEMBER_NUMBER, EG_MEMBERS };

/* One block, found by one question, since every refusal needs all of it. */
typedef struct eg_of_interpreter {
    PyObject *violation_type;             /* EgressViolation */
    PyObject *listener;                   /* NULL where there is none yet */
    PyObject *members[EG_MEMBERS];        /* their names, interned */
    PyObject *routes[EG_ROUTE_NAMES];     /* eg_route_name as str, each made on first use */
    PyObject *reasons[EG_REASON_COUNT];   /* eg_reason_word likewise */
} eg_of_interpreter;

/* The calling interpreter's, made on first use: the block in `mine`, and a new reference that keeps it, whatever
 * Python code does meanwhile with the place where it is found; NULL with an exception on failure. */
PyObject *eg_of_interpreter_get(eg_of_interpreter **mine);

/* EgressViolation: a new reference, NULL with an exception. */
PyObject *eg_of_interpreter_violation_type(void);

/* The route's name and the reason's word: new references, NULL with an exception. */
PyObject *eg_of_interpreter_route(eg_of_interpreter *mine, eg_route route);
PyObject *eg_of_interpreter_reason(eg_of_interpreter *mine, eg_reason reason);

#endif
