/* The closed set of answers that a verdict can be. */
#ifndef EG_CORE_REASON_H
#define EG_CORE_REASON_H

/* Zero is a refusal: memory that nobody filled never means "allowed". */
typedef enum eg_reason {
    EG_REFUSED_INTERNAL = 0,   /* the guard could not decide */
    EG_ALLOWED,
    EG_REFUSED_NOT_LISTED,     /* no entry, no grant */
    EG_REFUSED_PORT,           /* listed, but not with this port */
    EG_REFUSED_LOOPBACK,
    EG_REFUSED_UNSPECIFIED,    /* 0.0.0.0 and ::, which Linux dials as loopback */
    EG_REFUSED_EMBEDDED,       /* an IPv6 address that embeds a refused IPv4 address */
    EG_REFUSED_OWN_ADDRESS,    /* an interface address of this machine */
    EG_REFUSED_RESOLVED,       /* a listed name whose answers may not be dialled */
    EG_REFUSED_NAMESERVER,     /* not exactly one question for a listed name */
    EG_REFUSED_SOCKET,         /* a socket type or protocol that has no entry */
    EG_REFUSED_FAMILY,         /* an address family that has no entry */
    EG_REFUSED_UNIX,           /* a UNIX socket that no entry and no descendant holds */
    EG_REFUSED_NETLINK,        /* netlink to somebody else than the kernel */
    EG_REFUSED_ROUTING,        /* a socket option or control message that routes elsewhere */
    EG_REFUSED_NAME,           /* not a host name */
    EG_REFUSED_SHAPE,          /* an address that cannot be read exactly */
    EG_REFUSED_COPY,           /* a socket of a copied socket module, whose calls have no routes */
    EG_REFUSED_MEMBERSHIP,     /* a multicast group that would be announced to the network */
    EG_REFUSED_CALL,           /* kernel layer: a system call that cannot be judged */
    EG_REFUSED_CALLER,         /* kernel layer: a caller that the supervisor cannot act for */
    EG_REASON_COUNT
} eg_reason;

/* A short phrase for people; never NULL. */
const char *eg_reason_text(eg_reason reason);

/* The machine-readable word, stable across releases; never NULL. */
const char *eg_reason_word(eg_reason reason);

/* The entry points through which code can dial or look a name up. */
typedef enum eg_route {
    EG_ROUTE_CONNECT = 0,
    EG_ROUTE_CONNECT_EX,
    EG_ROUTE_SENDTO,
    EG_ROUTE_SENDMSG,
    EG_ROUTE_BIND,
    EG_ROUTE_SETSOCKOPT,
    EG_ROUTE_GETADDRINFO,
    EG_ROUTE_GETHOSTBYNAME,
    EG_ROUTE_GETHOSTBYNAME_EX,
    EG_ROUTE_GETHOSTBYADDR,
    EG_ROUTE_GETNAMEINFO,
    EG_ROUTE_COUNT, /* up to here each is a function of CPython */
    EG_ROUTE_SOCKET = EG_ROUTE_COUNT,
    EG_ROUTE_SYSTEM_CALL,
    EG_ROUTE_NAMES
} eg_route;

/* The name of the call; never NULL. */
const char *eg_route_name(eg_route route);

#endif
