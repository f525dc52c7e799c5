/* A timer's signal ends what waits: a connect of a socket that another thread made blocking
 * again, a close that lingers. The timer runs out once and is set again at the next call that
 * could wait, so a call costs two stores in memory, and nothing is set while nobody calls.
 *
 * The signal is SIGURG, where the program does not handle it. Unhandled it is ignored: a program
 * that takes our handler away, or another process that sends it, ends nothing. It can come
 * between any two instructions of the supervisor, so its calls all go on after EINTR. */
#include "linux/patience.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "linux/calls.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define PATIENCE_NS 10000000
/* Again, as it may have come just before the call began to wait. And the next call that waits
 * follows soon, where a caller left many. */
#define AGAIN_NS 250000

static struct {
    bool runs;
    int timer; /* the kernel's number; libc's functions are in another library before glibc 2.34 */
    int32_t tid;
    struct sigaction before;
    _Atomic bool inside; /* a call that could wait is being made */
    _Atomic bool is_set; /* the timer will run out */
} patience;

static void set_timer(long nanoseconds)
{
    struct itimerspec once = {.it_value = {.tv_nsec = nanoseconds}};
    syscall(SYS_timer_settime, patience.timer, 0, &once, NULL);
}

static void run_out(int signal)
{
    int error = errno;

    (void)signal;
    /* Sent by others it reaches other threads, and in a forked child that number is not our timer. */
    if ((int32_t)syscall(SYS_gettid) == patience.tid) {
        if (atomic_load_explicit(&patience.inside, memory_order_relaxed)) {
            set_timer(AGAIN_NS);
        } else {
            atomic_store_explicit(&patience.is_set, false, memory_order_relaxed);
        }
    }
    errno = error;
}

static bool is_ours(void)
{
    struct sigaction now;
    return sigaction(SIGURG, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == run_out;
}

static void set_blocked(bool blocked)
{
    sigset_t urgent;

    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &urgent, NULL);
}

void eg_patience_start(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};
    struct sigaction action = {.sa_handler = run_out}; /* no SA_RESTART: the call is to end */

    patience.tid = event.sigev_notify_thread_id = (int32_t)syscall(SYS_gettid);
    if (sigaction(SIGURG, NULL, &patience.before) != 0 || (patience.before.sa_flags & SA_SIGINFO) != 0 ||
        patience.before.sa_handler != SIG_DFL || syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &patience.timer) != 0) {
        return;
    }
    if (sigaction(SIGURG, &action, NULL) != 0) {
        syscall(SYS_timer_delete, patience.timer);
        return;
    }
    set_blocked(false);
    patience.runs = true;
}

void eg_patience_stop(void)
{
    if (!patience.runs) {
        return;
    }
    patience.runs = false;
    syscall(SYS_timer_delete, patience.timer);
    if (is_ours()) {
        sigaction(SIGURG, &patience.before, NULL);
    }
}

/* Set it; but a handler of the program's own is for its own threads. */
static void set_anew(void)
{
    if (!is_ours()) {
        set_blocked(true);
        patience.runs = false;
        return;
    }
    atomic_store_explicit(&patience.is_set, true, memory_order_relaxed);
    set_timer(PATIENCE_NS);
}

void eg_patience_begin(void)
{
    atomic_store_explicit(&patience.inside, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* the handler looks at `inside` before it gives the timer up */
    if (!atomic_load_explicit(&patience.is_set, memory_order_relaxed) && patience.runs) {
        set_anew();
    }
}

void eg_patience_end(void)
{
    atomic_store_explicit(&patience.inside, false, memory_order_relaxed);
}

void eg_patience_close(int descriptor)
{
    eg_patience_begin();
    close(descriptor);
    eg_patience_end();
}
