/* Kept in the interpreter's dict, under one key: module state would not be found from an audit
 * hook or a method table, which know no module. */
#include "python/of_interpreter.h"

static const char key[] = "egressguard";

PyDoc_STRVAR(violation_doc,
             "A dial or a lookup that the guard refused.\n\n"
             "host: str, what was asked for\n"
             "port: int, or None where the attempt named none\n"
             "address: str, what the host resolved to, or None\n"
             "route: str, the call that was refused, such as 'connect'\n"
             "reason: str, one word of a closed set, such as 'not-listed'\n"
             "number: int, its number in the journal\n\n"
             "Not an OSError: clients retry or swallow those (docs/architecture.md).");

static void let_go(PyObject *capsule)
{
    eg_of_interpreter *mine = PyCapsule_GetPointer(capsule, key);

    Py_XDECREF(mine->violation_type);
    Py_XDECREF(mine->listener);
    for (int i = 0; i < EG_MEMBERS; i++) {
        Py_XDECREF(mine->members[i]);
    }
    for (int i = 0; i < EG_ROUTE_NAMES; i++) {
        Py_XDECREF(mine->routes[i]);
    }
    for (int i = 0; i < EG_REASON_COUNT; i++) {
        Py_XDECREF(mine->reasons[i]);
    }
    PyMem_RawFree(mine);
}

static int fill(eg_of_interpreter *mine)
{
    static const char *const names[EG_MEMBERS] = {"host", "port", "address", "route", "reason", "number"};
    PyObject *defaults = PyDict_New();
    int done = defaults == NULL ? -1 : 0;

    for (int i = 0; i < EG_MEMBERS && done == 0; i++) {
        mine->members[i] = PyUnicode_InternFromString(names[i]);
        done = mine->members[i] == NULL ? -1 : PyDict_SetItem(defaults, mine->members[i], Py_None);
    }
    if (done == 0) {
        mine->violation_type = PyErr_NewExceptionWithDoc("egressguard.EgressViolation", violation_doc,
                                                         PyExc_RuntimeError, defaults);
        done = mine->violation_type == NULL ? -1 : 0;
    }
    Py_XDECREF(defaults);
    return done;
}

/* A new capsule, NULL with an exception. */
static PyObject *make(void)
{
    eg_of_interpreter *mine = PyMem_RawCalloc(1, sizeof *mine);
    PyObject *capsule = mine == NULL ? PyErr_NoMemory() : PyCapsule_New(mine, key, let_go);

    if (capsule == NULL) {
        PyMem_RawFree(mine);
        return NULL;
    }
    if (fill(mine) < 0) {
        Py_CLEAR(capsule);
    }
    return capsule;
}

PyObject *eg_of_interpreter_get(eg_of_interpreter **mine)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *name, *capsule;

    if (dict == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_RuntimeError, "egressguard: the interpreter is shutting down");
        }
        return NULL;
    }
    name = PyUnicode_FromString(key);
    if (name == NULL) {
        return NULL;
    }
    /* PyDict_GetItemString() takes an allocation that fails for a key that is not there, and what is there would be
     * made a second time. */
    capsule = Py_XNewRef(PyDict_GetItemWithError(dict, name));
    if (capsule == NULL && !PyErr_Occurred()) {
        PyObject *made = make();
        /* What another thread put there meanwhile stays. */
        capsule = made == NULL ? NULL : Py_XNewRef(PyDict_SetDefault(dict, name, made));
        Py_XDECREF(made);
    }
    Py_DECREF(name);
    *mine = capsule == NULL ? NULL : PyCapsule_GetPointer(capsule, key);
    if (*mine == NULL) {
        Py_CLEAR(capsule); /* somebody put something else there: whoever asks fails, and so refuses */
    }
    return capsule;
}

PyObject *eg_of_interpreter_violation_type(void)
{
    eg_of_interpreter *mine;
    PyObject *held = eg_of_interpreter_get(&mine), *type = NULL;

    if (held != NULL) {
        type = Py_NewRef(mine->violation_type);
        Py_DECREF(held);
    }
    return type;
}

static PyObject *made_once(PyObject **place, const char *text)
{
    if (*place == NULL) {
        *place = PyUnicode_InternFromString(text);
    }
    return Py_XNewRef(*place);
}

PyObject *eg_of_interpreter_route(eg_of_interpreter *mine, eg_route route)
{
    return route < EG_ROUTE_NAMES ? made_once(&mine->routes[route], eg_route_name(route))
                                  : PyUnicode_FromString(eg_route_name(route));
}

PyObject *eg_of_interpreter_reason(eg_of_interpreter *mine, eg_reason reason)
{
    return reason < EG_REASON_COUNT ? made_once(&mine->reasons[reason], eg_reason_word(reason))
                                    : PyUnicode_FromString(eg_reason_word(reason));
}
