/* Words for verdicts and routes: one table each, so that every layer says the same. */
#include "core/reason.h"

#include <stddef.h>

static const struct {
    const char *word;
    const char *text;
} reasons[EG_REASON_COUNT] = {
    [EG_REFUSED_INTERNAL] = {"internal", "the guard could not decide"},
    [EG_ALLOWED] = {"allowed", "allowed"},
    [EG_REFUSED_NOT_LISTED] = {"not-listed", "not on the allowlist"},
    [EG_REFUSED_PORT] = {"port", "on the allowlist, but not with this port"},
    [EG_REFUSED_LOOPBACK] = {"loopback", "loopback is refused"},
    [EG_REFUSED_UNSPECIFIED] = {"unspecified", "the unspecified address is dialled as loopback, which is refused"},
    [EG_REFUSED_EMBEDDED] = {"embedded", "embeds an IPv4 address that is refused"},
    [EG_REFUSED_OWN_ADDRESS] = {"own-address", "an address of this machine"},
    [EG_REFUSED_RESOLVED] = {"resolved", "resolved only to addresses that may not be dialled (such as loopback)"},
    [EG_REFUSED_NAMESERVER] = {"nameserver", "a nameserver takes exactly one question for a listed name"},
    [EG_REFUSED_SOCKET] = {"socket-type", "this kind of socket cannot be judged"},
    [EG_REFUSED_FAMILY] = {"family", "this address family has no allowlist entry"},
    [EG_REFUSED_UNIX] = {"unix", "this UNIX socket is neither on the allowlist nor held by this program"},
    [EG_REFUSED_NETLINK] = {"netlink", "netlink is open to the kernel only"},
    [EG_REFUSED_ROUTING] = {"routing", "sends to another host than the address says"},
    [EG_REFUSED_NAME] = {"not-a-name", "not a host name"},
    [EG_REFUSED_COPY] = {"copied-module", "a socket of a copied socket module could look names up unseen"},
    [EG_REFUSED_MEMBERSHIP] = {"multicast-membership", "joining a multicast group announces it to the network"},
    [EG_REFUSED_CALL] = {"system-call", "a system call that cannot be judged"},
    [EG_REFUSED_CALLER] = {"caller", "nobody may act for this program here (docs/kernel-layer.md)"},
    [EG_REFUSED_SHAPE] = {"shape", "the address cannot be read exactly"},
};

static const char *const routes[EG_ROUTE_NAMES] = {
    [EG_ROUTE_CONNECT] = "connect",
    [EG_ROUTE_CONNECT_EX] = "connect_ex",
    [EG_ROUTE_SENDTO] = "sendto",
    [EG_ROUTE_SENDMSG] = "sendmsg",
    [EG_ROUTE_BIND] = "bind",
    [EG_ROUTE_SETSOCKOPT] = "setsockopt",
    [EG_ROUTE_GETADDRINFO] = "getaddrinfo",
    [EG_ROUTE_GETHOSTBYNAME] = "gethostbyname",
    [EG_ROUTE_GETHOSTBYNAME_EX] = "gethostbyname_ex",
    [EG_ROUTE_GETHOSTBYADDR] = "gethostbyaddr",
    [EG_ROUTE_GETNAMEINFO] = "getnameinfo",
    [EG_ROUTE_SOCKET] = "socket",
    [EG_ROUTE_SYSTEM_CALL] = "system-call",
};

const char *eg_reason_text(eg_reason reason)
{
    size_t index = (size_t)reason;
    return index < EG_REASON_COUNT ? reasons[index].text : reasons[EG_REFUSED_INTERNAL].text;
}

const char *eg_reason_word(eg_reason reason)
{
    size_t index = (size_t)reason;
    return index < EG_REASON_COUNT ? reasons[index].word : reasons[EG_REFUSED_INTERNAL].word;
}

const char *eg_route_name(eg_route route)
{
    size_t index = (size_t)route;
    return index < EG_ROUTE_NAMES ? routes[index] : "unknown";
}
