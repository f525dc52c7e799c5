/* A small machine of known shape for tests of what the core asks the kernel and /etc:
 * private network, mount and host name namespaces, gone with the process.
 *
 *   lo             127.0.0.1, ::1, 198.51.100.7/24, 2001:db8:77::7/64
 *   a route        203.0.113.0/24 (so that "elsewhere" is also answered by a route)
 *   host name      guarded.example
 *   /etc/hosts and /etc/resolv.conf are whatever the test writes
 *
 * Where namespaces are not to be had, the tests that need them say so and skip. */
#ifndef EG_TESTS_SANDBOX_H
#define EG_TESTS_SANDBOX_H

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#define SANDBOX_IPV4 "198.51.100.7"
#define SANDBOX_IPV6 "2001:db8:77::7"
#define SANDBOX_ROUTED "203.0.113.9"
#define SANDBOX_HOST "guarded.example"

static char sandbox_missing[128] = "sandbox_enter was not called";

/* struct in6_ifreq of linux/ipv6.h, which cannot stand beside netinet/in.h. */
struct sandbox_ipv6_request {
    struct in6_addr address;
    uint32_t prefix_length;
    int index;
};

HELPER bool sandbox_write(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0644);
    bool done = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0) {
        close(file);
    }
    return done;
}

HELPER bool sandbox_unshare(void)
{
    int flags = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS;
    char map[64];
    unsigned user = geteuid(), group = getegid();

    if (unshare(flags) == 0) {
        return true;
    }
    if (unshare(flags | CLONE_NEWUSER) != 0) {
        return false;
    }
    sandbox_write("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", user);
    bool mapped = sandbox_write("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", group);
    return sandbox_write("/proc/self/gid_map", map) && mapped;
}

HELPER bool sandbox_network(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sandbox_ipv6_request ipv6 = {.prefix_length = 64};
    struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = (char[]){"lo"}};
    int inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), inet6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool done = inet >= 0 && inet6 >= 0;

    request.ifr_flags = IFF_UP | IFF_RUNNING;
    done = done && ioctl(inet, SIOCSIFFLAGS, &request) == 0;
    done = done && ioctl(inet, SIOCGIFINDEX, &request) == 0;
    ipv6.index = request.ifr_ifindex;
    inet_pton(AF_INET6, SANDBOX_IPV6, &ipv6.address);
    done = done && ioctl(inet6, SIOCSIFADDR, &ipv6) == 0;

    strcpy(request.ifr_name, "lo:1");
    inet_pton(AF_INET, SANDBOX_IPV4, &ipv4.sin_addr);
    memcpy(&request.ifr_addr, &ipv4, sizeof ipv4);
    done = done && ioctl(inet, SIOCSIFADDR, &request) == 0;
    inet_pton(AF_INET, "255.255.255.0", &ipv4.sin_addr);
    memcpy(&request.ifr_netmask, &ipv4, sizeof ipv4);
    done = done && ioctl(inet, SIOCSIFNETMASK, &request) == 0;

    memcpy(&route.rt_genmask, &ipv4, sizeof ipv4);
    inet_pton(AF_INET, "203.0.113.0", &ipv4.sin_addr);
    memcpy(&route.rt_dst, &ipv4, sizeof ipv4);
    done = done && ioctl(inet, SIOCADDRT, &route) == 0;
    close(inet);
    close(inet6);
    return done;
}

/* Lay a file of ours over one of /etc, in this mount namespace only. */
HELPER bool sandbox_cover(const char *path)
{
    char ours[] = "/tmp/egressguard-test-XXXXXX";
    int file = mkstemp(ours);
    if (file < 0) {
        return false;
    }
    close(file);
    bool done = mount(ours, path, NULL, MS_BIND, NULL) == 0;
    unlink(ours); /* the mount keeps it */
    return done;
}

/* Call it before the first thread: a new user namespace asks for that. */
HELPER void sandbox_enter(void)
{
    const char *step = NULL;
    if (!sandbox_unshare()) {
        step = "namespaces";
    } else if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        step = "a private mount namespace";
    } else if (!sandbox_network()) {
        step = "addresses on a private loopback interface";
    } else if (!sandbox_cover("/etc/hosts") || !sandbox_cover("/etc/resolv.conf")) {
        step = "files over /etc/hosts and /etc/resolv.conf";
    } else if (sethostname(SANDBOX_HOST, strlen(SANDBOX_HOST)) != 0) {
        step = "a host name of its own";
    }
    snprintf(sandbox_missing, sizeof sandbox_missing, "%s%s%s", step == NULL ? "" : step, step == NULL ? "" : ": ",
             step == NULL ? "" : strerror(errno));
}

/* The first line of a test that needs the sandbox. */
#define NEEDS_SANDBOX()                                                                 \
    do {                                                                                \
        if (sandbox_missing[0] != '\0') {                                               \
            print_message("  skipped, this machine does not give: %s\n", sandbox_missing); \
            skip();                                                                     \
        }                                                                               \
    } while (0)

#endif
