/* Control messages (cmsg(3)). Parsed as the kernel parses them; what does not fit is EINVAL. */
#include <errno.h>
#include <string.h>

#include "core/dns.h"
#include "linux/send.h"

void eg_control_release(eg_control *control)
{
    for (size_t i = 0; i < control->descriptor_count; i++) {
        close(control->descriptors[i]);
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
    eg_reason reason = eg_verdict_for_control_message(header->cmsg_level, header->cmsg_type);
    if (reason != EG_ALLOWED) {
        control->reason = reason;
    }
    return 0;
}

int eg_control_read(eg_supervisor *supervisor, const eg_work *work, const eg_socket_facts *facts, uint64_t from,
                    size_t length, eg_control *out)
{
    unsigned char *bytes = supervisor->control;
    int error = 0;

    out->length = length;
    out->end = 0;
    out->descriptor_count = 0;
    out->reason = EG_ALLOWED;
    if (length == 0) {
        return 0;
    }
    if (length > EG_CONTROL_MAX) {
        return -ENOBUFS;
    }
    error = eg_target_read(work->tid, from, bytes, length);
    for (size_t at = 0; error == 0 && at + sizeof(struct cmsghdr) <= length;) {
        struct cmsghdr header;
        memcpy(&header, bytes + at, sizeof header);
        if (header.cmsg_len < sizeof header || header.cmsg_len > length - at) {
            error = -EINVAL;
            break;
        }
        error = read_one(supervisor, work, facts, bytes + at, &header, out);
        at += CMSG_ALIGN(header.cmsg_len);
        out->end = at;
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
