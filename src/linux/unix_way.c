/* UNIX addresses of callers. A path means what the caller sees under it, and it can be
 * exchanged at any time: the socket file is opened once, judged, and dialled through that
 * descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "linux/credentials.h"
#include "linux/dial.h"
#include "linux/judge.h"

static int open_path(int32_t tid, const char *path)
{
    char folder[64];
    int at = AT_FDCWD;

    if (path[0] != '/') {
        snprintf(folder, sizeof folder, "/proc/%d/cwd", tid);
        at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (at < 0) {
            return -errno;
        }
    }
    int descriptor = openat(at, path, O_PATH | O_CLOEXEC);
    if (descriptor < 0 && errno == EINTR) { /* a file system that asks a server; linux/patience.h */
        descriptor = openat(at, path, O_PATH | O_CLOEXEC);
    }
    int error = errno;
    if (at >= 0) {
        close(at);
    }
    /* cppcheck-suppress resourceLeak ; the caller closes it */
    return descriptor < 0 ? -error : descriptor;
}

/* An abstract name belongs to the socket's network namespace, and who holds it is asked in ours.
 * And its listener would see us (SO_PEERCRED): we must be no more than the caller. */
static bool shares_names(eg_supervisor *supervisor, const eg_work *work)
{
    eg_identity caller;
    return eg_network_of(work->socket) == supervisor->network && supervisor->network != 0 &&
           eg_identity_read(supervisor, work->tid, &caller) && eg_identity_is_ours(&caller);
}

int eg_unix_way_find(eg_supervisor *supervisor, const eg_endpoint *endpoint, const eg_work *work, eg_unix_way *out)
{
    int32_t tid = work->tid;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char path[sizeof un.sun_path + 1];

    out->path_descriptor = -1;
    out->address = work->address;
    out->length = work->address_length;
    if (endpoint->path_length == 0 || endpoint->path[0] == '\0') {
        return endpoint->path_length == 0 || shares_names(supervisor, work) ? 0 : -EACCES;
    }
    /* Our rights and our view of the files must be the caller's, or we would lend them ours. */
    if (!eg_target_shares_files(tid)) {
        return -EACCES;
    }
    memcpy(path, endpoint->path, endpoint->path_length);
    path[endpoint->path_length] = '\0';
    out->path_descriptor = open_path(tid, path);
    if (out->path_descriptor < 0) {
        return out->path_descriptor;
    }
    /* Not /proc/self: that is the main thread, whose descriptors are others. */
    snprintf(un.sun_path, sizeof un.sun_path, "/proc/thread-self/fd/%d", out->path_descriptor);
    memset(&out->address, 0, sizeof out->address);
    memcpy(&out->address, &un, sizeof un);
    out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(un.sun_path) + 1);
    return 0;
}

eg_reason eg_unix_way_judge(eg_supervisor *supervisor, const eg_work *work, const eg_dial *dial,
                            const eg_unix_way *way)
{
    eg_dial judged = *dial;
    eg_endpoint opened;

    if (way->path_descriptor < 0) {
        return eg_judge_dial(supervisor, work, dial);
    }
    /* By the spelling first, which is what an entry names; then by the file that was opened. */
    if (dial->endpoint->path[0] == '/' &&
        eg_allowlist_covers_unix(&supervisor->state->allowlist, dial->endpoint->path, dial->endpoint->path_length)) {
        return eg_judge_dial(supervisor, work, dial);
    }
    if (eg_endpoint_from_sockaddr(&opened, &way->address, way->length) != 0) {
        return EG_REFUSED_UNIX;
    }
    judged.endpoint = &opened;
    return eg_judge_dial(supervisor, work, &judged);
}
