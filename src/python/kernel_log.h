/* Refusals of the kernel layer on their way to Python's log and journal files. */
#ifndef EG_PYTHON_KERNEL_LOG_H
#define EG_PYTHON_KERNEL_LOG_H

#include "python/guard.h"

/* Start the thread that tells the calling interpreter's listener. 0, also where it runs
 * already; -1 with an exception: then they are told at the end of the process. */
int eg_kernel_log_start(void);

/* tell_kernel_refusals(): tell of those that nobody told yet, in the calling thread,
 * and wait a little until the thread that tells has told its own. */
PyObject *eg_kernel_log_rest(PyObject *module, PyObject *unused);

#endif
