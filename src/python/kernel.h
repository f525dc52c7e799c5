/* The kernel layer as Python sees it. */
#ifndef EG_PYTHON_KERNEL_H
#define EG_PYTHON_KERNEL_H

#include "python/guard.h"

/* Put the kernel layer in force for this process: None, or a str that says why it cannot be.
 * New reference; NULL with RuntimeError where install() was not called. */
PyObject *eg_kernel_install(PyObject *module, PyObject *unused);

/* {"active": bool, "judged": int, ...}: new dict. */
PyObject *eg_kernel_posture(PyObject *module, PyObject *unused);

/* run_supervised(allow, command, wait, on_refusal): run a command to its end. New tuple
 * (status of waitpid, errno of exec, why, counts); `why` is None where it ran. */
PyObject *eg_kernel_run(PyObject *module, PyObject *args);

#endif
