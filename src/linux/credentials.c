/* Credentials of callers, for messages on UNIX sockets (unix(7): SCM_CREDENTIALS). */
#include "linux/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* <linux/pidfd.h> of Linux 6.13. */
#define PIDFD_GET_INFO 0xc040ff0bu
#define INFO_CREDENTIALS (1u << 1)
struct pidfd_info_of_linux {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};

static bool read_by_pidfd(eg_supervisor *supervisor, int32_t tid, eg_identity *out)
{
    struct pidfd_info_of_linux info = {.mask = INFO_CREDENTIALS};
    int pidfd = supervisor->targets.lender != NULL ? -1 : eg_target_pidfd(&supervisor->targets, tid);

    if (pidfd < 0 || eg_exempt_ioctl(supervisor->exempt, pidfd, PIDFD_GET_INFO, &info) != 0 ||
        (info.mask & INFO_CREDENTIALS) == 0 || info.pid != (uint32_t)tid) {
        return false;
    }
    *out = (eg_identity){.pid = (int32_t)info.tgid,
                         .uids = {info.ruid, info.euid, info.suid},
                         .gids = {info.rgid, info.egid, info.sgid}};
    return true;
}

bool eg_identity_read(eg_supervisor *supervisor, int32_t tid, eg_identity *out)
{
    eg_target_status status;

    if (read_by_pidfd(supervisor, tid, out)) {
        return true;
    }
    if (!eg_target_status_read(tid, &status)) {
        return false;
    }
    out->pid = status.tgid;
    memcpy(out->uids, status.uids, sizeof out->uids);
    memcpy(out->gids, status.gids, sizeof out->gids);
    return true;
}

bool eg_identity_is_ours(const eg_identity *identity)
{
    return identity->pid == getpid() || (identity->uids[1] == geteuid() && identity->gids[1] == getegid());
}

bool eg_identity_may_be_told(void)
{
    return geteuid() == 0;
}

static bool is_one_of(uint32_t id, const uint32_t ids[3])
{
    return id == ids[0] || id == ids[1] || id == ids[2];
}

/* Numbers of another user namespace cannot be compared with ours. */
static bool shares_user_namespace(int32_t tid)
{
    char path[64];
    struct stat ours, theirs;

    snprintf(path, sizeof path, "/proc/%d/ns/user", tid);
    return stat("/proc/self/ns/user", &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino;
}

int eg_credentials_judge(eg_supervisor *supervisor, int32_t tid, const struct ucred *claimed, struct ucred *out)
{
    eg_target_status status;
    eg_identity caller;

    if (!eg_identity_read(supervisor, tid, &caller) || !eg_target_status_read(tid, &status)) {
        return -EPERM;
    }
    *out = (struct ucred){.pid = caller.pid, .uid = caller.uids[0], .gid = caller.gids[0]};
    if (!shares_user_namespace(tid)) {
        return 0;
    }
    bool own = (claimed->pid == caller.pid || claimed->pid == status.inner_pid) &&
               is_one_of(claimed->uid, caller.uids) && is_one_of(claimed->gid, caller.gids);
    if (!own && caller.uids[1] != 0) {
        return -EPERM;
    }
    out->uid = claimed->uid;
    out->gid = claimed->gid;
    out->pid = own ? caller.pid : claimed->pid; /* root's claims are for the kernel to judge */
    return 0;
}
