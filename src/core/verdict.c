/* The verdict. Read it beside "The verdict" in docs/architecture.md: same order, same
 * words. Every switch ends in a refusal. */
#include "core/verdict.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#ifdef __linux__
#include <linux/netlink.h>
#endif

#include "core/dns.h"
#include "core/machine.h"
#include "core/unix_owner.h"

#define PROTOCOL_MPTCP 262
#define LEVEL_SCTP 132

/* ---- sockets ---- */

static eg_socket_kind inet_kind(int type, int protocol)
{
    if (type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP || protocol == PROTOCOL_MPTCP)) {
        return EG_SOCKET_TCP;
    }
    if (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP)) {
        return EG_SOCKET_UDP;
    }
    if (type == SOCK_DGRAM && protocol == IPPROTO_UDPLITE) {
        return EG_SOCKET_UDPLITE;
    }
    return EG_SOCKET_OTHER;
}

eg_socket_kind eg_socket_kind_of(int family, int type, int protocol)
{
#ifdef SOCK_NONBLOCK
    type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
#endif
    switch (family) {
    case AF_INET:
    case AF_INET6:
        return inet_kind(type, protocol);
    case AF_UNIX:
        if (type == SOCK_STREAM || type == SOCK_SEQPACKET) {
            return EG_SOCKET_UNIX_STREAM;
        }
        return type == SOCK_DGRAM ? EG_SOCKET_UNIX_DATAGRAM : EG_SOCKET_OTHER;
#ifdef __linux__
    case AF_NETLINK:
        return protocol == NETLINK_USERSOCK ? EG_SOCKET_NETLINK_USER : EG_SOCKET_NETLINK;
    case AF_ALG:
        return EG_SOCKET_ALG;
#endif
    default:
        return EG_SOCKET_OTHER;
    }
}

eg_socket_kind eg_socket_kind_of_descriptor(int descriptor)
{
#ifdef __linux__
    int saved = errno, family = 0, type = 0, protocol = 0;
    socklen_t size = sizeof family;
    bool known = getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0;
    size = sizeof type;
    known = known && getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
    size = sizeof protocol;
    known = known && getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0;
    errno = saved;
    return known ? eg_socket_kind_of(family, type, protocol) : EG_SOCKET_OTHER;
#else
    struct sockaddr_storage name;
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
        return EG_SOCKET_OTHER;
    }
    size = sizeof name;
    if (getsockname(descriptor, (struct sockaddr *)&name, &size) != 0) {
        return EG_SOCKET_OTHER;
    }
    return eg_socket_kind_of(name.ss_family, type, 0);
#endif
}

/* ---- endpoints ---- */

static eg_reason class_refusal(const eg_address *address)
{
    switch (eg_address_class(address)) {
    case EG_CLASS_LOOPBACK:
        return EG_REFUSED_LOOPBACK;
    case EG_CLASS_UNSPECIFIED:
        return EG_REFUSED_UNSPECIFIED;
    case EG_CLASS_GLOBAL:
    case EG_CLASS_LINK_LOCAL:
    case EG_CLASS_MULTICAST:
    case EG_CLASS_BROADCAST:
        return EG_ALLOWED;
    default:
        return EG_REFUSED_INTERNAL;
    }
}

/* An IPv4 address inside an IPv6 address can only refuse. */
static eg_reason embedded_refusal(const eg_address *address)
{
    eg_address embedded[EG_EMBEDDED_MAX];
    size_t count = eg_address_is_ipv4(address) ? 0 : eg_address_embedded(address, embedded);
    for (size_t i = 0; i < count; i++) {
        if (class_refusal(&embedded[i]) != EG_ALLOWED || eg_machine_locality(&embedded[i]) != EG_LOCALITY_ELSEWHERE) {
            return EG_REFUSED_EMBEDDED;
        }
    }
    return EG_ALLOWED;
}

/* Rules 4 to 7: entries, own addresses, grants. */
static eg_reason verdict_for_listing(const eg_state *state, const eg_endpoint *endpoint)
{
    const eg_allowlist *list = &state->allowlist;
    const eg_address *address = &endpoint->address;
    int port = endpoint->port;

    if (eg_allowlist_covers_address(list, address, port, true)) {
        return EG_ALLOWED;
    }
    if (eg_allowlist_covers_address(list, address, port, false) ||
        eg_grants_cover(&state->grants, list, address, port)) {
        switch (eg_machine_locality(address)) {
        case EG_LOCALITY_ELSEWHERE:
            return EG_ALLOWED;
        case EG_LOCALITY_OWN:
            return EG_REFUSED_OWN_ADDRESS;
        case EG_LOCALITY_UNKNOWN:
        default:
            return EG_REFUSED_INTERNAL;
        }
    }
    if (eg_allowlist_covers_address(list, address, EG_ANY_PORT, false) ||
        eg_grants_cover(&state->grants, list, address, EG_ANY_PORT)) {
        return EG_REFUSED_PORT;
    }
    return EG_REFUSED_NOT_LISTED;
}

static eg_reason verdict_for_question(const eg_state *state, const eg_dial *dial)
{
    eg_dns_question question;
    eg_name_match match;

    /* No nameserver is asked by UDP-Lite, so nothing of a question is worth reading there. */
    if (dial->socket != EG_SOCKET_UDP || dial->payload == NULL || dial->more_to_come ||
        !eg_dns_read_query(dial->payload, dial->payload_length, &question) ||
        eg_allowlist_match_name(&state->allowlist, &question.name, EG_ANY_PORT, &match) != EG_MATCH_LISTED) {
        return EG_REFUSED_NAMESERVER;
    }
    return EG_ALLOWED;
}

static bool is_dns(const eg_dial *dial)
{
    return dial->endpoint->port == EG_DNS_PORT &&
           (dial->socket == EG_SOCKET_UDP || dial->socket == EG_SOCKET_UDPLITE) &&
           (dial->endpoint->family == AF_INET || dial->endpoint->family == AF_INET6);
}

bool eg_verdict_needs_payload(const eg_dial *dial)
{
    return is_dns(dial) && dial->socket == EG_SOCKET_UDP && eg_machine_is_nameserver(&dial->endpoint->address) == EG_NAMESERVER_YES;
}

static eg_reason verdict_for_ip(const eg_state *state, const eg_dial *dial)
{
    const eg_endpoint *endpoint = dial->endpoint;
    eg_reason reason;

    if (dial->socket != EG_SOCKET_TCP && dial->socket != EG_SOCKET_UDP && dial->socket != EG_SOCKET_UDPLITE) {
        return EG_REFUSED_SOCKET;
    }
    if (is_dns(dial)) {
        switch (eg_machine_is_nameserver(&endpoint->address)) {
        case EG_NAMESERVER_YES:
            return verdict_for_question(state, dial);
        case EG_NAMESERVER_NO:
            break;
        case EG_NAMESERVER_UNKNOWN:
        default:
            return EG_REFUSED_INTERNAL;
        }
    }
    reason = class_refusal(&endpoint->address);
    if (reason != EG_ALLOWED) {
        return dial->loopback_open && eg_address_is_test_loopback(&endpoint->address) ? EG_ALLOWED : reason;
    }
    reason = embedded_refusal(&endpoint->address);
    if (reason != EG_ALLOWED) {
        return reason;
    }
    return verdict_for_listing(state, endpoint);
}

static eg_reason verdict_for_unix(const eg_state *state, const eg_dial *dial)
{
    const eg_endpoint *endpoint = dial->endpoint;
    char key[128];

    if (dial->socket != EG_SOCKET_UNIX_STREAM && dial->socket != EG_SOCKET_UNIX_DATAGRAM) {
        return EG_REFUSED_SOCKET;
    }
    if (endpoint->path_length == 0 || endpoint->path_length >= sizeof key) {
        return EG_REFUSED_UNIX;
    }
    memcpy(key, endpoint->path, endpoint->path_length);
    if (key[0] == '\0') {
        key[0] = '@';
    } else if (key[0] != '/') {
        /* A relative path could name "@..." of the list's spelling; ask its owner alone. */
        key[0] = '\0';
    }
    if (key[0] != '\0' && eg_allowlist_covers_unix(&state->allowlist, key, endpoint->path_length)) {
        return EG_ALLOWED;
    }
    if (eg_unix_owner_is_family(&state->installer, endpoint, dial->socket == EG_SOCKET_UNIX_DATAGRAM)) {
        return EG_ALLOWED;
    }
    return EG_REFUSED_UNIX;
}

eg_reason eg_verdict_for_dial(const eg_state *state, const eg_dial *dial)
{
    switch (dial->endpoint->family) {
    case AF_INET:
    case AF_INET6:
        return verdict_for_ip(state, dial);
    case AF_UNSPEC:
        /* connect(2): dissolves the association. sendto would be dialled as IPv4. */
        return dial->action == EG_ACTION_CONNECT ? EG_ALLOWED : EG_REFUSED_FAMILY;
    case AF_UNIX:
        return verdict_for_unix(state, dial);
#ifdef __linux__
    case AF_NETLINK:
        return dial->socket == EG_SOCKET_NETLINK && dial->endpoint->netlink_pid == 0 &&
                       dial->endpoint->netlink_groups == 0 /* a group reaches other processes */
                   ? EG_ALLOWED
                   : EG_REFUSED_NETLINK;
    case AF_ALG:
        return dial->socket == EG_SOCKET_ALG ? EG_ALLOWED : EG_REFUSED_SOCKET;
#endif
    default:
        return EG_REFUSED_FAMILY;
    }
}

eg_reason eg_verdict_for_bind(const eg_endpoint *endpoint)
{
#ifdef __linux__
    return endpoint->family == AF_PACKET || endpoint->family == AF_CAN ? EG_REFUSED_SOCKET : EG_ALLOWED;
#else
    (void)endpoint;
    return EG_ALLOWED;
#endif
}

/* ---- names ---- */

eg_reason eg_verdict_for_name(const eg_state *state, const char *text, size_t length, int port,
                              eg_name_decision *decision)
{
    decision->kind = EG_NAME_REFUSED;
    decision->reason = EG_REFUSED_INTERNAL;
    decision->name.length = 0;
    decision->name.text[0] = '\0';
    decision->match.count = 0;

    if (length == 0 || eg_endpoint_from_number(text, length, NULL)) {
        decision->kind = EG_NAME_NUMBER;
        return decision->reason = EG_ALLOWED;
    }
    if (!eg_name_normalise(text, length, &decision->name)) {
        return decision->reason = EG_REFUSED_NAME;
    }
    if (eg_name_equal(&decision->name, "localhost") ||
        (state->own_name.length > 0 && eg_name_equal(&decision->name, state->own_name.text))) {
        decision->kind = EG_NAME_THIS_MACHINE;
        return decision->reason = EG_ALLOWED;
    }
    switch (eg_allowlist_match_name(&state->allowlist, &decision->name, port, &decision->match)) {
    case EG_MATCH_LISTED:
        decision->kind = EG_NAME_LISTED;
        return decision->reason = EG_ALLOWED;
    case EG_MATCH_OTHER_PORT:
        return decision->reason = EG_REFUSED_PORT;
    case EG_MATCH_NONE:
        return decision->reason = EG_REFUSED_NOT_LISTED;
    default:
        return decision->reason = EG_REFUSED_INTERNAL;
    }
}

bool eg_verdict_answer_is_good(const eg_address *address)
{
    if (eg_address_class(address) != EG_CLASS_GLOBAL || eg_machine_locality(address) != EG_LOCALITY_ELSEWHERE) {
        return false;
    }
    eg_address embedded[EG_EMBEDDED_MAX];
    size_t count = eg_address_embedded(address, embedded);
    for (size_t i = 0; i < count; i++) {
        if (eg_address_class(&embedded[i]) != EG_CLASS_GLOBAL ||
            eg_machine_locality(&embedded[i]) != EG_LOCALITY_ELSEWHERE) {
            return false;
        }
    }
    return true;
}

eg_reverse eg_verdict_for_reverse(const eg_state *state, const eg_address *address)
{
    eg_class class = eg_address_class(address);

    if (class == EG_CLASS_LOOPBACK || class == EG_CLASS_UNSPECIFIED ||
        eg_machine_locality(address) == EG_LOCALITY_OWN) {
        return EG_REVERSE_LOCAL;
    }
    if (eg_allowlist_covers_address(&state->allowlist, address, EG_ANY_PORT, false) ||
        eg_grants_cover(&state->grants, &state->allowlist, address, EG_ANY_PORT)) {
        return EG_REVERSE_LISTED;
    }
    return EG_REVERSE_REFUSED;
}

/* ---- options ---- */

/* Options that make the kernel announce a group, or sources, of the caller's choice (RFC 3376, RFC 3810, RFC 3678). */
static bool announces_membership(int level, int option)
{
    enum { ip_add = 35, ip_add_source = 39, ip_filter = 41, ipv6_join = 20, ipv6_join_anycast = 27 };
    enum { join_group = 42, join_source_group = 46, source_filter = 48 }; /* at both levels */

    if (level != IPPROTO_IP && level != IPPROTO_IPV6) {
        return false;
    }
    if (option == join_group || option == join_source_group || option == source_filter) {
        return true;
    }
    return level == IPPROTO_IP ? option == ip_add || option == ip_add_source || option == ip_filter
                               : option == ipv6_join || option == ipv6_join_anycast;
}

eg_reason eg_verdict_for_option(int level, int option)
{
    enum { sctp_connectx_old = 107, sctp_connectx = 110, sctp_connectx3 = 111, ip_options = 4 };
    enum { ipv6_2292pktoptions = 6, ipv6_2292rthdr = 5, ipv6_rthdr = 57 };
    enum { udp_cork = 1 };
    enum { ipv6_flowlabel_mgr = 32 }; /* carries control messages, a routing header among them */

    if (level == IPPROTO_IP && option == ip_options) {
        return EG_REFUSED_ROUTING;
    }
    if (level == IPPROTO_IPV6 &&
        (option == ipv6_2292pktoptions || option == ipv6_2292rthdr || option == ipv6_rthdr ||
         option == ipv6_flowlabel_mgr)) {
        return EG_REFUSED_ROUTING;
    }
    if (level == LEVEL_SCTP &&
        (option == sctp_connectx_old || option == sctp_connectx || option == sctp_connectx3)) {
        return EG_REFUSED_ROUTING;
    }
    if ((level == IPPROTO_UDP || level == IPPROTO_UDPLITE) && option == udp_cork) { /* either level sets it */
        return EG_REFUSED_NAMESERVER; /* another thread, or a forked child, could add to a question that was judged */
    }
    return announces_membership(level, option) ? EG_REFUSED_MEMBERSHIP : EG_ALLOWED;
}

eg_reason eg_verdict_for_control_message(int level, int type)
{
    enum { ip_retopts = 7, ip_options = 4, ipv6_2292rthdr = 5, ipv6_rthdr = 57, ipv6_2292pktoptions = 6 };
    enum { sctp_dstaddrv4 = 7, sctp_dstaddrv6 = 8 }; /* RFC 6458, 5.3.9 and 5.3.10 */

    if (level == IPPROTO_IP && (type == ip_retopts || type == ip_options)) {
        return EG_REFUSED_ROUTING;
    }
    if (level == IPPROTO_IPV6 && (type == ipv6_2292rthdr || type == ipv6_rthdr || type == ipv6_2292pktoptions)) {
        return EG_REFUSED_ROUTING;
    }
    if (level == LEVEL_SCTP && (type == sctp_dstaddrv4 || type == sctp_dstaddrv6)) {
        return EG_REFUSED_ROUTING;
    }
    return EG_ALLOWED;
}
