/* Reading callers. Everything that comes from here was true when it was read; the
 * supervisor asks afterwards whether the call still waits. */
#include "linux/target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "linux/lender.h"
#include "linux/supervisor.h"

/* Of the one supervisor; -1 while process_vm_readv does. Not a pipe, which would be quicker: one
 * can be opened again by its name in /proc, by any process of the user, and written to. */
static int memory_pair[2] = {-1, -1};

void eg_targets_init(eg_targets *targets, const eg_exempt *exempt)
{
    memset(targets, 0, sizeof *targets);
    targets->exempt = exempt;
    for (size_t i = 0; i < EG_TARGETS; i++) {
        targets->kept[i].pidfd = targets->kept[i].comm = -1;
    }
}

static void forget(eg_targets *targets, size_t slot)
{
    if (targets->kept[slot].pidfd >= 0) {
        close(targets->kept[slot].pidfd);
    }
    if (targets->kept[slot].comm >= 0) {
        close(targets->kept[slot].comm);
    }
    targets->kept[slot].tid = targets->kept[slot].tgid = 0;
    targets->kept[slot].read_ms = 0;
    targets->kept[slot].pidfd = targets->kept[slot].comm = -1;
}

void eg_targets_forget(eg_targets *targets)
{
    for (size_t i = 0; i < EG_TARGETS; i++) {
        forget(targets, i);
    }
}

static int memory_error(int error)
{
    return error == EPERM ? -EACCES : error == ESRCH ? -ESRCH : -EFAULT;
}

int eg_target_memory_by_pair(void)
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, memory_pair) == 0 ? 0 : -errno;
}

void eg_target_memory_forget(void)
{
    memory_pair[0] = memory_pair[1] = -1;
}

bool eg_target_is_own(int32_t tid)
{
    return syscall(SYS_tgkill, getpid(), tid, 0) == 0;
}

/* This process's memory, with the kernel looking whether it is there: as much as could be
 * had, -EFAULT for nothing. */
static ssize_t copy_by_pair(void *to, const void *from, size_t length)
{
    size_t done = 0;

    while (done < length) {
        size_t piece = length - done < 4096 ? length - done : 4096; /* fits an empty pair */
        ssize_t put = write(memory_pair[1], (const char *)from + done, piece);
        if (put <= 0) {
            break;
        }
        ssize_t got = read(memory_pair[0], (char *)to + done, (size_t)put);
        if (got != put) {
            char rest[4096];
            while (read(memory_pair[0], rest, sizeof rest) > 0) { /* leave nothing behind */
            }
            break;
        }
        done += (size_t)got;
        if ((size_t)put < piece) {
            break;
        }
    }
    return done > 0 ? (ssize_t)done : -EFAULT;
}

/* As process_vm_readv(2), of this process. */
static ssize_t gather_by_pair(void *to, size_t length, const struct iovec *vectors, size_t count)
{
    size_t done = 0;

    for (size_t i = 0; i < count && done < length; i++) {
        size_t piece = vectors[i].iov_len < length - done ? vectors[i].iov_len : length - done;
        ssize_t got = piece == 0 ? 0 : copy_by_pair((char *)to + done, vectors[i].iov_base, piece);
        if (got < 0) {
            return done > 0 ? (ssize_t)done : got;
        }
        done += (size_t)got;
        if ((size_t)got < piece) {
            break;
        }
    }
    return (ssize_t)done;
}

int eg_target_read(int32_t tid, uint64_t from, void *to, size_t length)
{
    struct iovec remote = {(void *)(uintptr_t)from, length};

    if (length == 0) {
        return 0;
    }
    ssize_t done = eg_target_gather(tid, &remote, 1, to, length);
    if (done < 0) {
        return (int)done;
    }
    return (size_t)done == length ? 0 : -EFAULT;
}

int eg_target_read_both(int32_t tid, const eg_piece *one, const eg_piece *other, int *other_error)
{
    struct iovec local[2] = {{one->to, one->length}, {other->to, other->length}};
    struct iovec remote[2] = {{(void *)(uintptr_t)one->from, one->length},
                              {(void *)(uintptr_t)other->from, other->length}};

    *other_error = 0;
    if (one->length > 0 && other->length > 0 && memory_pair[0] < 0 &&
        process_vm_readv(tid, local, 2, remote, 2, 0) == (ssize_t)(one->length + other->length)) {
        return 0;
    }
    int error = eg_target_read(tid, one->from, one->to, one->length); /* which of them was it? */
    if (error == 0) {
        *other_error = eg_target_read(tid, other->from, other->to, other->length);
    }
    return error;
}

int eg_target_write(int32_t tid, uint64_t to, const void *from, size_t length)
{
    struct iovec local = {(void *)(uintptr_t)from, length}, remote = {(void *)(uintptr_t)to, length};

    if (length == 0) {
        return 0;
    }
    if (memory_pair[0] >= 0) {
        ssize_t copied = eg_target_is_own(tid) ? copy_by_pair(remote.iov_base, from, length) : -EACCES;
        return copied < 0 ? (int)copied : (size_t)copied == length ? 0 : -EFAULT;
    }
    ssize_t done = process_vm_writev(tid, &local, 1, &remote, 1, 0);

    if (done < 0) {
        return memory_error(errno);
    }
    return (size_t)done == length ? 0 : -EFAULT;
}

ssize_t eg_target_gather(int32_t tid, const struct iovec *vectors, size_t count, void *to, size_t length)
{
    struct iovec local = {to, length};

    if (length == 0 || count == 0) {
        return 0;
    }
    if (memory_pair[0] >= 0) {
        return eg_target_is_own(tid) ? gather_by_pair(to, length, vectors, count) : -EACCES;
    }
    ssize_t done = process_vm_readv(tid, &local, 1, vectors, count, 0);
    return done < 0 ? memory_error(errno) : done;
}

static int32_t group_of(int32_t tid)
{
    eg_target_status status;
    return eg_target_status_read(tid, &status) ? status.tgid : 0;
}

/* A process descriptor for the thread, or for its process on kernels that know no other. */
static int open_pidfd(eg_targets *targets, int32_t tid)
{
    int pidfd = -1;

    if (!targets->no_thread_pidfds) {
        pidfd = (int)syscall(SYS_pidfd_open, tid, EG_PIDFD_THREAD);
        targets->no_thread_pidfds = pidfd < 0 && errno == EINVAL;
    }
    if (targets->no_thread_pidfds) {
        int32_t tgid = group_of(tid);
        pidfd = tgid == 0 ? -1 : (int)syscall(SYS_pidfd_open, tgid, 0);
    }
    return pidfd < 0 ? -errno : pidfd;
}

static int kept_pidfd(eg_targets *targets, int32_t tid, bool fresh)
{
    size_t slot = (uint32_t)tid % EG_TARGETS;
    int *pidfd = &targets->kept[slot].pidfd;

    if (*pidfd >= 0 && targets->kept[slot].tid == tid && !fresh && !targets->no_thread_pidfds) {
        return *pidfd;
    }
    forget(targets, slot);
    *pidfd = open_pidfd(targets, tid);
    targets->kept[slot].tid = tid;
    return *pidfd;
}

int eg_target_pidfd(eg_targets *targets, int32_t tid)
{
    return kept_pidfd(targets, tid, false);
}

int eg_target_descriptor(eg_targets *targets, int32_t tid, uint64_t id, int descriptor)
{
    if (targets->lender != NULL) {
        eg_borrower borrower = {.listener = targets->listener, .id = id, .tid = tid, .descriptor = descriptor};
        return eg_target_is_own(tid) ? eg_lender_borrow(targets->lender, &borrower) : -EACCES;
    }
    for (int fresh = 0; fresh < 2; fresh++) {
        int pidfd = kept_pidfd(targets, tid, fresh != 0);
        if (pidfd < 0) {
            return pidfd == -EPERM ? -EACCES : pidfd;
        }
        int copy = eg_exempt_getfd(targets->exempt, pidfd, descriptor);
        if (copy >= 0) {
            return copy;
        }
        if (errno != ESRCH) {
            return errno == EPERM ? -EACCES : -errno;
        }
    }
    return -ESRCH;
}

void eg_target_sigpipe(eg_targets *targets, int32_t tid)
{
    int pidfd = targets->lender != NULL ? -1 : kept_pidfd(targets, tid, false);
    if (targets->lender != NULL && eg_target_is_own(tid)) {
        syscall(SYS_tgkill, getpid(), tid, SIGPIPE);
    } else if (pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, pidfd, SIGPIPE, NULL, 0);
    }
}

static bool read_text(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    ssize_t length = read(file, text, size - 1);
    close(file);
    if (length <= 0) {
        return false;
    }
    text[length] = '\0';
    return true;
}

static uint64_t field(const char *text, const char *name, int base, int which)
{
    const char *at = strstr(text, name);
    char *end = NULL;
    uint64_t value = 0;

    if (at == NULL) {
        return 0;
    }
    at += strlen(name);
    for (int i = 0; i <= which; i++, at = end) {
        value = strtoull(at, &end, base);
    }
    return value;
}

/* The last of the numbers after "NSpid:". */
static int32_t innermost(const char *text)
{
    const char *at = strstr(text, "\nNSpid:");
    long pid = 0;

    for (at = at == NULL ? "" : at + 7; *at == '\t'; at += strspn(at, "0123456789")) {
        pid = strtol(++at, NULL, 10);
    }
    return (int32_t)pid;
}

bool eg_target_status_read(int32_t tid, eg_target_status *out)
{
    char path[64], text[4096];

    memset(out, 0, sizeof *out);
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    if (!read_text(path, text, sizeof text)) {
        return false;
    }
    out->tgid = (int32_t)field(text, "\nTgid:", 10, 0);
    out->uid = (uint32_t)field(text, "\nUid:", 10, 3);
    out->gid = (uint32_t)field(text, "\nGid:", 10, 3);
    for (int i = 0; i < 3; i++) {
        out->uids[i] = (uint32_t)field(text, "\nUid:", 10, i);
        out->gids[i] = (uint32_t)field(text, "\nGid:", 10, i);
    }
    out->inner_pid = innermost(text);
    uint64_t pending = field(text, "\nSigPnd:", 16, 0) | field(text, "\nShdPnd:", 16, 0);
    out->interrupted = (pending & ~field(text, "\nSigBlk:", 16, 0) & field(text, "\nSigCgt:", 16, 0)) != 0;
    return out->tgid != 0;
}

/* Is what was kept for this thread id still about the thread that has it now? */
static bool is_kept(const eg_targets *targets, size_t slot, int32_t tid)
{
    return targets->kept[slot].tid == tid && targets->kept[slot].pidfd >= 0 && !targets->no_thread_pidfds &&
           (syscall(SYS_pidfd_send_signal, targets->kept[slot].pidfd, 0, NULL, 0) == 0 || errno != ESRCH);
}

/* The program is the group's: a thread may have a name of its own. */
static int open_comm(int32_t tgid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", tgid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void eg_target_who(eg_targets *targets, int32_t tid, int32_t *tgid, char program[32])
{
    char text[64];
    size_t slot = (uint32_t)tid % EG_TARGETS;
    int64_t now = eg_now_ms();

    if (targets->kept[slot].tid == tid && targets->kept[slot].read_ms == now) {
        /* A program that tries again and again; it cannot have become another in this millisecond. */
        *tgid = targets->kept[slot].tgid;
        memcpy(program, targets->kept[slot].program, sizeof targets->kept[slot].program);
        return;
    }
    bool kept = is_kept(targets, slot, tid);
    *tgid = kept ? targets->kept[slot].tgid : 0;
    *tgid = *tgid != 0 ? *tgid : group_of(tid);
    /* These files are dear to open: once for each caller. */
    int comm = kept && targets->kept[slot].comm >= 0 ? targets->kept[slot].comm : *tgid != 0 ? open_comm(*tgid) : -1;
    ssize_t length = comm < 0 ? -1 : pread(comm, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    snprintf(program, 32, "%.31s", text);
    if (kept) {
        targets->kept[slot].tgid = *tgid;
        targets->kept[slot].comm = comm;
        targets->kept[slot].read_ms = now;
        memcpy(targets->kept[slot].program, program, sizeof targets->kept[slot].program);
    } else if (comm >= 0) {
        close(comm);
    }
}

static bool same_file(int32_t tid, const char *what)
{
    char own[64], other[64];
    struct stat ours, theirs;

    snprintf(own, sizeof own, "/proc/self/%s", what);
    snprintf(other, sizeof other, "/proc/%d/%s", tid, what);
    return stat(own, &ours) == 0 && stat(other, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
           ours.st_ino == theirs.st_ino;
}

bool eg_target_shares_files(int32_t tid)
{
    eg_target_status status;
    return same_file(tid, "root") && same_file(tid, "ns/mnt") && eg_target_status_read(tid, &status) &&
           status.uid == geteuid() && status.gid == getegid();
}
