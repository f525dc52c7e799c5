/* The audit hook below the routes: it hears what does not pass through them. */
#ifndef EG_PYTHON_FLOOR_H
#define EG_PYTHON_FLOOR_H

#include "python/guard.h"

/* Add the hook, once a process, and prove that it is heard: another hook can refuse it
 * without a word. 0, or -1 with an exception. It enforces nothing before a guard is installed. */
int eg_floor_add(void);

/* Does the hook hear this interpreter's events? 1, 0, or -1 with an exception. */
int eg_floor_is_heard(void);

/* A route announces the event that the original function is about to raise, by the exact
 * object it hands on (borrowed): judged already. One shot, this thread only. */
void eg_floor_expect(PyObject *exact);

/* The route is done: what was announced and did not come is void. */
void eg_floor_forget(void);

#endif
