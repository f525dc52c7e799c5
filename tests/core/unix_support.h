/* UNIX listeners of this process and of others, for the tests of their owner. */
#ifndef EG_TESTS_UNIX_SUPPORT_H
#define EG_TESTS_UNIX_SUPPORT_H

#include "sandbox.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "core/unix_owner.h"

static char folder[64], path[96], abstract[32], orphaned[32];
static eg_installer installer;
static bool of_datagrams; /* is_family() asks about datagram sockets */

HELPER int make_folder(void **unused)
{
    (void)unused;
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.32s/egressguard-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    /* Several runs can share one network namespace, and with it these names. */
    snprintf(abstract + 1, sizeof abstract - 1, "egressguard-%d", (int)getpid());
    snprintf(orphaned + 1, sizeof orphaned - 1, "egressguard-orphan-%d", (int)getpid());
    snprintf(path, sizeof path, "%s/listener", folder);
    return 0;
}

HELPER int remove_folder(void **unused)
{
    (void)unused;
    unlink(path);
    return rmdir(folder);
}

HELPER int fresh(void **unused)
{
    (void)unused;
    unlink(path);
    of_datagrams = false;
    eg_unix_owner_remember(&installer);
    return 0;
}

/* `name` is a path, or NUL and an abstract name. */
HELPER int bound(int type, const char *name, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, type, 0);
    memcpy(address.sun_path, name, length);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&address, size) != 0) {
        fail_msg("cannot bind a UNIX socket: %s", strerror(errno));
    }
    return descriptor;
}

HELPER int listening(int type, const char *name, size_t length)
{
    int descriptor = bound(type, name, length);
    assert_int_equal(type == SOCK_DGRAM ? 0 : listen(descriptor, 1), 0);
    return descriptor;
}

HELPER bool is_family(const char *name, size_t length)
{
    eg_endpoint endpoint = {.family = AF_UNIX, .path = name, .path_length = length};
    errno = EINTR; /* left over from before: no call of ours was interrupted */
    bool family = eg_unix_owner_is_family(&installer, &endpoint, of_datagrams);
    assert_int_equal(errno, EINTR);
    return family;
}

#define PATH path, strlen(path)
#define ABSTRACT abstract, 1 + strlen(abstract + 1)
#define ORPHANED orphaned, 1 + strlen(orphaned + 1)

/* ---- other processes ---- */

typedef enum role { SAME_PROGRAM, OTHER_PROGRAM, GRANDCHILD } role;

HELPER void end(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Whoever holds a listener waits for the other end of this pipe to close: it ends with this
 * process, however the test ends. */
static int lifeline[2] = {-1, -1};

HELPER void let_all_end(void)
{
    close(lifeline[1]);
    close(lifeline[0]);
}

HELPER void hold(role kind, int ready)
{
    char nothing;
    close(lifeline[1]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (kind == GRANDCHILD && fork() != 0) {
        close(ready);
        pause();
    }
    prctl(PR_SET_PDEATHSIG, kind == GRANDCHILD ? 0 : SIGKILL);
    if (kind == OTHER_PROGRAM) {
        dup2(ready, 1);
        execl("/bin/sh", "sh", "-c", "echo x; exec sleep 600 >/dev/null", NULL);
    } else if (write(ready, "x", 1) == 1) {
        close(ready);
        (void)!read(lifeline[0], &nothing, 1);
    }
    _exit(1);
}

/* A process that holds the listener alone. Returns once it does. */
HELPER pid_t holder(role kind, int type, const char *name, size_t length)
{
    int ready[2];
    char told;
    int listener = listening(type, name, length);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(lifeline), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ready[0]);
        hold(kind, ready[1]);
    }
    close(listener);
    close(ready[1]);
    assert_int_equal(read(ready[0], &told, 1), 1);
    close(ready[0]);
    return child;
}

#endif
