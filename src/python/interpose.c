/* The swap. The type `_socket.socket` is always built from the same static PyMethodDef
 * table, and the functions of the module from another one. A descriptor or a bound method
 * made at any time, in any interpreter, reads `ml_meth` from there at each call. */
#include "python/interpose.h"

#include <dlfcn.h>
#include <string.h>

#include "python/copies.h"
#include "python/routes.h"

/* Process-wide, because the tables are. Written by install() alone, before the swap. */
eg_swap eg_swaps[EG_ROUTE_COUNT] = {
    [EG_ROUTE_CONNECT] = {"connect", true, METH_O, eg_route_connect, NULL, NULL},
    [EG_ROUTE_CONNECT_EX] = {"connect_ex", true, METH_O, eg_route_connect_ex, NULL, NULL},
    [EG_ROUTE_SENDTO] = {"sendto", true, METH_VARARGS, eg_route_sendto, NULL, NULL},
    [EG_ROUTE_SENDMSG] = {"sendmsg", true, METH_VARARGS, eg_route_sendmsg, NULL, NULL},
    [EG_ROUTE_BIND] = {"bind", true, METH_O, eg_route_bind, NULL, NULL},
    [EG_ROUTE_SETSOCKOPT] = {"setsockopt", true, METH_VARARGS, eg_route_setsockopt, NULL, NULL},
    [EG_ROUTE_GETADDRINFO] = {"getaddrinfo", false, METH_VARARGS | METH_KEYWORDS,
                              (PyCFunction)(void (*)(void))eg_route_getaddrinfo, NULL, NULL},
    [EG_ROUTE_GETHOSTBYNAME] = {"gethostbyname", false, METH_VARARGS, eg_route_gethostbyname, NULL, NULL},
    [EG_ROUTE_GETHOSTBYNAME_EX] = {"gethostbyname_ex", false, METH_VARARGS, eg_route_gethostbyname_ex, NULL, NULL},
    [EG_ROUTE_GETHOSTBYADDR] = {"gethostbyaddr", false, METH_VARARGS, eg_route_gethostbyaddr, NULL, NULL},
    [EG_ROUTE_GETNAMEINFO] = {"getnameinfo", false, METH_VARARGS, eg_route_getnameinfo, NULL, NULL},
};

#if PY_VERSION_HEX >= 0x030c0000
static PyModuleDef *socket_module_definition;
#endif

/* The static entry behind a method or function of `_socket`; NULL with an exception. */
static PyMethodDef *find_definition(PyObject *module, const eg_swap *swap)
{
    PyObject *holder = NULL, *method = NULL;
    PyMethodDef *definition = NULL;

    holder = swap->is_method ? PyObject_GetAttrString(module, "socket") : Py_NewRef(module);
    if (holder == NULL) {
        return NULL;
    }
    method = PyObject_GetAttrString(holder, swap->name);
    if (method == NULL) {
        goto done;
    }
    if (swap->is_method && Py_IS_TYPE(method, &PyMethodDescr_Type)) {
        definition = ((PyMethodDescrObject *)method)->d_method;
    } else if (!swap->is_method && PyCFunction_CheckExact(method)) {
        definition = ((PyCFunctionObject *)method)->m_ml;
    }
    if (definition == NULL || strcmp(definition->ml_name, swap->name) != 0 || definition->ml_flags != swap->flags) {
        definition = NULL;
        PyErr_Format(PyExc_RuntimeError,
                     "egressguard cannot guard this interpreter: _socket.%s%s is not the function that CPython "
                     "3.11 to 3.13 have (was it replaced before install()?)",
                     swap->is_method ? "socket." : "", swap->name);
    }
done:
    Py_XDECREF(method);
    Py_DECREF(holder);
    return definition;
}

/* Are all entries of one shared object? A module put together from two copies is not. */
static int check_one_object(void)
{
    Dl_info first, other;

    for (size_t route = 0; route < EG_ROUTE_COUNT; route++) {
        if (dladdr((void *)eg_swaps[route].definition, route == 0 ? &first : &other) == 0 ||
            (route > 0 && other.dli_fbase != first.dli_fbase)) {
            PyErr_SetString(PyExc_RuntimeError,
                            "egressguard cannot guard this interpreter: the functions of _socket are not all its own");
            return -1;
        }
    }
    return 0;
}

int eg_interpose_find(void)
{
    PyObject *module = PyImport_ImportModule("_socket");
    int done = -1;

    if (module == NULL) {
        return -1;
    }
    for (size_t route = 0; route < EG_ROUTE_COUNT; route++) {
        eg_swap *swap = &eg_swaps[route];
        PyMethodDef *definition = find_definition(module, swap);
        if (definition == NULL) {
            goto done;
        }
        if (definition->ml_meth != swap->replacement) {
            swap->original = definition->ml_meth;
        }
        swap->definition = definition;
    }
#if PY_VERSION_HEX >= 0x030c0000
    socket_module_definition = PyModule_GetDef(module);
    if (socket_module_definition == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "egressguard cannot guard this interpreter: _socket is not its own");
        goto done;
    }
#endif
    if (check_one_object() < 0) {
        goto done;
    }
    switch (eg_copies_look(eg_swaps[EG_ROUTE_CONNECT].definition)) {
    case EG_COPIES_NONE:
        done = 0;
        break;
    case EG_COPIES_LOADED:
        PyErr_SetString(PyExc_RuntimeError,
                        "egressguard cannot install: a second copy of the socket module was loaded earlier");
        break;
    default:
        PyErr_SetString(PyExc_RuntimeError, "egressguard cannot install: the loaded objects could not be searched for "
                                            "a second copy of the socket module (out of memory?)");
    }
done:
    Py_DECREF(module);
    return done;
}

void eg_interpose_swap(void)
{
    for (size_t route = 0; route < EG_ROUTE_COUNT; route++) {
        __atomic_store_n(&eg_swaps[route].definition->ml_meth, eg_swaps[route].replacement, __ATOMIC_RELEASE);
    }
}

void eg_interpose_undo(void)
{
    for (size_t route = 0; route < EG_ROUTE_COUNT; route++) {
        eg_swap *swap = &eg_swaps[route];
        if (swap->definition != NULL && swap->original != NULL) {
            __atomic_store_n(&swap->definition->ml_meth, swap->original, __ATOMIC_RELEASE);
        }
    }
}

static int check(eg_route route, bool swapped)
{
    PyObject *module = PyImport_ImportModule("_socket");
    if (module == NULL) {
        return -1;
    }
    PyMethodDef *definition = find_definition(module, &eg_swaps[route]);
    Py_DECREF(module);
    if (definition == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError) && !PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear(); /* not there, or not what it should be: the answer is no */
        return 0;
    }
    return !swapped || definition->ml_meth == eg_swaps[route].replacement;
}

int eg_interpose_is_swapped(eg_route route)
{
    return check(route, true);
}

int eg_interpose_is_known(eg_route route)
{
    return check(route, false);
}

/* The type's own dictionary: borrowed, NULL where it has none. */
static PyObject *own_dict(PyObject *type)
{
    return ((PyTypeObject *)type)->tp_dict;
}

/* A descriptor is of the class it was made for, wherever else a reference to it was put. So
 * the classes that bring native methods are told from those that only carry one around. */
bool eg_interpose_owns(PyObject *socket)
{
    PyObject *bases = Py_TYPE(socket)->tp_mro, *name = PyUnicode_InternFromString("connect");
    bool owns = false;

    if (name == NULL) {
        PyErr_Clear(); /* no memory to look: the caller answers with a refusal */
        return false;
    }
    for (Py_ssize_t i = 0; bases != NULL && i < PyTuple_GET_SIZE(bases); i++) {
        PyObject *base = PyTuple_GET_ITEM(bases, i);
        PyObject *dict = PyType_Check(base) ? own_dict(base) : NULL;
        PyObject *method = dict == NULL ? NULL : PyDict_GetItemWithError(dict, name);
        if (method == NULL || !Py_IS_TYPE(method, &PyMethodDescr_Type) ||
            (PyObject *)PyDescr_TYPE(method) != base) {
            continue;
        }
        owns = ((PyMethodDescrObject *)method)->d_method == eg_swaps[EG_ROUTE_CONNECT].definition;
        if (!owns) {
            break;
        }
    }
    Py_DECREF(name);
    return owns;
}

PyObject *eg_interpose_module_of(PyObject *socket)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(socket), socket_module_definition);
    if (module == NULL) {
        PyErr_Clear(); /* the caller answers a missing module with a refusal */
    }
    return module;
#else
    /* 3.11 keeps one `_socket` a process; its functions do not look at their module. */
    (void)socket;
    return Py_None;
#endif
}
