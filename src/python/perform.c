/* connect(2), sendto(2) and sendmsg(2) by the guard itself. */
#include "python/perform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "python/floor.h"
#include "python/refuse.h"
#include "python/socket_object.h"

/* ---- the descriptor ---- */

/* The object's descriptor now. Where a descriptor may be another socket than its object says,
 * a private duplicate of it that is shown to be what was judged: dup2() under the object's
 * number changes nothing any more. */
typedef struct eg_target {
    int descriptor;
    bool is_private;
} eg_target;

static int open_target(const eg_judged_dial *judged, const eg_parsed *parsed, eg_target *out)
{
    const eg_state *state = eg_guard_get();
    out->descriptor = eg_socket_object_is_direct() ? eg_socket_object_direct_descriptor(judged->socket)
                                                   : eg_socket_object_descriptor(judged->socket);
    out->is_private = false;
    if (state == NULL || !atomic_load_explicit(&state->sockets_distrusted, memory_order_relaxed)) {
        return 0;
    }
    int private = fcntl(out->descriptor, F_DUPFD_CLOEXEC, 3);
    if (private < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    if (eg_socket_kind_of_descriptor(private) != judged->kind) {
        close(private);
        return eg_refuse_endpoint(judged->route, EG_REFUSED_SOCKET, &parsed->endpoint);
    }
    *out = (eg_target){.descriptor = private, .is_private = true};
    return 0;
}

static void close_target(const eg_target *target)
{
    if (target->is_private) {
        close(target->descriptor);
    }
}

static int raise_event(const char *event, PyObject *socket, PyObject *exact)
{
    eg_floor_expect(exact);
    int heard = PySys_Audit(event, "OO", socket, exact);
    eg_floor_forget();
    return heard;
}

/* ---- connect ---- */

bool eg_performs_connect(const eg_judged_dial *judged)
{
    return judged->kind == EG_SOCKET_UDP || judged->kind == EG_SOCKET_UDPLITE;
}

PyObject *eg_perform_connect(const eg_judged_dial *judged, const eg_parsed *parsed)
{
    struct sockaddr_storage address;
    socklen_t length = (socklen_t)eg_endpoint_to_sockaddr(&parsed->endpoint, &address);
    eg_target target;
    int error;

    if (raise_event("socket.connect", judged->socket, parsed->exact) < 0 || open_target(judged, parsed, &target) < 0) {
        return NULL;
    }
    /* A datagram socket's connect neither waits nor is interrupted. */
    Py_BEGIN_ALLOW_THREADS
    error = connect(target.descriptor, (const struct sockaddr *)&address, length) == 0 ? 0 : errno;
    Py_END_ALLOW_THREADS
    close_target(&target);
    if (judged->route == EG_ROUTE_CONNECT_EX) {
        return PyLong_FromLong(error);
    }
    if (error != 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

int eg_perform_check_connected(const eg_judged_dial *judged, const eg_parsed *parsed)
{
    const eg_state *state = eg_guard_get();
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    PyObject *type, *value, *traceback;
    int done = 0;

    if (state == NULL || judged->kind != EG_SOCKET_TCP ||
        !atomic_load_explicit(&state->sockets_distrusted, memory_order_relaxed)) {
        return 0;
    }
    /* A connect that failed, or that is under way, has raised already: that stands, or the violation. */
    PyErr_Fetch(&type, &value, &traceback);
    int descriptor = eg_socket_object_descriptor(judged->socket);
    if (descriptor >= 0 && eg_socket_kind_of_descriptor(descriptor) != judged->kind) {
        connect(descriptor, &nobody, sizeof nobody); /* another kind's connect has sent nothing yet */
        done = eg_refuse_endpoint(judged->route, EG_REFUSED_SOCKET, &parsed->endpoint);
    }
    if (done == 0) {
        PyErr_Restore(type, value, traceback);
    } else {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    }
    return done;
}

/* ---- send ---- */

bool eg_performs_send(const eg_judged_dial *judged)
{
    return judged->kind == EG_SOCKET_UDP || judged->kind == EG_SOCKET_UDPLITE || judged->kind == EG_SOCKET_TCP;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* The kernel has no room: wait until the object's timeout. 0: try again; -1 with an exception. */
static int wait_for_room(PyObject *socket, int descriptor, double *deadline)
{
    struct pollfd item = {.fd = descriptor, .events = POLLOUT};
    double timeout = eg_socket_object_timeout(socket);
    int ready;

    if (timeout <= 0) { /* not blocking; or blocking, with MSG_DONTWAIT or SO_SNDTIMEO */
        errno = EAGAIN;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    *deadline = *deadline == 0 ? now() + timeout : *deadline;
    double left = (*deadline - now()) * 1e3;
    if (left <= 0) {
        PyErr_SetString(PyExc_TimeoutError, "timed out");
        return -1;
    }
    Py_BEGIN_ALLOW_THREADS
    ready = poll(&item, 1, left >= INT_MAX ? INT_MAX : (int)left + 1);
    Py_END_ALLOW_THREADS
    if (ready < 0 && errno != EINTR) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return PyErr_CheckSignals();
}

static PyObject *send_now(PyObject *socket, int descriptor, const struct msghdr *message, int flags)
{
    double deadline = 0;

    for (;;) {
        ssize_t sent;
        int error;
        Py_BEGIN_ALLOW_THREADS
        sent = message->msg_iovlen == 1 && message->msg_controllen == 0
                   ? sendto(descriptor, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, flags,
                            message->msg_name, message->msg_namelen)
                   : sendmsg(descriptor, message, flags);
        error = errno;
        Py_END_ALLOW_THREADS
        if (sent >= 0) {
            return PyLong_FromSsize_t(sent);
        }
        if (error == EINTR) {
            if (PyErr_CheckSignals() < 0) {
                return NULL;
            }
        } else if (error == EAGAIN || error == EWOULDBLOCK) {
            if (wait_for_room(socket, descriptor, &deadline) < 0) {
                return NULL;
            }
        } else {
            errno = error;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
    }
}

/* The control messages as the kernel reads them (cmsg(3)): 0, or -1 with an exception. The
 * caller frees `msg_control`. */
static int write_control(PyObject *control, struct msghdr *message)
{
    Py_ssize_t count = control == NULL ? 0 : PyTuple_GET_SIZE(control);
    size_t total = 0;

    for (Py_ssize_t i = 0; i < count; i++) {
        size_t length = (size_t)PyBytes_GET_SIZE(PyTuple_GET_ITEM(PyTuple_GET_ITEM(control, i), 2));
        if (length > INT_MAX / 2 || total > INT_MAX / 2) {
            PyErr_SetString(PyExc_OSError, "sendmsg: ancillary data item too large");
            return -1;
        }
        total += CMSG_SPACE(length);
    }
    if (total == 0) {
        return 0;
    }
    message->msg_control = PyMem_Calloc(1, total);
    if (message->msg_control == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    message->msg_controllen = total;
    struct cmsghdr *at = CMSG_FIRSTHDR(message);
    for (Py_ssize_t i = 0; i < count && at != NULL; i++, at = CMSG_NXTHDR(message, at)) {
        PyObject *item = PyTuple_GET_ITEM(control, i), *data = PyTuple_GET_ITEM(item, 2);
        at->cmsg_level = (int)PyLong_AsLong(PyTuple_GET_ITEM(item, 0));
        at->cmsg_type = (int)PyLong_AsLong(PyTuple_GET_ITEM(item, 1));
        at->cmsg_len = CMSG_LEN((size_t)PyBytes_GET_SIZE(data));
        memcpy(CMSG_DATA(at), PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
    }
    return 0;
}

static PyObject *send_vectors(const eg_judged_dial *judged, const eg_parsed *parsed, struct msghdr *message,
                              PyObject *control, int flags)
{
    const char *event = judged->route == EG_ROUTE_SENDTO ? "socket.sendto" : "socket.sendmsg";
    eg_target target;
    PyObject *result;

    if (write_control(control, message) < 0 || raise_event(event, judged->socket, parsed->exact) < 0 ||
        open_target(judged, parsed, &target) < 0) {
        return NULL;
    }
    result = send_now(judged->socket, target.descriptor, message, flags);
    close_target(&target);
    return result;
}

PyObject *eg_perform_send(const eg_judged_dial *judged, const eg_parsed *parsed, const eg_payload *payload,
                          PyObject *control, int flags)
{
    struct sockaddr_storage address;
    struct iovec few[EG_PAYLOAD_FEW], *vectors = few;
    struct msghdr message = {.msg_name = &address};
    PyObject *result = NULL;

    message.msg_namelen = (socklen_t)eg_endpoint_to_sockaddr(&parsed->endpoint, &address);
    if (payload->count > EG_PAYLOAD_FEW) {
        vectors = PyMem_New(struct iovec, (size_t)payload->count);
        if (vectors == NULL) {
            return PyErr_NoMemory();
        }
    }
    for (Py_ssize_t i = 0; i < payload->count; i++) {
        vectors[i] = (struct iovec){.iov_base = payload->views[i].buf, .iov_len = (size_t)payload->views[i].len};
    }
    message.msg_iov = vectors;
    message.msg_iovlen = (size_t)payload->count; /* an int elsewhere than on Linux: IOV_MAX is far below */
    result = send_vectors(judged, parsed, &message, control, flags);
    PyMem_Free(message.msg_control);
    if (vectors != few) {
        PyMem_Free(vectors);
    }
    return result;
}
