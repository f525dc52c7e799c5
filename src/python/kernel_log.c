/* The supervisor takes no GIL, so it cannot tell anybody in Python. A thread of the
 * interpreter sleeps until the journal has news and tells the listener, as the routes do for
 * their own refusals. Not a threading.Thread: where that is patched (gevent), the sleep would
 * stop every greenlet. It ends as daemon threads do. */
#include "python/kernel_log.h"

#ifdef __linux__

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "linux/kernel_thread.h"
#include "python/refuse.h"

#define AWAITED_MS 1000

/* Process-wide, as the kernel layer is; read and written with the GIL held. A forked child
 * has the numbers but not the thread: `owner` tells it apart. */
static uint64_t told;
static pid_t owner;
static bool thread_tells;

static void tell_up_to(uint64_t last)
{
    eg_violation violation;
    const eg_state *state = eg_guard_get();
    uint64_t oldest = last > EG_JOURNAL_SLOTS ? last - EG_JOURNAL_SLOTS : 0;

    told = told > oldest ? told : oldest; /* what the ring has lost is counted all the same */
    while (told < last) {
        uint64_t number = ++told; /* before the call: a listener may let other threads run */
        if (eg_journal_read(state->journal, number, &violation) && (violation.flags & EG_VIOLATION_KERNEL) != 0) {
            eg_refuse_tell(number);
        }
    }
}

static void run(void *thread)
{
    static const struct timespec pause = {.tv_nsec = 10000000};

    PyEval_AcquireThread(thread);
    for (;;) {
        uint64_t seen = told, last;
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&pause, NULL); /* who is refused a thousand times shall not wake us as often */
        last = eg_kernel_wait(seen);
        Py_END_ALLOW_THREADS /* ends the thread while the interpreter is finalized */
        thread_tells = true;
        tell_up_to(last);
        thread_tells = false;
    }
}

/* What the thread is about to tell, it would not tell any more where the interpreter is finalized
 * next: the line would be lost. Not for ever: a handler may wait for what the caller holds. */
static void await_thread(void)
{
    static const struct timespec pause = {.tv_nsec = 1000000};

    for (int i = 0; i < AWAITED_MS && thread_tells; i++) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
}

int eg_kernel_log_start(void)
{
    sigset_t all, before;
    PyThreadState *thread;

    if (owner != 0) {
        return 0;
    }
    thread = PyThreadState_New(PyInterpreterState_Get());
    if (thread == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    owner = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the threads that expect them */
    unsigned long started = PyThread_start_new_thread(run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started == PYTHREAD_INVALID_THREAD_ID) {
        PyThreadState_Clear(thread);
        PyThreadState_Delete(thread);
        PyErr_SetString(PyExc_RuntimeError, "no thread that logs what the kernel layer refuses");
        return -1;
    }
    return 0;
}

PyObject *eg_kernel_log_rest(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    if (owner == getpid()) {
        tell_up_to(eg_kernel_last());
        await_thread();
    }
    Py_RETURN_NONE;
}

#else

int eg_kernel_log_start(void)
{
    return 0;
}

PyObject *eg_kernel_log_rest(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    Py_RETURN_NONE;
}

#endif
