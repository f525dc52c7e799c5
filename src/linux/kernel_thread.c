/* Starting the supervisor thread. It gets a descriptor table of its own before the listener
 * exists, so the listener is in no other: a child cannot inherit it, os.closerange cannot
 * close it, and when the thread is gone the kernel answers ENOSYS. */
#include "linux/kernel_thread.h"

#include <alloca.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>

#include <linux/capability.h>
#include <linux/futex.h>

#include "core/detached.h"
#include "core/unix_owner.h"
#include "linux/call_filter.h"
#include "linux/lender.h"
#include "linux/rings.h"
#include "linux/stack.h"

#define STACK_SIZE (512u * 1024)
#define CHILDREN_JUDGED "judged"
#define CHILDREN_YAMA "refused: kernel.yama.ptrace_scope closes other processes to the supervisor"

/* Process-wide, like the filter: what is in force stays so until the process ends. */
static _Atomic bool active;
/* Shared with forked children, so that a child's posture tells what the supervisor counts, and
 * whether it lives. */
static struct shared {
    eg_kernel_counts counts;
    pthread_mutex_t served; /* the supervisor's thread holds it as long as it lives */
    _Atomic bool ended;
} *shared;
static eg_kernel_counts *counts;
static eg_lender lender;
static char children[96] = "not judged";

/* What the starting thread and the new one share while it starts. */
typedef struct start_up {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    eg_supervisor *supervisor;
    void *stack;
    int probe;      /* a descriptor of the process, to try pidfd_getfd on */
    int32_t starter; /* the thread that has it */
    bool lends; /* the lender's thread runs */
    bool ended;
    int result;
    char why[EG_WHY_SIZE];
} start_up;

bool eg_kernel_is_active(void)
{
    return atomic_load(&active);
}

/* The kernel marks a robust mutex whose owner has ended, in whatever process that was. */
bool eg_kernel_is_served(void)
{
    int error = eg_kernel_is_active() ? pthread_mutex_trylock(&shared->served) : 0;

    if (error == EOWNERDEAD) {
        atomic_store(&shared->ended, true);
        pthread_mutex_consistent(&shared->served); /* from now on anybody can have it for a moment */
    }
    if (eg_kernel_is_active() && error != EBUSY) {
        pthread_mutex_unlock(&shared->served);
    }
    return error == EBUSY && !atomic_load(&shared->ended);
}

const eg_kernel_counts *eg_kernel_counts_get(void)
{
    return counts;
}

uint64_t eg_kernel_last(void)
{
    return counts == NULL ? 0 : atomic_load(&counts->last);
}

uint64_t eg_kernel_wait(uint64_t seen)
{
    for (;;) {
        uint32_t news = atomic_load(&counts->news);
        atomic_store(&counts->awaited, 1);
        uint64_t last = eg_kernel_last();
        if (last > seen) {
            return last;
        }
        syscall(SYS_futex, (void *)&counts->news, FUTEX_WAIT, news, NULL, NULL, 0);
    }
}

const char *eg_kernel_children(void)
{
    return eg_kernel_is_active() ? children : "not judged";
}

void eg_kernel_speed_up(const eg_exempt *exempt, int listener)
{
    eg_exempt_ioctl(exempt, listener, EG_NOTIF_SET_FLAGS, (void *)EG_SYNC_WAKE_UP);
}

void eg_kernel_explain(int error, char why[EG_WHY_SIZE])
{
    const char *text;

    switch (-error) {
    case EBUSY:
        text = "another seccomp notifier is in force here (a container runtime, or an outer egressguard), and the "
               "kernel takes one for each chain of filters";
        break;
    case EPERM:
        text = "a filter that is in force here forbids a notifier of its own: most likely this process already "
               "stands under egressguard (run, or install_kernel() of a parent), whose verdict holds here too";
        break;
    case EINVAL:
        text = "this kernel's seccomp lacks SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)";
        break;
    case ESRCH:
        text = "a thread of this process has a seccomp filter of its own, so the filter cannot be put on all of them";
        break;
    case ENOSYS:
        text = "no seccomp filter for this kernel or this kind of processor";
        break;
    default:
        snprintf(why, EG_WHY_SIZE, "the seccomp filter was not accepted: %s", strerror(-error));
        return;
    }
    snprintf(why, EG_WHY_SIZE, "%s", text);
}

bool eg_kernel_has_io_uring(void)
{
    return eg_rings_find() > 0;
}

/* Is the memory of this process to be read by the usual call? */
static bool memory_is_open(const start_up *start)
{
    int word = 1, copy = 0;
    return eg_target_read(start->starter, (uint64_t)(uintptr_t)&word, &copy, sizeof copy) == 0 && copy == 1;
}

/* kernel.yama.ptrace_scope at 2 asks for CAP_SYS_PTRACE, at 3 nobody gets at another process
 * (Documentation/admin-guide/LSM/Yama.rst). */
static bool yama_closes_children(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    char scope = '0';
    int file = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);

    if (file < 0) {
        return false;
    }
    ssize_t length = read(file, &scope, 1);
    close(file);
    bool may_trace = syscall(SYS_capget, &header, data) == 0 && (data[0].effective & 1u << CAP_SYS_PTRACE) != 0;
    return length == 1 && (scope >= '3' || (scope == '2' && !may_trace));
}

/* What performing calls takes, tried before anything is irreversible. Where the calls on
 * other processes are forbidden, as under Docker's default profile without CAP_SYS_PTRACE,
 * this process alone can be acted for: its descriptors are lent by another thread, which has
 * to be started while this one still shares the table. */
static int find_access(start_up *start)
{
    eg_targets *targets = &start->supervisor->targets;
    int descriptor = eg_target_descriptor(targets, start->starter, 0, start->probe);

    eg_targets_forget(targets); /* this table is the process's own still */
    if (descriptor >= 0) {
        close(descriptor);
        if (memory_is_open(start)) {
            snprintf(children, sizeof children, "%s", yama_closes_children() ? CHILDREN_YAMA : CHILDREN_JUDGED);
            return 0;
        }
        snprintf(children, sizeof children, "refused: process_vm_readv is forbidden here");
    } else {
        snprintf(children, sizeof children, "refused: pidfd_getfd is forbidden here (%s)", strerror(-descriptor));
    }
    int error = eg_lender_start(&lender, start->supervisor->exempt);
    if (error != 0) {
        snprintf(start->why, sizeof start->why, "no thread that lends descriptors: %s", strerror(-error));
        return -1;
    }
    start->lends = true;
    return 0;
}

/* Its own pair of sockets, in its own table, and whether it borrows. */
static int prepare_lending(start_up *start)
{
    int error = start->lends && !memory_is_open(start) ? eg_target_memory_by_pair() : 0;

    if (error != 0) {
        snprintf(start->why, sizeof start->why, "no descriptors for the supervisor: %s", strerror(-error));
        return -1;
    }
    start->supervisor->targets.lender = start->lends ? &lender : NULL;
    return 0;
}

static int put_in_force(start_up *start)
{
    eg_filter filter;
    eg_supervisor *supervisor = start->supervisor;

    /* Without a program this fails with EFAULT; with EPERM a filter forbids it. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, EG_FLAG_NEW_LISTENER, NULL) != 0 && errno == EPERM) {
        eg_kernel_explain(-EPERM, start->why);
        return -1;
    }
    if (find_access(start) < 0) {
        return -1;
    }
    if (syscall(SYS_close_range, 0u, ~0u, EG_CLOSE_RANGE_UNSHARE) != 0) {
        snprintf(start->why, sizeof start->why, "close_range is refused here (%s): it needs Linux 5.9",
                 strerror(errno));
        return -1;
    }
    /* 0, 1 and 2 stay taken, so that nothing written there by mistake meets a socket. */
    for (int standard = 0; standard < 3; standard++) {
        if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0) {
            break;
        }
    }
    if (prepare_lending(start) < 0) {
        return -1;
    }
    int error = eg_supervisor_prepare(supervisor);
    error = error != 0 ? error : eg_filter_build(&filter, supervisor->exempt);
    int listener = error != 0 ? error : eg_filter_enforce(&filter, 1);
    explicit_bzero(&filter, sizeof filter);
    if (listener < 0) {
        eg_kernel_explain(listener, start->why);
        return -1;
    }
    supervisor->listener = supervisor->targets.listener = listener;
    eg_kernel_speed_up(supervisor->exempt, listener);
    pthread_mutex_lock(&shared->served);
    atomic_store(&active, true);
    eg_unix_owner_filtered(&supervisor->state->installer);
    return 0;
}

static void *supervise(void *argument)
{
    start_up *start = argument;
    eg_supervisor *supervisor = start->supervisor;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    /* So that the calls below begin on another page, of whatever size. */
    /* cppcheck-suppress allocaCalled */
    const char *gap = alloca(2 * page);

    eg_stack_hide(start->stack, gap + page);
    int result = put_in_force(start);
    if (result != 0) {
        eg_target_memory_forget();
    }
    if (result != 0 && start->lends) {
        eg_lender_stop(&lender);
    }
    pthread_mutex_lock(&start->lock);
    start->result = result;
    start->ended = true;
    pthread_cond_signal(&start->changed);
    pthread_mutex_unlock(&start->lock);
    /* `start` is the starter's stack: not touched from here on. */
    if (result == 0) {
        eg_supervisor_serve(supervisor);
    }
    return NULL;
}

static int run_thread(start_up *start)
{
    pthread_t thread;
    start->stack = eg_stack_create(STACK_SIZE);
    int error = start->stack == NULL ? errno : eg_thread_start_on(&thread, supervise, start, start->stack, STACK_SIZE);

    if (error != 0) {
        snprintf(start->why, sizeof start->why, "no thread for the supervisor: %s", strerror(error));
        if (start->stack != NULL) {
            eg_stack_destroy(start->stack, STACK_SIZE);
        }
        return -1;
    }
    pthread_mutex_lock(&start->lock);
    while (!start->ended) {
        pthread_cond_wait(&start->changed, &start->lock);
    }
    pthread_mutex_unlock(&start->lock);
    if (start->result == 0) {
        pthread_detach(thread);
    } else {
        pthread_join(thread, NULL);
        eg_stack_destroy(start->stack, STACK_SIZE);
    }
    return start->result;
}

/* A page that reads as zeros in a forked child: the secret does not go along. */
static eg_exempt *make_secret(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED) {
        return NULL;
    }
    eg_exempt *exempt = page;
    if (madvise(page, size, MADV_WIPEONFORK) != 0 ||
        getrandom(exempt->cookie, sizeof exempt->cookie, 0) != (ssize_t)sizeof exempt->cookie) {
        munmap(page, size);
        return NULL;
    }
    madvise(page, size, MADV_DONTDUMP);
    return exempt;
}

static eg_kernel_counts *make_counts(void)
{
    struct shared *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t kind;

    if (page == MAP_FAILED) {
        return NULL;
    }
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&page->served, &kind);
    pthread_mutexattr_destroy(&kind);
    shared = page;
    /* cppcheck-suppress memleak ; the caller keeps it for the life of the process */
    return &page->counts;
}

/* One call for real, through the filter, the thread and the core: its errno, 0 for none. */
static int try_connect(in_port_t port)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_port = htons(port)};
    int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (probe < 0) {
        return errno;
    }
    inet_pton(AF_INET, "127.0.0.2", &loopback.sin_addr); /* no flag opens this one */
    int error = connect(probe, (struct sockaddr *)&loopback, sizeof loopback) == 0 ? 0 : errno;
    close(probe);
    return error;
}

/* A connect that sends nothing is refused, and one to no port, as libc sorts addresses by, is
 * performed: that takes the caller's memory and its socket. */
static bool is_proved(void)
{
    int refused = try_connect(9), performed = try_connect(0);

    atomic_store(&counts->probes, 0);
    return refused == EACCES && performed != EACCES && performed != ENOSYS;
}

int eg_kernel_thread_start(eg_state *state, char why[EG_WHY_SIZE])
{
    start_up start = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    eg_exempt *exempt = NULL;

    if (eg_kernel_is_active()) {
        snprintf(why, EG_WHY_SIZE, "it is in force, and its supervisor has ended: each judged call gives ENOSYS");
        return eg_kernel_is_served() ? 0 : -1;
    }
    memset(&lender, 0, sizeof lender);
    int rings = eg_rings_find();
    if (rings > 0) {
        snprintf(why, EG_WHY_SIZE, "an io_uring of this process is open already, or lives on in memory that is mapped or "
                                   "a thread of the kernel's, and could dial past the filter");
        return -1;
    }
    if (rings < 0) {
        snprintf(why, EG_WHY_SIZE, "/proc cannot be read (%s), so it is not known whether an io_uring is open that "
                                   "could dial past the filter", strerror(-rings));
        return -1;
    }
    counts = counts != NULL ? counts : make_counts();
    exempt = make_secret();
    if (counts != NULL && exempt != NULL) {
        start.supervisor = eg_supervisor_create(state, exempt, counts);
    }
    int ends[2];
    if (start.supervisor == NULL || pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(why, EG_WHY_SIZE, "no memory or descriptors for the supervisor: %s", strerror(errno));
        return -1;
    }
    start.supervisor->capability = true;
    start.probe = ends[0];
    start.starter = (int32_t)syscall(SYS_gettid);
    int result = run_thread(&start);
    close(ends[0]);
    close(ends[1]);
    if (result != 0) {
        snprintf(why, EG_WHY_SIZE, "%s", start.why);
        eg_supervisor_destroy(start.supervisor);
        if (!start.lends) { /* the lender's thread may look at it still */
            munmap(exempt, (size_t)sysconf(_SC_PAGESIZE));
        }
    } else if (!is_proved()) {
        snprintf(why, EG_WHY_SIZE, "it was put in force and failed its proof: a dial was not refused, or an harmless one not performed");
        result = -1;
    }
    return result;
}
