/* connect(2), sendto(2) and sendmsg(2) by the guard itself. */
#include "python/perform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/dns.h"
#include "python/floor.h"
#include "python/refuse.h"
#include "python/socket_object.h"

/* ---- the descriptor ---- */

/* The object's descriptor now. For a question to a nameserver, and where a descriptor may be
 * another socket than its object says, a private duplicate of it that is shown to be what was
 * judged: dup2() under the object's number changes nothing any more. */
typedef struct eg_target {
    int descriptor;
    bool is_private;
} eg_target;

static bool is_question(const eg_judged_dial *judged)
{
    return judged->payload != NULL;
}

static int open_target(const eg_judged_dial *judged, const eg_parsed *parsed, eg_target *out)
{
    const eg_state *state = eg_guard_get();
    out->descriptor = eg_socket_object_is_direct() ? eg_socket_object_direct_descriptor(judged->socket)
                                                   : eg_socket_object_descriptor(judged->socket);
    out->is_private = false;
    if (!is_question(judged) &&
        (state == NULL || !atomic_load_explicit(&state->shared->sockets_distrusted, memory_order_relaxed))) {
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
    if (is_question(judged) && eg_judge_more_to_come(private, 0)) {
        close(private);
        return eg_refuse_endpoint(judged->route, EG_REFUSED_NAMESERVER, &parsed->endpoint);
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

int eg_perform_raise_event(const char *event, PyObject *socket, PyObject *exact)
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

    if (eg_perform_raise_event("socket.connect", judged->socket, parsed->exact) < 0 || open_target(judged, parsed, &target) < 0) {
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
        !atomic_load_explicit(&state->shared->sockets_distrusted, memory_order_relaxed)) {
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

/* Whatever ran while it waited: the object's descriptor may have been closed, and its number be another's. */
static int reopen_target(const eg_judged_dial *judged, const eg_parsed *parsed, eg_target *target)
{
    return target->is_private ? 0 : open_target(judged, parsed, target);
}

static PyObject *send_now(const eg_judged_dial *judged, const eg_parsed *parsed, eg_target *target,
                          const struct msghdr *message, int flags)
{
    double deadline = 0;

    for (;;) {
        ssize_t sent;
        int error;
        Py_BEGIN_ALLOW_THREADS
        sent = message->msg_iovlen == 1 && message->msg_controllen == 0
                   ? sendto(target->descriptor, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, flags,
                            message->msg_name, message->msg_namelen)
                   : sendmsg(target->descriptor, message, flags);
        error = errno;
        Py_END_ALLOW_THREADS
        if (sent >= 0) {
            return PyLong_FromSsize_t(sent);
        }
        if (error == EINTR) {
            if (PyErr_CheckSignals() < 0 || reopen_target(judged, parsed, target) < 0) {
                return NULL;
            }
        } else if (error == EAGAIN || error == EWOULDBLOCK) {
            if (wait_for_room(judged->socket, target->descriptor, &deadline) < 0 ||
                reopen_target(judged, parsed, target) < 0) {
                return NULL;
            }
        } else {
            errno = error;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
    }
}

/* Room for the control message that keeps a question whole, where the kernel could cut it. */
static size_t uncut_size(const eg_judged_dial *judged, int descriptor)
{
#ifdef __linux__
    enum { udp_segment = 103 }; /* linux/udp.h */
    int segment = 0;
    socklen_t size = sizeof segment;
    return is_question(judged) && getsockopt(descriptor, IPPROTO_UDP, udp_segment, &segment, &size) == 0 ? EG_UNCUT_SIZE : 0;
#else
    (void)judged;
    (void)descriptor;
    return 0;
#endif
}

/* The control messages as the kernel reads them (cmsg(3)), and `uncut` bytes for one more: 0, or
 * -1 with an exception. The caller frees `msg_control`. */
int eg_perform_write_control(PyObject *control, size_t uncut, struct msghdr *message)
{
    Py_ssize_t count = control == NULL ? 0 : PyTuple_GET_SIZE(control);
    size_t total = uncut;

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
#ifdef __linux__
    if (uncut > 0) {
        eg_dns_uncut((char *)message->msg_control + total - uncut);
    }
#endif
    return 0;
}

static PyObject *send_vectors(const eg_judged_dial *judged, const eg_parsed *parsed, struct msghdr *message,
                              PyObject *control, int flags)
{
    const char *event = judged->route == EG_ROUTE_SENDTO ? "socket.sendto" : "socket.sendmsg";
    eg_target target;
    PyObject *result = NULL;

    if (eg_perform_raise_event(event, judged->socket, parsed->exact) < 0 || open_target(judged, parsed, &target) < 0) {
        return NULL;
    }
    if (eg_perform_write_control(control, uncut_size(judged, target.descriptor), message) == 0) {
        result = send_now(judged, parsed, &target, message, flags);
    }
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
