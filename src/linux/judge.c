/* The way to the core and back. Nothing here decides. */
#include "linux/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "core/dns.h"
#include "core/lookup.h"
#include "core/machine.h"
#include "core/relook.h"

#define OWNERS_DEAR_US 10000

int eg_socket_family(int socket)
{
    int family = AF_UNSPEC;
    socklen_t size = sizeof family;
    return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 ? family : AF_UNSPEC;
}

/* Only TCP sockets, and MPTCP's, answer for TCP: one question where the others take two. */
static bool speaks_tcp(int socket)
{
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &value, &size) == 0;
}

int eg_socket_facts_read(int socket, bool likely_tcp, eg_socket_facts *out)
{
    socklen_t size = sizeof out->type;

    *out = (eg_socket_facts){.family = AF_INET, .type = SOCK_STREAM, .protocol = IPPROTO_TCP, .kind = EG_SOCKET_TCP};
    if (likely_tcp && speaks_tcp(socket)) {
        return 0;
    }
    if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &out->type, &size) != 0) {
        return -errno;
    }
    size = sizeof out->protocol;
    if (getsockopt(socket, SOL_SOCKET, SO_PROTOCOL, &out->protocol, &size) != 0) {
        return -errno;
    }
    /* No other family has streams of this protocol: one question less. */
    if (out->type != SOCK_STREAM || out->protocol != IPPROTO_TCP) {
        out->family = eg_socket_family(socket);
    }
    out->kind = eg_socket_kind_of(out->family, out->type, out->protocol);
    return 0;
}

bool eg_socket_blocks(int socket)
{
    int flags = fcntl(socket, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

/* libc finds names in /etc/hosts without asking anybody. Where few names open the port, their
 * lines there are granted; the file is read once a second at most. */
static bool look_at_hosts(eg_supervisor *supervisor, int port)
{
    uint32_t records[EG_NAMES_FOR_PORT_MAX];
    eg_address addresses[32];
    eg_name name;
    eg_name_match match;
    int64_t now = eg_now_ms();
    const eg_allowlist *list = &supervisor->state->allowlist;
    bool granted = false;

    if (!eg_relook_may_help(supervisor->state, port) || now < supervisor->hosts_again_ms) {
        return false;
    }
    supervisor->hosts_again_ms = now + 1000;
    size_t count = eg_allowlist_names_for_port(list, port, records);
    for (size_t i = 0; i < count; i++) {
        const char *text = eg_allowlist_record_text(list, records[i]);
        if (!eg_name_normalise(text, strlen(text), &name) ||
            eg_allowlist_match_name(list, &name, EG_ANY_PORT, &match) != EG_MATCH_LISTED) {
            continue;
        }
        size_t found = eg_machine_hosts_addresses(&name, addresses, 32);
        for (size_t j = 0; j < found; j++) {
            granted = eg_lookup_accept(supervisor->state, &match, &addresses[j]) || granted;
        }
    }
    return granted;
}

/* The owner of a UNIX address is looked for in /proc, in this loop: 100 ms where a process of
 * the family has 19,000 descriptors. After such a search everybody else has twice its time. */
static eg_reason judge_unix(eg_supervisor *supervisor, const eg_dial *dial)
{
    int64_t started = eg_now_us();
    eg_reason reason = eg_verdict_for_dial(supervisor->state, dial);
    int64_t ended = eg_now_us();

    if (ended - started > OWNERS_DEAR_US) {
        supervisor->owners_again_ms = (ended + 2 * (ended - started)) / 1000;
    }
    return reason;
}

bool eg_judge_must_rest(const eg_supervisor *supervisor, const eg_endpoint *endpoint)
{
    return eg_now_ms() < supervisor->owners_again_ms &&
           !eg_allowlist_covers_unix(&supervisor->state->allowlist, endpoint->path, endpoint->path_length);
}

eg_reason eg_judge_dial(eg_supervisor *supervisor, const eg_work *work, const eg_dial *dial)
{
    eg_dial judged = *dial;
    uint16_t family = dial->endpoint->family;

    if (family == AF_UNIX) {
        return judge_unix(supervisor, dial);
    }
    judged.loopback_open = supervisor->capability && (family == AF_INET || family == AF_INET6) &&
                           eg_address_is_test_loopback(&dial->endpoint->address) &&
                           eg_threads_has(&supervisor->state->threads, work->tid);
    eg_reason reason = eg_verdict_for_dial(supervisor->state, &judged);
    if (reason == EG_REFUSED_NOT_LISTED && look_at_hosts(supervisor, dial->endpoint->port)) {
        reason = eg_verdict_for_dial(supervisor->state, &judged);
    }
    return reason;
}

static void keep(eg_supervisor *supervisor, int32_t tid, eg_violation *violation)
{
    atomic_fetch_add_explicit(&supervisor->counts->refused, 1, memory_order_relaxed);
    violation->flags = EG_VIOLATION_KERNEL;
    violation->tid = tid;
    if (tid != 0) {
        eg_target_who(&supervisor->targets, tid, &violation->pid, violation->program);
    }
    violation->pid = violation->pid != 0 ? violation->pid : tid;
    eg_journal_add(supervisor->state->journal, violation);
    atomic_store(&supervisor->counts->last, violation->number);
    atomic_fetch_add(&supervisor->counts->news, 1);
}

eg_outcome eg_judge_refuse(eg_supervisor *supervisor, const eg_work *work, eg_route route, eg_reason reason,
                           const eg_endpoint *endpoint)
{
    eg_violation violation;
    char host[EG_ENDPOINT_TEXT_SIZE];
    bool ip = endpoint->family == AF_INET || endpoint->family == AF_INET6;

    memset(&violation, 0, sizeof violation);
    eg_endpoint_host_text(endpoint, host);
    snprintf(violation.host, sizeof violation.host, "%s", host);
    violation.port = ip ? endpoint->port : EG_NO_PORT;
    violation.route = (uint16_t)route;
    violation.reason = (uint16_t)reason;
    keep(supervisor, work->tid, &violation);
    return eg_failure(EACCES);
}

void eg_judge_refuse_call(eg_supervisor *supervisor, int32_t tid, eg_route route, eg_reason reason, const char *what)
{
    eg_violation violation;

    memset(&violation, 0, sizeof violation);
    snprintf(violation.host, sizeof violation.host, "%s", what);
    violation.port = EG_NO_PORT;
    violation.route = (uint16_t)route;
    violation.reason = (uint16_t)reason;
    keep(supervisor, tid, &violation);
}

eg_outcome eg_judge_refuse_caller(eg_supervisor *supervisor, const eg_work *work, eg_route route)
{
    eg_judge_refuse_call(supervisor, work->tid, route, EG_REFUSED_CALLER, "unknown");
    return eg_failure(EACCES);
}

void eg_judge_refuse_name(eg_supervisor *supervisor, int32_t tid, eg_reason reason, const char *name)
{
    atomic_fetch_add_explicit(&supervisor->counts->names_refused, 1, memory_order_relaxed);
    eg_judge_refuse_call(supervisor, tid, EG_ROUTE_GETADDRINFO, reason, name);
}

bool eg_judge_is_nameserver(const eg_endpoint *endpoint)
{
    return endpoint->port == EG_DNS_PORT && (endpoint->family == AF_INET || endpoint->family == AF_INET6) &&
           eg_machine_is_nameserver(&endpoint->address);
}

bool eg_judge_still_waits(const eg_supervisor *supervisor, const eg_work *work)
{
    uint64_t id = work->id;
    return eg_exempt_ioctl(supervisor->exempt, supervisor->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}
