/* Sending on the caller's behalf. Everything is copied first and judged from the copy; a
 * stream's bytes are not judged and go in pieces. */
#include "linux/send.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "core/dns.h"
#include "linux/dial.h"
#include "linux/hold.h"
#include "linux/question.h"
#include "linux/stub.h"

#define VECTORS_MAX 1024u /* UIO_MAXIOV */
#define TURN_US 1000      /* of a caller with many messages: then others have theirs */

/* One message as the caller describes it: addresses are the caller's. */
typedef struct remote_message {
    uint64_t name, vectors, control;
    size_t name_length, vector_count, control_length, payload_length;
    unsigned flags;
    bool inline_payload; /* sendto: `vectors` is the payload itself */
} remote_message;

/* The copy that is judged and sent. */
typedef struct local_message {
    eg_endpoint endpoint;
    struct sockaddr_storage name;
    socklen_t name_length;
    size_t payload_length; /* gathered; of a stream perhaps not all */
    size_t total;          /* as the caller asked */
    eg_unix_way way;
    bool has_payload;  /* it came with the name */
    bool more_to_come; /* it does not leave alone: MSG_MORE, UDP_CORK */
} local_message;

static eg_route route_of(const eg_work *work)
{
    return work->number == SYS_sendto ? EG_ROUTE_SENDTO : EG_ROUTE_SENDMSG;
}

/* Leave out what a stream has sent already. */
static void skip_bytes(struct iovec *vectors, size_t *count, size_t skip)
{
    size_t first = 0;
    while (first < *count && skip >= vectors[first].iov_len) {
        skip -= vectors[first++].iov_len;
    }
    memmove(vectors, vectors + first, (*count - first) * sizeof *vectors);
    *count -= first;
    if (*count > 0) {
        vectors[0].iov_base = (void *)((uintptr_t)vectors[0].iov_base + skip); /* a number, for us */
        vectors[0].iov_len -= skip;
    }
}

/* The destination and what is known so far of the payload: of sendto all of it, of the others
 * where it lies. */
static int copy_name(eg_supervisor *supervisor, const eg_work *work, const eg_socket_facts *facts,
                     const remote_message *remote, struct iovec *vectors, local_message *local)
{
    /* An empty name of sendto is none for a UNIX socket, and wrong for the others. */
    bool named =
        remote->name != 0 && (remote->name_length > 0 || (work->number == SYS_sendto && facts->family != AF_UNIX));
    eg_piece name = {remote->name, &local->name, named ? remote->name_length : 0};
    eg_piece rest = {remote->vectors, vectors, remote->vector_count * sizeof *vectors};

    local->way.path_descriptor = -1;
    local->name_length = (socklen_t)name.length;
    local->has_payload = remote->inline_payload && facts->type != SOCK_STREAM && remote->payload_length <= EG_PAYLOAD_MAX;
    if (named && name.length > sizeof local->name) {
        return -EINVAL;
    }
    if (remote->inline_payload) {
        vectors[0] = (struct iovec){(void *)(uintptr_t)remote->vectors, remote->payload_length};
        rest = (eg_piece){remote->vectors, supervisor->payload, local->has_payload ? remote->payload_length : 0};
    } else if (remote->vector_count > VECTORS_MAX) {
        rest.length = 0; /* said when the name is known */
    }
    memset(&local->name, 0, sizeof local->name);
    int rest_error, error = eg_target_read_both(work->tid, &name, &rest, &rest_error);
    /* The order of the kernel: a protocol looks at the name before the bytes, and after the vectors. */
    if (error == 0 && !remote->inline_payload) {
        error = rest_error;
    }
    if (facts->kind == EG_SOCKET_TCP && (remote->flags & EG_MSG_FASTOPEN) == 0) {
        local->name_length = 0; /* the kernel does not look at it either: what is connected was judged */
    } else if (error == 0 && named) {
        error = eg_endpoint_from_sockaddr(&local->endpoint, &local->name, remote->name_length);
    }
    return error != 0 ? error : rest_error;
}

static int copy_payload(eg_supervisor *supervisor, const eg_work *work, const eg_socket_facts *facts,
                        const remote_message *remote, struct iovec *vectors, local_message *local)
{
    size_t count = remote->vector_count;

    if (count > VECTORS_MAX) {
        return -EMSGSIZE;
    }
    local->total = 0;
    for (size_t i = 0; i < count; i++) {
        if (vectors[i].iov_len > SSIZE_MAX - local->total) {
            return -EINVAL;
        }
        local->total += vectors[i].iov_len;
    }
    bool stream = facts->type == SOCK_STREAM;
    if (!stream && local->total > EG_PAYLOAD_MAX) {
        return -EMSGSIZE;
    }
    if (local->has_payload) {
        local->payload_length = local->total;
        return 0;
    }
    skip_bytes(vectors, &count, work->bytes_sent);
    size_t rest = local->total - work->bytes_sent;
    size_t wanted = rest < EG_PAYLOAD_MAX ? rest : EG_PAYLOAD_MAX;
    ssize_t gathered = eg_target_gather(work->tid, vectors, count, supervisor->payload, wanted);
    if (gathered < 0) {
        return (int)gathered;
    }
    local->payload_length = (size_t)gathered;
    return local->payload_length == wanted || (stream && gathered > 0) ? 0 : -EFAULT;
}

static bool is_corked(int socket, const eg_socket_facts *facts)
{
    int corked = 0;
    socklen_t size = sizeof corked;
    bool udp = facts->kind == EG_SOCKET_UDP || facts->kind == EG_SOCKET_UDPLITE;
    return udp && getsockopt(socket, IPPROTO_UDP, UDP_CORK, &corked, &size) == 0 &&
           corked != 0;
}

/* The verdict about a destination; fills the address to use. */
static eg_reason judge_name(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts,
                            local_message *local, int *error)
{
    eg_dial dial = {.endpoint = &local->endpoint,
                    .action = EG_ACTION_SEND,
                    .socket = facts->kind,
                    .payload = supervisor->payload,
                    .payload_length = local->payload_length,
                    .more_to_come = local->more_to_come};

    *error = 0;
    if (local->endpoint.family != AF_UNIX) {
        return eg_judge_dial(supervisor, work, &dial);
    }
    if (work->path >= 0) { /* it waited for room with the file that was judged */
        local->name = work->address;
        local->name_length = work->address_length;
        return EG_ALLOWED;
    }
    work->address = local->name;
    work->address_length = local->name_length;
    *error = eg_unix_way_find(supervisor, &local->endpoint, work, &local->way);
    if (*error != 0) {
        return *error == -EACCES ? EG_REFUSED_UNIX : EG_ALLOWED;
    }
    eg_reason reason = eg_unix_way_judge(supervisor, work, &dial, &local->way);
    if (reason == EG_ALLOWED) { /* a refusal tells the name that the caller gave */
        local->name = local->way.address;
        local->name_length = local->way.length;
    }
    return reason;
}

static bool is_question(const eg_socket_facts *facts, const local_message *local)
{
    eg_dial dial = {.endpoint = &local->endpoint, .action = EG_ACTION_SEND, .socket = facts->kind};
    return local->name_length > 0 && local->endpoint.port == EG_DNS_PORT && eg_verdict_needs_payload(&dial);
}

/* A question whose answer we cannot see (another network): the guard asks it itself first, so
 * that what it is told is granted before the caller can dial. True where that is under way. */
static bool must_look_up(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts,
                         const local_message *local)
{
    if (work->asked || !is_question(facts, local) || eg_stub_reaches(supervisor, work->socket)) {
        return false;
    }
    work->asked = true;
    return eg_stub_look_up(supervisor, work, &local->endpoint, supervisor->payload, local->payload_length);
}

static eg_outcome conclude(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts,
                           const remote_message *remote, const local_message *local, ssize_t sent)
{
    int error = sent < 0 ? errno : 0;
    bool may_wait = (remote->flags & MSG_DONTWAIT) == 0;

    if (error == EAGAIN && may_wait && eg_socket_blocks(work->socket)) {
        if (facts->family == AF_UNIX && facts->type != SOCK_STREAM) {
            eg_hold_try_later(work); /* the peer's queue is full */
        }
        return eg_wait();
    }
    if (error != 0) {
        if (error == EPIPE && facts->type == SOCK_STREAM && (remote->flags & MSG_NOSIGNAL) == 0 &&
            work->bytes_sent == 0) {
            eg_target_sigpipe(&supervisor->targets, work->tid);
        }
        return work->bytes_sent > 0 ? eg_result((int64_t)work->bytes_sent) : eg_failure(error);
    }
    work->bytes_sent += (size_t)sent;
    if (facts->type == SOCK_STREAM && work->bytes_sent < local->total && may_wait && eg_socket_blocks(work->socket)) {
        return eg_wait(); /* one piece at a time: others wait, too */
    }
    return eg_result((int64_t)work->bytes_sent);
}

static eg_outcome send_copy(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts,
                            const remote_message *remote, local_message *local)
{
    eg_control control;
    size_t control_length = work->bytes_sent > 0 ? 0 : remote->control_length; /* goes with the first piece */
    int error = eg_control_read(supervisor, work, facts, remote->control, control_length, &control);
    eg_outcome outcome;

    if (error == 0 && is_question(facts, local)) {
        error = eg_control_keep_whole(supervisor, &control);
        if (error != 0) {
            eg_control_release(&control);
        }
    }
    if (error != 0) {
        return eg_failure(error);
    }
    struct iovec vector = {supervisor->payload, local->payload_length};
    struct msghdr message = {.msg_name = local->name_length == 0 ? NULL : &local->name,
                             .msg_namelen = local->name_length,
                             .msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.length == 0 ? NULL : supervisor->control,
                             .msg_controllen = control.length};
    /* Our copy is used again before the kernel would be done with it. */
    unsigned flags = (remote->flags & ~EG_MSG_ZEROCOPY) | MSG_DONTWAIT | MSG_NOSIGNAL;
    if (control.reason != EG_ALLOWED) {
        eg_endpoint nowhere = {.family = (uint16_t)eg_socket_family(work->socket)};
        outcome = eg_judge_refuse(supervisor, work, route_of(work), control.reason,
                                  local->name_length == 0 ? &nowhere : &local->endpoint);
    } else if (!eg_judge_still_waits(supervisor, work)) {
        outcome = eg_failure(EINTR);
    } else {
        ssize_t sent = eg_exempt_sendmsg(supervisor->exempt, work->socket, &message, (int)flags);
        if (sent < 0 && errno == EPERM && control.told) {
            message.msg_controllen = control.untold_length; /* root of a user namespace may not name pids of another */
            sent = eg_exempt_sendmsg(supervisor->exempt, work->socket, &message, (int)flags);
        }
        outcome = conclude(supervisor, work, facts, remote, local, sent);
    }
    eg_control_release(&control);
    return outcome;
}

/* A caller that asked for zero copies and waits for the kernel's notice would wait for ever:
 * ENOBUFS makes it copy (MSG_ZEROCOPY, Documentation/networking/msg_zerocopy.rst). */
static bool wants_zero_copy(int socket, unsigned flags)
{
    int enabled = 0;
    socklen_t size = sizeof enabled;
    return (flags & EG_MSG_ZEROCOPY) != 0 &&
           getsockopt(socket, SOL_SOCKET, 60 /* SO_ZEROCOPY */, &enabled, &size) == 0 && enabled != 0;
}

static eg_outcome send_one(eg_supervisor *supervisor, eg_work *work, const remote_message *remote)
{
    struct iovec vectors[VECTORS_MAX];
    eg_socket_facts facts;
    local_message local;
    eg_outcome outcome;
    eg_reason reason = EG_ALLOWED;

    if (work->question != 0) {
        return eg_question_go_on(supervisor, work);
    }
    int error = eg_socket_facts_read(work->socket, false, &facts);
    error = error != 0 ? error : copy_name(supervisor, work, &facts, remote, vectors, &local);
    error = error != 0 ? error : copy_payload(supervisor, work, &facts, remote, vectors, &local);
    if (error == 0 && wants_zero_copy(work->socket, remote->flags)) {
        error = -ENOBUFS;
    }
    if (error != 0) {
        return work->bytes_sent > 0 ? eg_result((int64_t)work->bytes_sent) : eg_failure(error);
    }
    if (local.name_length > 0 && local.endpoint.family == AF_UNIX && work->path < 0 &&
        eg_judge_must_rest(supervisor, &local.endpoint)) {
        work->address_length = local.name_length; /* it has a name to be judged */
        eg_hold_try_later(work);
        return eg_wait();
    }
    if (local.name_length > 0) {
        local.more_to_come = (remote->flags & MSG_MORE) != 0 || is_corked(work->socket, &facts);
        reason = judge_name(supervisor, work, &facts, &local, &error);
    }
    if (reason != EG_ALLOWED) {
        outcome = eg_judge_refuse(supervisor, work, route_of(work), reason, &local.endpoint);
    } else if (error != 0) {
        outcome = eg_failure(error);
    } else if ((remote->flags & EG_MSG_FASTOPEN) != 0) {
        outcome = eg_failure(EOPNOTSUPP); /* callers then connect (tcp(7)) */
    } else if (must_look_up(supervisor, work, &facts, &local)) {
        outcome = eg_wait();
    } else {
        outcome = send_copy(supervisor, work, &facts, remote, &local);
        if (!outcome.waits && outcome.error == 0 && is_question(&facts, &local) &&
            eg_question_sent(supervisor, work, &local.endpoint, supervisor->payload, local.payload_length)) {
            outcome = eg_wait();
        }
    }
    if (outcome.waits) {
        eg_unix_way_keep(supervisor, work, &local.way);
    } else {
        eg_unix_way_drop(supervisor, work); /* the next message of sendmmsg has a destination of its own */
    }
    if (local.way.path_descriptor >= 0) {
        close(local.way.path_descriptor);
    }
    return outcome;
}

static void from_header(const struct msghdr *header, unsigned flags, remote_message *out)
{
    *out = (remote_message){.name = (uint64_t)(uintptr_t)header->msg_name,
                            .name_length = header->msg_namelen,
                            .vectors = (uint64_t)(uintptr_t)header->msg_iov,
                            .vector_count = header->msg_iovlen,
                            .control = (uint64_t)(uintptr_t)header->msg_control,
                            .control_length = header->msg_control == NULL ? 0 : header->msg_controllen,
                            .flags = flags};
    if (out->name_length > sizeof(struct sockaddr_storage) && out->name_length <= INT_MAX) {
        out->name_length = sizeof(struct sockaddr_storage); /* as the kernel cuts it */
    }
}

static eg_outcome send_many(eg_supervisor *supervisor, eg_work *work)
{
    unsigned count = (unsigned)work->arguments[2];
    int64_t started = eg_now_us();

    count = count < VECTORS_MAX ? count : VECTORS_MAX;
    while (work->messages_sent < count) {
        struct mmsghdr header = {0};
        remote_message remote;
        uint64_t at = work->arguments[1] + sizeof header * work->messages_sent;
        int error = eg_target_read(work->tid, at, &header, sizeof header);
        if (error != 0) {
            return eg_send_cut_short(work, -error);
        }
        from_header(&header.msg_hdr, (unsigned)work->arguments[3], &remote);
        eg_outcome outcome = send_one(supervisor, work, &remote);
        if (outcome.waits) {
            return outcome;
        }
        if (outcome.error != 0) {
            return work->messages_sent > 0 ? eg_result(work->messages_sent) : outcome;
        }
        unsigned sent = (unsigned)outcome.value;
        error = eg_target_write(work->tid, at + offsetof(struct mmsghdr, msg_len), &sent, sizeof sent);
        if (error != 0) {
            return eg_send_cut_short(work, -error);
        }
        work->messages_sent++;
        work->bytes_sent = 0;
        work->asked = false;
        if (work->messages_sent < count && eg_now_us() - started > TURN_US) {
            eg_hold_yield(supervisor, work);
            return eg_wait();
        }
    }
    return eg_result(work->messages_sent);
}

eg_outcome eg_send_cut_short(const eg_work *work, int error)
{
    if (work->messages_sent > 0) {
        return eg_result(work->messages_sent);
    }
    if (work->number == SYS_sendmmsg) {
        return eg_failure(error); /* the result would be a number of messages */
    }
    return work->bytes_sent > 0 ? eg_result((int64_t)work->bytes_sent) : eg_failure(error);
}

eg_outcome eg_send_run(eg_supervisor *supervisor, eg_work *work)
{
    remote_message remote = {0};
    struct msghdr header;

    work->by_timer = false;
    if (work->socket < 0) {
        work->socket = eg_target_descriptor(&supervisor->targets, work->tid, work->id, (int)work->arguments[0]);
    }
    if (work->socket == -EACCES) {
        return eg_judge_refuse_caller(supervisor, work, route_of(work));
    }
    if (work->socket < 0) {
        return eg_failure(work->socket);
    }
    if (work->number == SYS_sendmmsg) {
        return send_many(supervisor, work);
    }
    if (work->number == SYS_sendmsg) {
        int error = eg_target_read(work->tid, work->arguments[1], &header, sizeof header);
        if (error != 0) {
            return eg_failure(error);
        }
        from_header(&header, (unsigned)work->arguments[2], &remote);
        return send_one(supervisor, work, &remote);
    }
    remote = (remote_message){.name = work->arguments[4],
                              .name_length = work->arguments[5] & 0xffffffffu,
                              .vectors = work->arguments[1],
                              .vector_count = 1,
                              .payload_length = work->arguments[2],
                              .flags = (unsigned)work->arguments[3],
                              .inline_payload = true};
    return send_one(supervisor, work, &remote);
}
