/* Looking for an io_uring of this process. It runs at each start of the layer, so what would
 * cost milliseconds in a process with many mappings or threads is asked for by system calls. */
#include "linux/rings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kcmp.h>

#include "linux/calls.h"

#define RING "anon_inode:[io_uring]"
#define PF_IO_WORKER 0x10ul /* include/linux/sched.h; field 9 of a stat file (proc(5)) */

/* PROCMAP_QUERY of Linux 6.11 (include/uapi/linux/fs.h), for older headers. */
typedef struct map_query {
    uint64_t size, flags, address;
    uint64_t start, end, vma_flags, page_size, offset, inode;
    uint32_t device_major, device_minor, name_size, build_id_size;
    uint64_t name_address, build_id_address;
} map_query;
#define QUERY _IOWR('f', 17, map_query)
#define QUERY_NEXT_SHARED_FILE (0x08u | 0x10u | 0x20u)

/* Ended meanwhile, which is no reason to give up. */
static int unless_gone(int error)
{
    return error == ENOENT || error == ESRCH ? 0 : -error;
}

static int find_in_table(int folder, const char *path)
{
    struct dirent *item;
    char link[64];
    int found = 0;
    int opened = openat(folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *table = opened < 0 ? NULL : fdopendir(opened);

    if (table == NULL) {
        int error = errno;
        if (opened >= 0) {
            close(opened);
        }
        return unless_gone(error);
    }
    while (found == 0 && (item = readdir(table)) != NULL) {
        ssize_t size = readlinkat(opened, item->d_name, link, sizeof link - 1);
        link[size < 0 ? 0 : size] = '\0';
        found = strcmp(link, RING) == 0;
    }
    closedir(table);
    return found;
}

/* Threads of the kernel's for a ring: named iou-sqp-PID or iou-wrk-PID, and marked, since a
 * name can be changed. */
static int is_ring_thread(int folder, long tid)
{
    char path[64], text[512];

    snprintf(path, sizeof path, "%ld/stat", tid);
    int file = openat(folder, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return unless_gone(errno);
    }
    ssize_t length = read(file, text, sizeof text - 1);
    int error = length < 0 ? errno : 0;
    close(file);
    if (length <= 0) {
        return unless_gone(error);
    }
    text[length] = '\0';
    const char *name = strchr(text, '('), *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 9; field++) {
        at = strchr(at + 1, ' ');
    }
    if (name == NULL || at == NULL) {
        return -EINVAL;
    }
    return strncmp(name, "(iou-", 5) == 0 || (strtoul(at + 1, NULL, 10) & PF_IO_WORKER) != 0;
}

/* Does this /proc count processes as our system calls do? Not where it is that of another
 * process namespace; then every file is read. */
static bool numbers_agree(void)
{
    char link[32];
    ssize_t size = readlink("/proc/self", link, sizeof link - 1);

    link[size < 0 ? 0 : size] = '\0';
    return strtol(link, NULL, 10) == (long)getpid();
}

/* A thread of libc's has a list of robust futexes, one of the kernel's never. */
static bool may_be_ring_thread(long tid)
{
    void *head = NULL;
    size_t size;
    return syscall(SYS_get_robust_list, tid, &head, &size) != 0 || head == NULL;
}

static int find_in_threads(void)
{
    struct dirent *item;
    bool agree = numbers_agree();
    int found = 0;
    DIR *threads = opendir("/proc/self/task");

    if (threads == NULL) {
        return -errno;
    }
    while (found == 0 && (item = readdir(threads)) != NULL) {
        long tid = strtol(item->d_name, NULL, 10), leader = (long)getpid();
        char path[64];
        if (tid <= 0) {
            continue;
        }
        snprintf(path, sizeof path, "%ld/fd", tid);
        if (!agree || tid == leader || syscall(SYS_kcmp, leader, tid, KCMP_FILES, 0ul, 0ul) != 0) {
            found = find_in_table(dirfd(threads), path);
        }
        if (found == 0 && (!agree || may_be_ring_thread(tid))) {
            found = is_ring_thread(dirfd(threads), tid);
        }
    }
    closedir(threads);
    return found;
}

/* Before Linux 6.11: the text of the file, in pieces. */
static int find_in_text(int maps)
{
    char text[8192];
    size_t kept = 0;
    ssize_t more;

    while ((more = read(maps, text + kept, sizeof text - kept)) > 0) {
        size_t length = kept + (size_t)more;
        if (memmem(text, length, RING, strlen(RING)) != NULL) {
            return 1;
        }
        kept = length < strlen(RING) ? length : strlen(RING); /* it may lie across two pieces */
        memmove(text, text + length - kept, kept);
    }
    return more < 0 ? -errno : 0;
}

static int find_in_maps(void)
{
    char name[PATH_MAX];
    map_query query;
    int found = 0;
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    if (maps < 0) {
        return -errno;
    }
    memset(&query, 0, sizeof query);
    while (found == 0) {
        query.size = sizeof query;
        query.flags = QUERY_NEXT_SHARED_FILE;
        query.address = query.end;
        query.name_size = sizeof name;
        query.name_address = (uint64_t)(uintptr_t)name;
        if (ioctl(maps, QUERY, &query) != 0) {
            found = errno == ENOENT ? 0 : find_in_text(maps); /* no more; or not known here */
            break;
        }
        found = query.name_size > 0 && strcmp(name, RING) == 0;
    }
    close(maps);
    return found;
}

int eg_rings_find(void)
{
    int found = find_in_maps();
    return found != 0 ? found : find_in_threads();
}
