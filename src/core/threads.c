/* Threads whose loopback flag is set. Used by tests only: a production process never
 * writes here. */
#include "core/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#endif

static int32_t current_tid(void)
{
#ifdef __linux__
    return (int32_t)syscall(SYS_gettid);
#else
    return (int32_t)getpid();
#endif
}

/* Field 22 of /proc/<tid>/stat (proc(5)); 0 where there is no such thread. */
static uint64_t start_time(int32_t tid)
{
#ifdef __linux__
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", tid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    char *at = strrchr(text, ')'); /* the name before it may hold anything */
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
#else
    return tid != 0;
#endif
}

#ifdef __linux__
#define PIDFD_THREAD 0x80u         /* Linux 6.9 */
#define PIDFS_MAGIC 0x50494446     /* Linux 6.9: the inode of a process descriptor is used once a boot */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static uint64_t inode_of(int32_t tid)
{
    struct statfs files;
    struct stat facts;
    uint64_t inode = 0;
    int pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);

    if (pidfd < 0) {
        return 0;
    }
    if (fstatfs(pidfd, &files) == 0 && files.f_type == PIDFS_MAGIC && fstat(pidfd, &facts) == 0) {
        inode = (uint32_t)facts.st_ino;
    }
    close(pidfd);
    return inode;
}
#endif

/* What tells a thread from a later one with its id. The start time counts in hundredths of a
 * second: a thread that ends without its destructors can have a successor within one, which
 * tests/kernel/test_races.py makes. The inode has no such gap. */
static uint64_t identity(int32_t tid)
{
#ifdef __linux__
    uint64_t inode = inode_of(tid);
    if (inode != 0) {
        return inode;
    }
#endif
    return start_time(tid);
}

static uint64_t slot_value(int32_t tid, uint64_t identity_of_it)
{
    return (uint64_t)(uint32_t)tid << 32 | (uint32_t)identity_of_it;
}

static bool is_live(uint64_t value)
{
    int32_t tid = (int32_t)(value >> 32);
    uint64_t now = identity(tid);
    return now != 0 && slot_value(tid, now) == value;
}

/* Take the thread out, and with it what threads left that ended with their flag set. */
static void clear_tid(eg_threads *threads, int32_t tid)
{
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        uint64_t value = atomic_load(&threads->slots[i]);
        if (value != 0 && ((int32_t)(value >> 32) == tid || !is_live(value))) {
            atomic_compare_exchange_strong(&threads->slots[i], &value, 0);
        }
    }
}

int eg_threads_set(eg_threads *threads, bool flagged)
{
    int32_t tid = current_tid();

    clear_tid(threads, tid);
    if (!flagged) {
        return 0;
    }
    uint64_t own = identity(tid);
    if (own == 0) {
        return -ENOENT;
    }
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        uint64_t empty = 0;
        if (atomic_compare_exchange_strong(&threads->slots[i], &empty, slot_value(tid, own))) {
            return 0;
        }
    }
    return -EAGAIN;
}

bool eg_threads_has(const eg_threads *threads, int32_t tid)
{
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        uint64_t value = atomic_load(&threads->slots[i]);
        if (value != 0 && (int32_t)(value >> 32) == tid) {
            return is_live(value);
        }
    }
    return false;
}

size_t eg_threads_count(const eg_threads *threads)
{
    size_t count = 0;
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        uint64_t value = atomic_load(&threads->slots[i]);
        count += value != 0 && is_live(value);
    }
    return count;
}
