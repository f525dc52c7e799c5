/* Minting the capability. It is in no module dictionary and no method table, so there is
 * nothing to find in a process where nobody took it before install(). */
#include "python/capability.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "python/callsite.h"
#include "python/loopback.h"

/* Process-wide: one capability for a process, whichever copy of the module is asked. */
static _Atomic bool closed, taken;
static _Atomic int references;
static char taker[320];

static PyObject *set_test_loopback(PyObject *self, PyObject *enabled)
{
    (void)self;
    if (enabled != Py_True && enabled != Py_False) {
        PyErr_SetString(PyExc_TypeError, "enabled must be True or False");
        return NULL;
    }
    int error = eg_loopback_set(enabled == Py_True);
    if (error != 0) {
        errno = -error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyMethodDef definition = {
    "_set_test_loopback", set_test_loopback, METH_O,
    PyDoc_STR("_set_test_loopback(enabled: bool) -> None\n\n"
              "Set or clear the loopback flag of the calling thread (ADR-0006). For conftest.py.")};

static void reference_ends(PyObject *capsule)
{
    (void)capsule;
    atomic_fetch_sub(&references, 1);
}

static PyObject *mint(void)
{
    eg_violation site;
    PyObject *capsule, *function;
    bool nobody = false;

    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_RuntimeError, "the capability can be taken in the main interpreter only");
        return NULL;
    }
    if (!atomic_compare_exchange_strong(&taken, &nobody, true)) {
        PyErr_Format(PyExc_RuntimeError, "the capability was taken already, by %s; one conftest.py a process takes it",
                     taker);
        return NULL;
    }
    memset(&site, 0, sizeof site);
    if (eg_callsite_init() < 0) {
        PyErr_Clear(); /* the taker is told as unknown */
    }
    eg_callsite_fill(&site);
    snprintf(taker, sizeof taker, "%s:%d", site.file[0] == '\0' ? "unknown" : site.file, site.line);
    if (eg_loopback_init() < 0) {
        atomic_store(&taken, false);
        PyErr_SetString(PyExc_RuntimeError, "the system has no thread-specific key left");
        return NULL;
    }
    /* The function's `self` tells when the last reference to the function is gone. */
    capsule = PyCapsule_New(&references, NULL, reference_ends);
    function = capsule == NULL ? NULL : PyCFunction_New(&definition, capsule);
    if (function == NULL) {
        atomic_store(&taken, false);
    }
    if (capsule != NULL) {
        atomic_fetch_add(&references, 1);
        Py_DECREF(capsule);
    }
    return function;
}

PyObject *eg_capability_getattr(PyObject *module, PyObject *name)
{
    if (PyUnicode_Check(name) && !atomic_load(&closed) &&
        PyUnicode_CompareWithASCIIString(name, "_set_test_loopback") == 0) {
        return mint();
    }
    (void)module;
    PyErr_Format(PyExc_AttributeError, "module 'egressguard._egressguard' has no attribute %R", name);
    return NULL;
}

const char *eg_capability_state(void)
{
    if (atomic_load(&references) > 0) {
        return "taken";
    }
    return atomic_load(&closed) ? "gone" : "available";
}

void eg_capability_close(void)
{
    atomic_store(&closed, true);
}
