/* Control messages (cmsg(3)). Parsed as the kernel parses them; what does not fit is EINVAL. */
#include <errno.h>
#include <string.h>

#include "core/dns.h"
#include "linux/credentials.h"
#include "linux/patience.h"
#include "linux/send.h"

void eg_control_release(eg_control *control)
{
    for (size_t i = 0; i < control->descriptor_count; i++) {
        eg_patience_close(control->descriptors[i]);
    }
    control->descriptor_count = 0;
}

/* The numbers mean the caller's descriptors: exchange them for ours. */
static int exchange_descriptors(eg_supervisor *supervisor, const eg_work *work, unsigned char *at, size_t size,
                                eg_control *control)
{
    for (size_t offset = 0; offset + sizeof(int) <= size; offset += sizeof(int)) {
        int theirs;
        if (control->descriptor_count == sizeof control->descriptors / sizeof control->descriptors[0]) {
            return -EINVAL; /* SCM_MAX_FD is 253 */
        }
        memcpy(&theirs, at + offset, sizeof theirs);
        int ours = eg_target_descriptor(&supervisor->targets, work->tid, work->id, theirs);
        if (ours < 0) {
            return ours;
        }
        control->descriptors[control->descriptor_count++] = ours;
        memcpy(at + offset, &ours, sizeof ours);
    }
    return 0;
}

static int read_one(eg_supervisor *supervisor, const eg_work *work, const eg_socket_facts *facts,
                    unsigned char *bytes, const struct cmsghdr *header, eg_control *control)
{
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        if (facts->family == AF_UNIX) {
            return exchange_descriptors(supervisor, work, bytes + sizeof *header, header->cmsg_len - sizeof *header,
                                        control);
        }
        return -EINVAL; /* elsewhere they would name descriptors of ours */
    }
    if (header->cmsg_level == SOL_SOCKET && (header->cmsg_type == SO_MARK || header->cmsg_type == SO_PRIORITY)) {
        eg_identity caller;
        /* The kernel asks for the rights of whoever sends, and these can be more than the caller's. */
        if (!eg_identity_read(supervisor, work->tid, &caller) || !eg_identity_is_ours(&caller)) {
            return -EPERM;
        }
    }
    eg_reason reason = eg_verdict_for_control_message(header->cmsg_level, header->cmsg_type);
    if (reason != EG_ALLOWED) {
        control->reason = reason;
    }
    return 0;
}

/* The caller's credentials behind the other messages, as it claimed them or, where we are another
 * process, as they are: the receiver would see ours. Where we may not say who it is, nothing. */
static int add_credentials(eg_supervisor *supervisor, const eg_work *work, const struct ucred *claimed,
                           eg_control *out)
{
    struct ucred told = {0};
    eg_identity caller;
    struct cmsghdr header = {.cmsg_len = CMSG_LEN(sizeof told), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};

    if (claimed != NULL) {
        int error = eg_credentials_judge(supervisor, work->tid, claimed, &told);
        if (error != 0 || (told.pid != getpid() && !eg_identity_may_be_told())) {
            return error;
        }
    } else {
        if (!eg_identity_may_be_told() || !eg_identity_read(supervisor, work->tid, &caller) ||
            caller.pid == getpid()) {
            return 0;
        }
        told = (struct ucred){.pid = caller.pid, .uid = caller.uids[0], .gid = caller.gids[0]};
        out->told = eg_identity_is_ours(&caller);
        out->untold_length = out->length;
    }
    if (out->end + CMSG_SPACE(sizeof told) > EG_CONTROL_MAX) {
        return -ENOBUFS;
    }
    memset(supervisor->control + out->end, 0, CMSG_SPACE(sizeof told));
    memcpy(supervisor->control + out->end, &header, sizeof header);
    memcpy(supervisor->control + out->end + CMSG_LEN(0), &told, sizeof told);
    out->length = out->end = out->end + CMSG_SPACE(sizeof told);
    return 0;
}

/* Read and judge one after the other; what is to be sent moves to the front. */
static int read_all(eg_supervisor *supervisor, const eg_work *work, const eg_socket_facts *facts, size_t length,
                    struct ucred *claimed, bool *claims, eg_control *out)
{
    unsigned char *bytes = supervisor->control;

    for (size_t at = 0; at + sizeof(struct cmsghdr) <= length;) {
        struct cmsghdr header;
        memcpy(&header, bytes + at, sizeof header);
        if (header.cmsg_len < sizeof header || header.cmsg_len > length - at) {
            return -EINVAL;
        }
        size_t space = CMSG_ALIGN(header.cmsg_len) < length - at ? CMSG_ALIGN(header.cmsg_len) : length - at;
        if (facts->family == AF_UNIX && header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_CREDENTIALS) {
            if (header.cmsg_len != CMSG_LEN(sizeof *claimed)) {
                return -EINVAL;
            }
            memcpy(claimed, bytes + at + CMSG_LEN(0), sizeof *claimed);
            *claims = true;
        } else {
            int error = read_one(supervisor, work, facts, bytes + at, &header, out);
            if (error != 0) {
                return error;
            }
            memmove(bytes + out->end, bytes + at, space);
            out->end += space;
        }
        at += CMSG_ALIGN(header.cmsg_len);
    }
    return 0;
}

int eg_control_read(eg_supervisor *supervisor, const eg_work *work, const eg_socket_facts *facts, uint64_t from,
                    size_t length, eg_control *out)
{
    struct ucred claimed = {0};
    bool claims = false;

    out->length = out->end = out->descriptor_count = 0;
    out->reason = EG_ALLOWED;
    out->told = false;
    if (length > EG_CONTROL_MAX) {
        return -ENOBUFS;
    }
    int error = eg_target_read(work->tid, from, supervisor->control, length);
    if (error == 0) {
        error = read_all(supervisor, work, facts, length, &claimed, &claims, out);
    }
    out->end = CMSG_ALIGN(out->end);
    out->length = out->end;
    if (error == 0 && facts->family == AF_UNIX) {
        error = add_credentials(supervisor, work, claims ? &claimed : NULL, out);
    }
    if (error != 0) {
        eg_control_release(out);
    }
    return error;
}

int eg_control_keep_whole(eg_supervisor *supervisor, eg_control *control)
{
    if (control->end + EG_UNCUT_SIZE > EG_CONTROL_MAX) {
        return -ENOBUFS;
    }
    /* Behind the last one that the kernel would read: what is left over there shall not become part of another. */
    eg_dns_uncut(supervisor->control + control->end);
    control->length = control->end + EG_UNCUT_SIZE;
    return 0;
}
