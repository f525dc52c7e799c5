/* The bridge to the kernel layer: arguments in, facts out. */
#include "python/kernel.h"

#include "python/entries.h"
#include "python/kernel_log.h"
#include "python/refuse.h"

#ifdef __linux__

#include "linux/kernel_thread.h"
#include "linux/run.h"

static unsigned long long count(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static PyObject *counts_dict(const eg_kernel_counts *counts)
{
    static const eg_kernel_counts none;
    counts = counts == NULL ? &none : counts;
    return Py_BuildValue("{sKsKsKsKsKsK}", "judged", count(&counts->judged), "refused", count(&counts->refused),
                         "probes", count(&counts->probes), "probes_elsewhere", count(&counts->probes_elsewhere),
                         "names_refused", count(&counts->names_refused), "io_uring", count(&counts->rings));
}

PyObject *eg_kernel_install(PyObject *module, PyObject *unused)
{
    char why[EG_WHY_SIZE] = "";
    eg_state *state = eg_guard_get();
    int done;

    (void)module, (void)unused;
    if (state == NULL || state->observing) {
        PyErr_SetString(PyExc_RuntimeError, "egressguard.install_kernel(): call egressguard.install() first");
        return NULL;
    }
    if (!eg_kernel_is_active() && PyInterpreterState_Get() != PyInterpreterState_Main()) {
        /* The thread that logs what it refuses belongs to the interpreter that calls. */
        PyErr_SetString(PyExc_RuntimeError,
                        "egressguard.install_kernel() is for the main interpreter; it then holds in all of them");
        return NULL;
    }
    /* With the GIL held: two threads that start it at once would make two supervisors. */
    done = eg_kernel_thread_start(state, why);
    if (done == 0 && eg_kernel_log_start() < 0) {
        return NULL;
    }
    return done == 0 ? Py_NewRef(Py_None) : PyUnicode_FromString(why);
}

PyObject *eg_kernel_posture(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    PyObject *dict = counts_dict(eg_kernel_counts_get());
    PyObject *children = dict == NULL ? NULL : PyUnicode_FromString(eg_kernel_children());
    if (children == NULL || PyDict_SetItemString(dict, "children", children) < 0 ||
        PyDict_SetItemString(dict, "active", eg_kernel_is_active() ? Py_True : Py_False) < 0 ||
        PyDict_SetItemString(dict, "served", eg_kernel_is_served() ? Py_True : Py_False) < 0) {
        Py_CLEAR(dict);
    }
    Py_XDECREF(children);
    return dict;
}

/* Called by the supervising loop, without the GIL. */
static void tell_refusal(void *context, const eg_violation *violation)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *callable = context, *answer = NULL;
    PyObject *record = eg_violation_record(violation);

    if (record != NULL) {
        answer = PyObject_CallOneArg(callable, record);
    }
    if (answer == NULL) {
        PyErr_WriteUnraisable(callable); /* a full disk must not end the supervision */
    }
    Py_XDECREF(answer);
    Py_XDECREF(record);
    PyGILState_Release(gil);
}

/* argv of a command: pointers into the bytes of `command`; PyMem_Free it. NULL with an exception. */
static char **make_argv(PyObject *command)
{
    Py_ssize_t size = PyTuple_GET_SIZE(command);
    char **argv = PyMem_Calloc((size_t)size + 1, sizeof *argv);

    if (argv == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(command, i), &argv[i], NULL) < 0) {
            PyMem_Free(argv);
            return NULL;
        }
    }
    return argv;
}

PyObject *eg_kernel_run(PyObject *module, PyObject *args)
{
    PyObject *allow, *command, *callable, *result = NULL, *counts;
    int wait, done;
    char **argv = NULL;
    eg_state *state;

    (void)module;
    if (!PyArg_ParseTuple(args, "OO!pO:run_supervised", &allow, &PyTuple_Type, &command, &wait, &callable)) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(command) == 0) {
        PyErr_SetString(PyExc_ValueError, "run_supervised: the command is empty");
        return NULL;
    }
    state = eg_entries_parse(allow);
    argv = state == NULL ? NULL : make_argv(command);
    if (argv != NULL) {
        eg_run run = {.command = argv, .wait_for_all = wait != 0, .on_refusal = tell_refusal, .context = callable};
        Py_BEGIN_ALLOW_THREADS
        done = eg_run_supervised(state, &run);
        Py_END_ALLOW_THREADS
        counts = counts_dict(&run.counts);
        if (counts != NULL) {
            result = Py_BuildValue("(iisN)", run.status, run.exec_error, done == 0 ? NULL : run.why, counts);
        }
    }
    PyMem_Free(argv);
    /* The block stays: the program ends after its one command. */
    return result;
}

#else

PyObject *eg_kernel_install(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyUnicode_FromString("the kernel layer is for Linux");
}

PyObject *eg_kernel_posture(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return Py_BuildValue("{sOsO}", "active", Py_False, "served", Py_False);
}

PyObject *eg_kernel_run(PyObject *module, PyObject *args)
{
    (void)module, (void)args;
    return Py_BuildValue("(iis{})", 0, 0, "the kernel layer is for Linux");
}

#endif
