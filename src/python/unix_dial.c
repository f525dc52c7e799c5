/* A thread of its own for each such dial, with a descriptor table of its own: a copy, in which
 * neither the socket nor the opened file can be exchanged by dup2(). The check of who holds the
 * other end takes milliseconds (ADR-0012); the thread adds a twentieth of one. It is joined, so
 * that a fork() after the dial meets no thread that holds a lock of an allocator. */
#include "python/unix_dial.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/detached.h"
#include "linux/calls.h"
#include "linux/kernel_thread.h"
#include "python/perform.h"
#include "python/refuse.h"
#include "python/socket_object.h"

#define STACK_SIZE (256u * 1024u)
#define SLICE_MS 50 /* how late Ctrl-C may come */
#define PAUSE_MS 2  /* between tries, where the receiver has no room */
#define GONE_NS 10000
#define GONE_TRIES 1000 /* and no more: the number may be another thread's by now */
#define STANDARD 2  /* and below: stay taken, so that nothing written there by mistake meets a socket */

/* What the thread needs, all of it copies: a caller that is interrupted does not wait for it. */
typedef struct eg_unix_job {
    atomic_int holders; /* the caller and the thread; the last one frees it */
    pthread_t thread;
    pid_t id;
    const eg_state *state;
    eg_socket_kind kind;
    eg_action action;
    int descriptor, flags, error;
    eg_reason reason;
    ssize_t sent;
    size_t control_length, payload_length;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
    _Alignas(struct cmsghdr) char bytes[]; /* the control messages, then the payload */
} eg_unix_job;

static void let_go(eg_unix_job *job)
{
    if (atomic_fetch_sub(&job->holders, 1) == 1) {
        free(job);
    }
}

/* ---- in the thread ---- */

/* The opened file as an address. Not /proc/thread-self: under `egressguard run` somebody else
 * follows the path, whose thread is another. */
static bool name_file(int file, struct sockaddr_un *out)
{
    char thread[64];
    ssize_t length = readlink("/proc/thread-self", thread, sizeof thread - 1);
    if (length <= 0) {
        return false;
    }
    thread[length] = '\0';
    out->sun_family = AF_UNIX;
    snprintf(out->sun_path, sizeof out->sun_path, "/proc/%s/fd/%d", thread, file);
    return true;
}

static void call(eg_unix_job *job, struct sockaddr_un *address)
{
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address->sun_path) + 1);

    if (job->action == EG_ACTION_CONNECT) {
        job->error = connect(job->descriptor, (struct sockaddr *)address, length) == 0 ? 0 : errno;
        return;
    }
    struct iovec vector = {.iov_base = job->bytes + job->control_length, .iov_len = job->payload_length};
    struct msghdr message = {.msg_name = address,
                             .msg_namelen = length,
                             .msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = job->control_length > 0 ? job->bytes : NULL,
                             .msg_controllen = job->control_length};
    job->sent = sendmsg(job->descriptor, &message, job->flags);
    job->error = job->sent < 0 ? errno : 0;
}

/* Container profiles forbid unshare(2), and allow close_range(2), which does the same (Linux 5.9). */
static bool have_own_table(void)
{
    return syscall(SYS_close_range, ~0u, ~0u, EG_CLOSE_RANGE_UNSHARE) == 0 || unshare(CLONE_FILES) == 0;
}

static void close_between(int before, int after)
{
    if (before + 1 < after) {
        syscall(SYS_close_range, before + 1, after - 1, 0);
    }
}

/* What the program closes while a dial waits is to be closed then, not when the dial has ended.
 * Where there is no close_range(), the copies last as long as the thread. */
static void close_all_but(int one, int other)
{
    int low = one < other ? one : other, high = one < other ? other : one;

    close_between(STANDARD, low);
    close_between(low > STANDARD ? low : STANDARD, high);
    close_between(high > STANDARD ? high : STANDARD, INT_MAX);
}

static void judge_and_call(eg_unix_job *job, int file)
{
    struct sockaddr_un address;

    if (file < 0 || !name_file(file, &address)) {
        job->reason = EG_REFUSED_UNIX; /* who listens there cannot be told */
        return;
    }
    eg_endpoint opened = {.family = AF_UNIX, .path = address.sun_path, .path_length = strlen(address.sun_path)};
    eg_dial dial = {
        .endpoint = &opened, .action = job->action, .socket = eg_socket_kind_of_descriptor(job->descriptor)};
    job->reason = dial.socket == job->kind ? eg_verdict_for_dial(job->state, &dial) : EG_REFUSED_SOCKET;
    if (job->reason == EG_ALLOWED) {
        call(job, &address);
    }
}

static void *run(void *argument)
{
    eg_unix_job *job = argument;

    job->id = (pid_t)syscall(SYS_gettid);
    job->reason = EG_REFUSED_INTERNAL;
    if (have_own_table()) {
        int file = open(job->path, O_PATH | O_CLOEXEC);
        if (job->control_length == 0) { /* otherwise they may be what is passed on */
            close_all_but(job->descriptor, file);
        }
        judge_and_call(job, file);
    }
    let_go(job);
    return NULL;
}

/* ---- in the caller ---- */

/* NULL with an exception. */
static eg_unix_job *make_job(const eg_judged_dial *judged, const eg_parsed *parsed, const eg_unix_message *message)
{
    struct msghdr control = {0};
    size_t payload_length = 0;

    if (message != NULL && eg_perform_write_control(message->control, 0, &control) < 0) {
        return NULL;
    }
    for (Py_ssize_t i = 0; message != NULL && i < message->payload->count; i++) {
        payload_length += (size_t)message->payload->views[i].len;
    }
    eg_unix_job *made = calloc(1, sizeof *made + control.msg_controllen + payload_length);
    if (made == NULL) {
        PyMem_Free(control.msg_control);
        PyErr_NoMemory();
        return NULL;
    }
    made->control_length = control.msg_controllen;
    made->payload_length = payload_length;
    if (control.msg_control != NULL) {
        memcpy(made->bytes, control.msg_control, control.msg_controllen);
        PyMem_Free(control.msg_control);
    }
    char *at = made->bytes + made->control_length;
    for (Py_ssize_t i = 0; message != NULL && i < message->payload->count; i++) {
        memcpy(at, message->payload->views[i].buf, (size_t)message->payload->views[i].len);
        at += message->payload->views[i].len;
    }
    atomic_init(&made->holders, 1);
    made->state = eg_guard_get();
    made->kind = judged->kind;
    made->action = judged->action;
    made->flags = message == NULL ? 0 : message->flags;
    made->descriptor = eg_socket_object_descriptor(judged->socket);
    memcpy(made->path, parsed->endpoint.path, parsed->endpoint.path_length);
    return made;
}

static int start(eg_unix_job *job)
{
    atomic_fetch_add(&job->holders, 1);
    if (eg_thread_start(&job->thread, run, job, STACK_SIZE) != 0) {
        atomic_fetch_sub(&job->holders, 1);
        return -1;
    }
    return 0;
}

/* A thread that was joined has its copies of descriptors a little longer, and is counted: CPython
 * warns of a fork() by that count. */
static void wait_until_gone(pid_t thread)
{
    const struct timespec pause = {.tv_nsec = GONE_NS};

    for (int i = 0; i < GONE_TRIES && syscall(SYS_tgkill, getpid(), thread, 0) == 0; i++) {
        nanosleep(&pause, NULL);
    }
}

/* Has the thread ended? Then it is gone. */
static bool wait_a_slice(const eg_unix_job *job)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += SLICE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    if (pthread_timedjoin_np(job->thread, NULL, &until) != 0) {
        return false;
    }
    wait_until_gone(job->id);
    return true;
}

/* 0 where the job has ended, or -1 with an exception: then the thread ends by itself. */
static int await(const eg_unix_job *job)
{
    for (;;) {
        bool ended;
        Py_BEGIN_ALLOW_THREADS
        ended = wait_a_slice(job);
        Py_END_ALLOW_THREADS
        if (ended) {
            return 0;
        }
        if (PyErr_CheckSignals() < 0) {
            pthread_detach(job->thread);
            return -1;
        }
    }
}

static int nap(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    Py_BEGIN_ALLOW_THREADS
    nanosleep(&pause, NULL);
    Py_END_ALLOW_THREADS
    return PyErr_CheckSignals();
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Once, and again for as long as the receiver has no room and the socket's timeout lasts: 0 with
 * `job` as the last try left it, or -1 with an exception. */
static int try_until(eg_unix_job *job, PyObject *socket)
{
    double timeout = eg_socket_object_timeout(socket), end = now() + timeout;

    for (;;) {
        if (start(job) < 0) {
            job->reason = EG_REFUSED_INTERNAL;
            return 0;
        }
        if (await(job) < 0) {
            return -1;
        }
        bool no_room = job->action == EG_ACTION_SEND && job->reason == EG_ALLOWED && job->error == EAGAIN;
        if (!no_room || timeout <= 0) {
            return 0;
        }
        if (now() >= end) {
            PyErr_SetString(PyExc_TimeoutError, "timed out");
            return -1;
        }
        if (nap() < 0) {
            return -1;
        }
    }
}

static PyObject *result_of(const eg_unix_job *job, eg_route route)
{
    if (route == EG_ROUTE_CONNECT_EX) {
        return PyLong_FromLong(job->error);
    }
    if (job->error != 0) {
        errno = job->error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return job->action == EG_ACTION_SEND ? PyLong_FromSsize_t(job->sent) : Py_NewRef(Py_None);
}

bool eg_unix_dial_is_for(const eg_state *state, const eg_dial *dial)
{
    const eg_endpoint *endpoint = dial->endpoint;

    return endpoint->family == AF_UNIX &&
           (dial->socket == EG_SOCKET_UNIX_STREAM || dial->socket == EG_SOCKET_UNIX_DATAGRAM) &&
           endpoint->path_length > 0 && endpoint->path[0] != '\0' &&
           !(endpoint->path[0] == '/' &&
             eg_allowlist_covers_unix(&state->allowlist, endpoint->path, endpoint->path_length)) &&
           !eg_kernel_is_active();
}

bool eg_unix_dial(const eg_judged_dial *judged, const eg_parsed *parsed, const eg_unix_message *message,
                  PyObject **result)
{
    const char *event = judged->route == EG_ROUTE_SENDTO    ? "socket.sendto"
                        : judged->route == EG_ROUTE_SENDMSG ? "socket.sendmsg"
                                                            : "socket.connect";
    bool done = true;

    *result = NULL;
    if (eg_perform_raise_event(event, judged->socket, parsed->exact) < 0) {
        return true;
    }
    eg_unix_job *job = make_job(judged, parsed, message);
    if (job == NULL) {
        return true;
    }
    if (try_until(job, judged->socket) == 0) {
        if (job->reason == EG_ALLOWED) {
            *result = result_of(job, judged->route);
        } else {
            done = eg_refuse_endpoint(judged->route, job->reason, &parsed->endpoint) < 0;
        }
    }
    let_go(job);
    return done;
}

#else

bool eg_unix_dial_is_for(const eg_state *state, const eg_dial *dial)
{
    (void)state, (void)dial;
    return false; /* the verdict opens entries alone: who holds the other end cannot be told here */
}

bool eg_unix_dial(const eg_judged_dial *judged, const eg_parsed *parsed, const eg_unix_message *message,
                  PyObject **result)
{
    (void)judged, (void)parsed, (void)message, (void)result;
    return false;
}

#endif
