/* The one function that decides, for every layer. Refuses unless a rule allows. */
#ifndef EG_CORE_VERDICT_H
#define EG_CORE_VERDICT_H

#include "core/reason.h"
#include "core/state.h"

/* What a dial does with its endpoint. */
typedef enum eg_action {
    EG_ACTION_CONNECT = 1, /* connect, and TCP with MSG_FASTOPEN */
    EG_ACTION_SEND,        /* one message with a destination */
} eg_action;

/* What a socket is. EG_SOCKET_TCP is MPTCP's kind, too. */
typedef enum eg_socket_kind {
    EG_SOCKET_OTHER = 0,
    EG_SOCKET_TCP,
    EG_SOCKET_UDP,
    EG_SOCKET_UDPLITE, /* UDP's addresses, ports and calls (RFC 3828): ADR-0018 */
    EG_SOCKET_UNIX_STREAM, /* stream or seqpacket */
    EG_SOCKET_UNIX_DATAGRAM,
    EG_SOCKET_NETLINK,
    EG_SOCKET_NETLINK_USER, /* NETLINK_USERSOCK: reaches other processes */
    EG_SOCKET_ALG,
} eg_socket_kind;

typedef struct eg_dial {
    const eg_endpoint *endpoint;
    eg_action action;
    eg_socket_kind socket;
    bool loopback_open;     /* the calling thread's flag (ADR-0006) */
    bool more_to_come;      /* MSG_MORE or UDP_CORK: what leaves is more than this payload */
    const uint8_t *payload; /* EG_ACTION_SEND: a private copy of all bytes, or NULL where it is not known */
    size_t payload_length;
} eg_dial;

/* The kind of socket that family, type and protocol make (socket(2)). */
eg_socket_kind eg_socket_kind_of(int family, int type, int protocol);

/* Ask the kernel what the descriptor is; EG_SOCKET_OTHER where it does not say. */
eg_socket_kind eg_socket_kind_of_descriptor(int descriptor);

/* Would the verdict need the payload? Port 53 of a nameserver, by UDP. */
bool eg_verdict_needs_payload(const eg_dial *dial);

/* The decision about an endpoint. EG_ALLOWED, or why not. */
eg_reason eg_verdict_for_dial(const eg_state *state, const eg_dial *dial);

/* bind dials nobody. A packet or CAN socket is refused here, since it then sends without an
 * address (packet(7), Documentation/networking/can.rst). A name in the address is decided by eg_verdict_for_name. */
eg_reason eg_verdict_for_bind(const eg_endpoint *endpoint);

typedef enum eg_name_kind {
    EG_NAME_REFUSED = 0,
    EG_NAME_NUMBER,       /* '', or what libc reads as a number: nothing leaves */
    EG_NAME_THIS_MACHINE, /* localhost, the host name: answered without DNS */
    EG_NAME_LISTED,
} eg_name_kind;

typedef struct eg_name_decision {
    eg_reason reason;   /* EG_ALLOWED, or why not */
    eg_name_kind kind;
    eg_name name;       /* normalised; EG_NAME_THIS_MACHINE and EG_NAME_LISTED */
    eg_name_match match;
} eg_name_decision;

/* The decision about a name, before anything is looked up. `port` is what the caller named,
 * or EG_ANY_PORT. */
eg_reason eg_verdict_for_name(const eg_state *state, const char *text, size_t length, int port,
                              eg_name_decision *decision);

/* May this answer of a listed name be dialled and granted? Drops loopback, unspecified,
 * link-local, multicast, broadcast, own addresses, and IPv6 forms that embed them. */
bool eg_verdict_answer_is_good(const eg_address *address);

/* May this address be looked up in reverse: granted, listed or this machine's own? */
typedef enum eg_reverse {
    EG_REVERSE_REFUSED = 0,
    EG_REVERSE_LOCAL,  /* answered without DNS */
    EG_REVERSE_LISTED,
} eg_reverse;
eg_reverse eg_verdict_for_reverse(const eg_state *state, const eg_address *address);

/* Is this socket option, or control message, one that sends elsewhere (or more)? ip(7), ipv6(7), udp(7),
 * RFC 3542, RFC 2292; SCTP's connectx dials through setsockopt (RFC 6458, 9.1). */
eg_reason eg_verdict_for_option(int level, int option);
eg_reason eg_verdict_for_control_message(int level, int type);

#endif
