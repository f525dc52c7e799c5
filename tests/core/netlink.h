/* Answers of the kernel that it does not give every day: errors, interruptions, messages that
 * break off. The program's own send and recv stand in front of libc's, for the core as well,
 * and give what a script says. */
#ifndef EG_TESTS_NETLINK_H
#define EG_TESTS_NETLINK_H

#include "support.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STEPS_MAX 16

/* What the next calls give: bytes, or an error where `size` is negative. */
static struct {
    bool active;
    size_t next, count, sends;
    int send_errors[4]; /* 0: it is sent */
    struct {
        ssize_t size;
        int error;
        char bytes[1024];
    } steps[STEPS_MAX];
} script;

ssize_t send(int descriptor, const void *bytes, size_t size, int flags)
{
    if (!script.active) {
        return syscall(SYS_sendto, descriptor, bytes, size, flags, NULL, 0);
    }
    int error = script.sends < COUNT_OF(script.send_errors) ? script.send_errors[script.sends] : 0;
    script.sends++;
    if (error != 0) {
        errno = error;
        return -1;
    }
    return (ssize_t)size;
}

ssize_t recv(int descriptor, void *bytes, size_t size, int flags)
{
    if (!script.active) {
        return syscall(SYS_recvfrom, descriptor, bytes, size, flags, NULL, NULL);
    }
    if (script.next == script.count) {
        errno = EAGAIN; /* a call too many ends in an error, not in waiting */
        return -1;
    }
    ssize_t given = script.steps[script.next].size;
    if (given < 0) {
        errno = script.steps[script.next].error;
    } else {
        assert_true((size_t)given <= size);
        memcpy(bytes, script.steps[script.next].bytes, (size_t)given);
    }
    script.next++;
    return given;
}

HELPER void start_script(void)
{
    memset(&script, 0, sizeof script);
    script.active = true;
}

HELPER void then_bytes(const void *bytes, size_t size)
{
    memcpy(script.steps[script.count].bytes, bytes, size);
    script.steps[script.count++].size = (ssize_t)size;
}

HELPER void then_error(int error)
{
    script.steps[script.count].size = -1;
    script.steps[script.count++].error = error;
}

#endif
