/* Socket objects. An object says what kind of socket it is, and a hostile caller can make it
 * lie (`fileno=`, dup2). Asking the kernel costs three system calls a dial, so the objects
 * are believed until the process has, or makes, a socket that could hide behind one. */
#include "python/socket_object.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/socket.h>

#if PY_VERSION_HEX < 0x030c0000
#include <structmember.h>
#endif

/* Process-wide, like the type's method table: written before the first route is swapped. */
static Py_ssize_t family_offset, type_offset, protocol_offset;
static PyCFunction fileno_function, gettimeout_function, close_function;
static bool direct;

static int find_member(PyTypeObject *type, const char *name, Py_ssize_t *offset)
{
    PyObject *member = PyObject_GetAttrString((PyObject *)type, name);
    if (member == NULL) {
        return -1;
    }
    if (!Py_IS_TYPE(member, &PyMemberDescr_Type)) {
        PyErr_Format(PyExc_RuntimeError, "egressguard: _socket.socket.%s is not what CPython made it", name);
        Py_DECREF(member);
        return -1;
    }
    *offset = ((PyMemberDescrObject *)member)->d_member->offset;
    Py_DECREF(member);
    return 0;
}

static PyCFunction method_of(PyObject *type, const char *name)
{
    PyCFunction function = NULL;
    PyObject *method = PyObject_GetAttrString(type, name);
    if (method == NULL) {
        return NULL;
    }
    if (Py_IS_TYPE(method, &PyMethodDescr_Type) &&
        ((PyMethodDescrObject *)method)->d_method->ml_flags == METH_NOARGS) {
        function = ((PyMethodDescrObject *)method)->d_method->ml_meth;
    } else {
        PyErr_Format(PyExc_RuntimeError, "egressguard: _socket.socket.%s is not what CPython made it", name);
    }
    Py_DECREF(method);
    return function;
}

static int member(PyObject *socket, Py_ssize_t offset)
{
    return *(int *)((char *)socket + offset);
}

bool eg_socket_object_is_direct(void)
{
    return direct;
}

int eg_socket_object_direct_descriptor(PyObject *socket)
{
    return member(socket, family_offset - (Py_ssize_t)sizeof(int));
}

/* No member tells where the descriptor is. It stands before the family; a socket object that
 * is made here and compared with its own fileno() proves it, or the originals are used. */
static int prove_direct(PyTypeObject *type)
{
    PyObject *probe = PyObject_CallFunction((PyObject *)type, "ii", AF_UNIX, SOCK_DGRAM), *number, *closed;

    if (probe == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OSError)) {
            return -1;
        }
        PyErr_Clear(); /* no descriptor to be had: the slower way is as good */
        return 0;
    }
    number = fileno_function(probe, NULL);
    direct = number != NULL && PyLong_AsLong(number) == eg_socket_object_direct_descriptor(probe);
    Py_XDECREF(number);
    closed = close_function(probe, NULL);
    direct = direct && closed != NULL && eg_socket_object_direct_descriptor(probe) == -1;
    Py_XDECREF(closed);
    Py_DECREF(probe);
    return PyErr_Occurred() ? -1 : 0;
}

int eg_socket_object_init(PyTypeObject *type)
{
    fileno_function = method_of((PyObject *)type, "fileno");
    if (fileno_function == NULL) {
        return -1;
    }
    gettimeout_function = method_of((PyObject *)type, "gettimeout");
    if (gettimeout_function == NULL) {
        return -1;
    }
    close_function = method_of((PyObject *)type, "close");
    if (close_function == NULL) {
        return -1;
    }
    if (find_member(type, "family", &family_offset) < 0 || find_member(type, "type", &type_offset) < 0) {
        return -1;
    }
    if (find_member(type, "proto", &protocol_offset) < 0) {
        return -1;
    }
    return prove_direct(type);
}

int eg_socket_object_family(PyObject *socket)
{
    return member(socket, family_offset);
}

static int descriptor_from(PyCFunction function, PyObject *socket)
{
    PyObject *number = function(socket, NULL);
    long descriptor = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    if (PyErr_Occurred()) {
        PyErr_Clear(); /* no descriptor is an answer; the original raises the error */
        return -1;
    }
    return (int)descriptor;
}

int eg_socket_object_descriptor(PyObject *socket)
{
    return descriptor_from(fileno_function, socket);
}

eg_socket_kind eg_socket_object_kind(PyObject *socket)
{
    int family = member(socket, family_offset);
    const eg_state *state = eg_guard_get();
    if (state == NULL || atomic_load_explicit(&state->shared->sockets_distrusted, memory_order_relaxed) || (family != AF_INET && family != AF_INET6)) {
        return eg_socket_kind_of_descriptor(eg_socket_object_descriptor(socket));
    }
    return eg_socket_kind_of(family, member(socket, type_offset), member(socket, protocol_offset));
}

eg_socket_kind eg_socket_object_ask_kind(PyObject *socket, int *family)
{
    PyObject *bases = Py_TYPE(socket)->tp_mro;

    for (Py_ssize_t i = 0; bases != NULL && i < PyTuple_GET_SIZE(bases); i++) {
        PyObject *base = PyTuple_GET_ITEM(bases, i);
        if (!PyType_Check(base) || strcmp(((PyTypeObject *)base)->tp_name, "_socket.socket") != 0) {
            continue;
        }
        PyCFunction function = method_of(base, "fileno");
        Py_ssize_t offset = 0;
        if (function == NULL || find_member((PyTypeObject *)base, "family", &offset) < 0) {
            PyErr_Clear(); /* not a socket type: the answer is "other" */
            return EG_SOCKET_OTHER;
        }
        *family = member(socket, offset);
        return eg_socket_kind_of_descriptor(descriptor_from(function, socket));
    }
    return EG_SOCKET_OTHER;
}

double eg_socket_object_timeout(PyObject *socket)
{
    PyObject *timeout = gettimeout_function(socket, NULL);
    double seconds = -1;

    if (timeout != NULL && timeout != Py_None) {
        seconds = PyFloat_AsDouble(timeout);
    }
    Py_XDECREF(timeout);
    if (PyErr_Occurred()) {
        PyErr_Clear(); /* the shortest wait is the safe one */
        return 0;
    }
    return seconds;
}

void eg_socket_object_close_tcp(PyObject *socket)
{
    PyObject *type, *value, *traceback, *result;

    if (eg_socket_kind_of(member(socket, family_offset), member(socket, type_offset),
                          member(socket, protocol_offset)) != EG_SOCKET_TCP) {
        return;
    }
    PyErr_Fetch(&type, &value, &traceback);
    result = close_function(socket, NULL);
    Py_XDECREF(result);
    PyErr_Restore(type, value, traceback); /* drops what close may have raised */
}

bool eg_socket_object_is_exotic(int family, int type, int protocol)
{
    if (family == AF_UNIX) {
        return false; /* it reaches no host, whatever a dial takes it for */
    }
    return eg_socket_kind_of(family, type, protocol) == EG_SOCKET_OTHER;
}

void eg_socket_object_scan_descriptors(eg_state *state)
{
#ifdef __linux__
    struct dirent *item;
    DIR *folder = opendir("/proc/self/fd");

    if (folder == NULL) {
        state->shared->sockets_distrusted = true; /* what cannot be seen is not trusted */
        return;
    }
    while ((item = readdir(folder)) != NULL) {
        int descriptor = (int)strtol(item->d_name, NULL, 10), family = 0, type = 0, protocol = 0;
        socklen_t size = sizeof family;
        if (item->d_name[0] == '.' || getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) {
            continue;
        }
        size = sizeof type;
        getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size);
        size = sizeof protocol;
        getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);
        if (eg_socket_object_is_exotic(family, type, protocol)) {
            state->shared->sockets_distrusted = true;
        }
    }
    closedir(folder);
#else
    state->shared->sockets_distrusted = true;
#endif
}
