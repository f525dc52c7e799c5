/* The owner of a UNIX listener or datagram socket, from sock_diag(7) and /proc. Slow, and only asked for a
 * UNIX address without an entry. */
#include "core/unix_owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/sysmacros.h>

/* TCP's states, which sock_diag uses for every family. A datagram socket has one of the others. */
#define STATE_ESTABLISHED 1
#define STATE_CLOSE 7
#define STATE_LISTEN 10
#define ANCESTORS_MAX 64

/* Parent and start time of a process, fields 4 and 22 of its stat file (proc(5)). */
static bool read_process(int32_t pid, int32_t *parent, uint64_t *started)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) {
        return false;
    }
    text[length] = '\0';
    char *at = strrchr(text, ')');
    if (at == NULL || strlen(at) < 4) {
        return false;
    }
    *parent = (int32_t)strtol(at + 4, NULL, 10);
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL) {
        return false;
    }
    *started = strtoull(at + 1, NULL, 10);
    return true;
}

static bool read_program(int32_t pid, uint64_t *device, uint64_t *inode)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (stat(path, &status) != 0) {
        return false;
    }
    *device = status.st_dev;
    *inode = status.st_ino;
    return true;
}

void eg_unix_owner_remember(eg_installer *installer)
{
    int32_t parent;
    memset(installer, 0, sizeof *installer);
    int32_t pid = (int32_t)getpid();
    uint64_t inode = 0;
    if (read_process(pid, &parent, &installer->start_time) &&
        read_program(pid, &installer->program_device, &inode)) {
        installer->program_inode = inode;
        installer->pid = pid;
    }
}

/* How many seccomp filters a process stands under (proc(5), Linux 5.9); 0 where that is not told. */
static uint32_t filters_of(int32_t pid)
{
    static const char name[] = "\nSeccomp_filters:";
    char path[64], text[4096];

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    text[length < 0 ? 0 : length] = '\0';
    const char *at = strstr(text, name);
    return at == NULL ? 0 : (uint32_t)strtoul(at + sizeof name - 1, NULL, 10);
}

void eg_unix_owner_filtered(eg_installer *installer)
{
    uint64_t second = (uint64_t)sysconf(_SC_CLK_TCK);
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    atomic_store(&installer->filters, filters_of((int32_t)getpid()));
    /* Those that were started before in this very tick are told by their filters. */
    atomic_store(&installer->filtered_since, (uint64_t)now.tv_sec * second + (uint64_t)now.tv_nsec * second / 1000000000u);
    atomic_store(&installer->program_inode, 0); /* all that comes after stands under the filter, whatever it runs */
}

static bool is_filtered(const eg_installer *installer, int32_t pid, uint64_t started)
{
    uint64_t since = atomic_load(&installer->filtered_since);
    return since == 0 || (started >= since && filters_of(pid) >= atomic_load(&installer->filters));
}

static bool is_family(const eg_installer *installer, int32_t pid)
{
    uint64_t device, inode, started;
    int32_t parent, at = pid;

    if (installer->pid == 0 || !read_program(pid, &device, &inode)) {
        return false;
    }
    /* 0: the kernel layer judges every descendant, whatever program it runs. */
    if (installer->program_inode != 0 &&
        (device != installer->program_device || inode != installer->program_inode)) {
        return false;
    }
    for (int depth = 0; depth < ANCESTORS_MAX && at > 0; depth++, at = parent) {
        if (!read_process(at, &parent, &started)) {
            return false;
        }
        if (at == installer->pid) {
            return started == installer->start_time;
        }
        if (!is_filtered(installer, at, started)) {
            return false;
        }
    }
    return false;
}

/* Does this name in a descriptor folder lead to the socket? */
static bool is_socket(int folder, const char *name, uint32_t inode)
{
    char wanted[64], link[64];
    int length = snprintf(wanted, sizeof wanted, "socket:[%u]", inode);
    ssize_t size = readlinkat(folder, name, link, sizeof link);
    return size == length && memcmp(link, wanted, (size_t)length) == 0;
}

/* Where a socket was found last. A program dials the same one again and again, and the search
 * takes milliseconds. It is only where to look first: what is there is read anew. */
typedef struct place {
    uint32_t inode;
    int32_t pid;
    char descriptor[16];
} place;
static place found_last;
static atomic_flag in_use = ATOMIC_FLAG_INIT; /* whoever finds it taken does without */

static place recall(void)
{
    place copy = {0};
    if (!atomic_flag_test_and_set(&in_use)) {
        copy = found_last;
        atomic_flag_clear(&in_use);
    }
    return copy;
}

static void remember(uint32_t inode, int32_t pid, const char *descriptor)
{
    if (!atomic_flag_test_and_set(&in_use)) {
        found_last = (place){.inode = inode, .pid = pid};
        snprintf(found_last.descriptor, sizeof found_last.descriptor, "%.15s", descriptor);
        atomic_flag_clear(&in_use);
    }
}

static bool still_holds(const eg_installer *installer, uint32_t inode)
{
    place last = recall();
    char path[64];

    if (last.pid == 0 || last.inode != inode || !is_family(installer, last.pid)) {
        return false;
    }
    snprintf(path, sizeof path, "/proc/%d/fd/%s", last.pid, last.descriptor);
    return is_socket(AT_FDCWD, path, inode);
}

static bool holds_socket(int32_t pid, uint32_t inode)
{
    char path[64];
    struct dirent *item;
    bool found = false;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return false;
    }
    while (!found && (item = readdir(folder)) != NULL) {
        found = is_socket(dirfd(folder), item->d_name, inode);
        if (found) {
            remember(inode, pid, item->d_name);
        }
    }
    closedir(folder);
    return found;
}

static bool family_holds(const eg_installer *installer, uint32_t inode)
{
    struct dirent *item;
    bool found = still_holds(installer, inode);

    DIR *folder = found ? NULL : opendir("/proc");
    if (folder == NULL) {
        return found;
    }
    while (!found && (item = readdir(folder)) != NULL) {
        int32_t pid = (int32_t)strtol(item->d_name, NULL, 10);
        found = pid > 0 && is_family(installer, pid) && holds_socket(pid, inode);
    }
    closedir(folder);
    return found;
}

typedef struct wanted_listener {
    const eg_endpoint *endpoint;
    bool is_datagram;
    bool is_path;
    struct stat status; /* of the path */
} wanted_listener;

static bool message_matches(const wanted_listener *wanted, const struct unix_diag_msg *message, size_t length)
{
    const char *bytes = (const char *)message;

    for (size_t at = NLMSG_ALIGN(sizeof *message); at + sizeof(struct rtattr) <= length;) {
        struct rtattr attribute;
        memcpy(&attribute, bytes + at, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > length - at) {
            return false;
        }
        const char *payload = bytes + at + RTA_LENGTH(0);
        size_t size = attribute.rta_len - (size_t)RTA_LENGTH(0);
        if (wanted->is_path && attribute.rta_type == UNIX_DIAG_VFS && size >= sizeof(struct unix_diag_vfs)) {
            struct unix_diag_vfs vfs;
            memcpy(&vfs, payload, sizeof vfs);
            return vfs.udiag_vfs_ino == (uint32_t)wanted->status.st_ino &&
                   vfs.udiag_vfs_dev >> 20 == major(wanted->status.st_dev) &&
                   (vfs.udiag_vfs_dev & 0xfffff) == minor(wanted->status.st_dev);
        }
        if (!wanted->is_path && attribute.rta_type == UNIX_DIAG_NAME) {
            return size == wanted->endpoint->path_length && memcmp(payload, wanted->endpoint->path, size) == 0;
        }
        at += RTA_ALIGN((size_t)attribute.rta_len);
    }
    return false;
}

/* The kernel hands a datagram to a datagram socket alone; a connect can meet a listener of either
 * of the other types. */
static bool may_be_reached(const wanted_listener *wanted, const struct unix_diag_msg *message)
{
    return wanted->is_datagram ? message->udiag_type == SOCK_DGRAM : message->udiag_state == STATE_LISTEN;
}

static bool ask_listeners(int link, bool is_datagram)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req question;
    } message;

    memset(&message, 0, sizeof message);
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.question.sdiag_family = AF_UNIX;
    message.question.udiag_states = is_datagram ? 1u << STATE_CLOSE | 1u << STATE_ESTABLISHED : 1u << STATE_LISTEN;
    message.question.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS;
    /* Without a destination it goes to the kernel; the kernel layer need not judge it. */
    return send(link, &message, sizeof message, 0) == (ssize_t)sizeof message;
}

static bool message_is_whole(const struct nlmsghdr *at, int rest)
{
    return rest >= (int)sizeof *at && at->nlmsg_len >= sizeof *at && at->nlmsg_len <= (uint32_t)rest;
}

static struct nlmsghdr *next_message(struct nlmsghdr *at, int *rest)
{
    int size = (int)NLMSG_ALIGN(at->nlmsg_len);
    *rest -= size;
    return (struct nlmsghdr *)(void *)((char *)at + size);
}

#define LISTENERS_MAX 8

/* The inodes of the listeners behind the address: an abstract name can have one of each type.
 * Returns how many; LISTENERS_MAX means that there may be more. */
static size_t find_listeners(const wanted_listener *wanted, uint32_t inodes[LISTENERS_MAX])
{
    union {
        struct nlmsghdr header;
        char bytes[16384];
    } answer;
    size_t count = 0;
    bool more;

    int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (link < 0) {
        return 0;
    }
    more = ask_listeners(link, wanted->is_datagram);
    while (more) {
        ssize_t size = recv(link, &answer, sizeof answer, 0);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            count = 0;
            break;
        }
        int rest = (int)size;
        for (struct nlmsghdr *at = &answer.header; message_is_whole(at, rest); at = next_message(at, &rest)) {
            bool broken = at->nlmsg_type == NLMSG_ERROR || (at->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
            if (at->nlmsg_type == NLMSG_DONE || broken) {
                /* A list that broke off may lack a listener that is not family. */
                count = broken ? 0 : count;
                more = false;
                break;
            }
            struct unix_diag_msg *found = NLMSG_DATA(at);
            if (at->nlmsg_len >= NLMSG_LENGTH(sizeof *found) && may_be_reached(wanted, found) &&
                message_matches(wanted, found, at->nlmsg_len - NLMSG_HDRLEN)) {
                inodes[count++] = found->udiag_ino;
                more = count < LISTENERS_MAX;
                if (!more) {
                    break;
                }
            }
        }
    }
    close(link);
    return count;
}

bool eg_unix_owner_is_family(const eg_installer *installer, const eg_endpoint *endpoint, bool is_datagram)
{
    wanted_listener wanted = {.endpoint = endpoint, .is_datagram = is_datagram};
    char path[128];
    int saved = errno;
    bool family = false;

    if (endpoint->path_length == 0 || endpoint->path_length >= sizeof path) {
        return false;
    }
    wanted.is_path = endpoint->path[0] != '\0';
    if (wanted.is_path) {
        memcpy(path, endpoint->path, endpoint->path_length);
        path[endpoint->path_length] = '\0';
    }
    if (!wanted.is_path || stat(path, &wanted.status) == 0) {
        uint32_t inodes[LISTENERS_MAX];
        size_t count = find_listeners(&wanted, inodes);
        family = count > 0 && count < LISTENERS_MAX;
        for (size_t i = 0; family && i < count; i++) {
            family = family_holds(installer, inodes[i]);
        }
    }
    errno = saved;
    return family;
}

#else

void eg_unix_owner_remember(eg_installer *installer)
{
    memset(installer, 0, sizeof *installer);
}

void eg_unix_owner_filtered(eg_installer *installer)
{
    (void)installer;
}

bool eg_unix_owner_is_family(const eg_installer *installer, const eg_endpoint *endpoint, bool is_datagram)
{
    (void)installer;
    (void)endpoint;
    (void)is_datagram;
    return false;
}

#endif
