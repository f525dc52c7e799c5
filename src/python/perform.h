/* The system call of a judged dial, made by the guard itself. CPython's own function would run
 * code of the caller's once more between the verdict and the call: Python audit hooks, buffers.
 * What was judged is what is called, on the kind of socket that was judged. */
#ifndef EG_PYTHON_PERFORM_H
#define EG_PYTHON_PERFORM_H

#include "python/judge.h"
#include "python/payload.h"

/* Does the guard make this call itself? An IP endpoint that was let through, and of the
 * connects UDP's alone: TCP's waits, which the original does well. */
bool eg_performs_connect(const eg_judged_dial *judged);
bool eg_performs_send(const eg_judged_dial *judged);

/* connect(2) on a datagram socket, after the audit event that the original would raise. None
 * (connect), the errno (connect_ex), or NULL with OSError. */
PyObject *eg_perform_connect(const eg_judged_dial *judged, const eg_parsed *parsed);

/* sendto(2) or, with `control`, sendmsg(2): a tuple of exact (int, int, bytes). Waits, is
 * interrupted and times out as the original. The number of bytes, or NULL with OSError. */
PyObject *eg_perform_send(const eg_judged_dial *judged, const eg_parsed *parsed, const eg_payload *payload,
                          PyObject *control, int flags);

/* connect_tcp has returned: what CPython's connect was made on must be what was judged. Else
 * the association is dissolved, and the violation raised: -1. */
int eg_perform_check_connected(const eg_judged_dial *judged, const eg_parsed *parsed);

/* The event that the original would raise, announced to the floor: 0, or -1 with an exception. */
int eg_perform_raise_event(const char *event, PyObject *socket, PyObject *exact);

/* Exact control messages as the kernel reads them (cmsg(3)), with room for `more` bytes behind
 * them: 0, or -1 with an exception. The caller frees `msg_control` with PyMem_Free(). */
struct msghdr;
int eg_perform_write_control(PyObject *control, size_t more, struct msghdr *message);

#endif
