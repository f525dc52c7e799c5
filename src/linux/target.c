/* Reading callers. Everything that comes from here was true when it was read; the
 * supervisor asks afterwards whether the call still waits. */
#include "linux/target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void eg_targets_init(eg_targets *targets, const eg_exempt *exempt)
{
    memset(targets, 0, sizeof *targets);
    targets->exempt = exempt;
    for (size_t i = 0; i < EG_TARGETS; i++) {
        targets->kept[i].pidfd = -1;
    }
}

static int memory_error(int error)
{
    return error == EPERM ? -EACCES : error == ESRCH ? -ESRCH : -EFAULT;
}

int eg_target_read(int32_t tid, uint64_t from, void *to, size_t length)
{
    struct iovec local = {to, length}, remote = {(void *)(uintptr_t)from, length};

    if (length == 0) {
        return 0;
    }
    ssize_t done = process_vm_readv(tid, &local, 1, &remote, 1, 0);
    if (done < 0) {
        return memory_error(errno);
    }
    return (size_t)done == length ? 0 : -EFAULT;
}

int eg_target_write(int32_t tid, uint64_t to, const void *from, size_t length)
{
    struct iovec local = {(void *)(uintptr_t)from, length}, remote = {(void *)(uintptr_t)to, length};
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
    if (*pidfd >= 0) {
        close(*pidfd);
    }
    *pidfd = open_pidfd(targets, tid);
    targets->kept[slot].tid = tid;
    targets->kept[slot].tgid = 0;
    return *pidfd;
}

int eg_target_descriptor(eg_targets *targets, int32_t tid, int descriptor)
{
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
    int pidfd = kept_pidfd(targets, tid, false);
    if (pidfd >= 0) {
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
    uint64_t pending = field(text, "\nSigPnd:", 16, 0) | field(text, "\nShdPnd:", 16, 0);
    out->interrupted = (pending & ~field(text, "\nSigBlk:", 16, 0) & field(text, "\nSigCgt:", 16, 0)) != 0;
    return out->tgid != 0;
}

void eg_target_who(eg_targets *targets, int32_t tid, int32_t *tgid, char program[32])
{
    char path[64], text[64];
    size_t slot = (uint32_t)tid % EG_TARGETS;
    bool kept = targets->kept[slot].tid == tid && targets->kept[slot].pidfd >= 0;

    *tgid = kept ? targets->kept[slot].tgid : 0;
    *tgid = *tgid != 0 ? *tgid : group_of(tid);
    if (kept) {
        targets->kept[slot].tgid = *tgid; /* status is the dear file: once for each caller */
    }
    program[0] = '\0';
    /* The program is the group's: a thread may have a name of its own. */
    snprintf(path, sizeof path, "/proc/%d/comm", *tgid);
    if (*tgid != 0 && read_text(path, text, sizeof text)) {
        text[strcspn(text, "\n")] = '\0';
        snprintf(program, 32, "%.31s", text);
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
