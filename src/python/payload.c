/* Buffers of a message. */
#include "python/payload.h"

#include <string.h>

void eg_payload_clear(eg_payload *payload)
{
    for (Py_ssize_t i = 0; i < payload->count; i++) {
        PyBuffer_Release(&payload->views[i]);
    }
    if (payload->views != payload->few) {
        PyMem_Free(payload->views);
    }
    payload->views = NULL;
    payload->count = 0;
}

int eg_payload_from_one(PyObject *data, eg_payload *out)
{
    out->views = out->few;
    out->count = 0;
    if (PyObject_GetBuffer(data, out->views, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    out->count = 1;
    return 0;
}

PyObject *eg_payload_parts(PyObject *buffers)
{
    PyObject *parts = PySequence_Tuple(buffers);

    if (parts == NULL && PyErr_ExceptionMatches(PyExc_TypeError) && Py_TYPE(buffers)->tp_iter == NULL &&
        !PySequence_Check(buffers)) {
        PyErr_SetString(PyExc_TypeError, "sendmsg() argument 1 must be an iterable");
    }
    return parts;
}

int eg_payload_from_many(PyObject *parts, eg_payload *out)
{
    Py_ssize_t count = PyTuple_GET_SIZE(parts);

    out->views = out->few;
    out->count = 0;
    if (count > EG_PAYLOAD_FEW) {
        out->views = PyMem_New(Py_buffer, (size_t)count);
        if (out->views == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    while (out->count < count) {
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(parts, out->count), &out->views[out->count], PyBUF_SIMPLE) < 0) {
            eg_payload_clear(out);
            return -1;
        }
        out->count++;
    }
    return 0; /* each view holds its own object */
}

int eg_payload_make_private(eg_payload *payload)
{
    Py_ssize_t length = 0;
    PyObject *copy;

    if (payload->count == 1 && payload->views[0].obj != NULL && PyBytes_CheckExact(payload->views[0].obj)) {
        return 0; /* bytes do not change */
    }
    for (Py_ssize_t i = 0; i < payload->count; i++) {
        if (payload->views[i].len > PY_SSIZE_T_MAX - length) {
            PyErr_NoMemory();
            return -1;
        }
        length += payload->views[i].len;
    }
    copy = PyBytes_FromStringAndSize(NULL, length);
    if (copy == NULL) {
        return -1;
    }
    char *at = PyBytes_AS_STRING(copy);
    for (Py_ssize_t i = 0; i < payload->count; i++) {
        if (payload->views[i].len > 0) {
            memcpy(at, payload->views[i].buf, (size_t)payload->views[i].len);
        }
        at += payload->views[i].len;
    }
    eg_payload_clear(payload);
    int done = eg_payload_from_one(copy, payload);
    Py_DECREF(copy);
    return done;
}
