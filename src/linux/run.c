/* The parent of a supervised command. It stands outside the filter; what is inside cannot
 * write its memory (it is not dumpable) and cannot answer for it. */
#include "linux/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "linux/call_filter.h"
#include "linux/confine.h"

static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT};

typedef struct parent {
    eg_run *run;
    eg_supervisor *supervisor;
    pid_t child;
    int signals;
    bool child_ended;
    sigset_t mask_before;
} parent;

/* ---- the child, between fork and exec: async-signal-safe calls only ---- */

static _Noreturn void become_command(const parent *self, const eg_filter *filter, int up, int down)
{
    char go;
    int listener = eg_filter_enforce(filter, 0);

    eg_confine(); /* where the kernel has no such thing the command runs without: docs/kernel-layer.md */
    if (write(up, &listener, sizeof listener) != (ssize_t)sizeof listener || listener < 0 ||
        read(down, &go, 1) != 1) {
        _exit(126);
    }
    close(listener);
    signal(SIGPIPE, SIG_DFL); /* the interpreter around us ignores these two */
    signal(SIGXFSZ, SIG_DFL);
    sigprocmask(SIG_SETMASK, &self->mask_before, NULL);
    execvp(self->run->command[0], self->run->command);
    int error = errno;
    ssize_t told = write(up, &error, sizeof error);
    _exit(told > 0 && error == ENOENT ? 127 : 126);
}

/* ---- the parent ---- */

static void reap(parent *self)
{
    int status;
    pid_t ended;

    while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
        if (ended == self->child) {
            self->run->status = status;
            self->child_ended = true;
        }
    }
    if (self->child_ended && (!self->run->wait_for_all || (ended < 0 && errno == ECHILD))) {
        self->supervisor->stop = true;
    }
}

static void hear_signals(void *context)
{
    parent *self = context;
    struct signalfd_siginfo heard;

    while (read(self->signals, &heard, sizeof heard) == (ssize_t)sizeof heard) {
        if (heard.ssi_signo == SIGCHLD) {
            reap(self);
        } else if (self->child_ended) {
            self->supervisor->stop = heard.ssi_signo != SIGCONT;
        } else if (heard.ssi_code != SI_KERNEL) {
            /* What a terminal sends goes to the whole group: the child has it already. */
            kill(self->child, (int)heard.ssi_signo);
        }
    }
}

static void hear_refusal(void *context, const eg_violation *violation)
{
    parent *self = context;
    if (self->run->on_refusal != NULL) {
        self->run->on_refusal(self->run->context, violation);
    }
}

static int take_signals(parent *self)
{
    sigset_t wanted;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    for (size_t i = 0; i < sizeof forwarded / sizeof forwarded[0]; i++) {
        sigaddset(&wanted, forwarded[i]);
    }
    pthread_sigmask(SIG_BLOCK, &wanted, &self->mask_before);
    self->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (self->signals < 0) {
        return -errno;
    }
    return eg_supervisor_watch(self->supervisor, self->signals, EG_EVENT_OTHER, 0, EPOLLIN);
}

/* The child's listener, taken over by its number; then the child may go on. 0 / -1. */
static int take_listener(parent *self, int up, int down)
{
    int number = -1;

    if (read(up, &number, sizeof number) != (ssize_t)sizeof number) {
        snprintf(self->run->why, EG_WHY_SIZE, "the child ended before it stood under the filter");
        return -1;
    }
    if (number < 0) {
        eg_kernel_explain(number, self->run->why);
        return -1;
    }
    int listener = eg_target_descriptor(&self->supervisor->targets, self->child, 0, number);
    if (listener < 0) {
        snprintf(self->run->why, EG_WHY_SIZE,
                 "the descriptors of a child are closed to its parent (%s): pidfd_getfd needs Linux 5.6, under "
                 "Docker's default profile CAP_SYS_PTRACE, and kernel.yama.ptrace_scope below 2",
                 strerror(-listener));
        return -1;
    }
    pid_t copy = 0; /* at the same address in the child: it was forked */
    if (eg_target_read(self->child, (uint64_t)(uintptr_t)&self->child, &copy, sizeof copy) != 0) {
        snprintf(self->run->why, EG_WHY_SIZE, "the memory of a child is closed to its parent (process_vm_readv)");
        close(listener);
        return -1;
    }
    self->supervisor->listener = listener;
    eg_kernel_speed_up(self->supervisor->exempt, listener);
    /* From here on nothing of the same user attaches to us or reads our memory. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return write(down, "g", 1) == 1 ? 0 : -1;
}

static void supervise_command(parent *self, int up)
{
    int error = 0;

    /* End of file is the exec: it closes the child's end. */
    if (read(up, &error, sizeof error) == (ssize_t)sizeof error) {
        self->run->exec_error = error;
    }
    self->supervisor->on_event = hear_signals;
    self->supervisor->on_refusal = hear_refusal;
    self->supervisor->context = self;
    eg_supervisor_serve(self->supervisor);
}

static int start(parent *self)
{
    eg_filter filter;
    int up[2] = {-1, -1}, down[2] = {-1, -1}, done = -1;
    int error = eg_filter_build(&filter, NULL);

    if (error != 0) {
        eg_kernel_explain(error, self->run->why);
        return -1;
    }
    if (pipe2(up, O_CLOEXEC) != 0 || pipe2(down, O_CLOEXEC) != 0) {
        snprintf(self->run->why, EG_WHY_SIZE, "no descriptors: %s", strerror(errno));
        goto done;
    }
    self->child = fork();
    if (self->child == 0) {
        become_command(self, &filter, up[1], down[0]);
    }
    if (self->child < 0) {
        snprintf(self->run->why, EG_WHY_SIZE, "no process: %s", strerror(errno));
        goto done;
    }
    close(up[1]);
    close(down[0]);
    up[1] = down[0] = -1;
    done = take_listener(self, up[0], down[1]);
    if (done == 0) {
        supervise_command(self, up[0]);
    } else {
        kill(self->child, SIGKILL);
    }
    if (!self->child_ended) {
        while (waitpid(self->child, &self->run->status, 0) < 0 && errno == EINTR) {
        }
    }
done:
    for (int end = 0; end < 2; end++) {
        if (up[end] >= 0) {
            close(up[end]);
        }
        if (down[end] >= 0) {
            close(down[end]);
        }
    }
    return done;
}

int eg_run_supervised(eg_state *state, eg_run *run)
{
    static eg_exempt no_secret; /* the parent stands under no filter of ours */
    parent self = {.run = run, .signals = -1};
    int done = -1;

    if (eg_kernel_has_io_uring()) {
        snprintf(run->why, EG_WHY_SIZE, "an io_uring is open here and would be inherited: it could dial past the filter");
        return -1;
    }
    /* Every descendant stands under the filter, whatever program it runs: a UNIX socket that
     * one of them holds leads nowhere else. */
    state->installer.program_inode = 0;
    self.supervisor = eg_supervisor_create(state, &no_secret, &run->counts);
    if (self.supervisor == NULL || eg_supervisor_prepare(self.supervisor) != 0) {
        snprintf(run->why, EG_WHY_SIZE, "no memory or descriptors for the supervisor: %s", strerror(errno));
        return -1;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    int error = take_signals(&self);
    if (error != 0) {
        snprintf(run->why, EG_WHY_SIZE, "signals cannot be heard: %s", strerror(-error));
    } else {
        done = start(&self);
    }
    if (self.supervisor->listener >= 0) {
        close(self.supervisor->listener); /* what is left behind gets ENOSYS */
    }
    if (self.signals >= 0) {
        close(self.signals);
    }
    pthread_sigmask(SIG_SETMASK, &self.mask_before, NULL);
    return done;
}
