/* Some resolvers take an answer only from the address that they asked (c-ares, glibc before
 * 2.35), and a socket that was connected to the stub hears from the stub's. So what lies in
 * it is received for the caller, and the nameserver is written as its source. Nothing is
 * judged here: to receive names no peer. */
#include "linux/receive.h"

#include <errno.h>

#include "linux/stub.h"

#define FLAGS_KNOWN (MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_NOSIGNAL | MSG_WAITALL)

/* Write the source as recvfrom(2) does: cut to the caller's room, with its whole length. */
static int write_source(const eg_work *work, const eg_endpoint *nameserver, int room)
{
    struct sockaddr_storage address;
    int length = (int)eg_endpoint_to_sockaddr(nameserver, &address);

    int error = eg_target_write(work->tid, work->arguments[4], &address, (size_t)(room < length ? room : length));
    return error != 0 ? error : eg_target_write(work->tid, work->arguments[5], &length, sizeof length);
}

static eg_outcome receive(eg_supervisor *supervisor, const eg_work *work, const eg_endpoint *nameserver, int room)
{
    unsigned flags = (unsigned)work->arguments[3];
    size_t wanted = work->arguments[2] < EG_PAYLOAD_MAX ? work->arguments[2] : EG_PAYLOAD_MAX;

    ssize_t whole = recv(work->socket, supervisor->payload, wanted, (int)flags | MSG_DONTWAIT | MSG_TRUNC);
    if (whole < 0) {
        /* Who waits goes on waiting, and hears from the stub: resolvers look with poll first. */
        return errno == EAGAIN ? eg_proceed() : eg_failure(errno);
    }
    size_t taken = (size_t)whole < wanted ? (size_t)whole : wanted;
    int error = eg_target_write(work->tid, work->arguments[1], supervisor->payload, taken);
    error = error != 0 ? error : write_source(work, nameserver, room);
    return error != 0 ? eg_failure(error) : eg_result((flags & MSG_TRUNC) != 0 ? whole : (ssize_t)taken);
}

eg_outcome eg_receive(eg_supervisor *supervisor, eg_work *work)
{
    int room = 0;

    if (!eg_stub_has_datagrams(supervisor->stub) || ((unsigned)work->arguments[3] & ~(unsigned)FLAGS_KNOWN) != 0) {
        return eg_proceed();
    }
    work->socket = eg_target_descriptor(&supervisor->targets, work->tid, work->id, (int)work->arguments[0]);
    const eg_endpoint *nameserver = work->socket < 0 ? NULL : eg_stub_stands_for(supervisor, work->socket);
    if (nameserver == NULL || eg_target_read(work->tid, work->arguments[5], &room, sizeof room) != 0 || room < 0) {
        return eg_proceed(); /* what is amiss, the kernel says */
    }
    if (!eg_judge_still_waits(supervisor, work)) {
        return eg_failure(EINTR);
    }
    return receive(supervisor, work, nameserver, room);
}
