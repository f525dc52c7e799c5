/* One request at a time, over a pair of sockets. A child that was forked at that moment keeps
 * an end of it, and can shut it or write into it: a pair on which anything but the answer was
 * found is given up for another, and the request made again. The number under which the
 * lender's end lies in the process's table can be closed or taken over by any of its threads,
 * and a thread may have a table of its own, so the lender looks what is there before it
 * writes. A child cannot answer: the kernel says who sent a message. */
#include "linux/lender.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <linux/futex.h>

#include "linux/patience.h"
#include "linux/supervisor.h"

#define ERRNO_MAX 4095 /* include/linux/err.h */
#define SPOILT (-ERRNO_MAX) /* the answer is not what came: another pair may help */
#define STACK_SIZE (128u * 1024)

typedef struct loan {
    uint32_t number; /* of the request that it answers */
    int32_t error;   /* 0, and the descriptor comes along */
} loan;

typedef union loan_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
} loan_control;

static void futex(_Atomic uint32_t *word, int what, uint32_t value, const struct timespec *limit)
{
    syscall(SYS_futex, (void *)word, what | FUTEX_PRIVATE_FLAG, value, limit, NULL, 0);
}

/* ---- the lender's thread ---- */

static bool is_at(int number, dev_t device, ino_t inode)
{
    struct stat found;
    return fstat(number, &found) == 0 && found.st_dev == device && found.st_ino == inode;
}

static void send_loan(const eg_lender *lender, int channel, uint32_t number)
{
    int descriptor = atomic_load(&lender->descriptor);
    loan answer = {.number = number};
    struct iovec vector = {&answer, sizeof answer};
    loan_control control;
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control};

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
}

static void lend(eg_lender *lender, uint32_t number)
{
    int channel = atomic_load(&lender->channel);
    dev_t device = atomic_load(&lender->device);
    ino_t inode = atomic_load(&lender->inode);

    if (is_at(channel, device, inode)) {
        send_loan(lender, channel, number);
        if (is_at(channel, device, inode)) {
            close(channel);
        }
    } else {
        atomic_store(&lender->missed, number);
    }
    atomic_store(&lender->done, number);
    futex(&lender->done, FUTEX_WAKE, 1, NULL);
}

static void *serve(void *argument)
{
    eg_lender *lender = argument;
    uint32_t done = 0;

    while (!atomic_load(&lender->stop)) {
        uint32_t asked = atomic_load(&lender->asked);
        if (asked == done) {
            futex(&lender->asked, FUTEX_WAIT, done, NULL);
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
    futex(&lender->asked, FUTEX_WAKE, INT_MAX, NULL);
}

/* ---- the supervisor's side ---- */

/* Wait until the lender has done what it was asked. False where a tracer stops it. */
static bool wait_until_done(eg_lender *lender)
{
    uint32_t asked = atomic_load(&lender->asked), done;
    int64_t limit = 0;

    while ((done = atomic_load(&lender->done)) != asked) {
        int64_t now = eg_now_ms();
        limit = limit == 0 ? now + EG_LEND_MS : limit;
        if (now >= limit) {
            return false;
        }
        struct timespec left = {(limit - now) / 1000, (limit - now) % 1000 * 1000000};
        futex(&lender->done, FUTEX_WAIT, done, &left);
    }
    return true;
}

/* The descriptors that came along are in our table now: the only one, or -1 and none is left. */
static int only_one(const struct cmsghdr *rights)
{
    size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    int descriptor = -1;

    for (size_t i = 0; i < count; i++) {
        memcpy(&descriptor, CMSG_DATA(rights) + i * sizeof descriptor, sizeof descriptor);
        if (count != 1) {
            eg_patience_close(descriptor);
        }
    }
    return count == 1 ? descriptor : -1;
}

/* The first message on our end: the descriptor, -errno, or SPOILT. */
static int read_answer(int ours, uint32_t number)
{
    loan answer = {0};
    struct iovec vector = {&answer, sizeof answer};
    loan_control control;
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int descriptor = -1;
    bool by_us = false;

    ssize_t length = recvmsg(ours, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0) {
        return SPOILT;
    }
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
        struct ucred sender;
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS) {
            descriptor = only_one(at);
        } else if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&sender, CMSG_DATA(at), sizeof sender);
            by_us = sender.pid == getpid();
        }
    }
    bool ours_alone = by_us && length == (ssize_t)sizeof answer && (message.msg_flags & MSG_TRUNC) == 0 &&
                      answer.number == number;
    if (ours_alone && answer.error == 0) {
        return descriptor >= 0 ? descriptor : (message.msg_flags & MSG_CTRUNC) != 0 ? -EMFILE : SPOILT;
    }
    if (descriptor >= 0) {
        eg_patience_close(descriptor);
    }
    /* Nothing but an errno: its negative would be a descriptor of our own. */
    return ours_alone && answer.error > 0 && answer.error < ERRNO_MAX ? -answer.error : SPOILT;
}

/* Has this thread, in its own table, what was put there for the lender in vain? */
static bool has_at(int32_t tid, int number, dev_t device, ino_t inode)
{
    char path[64];
    struct stat found;

    /* A process may look there, whatever a profile says: proc_fd_permission in fs/proc/fd.c. */
    snprintf(path, sizeof path, "/proc/self/task/%d/fd/%d", tid, number);
    return stat(path, &found) == 0 && found.st_dev == device && found.st_ino == inode;
}

/* A thread with a table of its own (unshare(2), CLONE_FILES) is lent nothing. What was put into
 * its table when that was found stays there, and says so as long as it lies there: a thread id
 * that is used again leads to another table. */
static bool is_apart(const eg_lender *lender, int32_t tid)
{
    for (size_t i = 0; i < EG_APART; i++) {
        const struct eg_apart *one = &lender->apart[i];
        if (one->tid == tid && has_at(tid, one->number, one->device, one->inode)) {
            return true;
        }
    }
    return false;
}

static void give_up_pair(eg_lender *lender)
{
    if (lender->ours >= 0) {
        close(lender->ours);
        close(lender->theirs);
    }
    lender->ours = lender->theirs = -1;
}

/* A pair that nothing came over yet, which also leaves no place for an answer that is written
 * before it is asked for. 0 / -errno. */
static int have_pair(eg_lender *lender)
{
    int ends[2], on = 1;
    struct stat facts;
    char byte;

    if (lender->ours >= 0 && recv(lender->ours, &byte, sizeof byte, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN) {
        return 0;
    }
    give_up_pair(lender);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        return -errno;
    }
    lender->ours = ends[0];
    lender->theirs = ends[1];
    if (setsockopt(lender->ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 || fstat(lender->theirs, &facts) != 0) {
        int error = -errno;
        give_up_pair(lender);
        return error;
    }
    atomic_store(&lender->device, facts.st_dev);
    atomic_store(&lender->inode, facts.st_ino);
    return 0;
}

/* The lender's end did not lie in its table. The caller's own, where it does, stays there; the
 * pair is used no more, so that end is in no other. */
static int missed(eg_lender *lender, int32_t tid, int number)
{
    dev_t device = atomic_load(&lender->device);
    ino_t inode = atomic_load(&lender->inode);

    if (!has_at(tid, number, device, inode)) {
        return SPOILT; /* another thread closed it: os.closerange */
    }
    lender->apart[lender->next_apart] = (struct eg_apart){tid, number, device, inode};
    lender->next_apart = (lender->next_apart + 1) % EG_APART;
    give_up_pair(lender);
    return -EACCES;
}

/* Lay the lender's end into the caller's table and have it answer. */
static int ask(eg_lender *lender, const eg_borrower *borrower)
{
    struct seccomp_notif_addfd lent = {
        .id = borrower->id, .srcfd = (uint32_t)lender->theirs, .newfd_flags = 02000000 /* O_CLOEXEC */};
    int number = eg_exempt_ioctl(lender->exempt, borrower->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &lent);

    if (number < 0) {
        return errno == ENOENT ? -ESRCH : -errno;
    }
    atomic_store(&lender->channel, number);
    atomic_store(&lender->descriptor, borrower->descriptor);
    uint32_t request = atomic_fetch_add(&lender->asked, 1) + 1;
    futex(&lender->asked, FUTEX_WAKE, 1, NULL);
    if (!wait_until_done(lender)) {
        return -EACCES;
    }
    if (atomic_load(&lender->missed) == request) {
        return missed(lender, borrower->tid, number);
    }
    return read_answer(lender->ours, request);
}

int eg_lender_borrow(eg_lender *lender, const eg_borrower *borrower)
{
    if (borrower->descriptor < 0) {
        return -EBADF; /* SCM_RIGHTS would say the same later */
    }
    /* One that was stopped still has to take back what lies in the table. */
    if (is_apart(lender, borrower->tid) || !wait_until_done(lender)) {
        return -EACCES;
    }
    for (int i = 0; i < EG_LEND_TRIES; i++) {
        int result = have_pair(lender);
        if (result == 0 && (result = ask(lender, borrower)) == SPOILT) {
            give_up_pair(lender);
            continue;
        }
        return result;
    }
    return -EACCES;
}
