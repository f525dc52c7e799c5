/* What the kernel would be handed: family, address bytes, port. */
#ifndef EG_CORE_ENDPOINT_H
#define EG_CORE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* An IP address is kept as 16 bytes; IPv4 in its mapped form (::ffff:a.b.c.d),
 * so that a mapped address and the IPv4 address it means are the same key. */
typedef struct eg_address {
    uint8_t bytes[16];
} eg_address;

/* One endpoint. `family` is AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_UNSPEC or
 * any other number the caller was given; what does not belong to it is zero. */
typedef struct eg_endpoint {
    uint16_t family;
    uint16_t port;          /* host order; AF_INET and AF_INET6 */
    uint32_t scope_id;      /* AF_INET6 */
    uint32_t flow_info;     /* AF_INET6, host order */
    uint32_t netlink_pid;   /* AF_NETLINK */
    uint32_t netlink_groups;
    eg_address address;     /* AF_INET (mapped) and AF_INET6 */
    const char *path;       /* AF_UNIX, borrowed; an abstract one starts with NUL */
    size_t path_length;     /* bytes of `path`, without a closing NUL */
} eg_endpoint;

/* What an IP address is, whatever the allowlist says. */
typedef enum eg_class {
    EG_CLASS_GLOBAL = 0,
    EG_CLASS_LOOPBACK,      /* 127.0.0.0/8, ::1 */
    EG_CLASS_UNSPECIFIED,   /* 0.0.0.0, ::: Linux dials both as loopback */
    EG_CLASS_LINK_LOCAL,    /* 169.254.0.0/16, fe80::/10 */
    EG_CLASS_MULTICAST,     /* 224.0.0.0/4, ff00::/8 */
    EG_CLASS_BROADCAST,     /* 255.255.255.255 */
} eg_class;

#define EG_ENDPOINT_TEXT_SIZE 192

/* Fill `out` from a socket address. 0, -EINVAL where the length does not fit the
 * family. An unknown family is no error: only `family` is set. `out->path` points
 * into `sockaddr`. */
int eg_endpoint_from_sockaddr(eg_endpoint *out, const void *sockaddr, size_t length);

/* The socket address of an AF_INET or AF_INET6 endpoint; returns its length, 0 for other
 * families. `out` is a struct sockaddr_storage. */
size_t eg_endpoint_to_sockaddr(const eg_endpoint *endpoint, void *out);

/* The mapped form of an IPv4 address of 4 bytes in network order. */
eg_address eg_address_from_ipv4(const uint8_t ipv4[4]);

/* Read four decimal numbers as inet_pton(3) does, on every dial's way. */
bool eg_address_parse_ipv4(const char *text, size_t length, eg_address *out);

/* Is this the mapped form of an IPv4 address (::ffff:0:0/96)? Inline, with the next one:
 * every dial asks them several times. */
static inline bool eg_address_is_ipv4(const eg_address *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

static inline bool eg_address_equal(const eg_address *left, const eg_address *right)
{
    return memcmp(left->bytes, right->bytes, sizeof left->bytes) == 0;
}

eg_class eg_address_class(const eg_address *address);

/* The first `length` bits of it, 0 to 128; the others are 0. */
eg_address eg_address_masked(const eg_address *address, unsigned length);

/* 127.0.0.1 and ::1, the two addresses the test capability opens (ADR-0006). */
bool eg_address_is_test_loopback(const eg_address *address);

/* The IPv4 addresses that an IPv6 address carries otherwise than mapped: IPv4-compatible
 * (::a.b.c.d), NAT64 (RFC 6052; RFC 8215 in each of the layouts its prefix leaves open), 6to4
 * (RFC 3056), Teredo (RFC 4380, server and client), ISATAP (RFC 5214). Returns how many. */
#define EG_EMBEDDED_MAX 6
size_t eg_address_embedded(const eg_address *address, eg_address embedded[EG_EMBEDDED_MAX]);

/* "127.0.0.1", "::1"; returns the length. The buffer holds EG_ENDPOINT_TEXT_SIZE bytes. */
size_t eg_address_text(const eg_address *address, char *text);

/* The host part of an endpoint as a person reads it: the address, "unix:/path",
 * "unix:@abstract", "netlink", "family 40". Control bytes are shown as '?'. */
size_t eg_endpoint_host_text(const eg_endpoint *endpoint, char *text);

/* Any spelling that the C library reads as a number ("127.1", "0x7f.1", "fe80::1%eth0").
 * True and `out` filled (when not NULL) where it is one; `family` AF_UNSPEC takes both. */
bool eg_endpoint_from_number(const char *text, size_t length, eg_endpoint *out);

#endif
