/* A small machine of known shape, for tests of what the core asks the kernel and /etc:
 * private network, mount and host name namespaces, gone with the process.
 *
 *   lo            127.0.0.1, ::1
 *   guard0        198.51.100.7/24 (broadcast .255), 2001:db8:77::7/64
 *   routes        203.0.113.0/24 and 2001:db8:99::/48 by guard0; the table in sandbox_world
 *   host name     Guarded.Example
 *   /etc          empty, for the test to fill
 *
 * Where this cannot be had (no namespaces, no ip(8)), the tests that need it say so and skip. */
#ifndef EG_TESTS_SANDBOX_H
#define EG_TESTS_SANDBOX_H

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#define SANDBOX_IPV4 "198.51.100.7"
#define SANDBOX_BROADCAST "198.51.100.255"
#define SANDBOX_IPV6 "2001:db8:77::7"
#define SANDBOX_ANYCAST "2001:db8:77::aa"
#define SANDBOX_HOST "Guarded.Example"

static const char sandbox_world[] =
    "link set lo up\n"
    "link add guard0 type veth peer name guard1\n"
    "link set guard1 up\n"
    "link set guard0 up\n"
    "address add " SANDBOX_IPV4 "/24 broadcast " SANDBOX_BROADCAST " dev guard0\n"
    "address add " SANDBOX_IPV6 "/64 dev guard0 nodad\n"
    "route add 203.0.113.0/24 dev guard0\n"
    "route add local 203.0.113.128/25 dev guard0\n"
    "route add blackhole 192.0.2.16/28\n"
    "route add prohibit 192.0.2.32/28\n"
    "route add unreachable 192.0.2.48/28\n"
    "route add 2001:db8:99::/48 dev guard0\n"
    "route add anycast " SANDBOX_ANYCAST " dev guard0\n"
    "route add blackhole 2001:db8:aa::/48\n"
    "route add prohibit 2001:db8:bb::/48\n"
    "route add unreachable 2001:db8:cc::/48\n";

static char sandbox_missing[160] = "sandbox_enter was not called";

HELPER bool sandbox_write(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0644);
    bool done = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0) {
        close(file);
    }
    return done;
}

/* What the tests write into /etc must not fail in silence. */
HELPER void sandbox_file(const char *path, const char *text)
{
    if (!sandbox_write(path, text)) {
        fail_msg("cannot write %s: %s", path, strerror(errno));
    }
}

/* Namespaces as root, else in a user namespace of our own where we are root. */
HELPER bool sandbox_unshare(int flags)
{
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

HELPER bool sandbox_ip(const char *commands)
{
    FILE *ip = popen("PATH=$PATH:/sbin:/usr/sbin ip -batch - 2>/dev/null", "w");
    if (ip == NULL) {
        return false;
    }
    fputs(commands, ip);
    return pclose(ip) == 0;
}

/* The kernel makes the local route of an IPv6 address a moment after the address. */
HELPER bool sandbox_settled(void)
{
    static const char local[] = "20010db8007700000000000000000007 80 ";
    for (int i = 0; i < 3000; i++) {
        char line[256];
        bool found = false;
        FILE *routes = fopen("/proc/self/net/ipv6_route", "r");
        while (routes != NULL && !found && fgets(line, sizeof line, routes) != NULL) {
            found = strncmp(line, local, sizeof local - 1) == 0;
        }
        if (routes != NULL) {
            fclose(routes);
        }
        if (found) {
            return true;
        }
        usleep(1000);
    }
    return false;
}

/* Call it before the first thread: a new user namespace asks for that. */
HELPER void sandbox_enter(void)
{
    const char *step = NULL;
    if (!sandbox_unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS)) {
        step = "namespaces";
    } else if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        step = "a private mount namespace";
    } else if (!sandbox_ip(sandbox_world) || !sandbox_settled()) {
        step = "a private network made by ip(8)";
    } else if (mount("tmpfs", "/etc", "tmpfs", 0, "size=1m") != 0) {
        step = "an /etc of its own";
    } else if (sethostname(SANDBOX_HOST, strlen(SANDBOX_HOST)) != 0) {
        step = "a host name of its own";
    }
    int reason = errno;
    sandbox_missing[0] = '\0';
    if (step != NULL) {
        snprintf(sandbox_missing, sizeof sandbox_missing, "%s (%s)", step, strerror(reason));
    }
}

/* The first line of a test that needs the sandbox. */
#define NEEDS_SANDBOX()                                                                    \
    do {                                                                                   \
        if (sandbox_missing[0] != '\0') {                                                  \
            print_message("  skipped: this machine does not give %s\n", sandbox_missing); \
            skip();                                                                        \
        }                                                                                  \
    } while (0)

/* No descriptor can be opened between these two: what the kernel and /etc say is unknown. */
static struct rlimit sandbox_limit;

HELPER void descriptors_are_used_up(void)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &sandbox_limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = sandbox_limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

HELPER void descriptors_are_back(void)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &sandbox_limit), 0);
}

#endif
