/* The door: module slots, method table, argument parsing. It calls in and decides nothing. */
#include "python/guard.h"

#include "python/capability.h"
#include "python/entries.h"
#include "python/exit_status.h"
#include "python/explain.h"
#include "python/floor.h"
#include "python/interpose.h"
#include "python/kernel.h"
#include "python/kernel_log.h"
#include "python/loopback.h"
#include "python/refuse.h"

static PyObject *door_install(PyObject *module, PyObject *allow)
{
    (void)module;
    return eg_guard_install(allow) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *door_observe(PyObject *module, PyObject *allow)
{
    (void)module;
    return eg_guard_observe(allow) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *door_explain(PyObject *module, PyObject *args)
{
    PyObject *allow, *text;
    (void)module;
    return PyArg_ParseTuple(args, "OO:explain", &allow, &text) ? eg_explain(allow, text) : NULL;
}

static PyObject *door_parse(PyObject *module, PyObject *allow)
{
    (void)module;
    eg_state *state = eg_entries_parse(allow);
    PyObject *entries = state == NULL ? NULL : eg_entries_of(state);
    eg_state_destroy(state);
    return entries;
}

static PyObject *door_allowlist(PyObject *module, PyObject *unused)
{
    const eg_state *state = eg_guard_get();
    (void)module, (void)unused;
    return state == NULL ? Py_NewRef(Py_None) : eg_entries_of(state);
}

static PyObject *door_reset(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    if (eg_guard_get() != NULL) {
        eg_loopback_set(false);
    }
    Py_RETURN_NONE;
}

static PyObject *door_violation_total(PyObject *module, PyObject *unused)
{
    const eg_state *state = eg_guard_get();
    (void)module, (void)unused;
    return PyLong_FromUnsignedLongLong(state == NULL ? 0 : eg_journal_total(state->journal));
}

static PyObject *door_violation(PyObject *module, PyObject *number)
{
    const eg_state *state = eg_guard_get();
    eg_violation violation;
    unsigned long long wanted = PyLong_AsUnsignedLongLong(number);

    (void)module;
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (state == NULL || !eg_journal_read(state->journal, wanted, &violation)) {
        Py_RETURN_NONE;
    }
    return eg_violation_record(&violation);
}

static PyObject *door_set_exit_status(PyObject *module, PyObject *args)
{
    int status;
    unsigned long long since;
    (void)module;
    if (!PyArg_ParseTuple(args, "iK:set_exit_status", &status, &since) || eg_exit_status_set(status, since) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *door_set_listener(PyObject *module, PyObject *listener)
{
    (void)module;
    return eg_refuse_set_listener(listener) < 0 ? NULL : Py_NewRef(Py_None);
}

/* {route: (known, swapped)}, from this interpreter's own `_socket`. */
static PyObject *routes_dict(void)
{
    PyObject *routes = PyDict_New();
    for (int route = 0; routes != NULL && route < EG_ROUTE_COUNT; route++) {
        int known = eg_interpose_is_known((eg_route)route);
        int swapped = known < 0 ? -1 : eg_interpose_is_swapped((eg_route)route);
        PyObject *pair = swapped < 0 ? NULL
                                     : Py_BuildValue("(OO)", known ? Py_True : Py_False, swapped ? Py_True : Py_False);
        if (pair == NULL || PyDict_SetItemString(routes, eg_route_name((eg_route)route), pair) < 0) {
            Py_CLEAR(routes);
        }
        Py_XDECREF(pair);
    }
    return routes;
}

static PyObject *door_posture(PyObject *module, PyObject *unused)
{
    const eg_state *state = eg_guard_get();
    int heard = eg_floor_is_heard();
    PyObject *routes = heard < 0 ? NULL : routes_dict();

    (void)module, (void)unused;
    if (routes == NULL) {
        return NULL;
    }
    PyObject *kernel = eg_kernel_posture(module, NULL);
    if (kernel == NULL) {
        Py_DECREF(routes);
        return NULL;
    }
    return Py_BuildValue("{sOsssNsOsssnsKsN}", "installed", state == NULL || state->observing ? Py_False : Py_True, "mode",
                         state == NULL ? "off" : state->observing ? "observing" : "enforcing", "routes", routes,
                         "floor_heard", heard ? Py_True : Py_False, "capability", eg_capability_state(),
                         "loopback_threads", (Py_ssize_t)(state == NULL ? 0 : eg_threads_count(&state->threads)),
                         "violations", (unsigned long long)(state == NULL ? 0 : eg_journal_total(state->journal)),
                         "kernel", kernel);
}

static PyMethodDef door_methods[] = {
    {"install", door_install, METH_O, PyDoc_STR("install(allow, /): see egressguard.install")},
    {"observe", door_observe, METH_O, PyDoc_STR("observe(allow, /): see egressguard.observe")},
    {"explain", door_explain, METH_VARARGS, PyDoc_STR("explain(allow, endpoint, /): the verdict, as a dict")},
    {"parse", door_parse, METH_O, PyDoc_STR("parse(allow, /): the canonical entries; enforces nothing")},
    {"allowlist", door_allowlist, METH_NOARGS, PyDoc_STR("allowlist(): the installed entries, or None")},
    {"reset_for_test", door_reset, METH_NOARGS, PyDoc_STR("reset_for_test(): clear this thread's flag")},
    {"violation_total", door_violation_total, METH_NOARGS, PyDoc_STR("violation_total(): how many there were")},
    {"violation", door_violation, METH_O, PyDoc_STR("violation(number, /): one record, or None where it is gone")},
    {"set_exit_status", door_set_exit_status, METH_VARARGS, PyDoc_STR("set_exit_status(status, since, /)")},
    {"set_listener", door_set_listener, METH_O, PyDoc_STR("set_listener(callable, /): told each violation's number")},
    {"install_kernel", eg_kernel_install, METH_NOARGS, PyDoc_STR("install_kernel(): None, or why it cannot be")},
    {"tell_kernel_refusals", eg_kernel_log_rest, METH_NOARGS,
     PyDoc_STR("tell_kernel_refusals(): tell the listener of what the kernel layer refused and nobody told")},
    {"run_supervised", eg_kernel_run, METH_VARARGS,
     PyDoc_STR("run_supervised(allow, command, wait, on_refusal, /): (status, exec errno, why, counts)")},
    {"posture", door_posture, METH_NOARGS, PyDoc_STR("posture(): what is enforced, as a dict")},
    {"__getattr__", eg_capability_getattr, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int door_exec(PyObject *module)
{
    PyObject *type = eg_of_interpreter_violation_type();
    int added = type == NULL ? -1 : PyModule_AddObjectRef(module, "EgressViolation", type);
    Py_XDECREF(type);
    if (added < 0) {
        return -1;
    }
    PyObject *defaults = Py_BuildValue("(s)", EG_DEFAULT_ALLOWLIST);
    int done = defaults == NULL ? -1 : PyModule_AddObjectRef(module, "DEFAULT_ALLOWLIST", defaults);
    Py_XDECREF(defaults);
    return done < 0 ? -1 : PyModule_AddIntConstant(module, "JOURNAL_SLOTS", EG_JOURNAL_SLOTS);
}

static PyModuleDef_Slot door_slots[] = {
    {Py_mod_exec, door_exec},
#if PY_VERSION_HEX >= 0x030c0000
    /* No object is shared between interpreters: what is process-wide (the state block, the
     * swaps, the flag's key) is plain C, written once by install() or atomic. */
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    /* Py_mod_gil is left at its default: nothing is claimed about the free-threaded build. */
    {0, NULL},
};

static PyModuleDef door_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "egressguard._egressguard",
    .m_doc = PyDoc_STR("The guard. Use the package egressguard; this module is its inside."),
    .m_size = 0,
    .m_methods = door_methods,
    .m_slots = door_slots,
};

PyMODINIT_FUNC PyInit__egressguard(void);

PyMODINIT_FUNC PyInit__egressguard(void)
{
    return PyModuleDef_Init(&door_definition);
}
