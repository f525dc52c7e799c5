/* install(): parse first, then change the process in an order that can be undone up to the
 * last step. docs/architecture.md draws it. */
#include "python/guard.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "python/callsite.h"
#include "python/capability.h"
#include "python/entries.h"
#include "python/floor.h"
#include "python/interpose.h"
#include "python/loopback.h"
#include "python/of_interpreter.h"
#include "python/socket_object.h"

_Atomic(eg_state *) eg_guard_state;

/* Who is installing right now: a mutex would deadlock a signal handler that installs. */
static _Atomic unsigned long installing_thread;

static bool is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

/* Wait for the thread that installs, with the GIL released. 0 / -1 with an exception. */
static int claim(void)
{
    unsigned long me = PyThread_get_thread_ident();

    for (;;) {
        unsigned long nobody = 0;
        if (atomic_compare_exchange_strong(&installing_thread, &nobody, me)) {
            return 0;
        }
        if (nobody == me) {
            PyErr_SetString(PyExc_RuntimeError, "egressguard.install() is already running in this thread");
            return -1;
        }
        Py_BEGIN_ALLOW_THREADS
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() < 0) {
            return -1;
        }
    }
}

/* Another install() won: 0 where it enforces the same list, -1 with an exception otherwise. */
static int compare_with_installed(const eg_state *candidate)
{
    PyObject *wanted = eg_entries_of(candidate), *present = eg_entries_of(eg_guard_get());
    PyObject *wanted_set = wanted == NULL ? NULL : PyFrozenSet_New(wanted);
    PyObject *present_set = present == NULL ? NULL : PyFrozenSet_New(present);
    int same = -1;

    if (wanted_set != NULL && present_set != NULL) {
        same = PyObject_RichCompareBool(wanted_set, present_set, Py_EQ);
    }
    if (same == 0) {
        PyErr_Format(PyExc_RuntimeError,
                     "egressguard is already installed with another allowlist, %R; it cannot be changed or removed",
                     present);
    }
    Py_XDECREF(wanted);
    Py_XDECREF(present);
    Py_XDECREF(wanted_set);
    Py_XDECREF(present_set);
    return same == 1 ? 0 : -1;
}

/* Every route of this interpreter is swapped, and the floor hears. 0 / -1. */
static int prove(void)
{
    for (int route = 0; route < EG_ROUTE_COUNT; route++) {
        int swapped = eg_interpose_is_swapped((eg_route)route);
        if (swapped < 0) {
            return -1;
        }
        if (swapped == 0) {
            PyErr_Format(PyExc_RuntimeError, "egressguard cannot install: the route %s does not lead to the guard",
                         eg_route_name((eg_route)route));
            return -1;
        }
    }
    int heard = eg_floor_is_heard();
    if (heard == 0) {
        PyErr_SetString(PyExc_RuntimeError, "egressguard cannot install: its audit hook is not heard");
    }
    return heard == 1 ? 0 : -1;
}

static PyTypeObject *socket_type(void)
{
    PyObject *module = PyImport_ImportModule("_socket"), *type = NULL;
    if (module != NULL) {
        type = PyObject_GetAttrString(module, "socket");
        Py_DECREF(module);
    }
    if (type != NULL && !PyType_Check(type)) {
        PyErr_SetString(PyExc_RuntimeError, "egressguard cannot guard this interpreter: _socket.socket is no type");
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

/* Everything that can fail, before anything is enforced. */
static int prepare(void)
{
    PyTypeObject *type = socket_type();
    PyObject *violation = type == NULL ? NULL : eg_of_interpreter_violation_type();
    int done = -1;

    if (violation == NULL) {
        goto done;
    }
    if (eg_loopback_init() < 0) {
        PyErr_SetString(PyExc_RuntimeError, "egressguard cannot install: the system has no thread-specific key left");
        goto done;
    }
    if (eg_callsite_init() < 0 || eg_socket_object_init(type) < 0 || eg_interpose_find() < 0) {
        goto done;
    }
    done = eg_floor_add();
done:
    Py_XDECREF(violation);
    Py_XDECREF(type);
    return done;
}

/* From off or observing to `state`. On failure everything is as it was. */
static int publish(eg_state *state)
{
    eg_state *before = eg_guard_get();

    if (prepare() < 0) {
        return -1;
    }
    if (before != NULL) {
        /* The numbers go on, so that nobody takes new violations for old ones. The block
         * itself stays mapped: other threads may be reading it. */
        atomic_store(&state->journal->total, eg_journal_total(before->journal));
        state->shared->sockets_distrusted = before->shared->sockets_distrusted;
    }
    eg_socket_object_scan_descriptors(state);
    eg_loopback_void_all();
    atomic_store_explicit(&eg_guard_state, state, memory_order_release);
    eg_interpose_swap();
    if (prove() < 0) {
        if (before == NULL) {
            eg_interpose_undo();
        }
        atomic_store_explicit(&eg_guard_state, before, memory_order_release);
        return -1;
    }
    eg_capability_close();
    return 0;
}

/* With the claim held. 1: `state` is now in use; 0: nothing to do; -1 with an exception. */
static int advance(eg_state *state)
{
    const eg_state *present = eg_guard_get();

    if (present != NULL && !present->observing && state->observing) {
        PyErr_SetString(PyExc_RuntimeError, "egressguard.observe(): install() was called already, and it stays");
        return -1;
    }
    if (present != NULL && present->observing == state->observing) {
        return compare_with_installed(state);
    }
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "egressguard.install() is for the main interpreter; it then holds in all of them");
        return -1;
    }
    return publish(state) < 0 ? -1 : 1;
}

static int install_or_observe(PyObject *allow, bool observing)
{
    eg_state *state;
    int done;

    if (is_finalizing()) {
        PyErr_SetString(PyExc_RuntimeError, "egressguard.install(): the interpreter is shutting down");
        return -1;
    }
    state = eg_entries_parse(allow); /* runs the caller's iterator: before the claim */
    if (state == NULL || claim() < 0) {
        eg_state_destroy(state);
        return -1;
    }
    state->observing = observing;
    done = advance(state);
    if (done != 1) {
        eg_state_destroy(state);
    }
    atomic_store(&installing_thread, 0);
    return done < 0 ? -1 : 0;
}

int eg_guard_install(PyObject *allow)
{
    return install_or_observe(allow, false);
}

int eg_guard_observe(PyObject *allow)
{
    return install_or_observe(allow, true);
}
