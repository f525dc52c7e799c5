/* connect on the caller's behalf. Never a blocking call: one that has to wait is started
 * and held, and its end is fetched by a second connect, as connect(2) describes it. */
#include "linux/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

#include "core/relook.h"
#include "linux/hold.h"
#include "linux/judge.h"
#include "linux/look_again.h"
#include "linux/patience.h"
#include "linux/stub.h"

/* One connect that does not wait: 0 / -errno. O_NONBLOCK belongs to the open socket, which
 * the caller shares, so it is put back at once; and left alone where the kernel never waits:
 * a datagram socket only notes the address (udp(7); unix_dgram_connect in net/unix/af_unix.c
 * finds the peer and waits for no queue). */
static int connect_now(const eg_supervisor *supervisor, const eg_socket_facts *facts, int socket, const void *address,
                       socklen_t length)
{
    int flags = facts->type == SOCK_DGRAM ? O_NONBLOCK : fcntl(socket, F_GETFL);
    bool blocking = (flags & O_NONBLOCK) == 0;

    if (flags < 0 || (blocking && fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0)) {
        return -errno;
    }
    eg_patience_begin();
    int error = eg_exempt_connect(supervisor->exempt, socket, address, length) == 0 ? 0 : -errno;
    if (blocking && error == -EINPROGRESS) {
        /* A near peer has answered already: that spares the round over the held calls. */
        error = eg_exempt_connect(supervisor->exempt, socket, address, length) == 0 ? 0 : -errno;
        error = error == -EALREADY ? -EINPROGRESS : error;
    }
    eg_patience_end();
    if (blocking) {
        fcntl(socket, F_SETFL, flags);
    }
    if (error == -EINTR) { /* another thread took O_NONBLOCK away: as if it had not */
        error = facts->family == AF_UNIX ? -EAGAIN : -EINPROGRESS;
    }
    return error;
}

/* Under way and the caller waits: hold it. Else the answer. */
static eg_outcome conclude(eg_work *work, const eg_socket_facts *facts, int error)
{
    bool backlog_full = facts->family == AF_UNIX && error == -EAGAIN;
    bool under_way = error == -EINPROGRESS || (error == -EALREADY && facts->type == SOCK_STREAM);

    /* One that is held did wait when its call began. */
    if ((!backlog_full && !under_way) || (!work->started && work->path < 0 && !eg_socket_blocks(work->socket))) {
        return error == 0 ? eg_result(0) : eg_failure(error);
    }
    if (backlog_full) {
        eg_hold_try_later(work); /* nothing that poll could tell */
    }
    work->started = work->started || under_way;
    return eg_wait();
}

static bool is_fresh_datagram(int socket, const eg_socket_facts *facts)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    eg_endpoint endpoint;

    return facts->kind == EG_SOCKET_UDP && getsockname(socket, (struct sockaddr *)&own, &size) == 0 &&
           eg_endpoint_from_sockaddr(&endpoint, &own, size) == 0 && endpoint.port == 0;
}

/* libc sorts addresses by connecting fresh UDP sockets and asking for their own address.
 * With port 0, which names no service, that is granted on a socket that can send no more. */
static eg_outcome probe(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts,
                        const eg_endpoint *endpoint)
{
    if (!eg_judge_still_waits(supervisor, work)) {
        return eg_failure(EINTR);
    }
    if (endpoint->port == 0 && shutdown(work->socket, SHUT_WR) != 0 && errno == ENOTCONN) {
        int error = connect_now(supervisor, facts, work->socket, &work->address, work->address_length);
        if (error == 0) {
            shutdown(work->socket, SHUT_WR);
        }
        return error == 0 ? eg_result(0) : eg_failure(error);
    }
    atomic_fetch_add_explicit(&supervisor->counts->probes, 1, memory_order_relaxed);
    if (eg_address_class(&endpoint->address) != EG_CLASS_LOOPBACK) {
        atomic_fetch_add_explicit(&supervisor->counts->probes_elsewhere, 1, memory_order_relaxed);
    }
    return eg_failure(EACCES);
}

static eg_outcome dial_unix(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts,
                            const eg_dial *dial)
{
    eg_unix_way way;
    eg_outcome outcome;

    if (eg_judge_must_rest(supervisor, dial->endpoint)) {
        eg_hold_try_later(work);
        return eg_wait();
    }
    int error = eg_unix_way_find(supervisor, dial->endpoint, work, &way);

    if (error == -EACCES) {
        return eg_judge_refuse(supervisor, work, EG_ROUTE_CONNECT, EG_REFUSED_UNIX, dial->endpoint);
    }
    if (error < 0) {
        return eg_failure(error);
    }
    eg_reason reason = eg_unix_way_judge(supervisor, work, dial, &way);
    if (reason != EG_ALLOWED) {
        outcome = eg_judge_refuse(supervisor, work, EG_ROUTE_CONNECT, reason, dial->endpoint);
    } else if (!eg_judge_still_waits(supervisor, work)) {
        outcome = eg_failure(EINTR);
    } else {
        outcome = conclude(work, facts, connect_now(supervisor, facts, work->socket, &way.address, way.length));
    }
    if (outcome.waits) {
        eg_unix_way_keep(supervisor, work, &way);
    }
    if (way.path_descriptor >= 0) {
        close(way.path_descriptor);
    }
    return outcome;
}

/* Not allowed. A refusal leaves the socket alone, so it does not ask whether the caller still
 * waits: whoever was killed meanwhile is told nothing. */
static eg_outcome refuse(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts, const eg_dial *dial,
                         eg_reason reason)
{
    const eg_endpoint *endpoint = dial->endpoint;
    bool ip = endpoint->family == AF_INET || endpoint->family == AF_INET6;

    if (ip && is_fresh_datagram(work->socket, facts)) {
        return probe(supervisor, work, facts, endpoint);
    }
    if (reason == EG_REFUSED_NOT_LISTED && eg_relook_may_help(supervisor->state, endpoint->port) &&
        eg_look_again(supervisor, work, endpoint, eg_socket_blocks(work->socket))) {
        work->by_timer = true;
        return eg_wait();
    }
    return eg_judge_refuse(supervisor, work, EG_ROUTE_CONNECT, reason, endpoint);
}

/* Judged and allowed, or answered here. */
static eg_outcome dial_judged(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts,
                              const eg_dial *dial)
{
    eg_reason reason = eg_judge_dial(supervisor, work, dial);
    bool to_stub = reason != EG_ALLOWED && eg_judge_is_nameserver(dial->endpoint);

    if (reason != EG_ALLOWED && !to_stub) {
        return refuse(supervisor, work, facts, dial, reason);
    }
    if (!eg_judge_still_waits(supervisor, work)) {
        return eg_failure(EINTR);
    }
    /* Its questions are read before they leave. The redirected address is dialled below. */
    if (to_stub && eg_stub_redirect(supervisor, work, facts, dial->endpoint) != 0) {
        return eg_judge_refuse(supervisor, work, EG_ROUTE_CONNECT, EG_REFUSED_NAMESERVER, dial->endpoint);
    }
    int error = connect_now(supervisor, facts, work->socket, &work->address, work->address_length);
    if (to_stub && (error == 0 || error == -EINPROGRESS)) {
        eg_stub_note_client(supervisor, work, dial->endpoint);
    }
    return conclude(work, facts, error);
}

static bool is_ip(const eg_work *work)
{
    return work->address.ss_family == AF_INET || work->address.ss_family == AF_INET6;
}

static eg_outcome start(eg_supervisor *supervisor, eg_work *work)
{
    eg_socket_facts facts;
    eg_endpoint endpoint;
    uint64_t length = work->arguments[2] & 0xffffffffu;

    if (work->socket < 0) {
        work->socket = eg_target_descriptor(&supervisor->targets, work->tid, work->id, (int)work->arguments[0]);
    }
    if (work->socket < 0 && work->socket != -EACCES) {
        return eg_failure(work->socket);
    }
    if (length > sizeof work->address) {
        return eg_failure(EINVAL);
    }
    int error = eg_target_read(work->tid, work->arguments[1], &work->address, length);
    if (error == -EACCES) {
        return eg_judge_refuse_caller(supervisor, work, EG_ROUTE_CONNECT);
    }
    if (error != 0) {
        return eg_failure(error);
    }
    work->address_length = (socklen_t)length;
    error = work->socket < 0 ? 0 : eg_socket_facts_read(work->socket, is_ip(work), &facts);
    if (error == 0) {
        error = eg_endpoint_from_sockaddr(&endpoint, &work->address, length);
    }
    if (error != 0) {
        return eg_failure(error);
    }
    if (work->socket < 0) {
        return eg_judge_refuse(supervisor, work, EG_ROUTE_CONNECT, EG_REFUSED_CALLER, &endpoint);
    }
    eg_dial dial = {.endpoint = &endpoint, .action = EG_ACTION_CONNECT, .socket = facts.kind};
    if (endpoint.family == AF_UNIX) {
        return dial_unix(supervisor, work, &facts, &dial);
    }
    return dial_judged(supervisor, work, &facts, &dial);
}

/* What is under way has ended, or a full backlog may have room. The address is the copy that
 * was judged, or leads to the file that was; an abstract name can change hands, and starts anew. */
static eg_outcome finish(eg_supervisor *supervisor, eg_work *work)
{
    eg_socket_facts facts;
    int error = eg_socket_facts_read(work->socket, is_ip(work), &facts);

    if (error != 0) {
        return eg_failure(error);
    }
    return conclude(work, &facts, connect_now(supervisor, &facts, work->socket, &work->address, work->address_length));
}

void eg_unix_way_keep(eg_supervisor *supervisor, eg_work *work, eg_unix_way *way)
{
    if (way->path_descriptor >= 0 && supervisor->kept_paths < EG_KEPT_PATHS_MAX) {
        supervisor->kept_paths++;
        work->path = way->path_descriptor;
        work->address = way->address;
        work->address_length = way->length;
        way->path_descriptor = -1;
    }
}

void eg_unix_way_drop(eg_supervisor *supervisor, eg_work *work)
{
    if (work->path >= 0) {
        supervisor->kept_paths--;
        close(work->path);
        work->path = -1;
    }
}

eg_outcome eg_dial_run(eg_supervisor *supervisor, eg_work *work)
{
    work->by_timer = false;
    return work->started || work->path >= 0 ? finish(supervisor, work) : start(supervisor, work);
}
