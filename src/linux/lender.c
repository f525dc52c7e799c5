/* One request at a time. The number under which the channel lies in the process's table can
 * be closed or taken over by any of its threads, so the lender looks what it is before it
 * writes there. A forked child that inherits the channel cannot answer: the kernel says who
 * sent a message. */
#include "linux/lender.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/futex.h>

#define STACK_SIZE (128u * 1024)

typedef struct loan {
    uint32_t number; /* of the request that it answers */
    int32_t error;   /* 0, and the descriptor comes along */
} loan;

typedef union loan_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
} loan_control;

static void futex(_Atomic uint32_t *word, int what, uint32_t value)
{
    syscall(SYS_futex, (void *)word, what | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* ---- the lender's thread ---- */

static bool is_channel(const eg_lender *lender, int number)
{
    struct stat found;
    return fstat(number, &found) == 0 && found.st_dev == lender->device && found.st_ino == lender->inode;
}

static void lend(const eg_lender *lender, uint32_t number)
{
    int channel = atomic_load(&lender->channel), descriptor = atomic_load(&lender->descriptor);
    loan answer = {.number = number};
    struct iovec vector = {&answer, sizeof answer};
    loan_control control;
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control};

    if (!is_channel(lender, channel)) {
        return; /* whoever waits gives up */
    }
    memset(&control, 0, sizeof control);
    message.msg_controllen = CMSG_SPACE(sizeof descriptor);
    control.header = (struct cmsghdr){CMSG_LEN(sizeof descriptor), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    if (eg_exempt_sendmsg(lender->exempt, channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        answer.error = errno;
        message.msg_control = NULL;
        message.msg_controllen = 0;
        eg_exempt_sendmsg(lender->exempt, channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (is_channel(lender, channel)) {
        close(channel);
    }
}

static void *serve(void *argument)
{
    eg_lender *lender = argument;
    uint32_t done = 0;

    while (!atomic_load(&lender->stop)) {
        uint32_t asked = atomic_load(&lender->asked);
        if (asked == done) {
            futex(&lender->asked, FUTEX_WAIT, done);
        } else {
            done = asked;
            if (!atomic_load(&lender->stop)) {
                lend(lender, asked);
            }
        }
    }
    return NULL;
}

int eg_lender_start(eg_lender *lender, const eg_exempt *exempt)
{
    pthread_attr_t attributes;
    pthread_t thread;

    lender->exempt = exempt;
    lender->ours = lender->theirs = -1;
    if (pthread_attr_init(&attributes) != 0) {
        return -ENOMEM;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    int error = pthread_create(&thread, &attributes, serve, lender); /* signals are blocked here */
    pthread_attr_destroy(&attributes);
    return -error;
}

void eg_lender_stop(eg_lender *lender)
{
    atomic_store(&lender->stop, true);
    atomic_fetch_add(&lender->asked, 1);
    futex(&lender->asked, FUTEX_WAKE, INT_MAX);
}

/* ---- the supervisor's side ---- */

int eg_lender_connect(eg_lender *lender)
{
    int ends[2], on = 1;
    struct stat facts;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        return -errno;
    }
    lender->ours = ends[0];
    lender->theirs = ends[1];
    if (setsockopt(lender->ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 || fstat(lender->theirs, &facts) != 0) {
        return -errno;
    }
    lender->device = facts.st_dev;
    lender->inode = facts.st_ino;
    return 0;
}

/* One message, if there is any: the descriptor that came along or -1, and whether it is the
 * answer to this request. */
static bool take(const eg_lender *lender, loan *answer, int *descriptor, bool *by_us)
{
    struct iovec vector = {answer, sizeof *answer};
    loan_control control;
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    *descriptor = -1;
    *by_us = false;
    if (recvmsg(lender->ours, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof *answer) {
        return false;
    }
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
        struct ucred sender;
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS && at->cmsg_len == CMSG_LEN(sizeof(int))) {
            memcpy(descriptor, CMSG_DATA(at), sizeof *descriptor);
        } else if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&sender, CMSG_DATA(at), sizeof sender);
            *by_us = sender.pid == getpid();
        }
    }
    return true;
}

static int wait_for(const eg_lender *lender, uint32_t number)
{
    loan answer = {0};
    int descriptor;
    bool by_us;

    for (;;) {
        struct pollfd ready = {.fd = lender->ours, .events = POLLIN};
        if (poll(&ready, 1, EG_LEND_MS) <= 0) {
            return -EACCES;
        }
        if (!take(lender, &answer, &descriptor, &by_us)) {
            return -EACCES; /* somebody else's message is no answer, and this one comes too late */
        }
        if (by_us && answer.number == number) {
            return answer.error != 0 ? -answer.error : descriptor < 0 ? -EBADF : descriptor;
        }
        if (descriptor >= 0) {
            close(descriptor);
        }
    }
}

int eg_lender_borrow(eg_lender *lender, int listener, uint64_t id, int descriptor)
{
    struct seccomp_notif_addfd lent = {
        .id = id, .srcfd = (uint32_t)lender->theirs, .newfd_flags = 02000000 /* O_CLOEXEC */};

    if (descriptor < 0) {
        return -EBADF; /* SCM_RIGHTS would say the same later */
    }
    int number = eg_exempt_ioctl(lender->exempt, listener, SECCOMP_IOCTL_NOTIF_ADDFD, &lent);
    if (number < 0) {
        return errno == ENOENT ? -ESRCH : -errno;
    }
    atomic_store(&lender->channel, number);
    atomic_store(&lender->descriptor, descriptor);
    uint32_t request = atomic_fetch_add(&lender->asked, 1) + 1;
    futex(&lender->asked, FUTEX_WAKE, 1);
    return wait_for(lender, request);
}
