/* The caller's buffers, asked for once: whatever code of the caller's runs to give them
 * (`__buffer__`, PEP 688, a generator of buffers) has run before the verdict. */
#ifndef EG_PYTHON_PAYLOAD_H
#define EG_PYTHON_PAYLOAD_H

#include "python/guard.h"

enum { EG_PAYLOAD_FEW = 4 };

typedef struct eg_payload {
    Py_buffer *views;
    Py_ssize_t count;
    Py_buffer few[EG_PAYLOAD_FEW]; /* spares the common message an allocation */
} eg_payload;

/* sendto's one buffer. 0, or -1 with CPython's own exception. Start with {0}. */
int eg_payload_from_one(PyObject *data, eg_payload *out);

/* sendmsg's iterable of buffers, read once: new tuple, or NULL with CPython's own exception. */
PyObject *eg_payload_parts(PyObject *buffers);

/* The buffers of such a tuple. */
int eg_payload_from_many(PyObject *parts, eg_payload *out);

/* Make it one private copy, which no other thread can change any more. 0 / -1. */
int eg_payload_make_private(eg_payload *payload);

void eg_payload_clear(eg_payload *payload);

#endif
