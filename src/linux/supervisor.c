/* The loop. It waits in poll on the listener itself: only there the kernel hands the
 * processor straight over (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP); all else is one epoll set. */
#include "linux/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

#include <linux/futex.h>

#include "linux/hold.h"
#include "linux/patience.h"
#include "linux/stub.h"

#define TELL_MS 20

int64_t eg_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t eg_now_ms(void)
{
    return eg_now_us() / 1000;
}

eg_supervisor *eg_supervisor_create(eg_state *state, eg_exempt *exempt, eg_kernel_counts *counts)
{
    void *block =
        mmap(NULL, sizeof(eg_supervisor), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) {
        return NULL;
    }
    eg_supervisor *supervisor = block;
    supervisor->state = state;
    supervisor->exempt = exempt;
    supervisor->counts = counts;
    supervisor->listener = supervisor->epoll = supervisor->both = -1;
    eg_targets_init(&supervisor->targets, exempt);
    supervisor->stub = eg_stub_create();
    if (supervisor->stub == NULL) {
        munmap(block, sizeof(eg_supervisor));
        return NULL;
    }
    return supervisor;
}

void eg_supervisor_destroy(eg_supervisor *supervisor)
{
    eg_stub_destroy(supervisor->stub);
    munmap(supervisor, sizeof *supervisor);
}

uint64_t eg_network_of(int socket)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(socket, SOL_SOCKET, EG_SO_NETNS_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

int eg_supervisor_prepare(eg_supervisor *supervisor)
{
    int one = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (one >= 0) {
        supervisor->network = eg_network_of(one);
        close(one);
    }
    supervisor->epoll = epoll_create1(EPOLL_CLOEXEC);
    supervisor->both = supervisor->epoll < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    return supervisor->both < 0 ? -errno : 0;
}

int eg_supervisor_watch(eg_supervisor *supervisor, int descriptor, uint32_t kind, uint32_t index, uint32_t events)
{
    struct epoll_event event = {.events = events};
    event.data.u64 = (uint64_t)kind << 32 | index;
    return epoll_ctl(supervisor->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : -errno;
}

/* Tell of what was refused: the callback, or whoever sleeps on the counts (eg_kernel_wait). */
static void tell(eg_supervisor *supervisor)
{
    eg_kernel_counts *counts = supervisor->counts;
    eg_violation violation;
    uint64_t last = atomic_load(&counts->last);

    while (supervisor->on_refusal != NULL && supervisor->told < last) {
        if (eg_journal_read(supervisor->state->journal, ++supervisor->told, &violation)) {
            supervisor->on_refusal(supervisor->context, &violation);
        }
    }
    supervisor->told = last;
    if (atomic_exchange(&counts->awaited, 0) != 0) {
        syscall(SYS_futex, (void *)&counts->news, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); /* a shared page */
    }
}

static void receive(eg_supervisor *supervisor)
{
    struct seccomp_notif heard;

    memset(&heard, 0, sizeof heard); /* the kernel refuses anything else */
    if (eg_exempt_ioctl(supervisor->exempt, supervisor->listener, SECCOMP_IOCTL_NOTIF_RECV, &heard) != 0) {
        return; /* the caller was killed before we came */
    }
    eg_hold_hear(supervisor, &heard);
}

static void dispatch(eg_supervisor *supervisor)
{
    struct epoll_event events[64];
    int count = epoll_wait(supervisor->epoll, events, 64, 0);

    for (int i = 0; i < count; i++) {
        uint32_t index = (uint32_t)events[i].data.u64;
        switch (events[i].data.u64 >> 32) {
        case EG_EVENT_HELD:
            eg_hold_ready(supervisor, index);
            break;
        case EG_EVENT_STUB:
            eg_stub_ready(supervisor, index);
            break;
        default:
            if (supervisor->on_event != NULL) {
                supervisor->on_event(supervisor->context);
            }
        }
    }
}

static int timeout_of(const eg_supervisor *supervisor)
{
    if (supervisor->held_count > 0) {
        if (supervisor->moving) {
            return EG_MOVING_MS;
        }
        return supervisor->held_count < 32 ? EG_RETRY_MS : EG_TICK_MS;
    }
    return eg_stub_is_busy(supervisor->stub) ? EG_TICK_MS * 5 : -1;
}

/* poll refuses more descriptors than RLIMIT_NOFILE has room for, and a process may set that to
 * 0 for a moment or for good ("no new descriptors"). epoll does not ask; it is slower. */
static int wait_by_epoll(const eg_supervisor *supervisor, struct pollfd ready[2], int timeout)
{
    struct epoll_event event = {.events = EPOLLIN}, events[2];

    for (uint32_t i = 0; i < 2; i++) {
        event.data.u32 = i;
        if (epoll_ctl(supervisor->both, EPOLL_CTL_ADD, ready[i].fd, &event) != 0 && errno != EEXIST) {
            poll(NULL, 0, EG_TICK_MS); /* the kernel has no memory just now */
            return 0;
        }
    }
    int count = epoll_wait(supervisor->both, events, 2, timeout);
    for (int i = 0; i < count; i++) {
        ready[events[i].data.u32].revents = (short)events[i].events; /* the same bits */
    }
    return count;
}

static int wait_for_either(const eg_supervisor *supervisor, struct pollfd ready[2], int timeout)
{
    int count = poll(ready, 2, timeout);
    return count >= 0 || (errno != EINVAL && errno != ENOMEM) ? count : wait_by_epoll(supervisor, ready, timeout);
}

void eg_supervisor_serve(eg_supervisor *supervisor)
{
    int64_t ticked = eg_now_ms(), told_ms = ticked;

    eg_patience_start();
    while (!supervisor->stop) {
        struct pollfd ready[2] = {{.fd = supervisor->listener, .events = POLLIN},
                                  {.fd = supervisor->epoll, .events = POLLIN}};
        uint64_t news = atomic_load(&supervisor->counts->last) - supervisor->told;
        int timeout = timeout_of(supervisor);
        timeout = news != 0 && (timeout < 0 || timeout > TELL_MS) ? TELL_MS : timeout;
        int count = wait_for_either(supervisor, ready, timeout);
        if (count < 0 && errno != EINTR) {
            break;
        }
        /* A caller with its answer runs when we sleep: so those who listen are told later. */
        if (news != 0 && (count == 0 || news > EG_JOURNAL_SLOTS / 4 || eg_now_ms() - told_ms > EG_TICK_MS)) {
            tell(supervisor);
            told_ms = eg_now_ms();
        }
        if ((ready[0].revents & POLLIN) != 0) {
            receive(supervisor);
        } else if ((ready[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
            break; /* nobody stands under the filter any more */
        }
        if ((ready[1].revents & POLLIN) != 0) {
            dispatch(supervisor);
        }
        if (timeout >= 0 && eg_now_ms() - ticked >= timeout) {
            eg_hold_tick(supervisor);
            eg_stub_tick(supervisor);
            ticked = eg_now_ms();
        }
    }
    eg_patience_stop();
    tell(supervisor);
}
