/* Endpoints: socket address to endpoint to text, and the classes of addresses.
 * Pure functions without state. */
#include "core/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifdef __linux__
#include <linux/netlink.h>
#endif

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

eg_address eg_address_from_ipv4(const uint8_t ipv4[4])
{
    eg_address address;
    memcpy(address.bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(address.bytes + 12, ipv4, 4);
    return address;
}

bool eg_address_parse_ipv4(const char *text, size_t length, eg_address *out)
{
    const char *at = text, *end = text + length;
    uint32_t address = 0;

    for (int part = 0; part < 4; part++) {
        if (part > 0 && (at == end || *at++ != '.')) {
            return false;
        }
        unsigned digit, value = at == end ? 10 : (unsigned)(unsigned char)*at - '0';
        if (value > 9) {
            return false;
        }
        at++;
        /* No digit may follow a leading zero: elsewhere libc would read octal. */
        if (value != 0 && at != end && (digit = (unsigned)(unsigned char)*at - '0') <= 9) {
            value = value * 10 + digit;
            at++;
            if (at != end && (digit = (unsigned)(unsigned char)*at - '0') <= 9) {
                value = value * 10 + digit;
                at++;
            }
        }
        if (value > 255) {
            return false;
        }
        address = address << 8 | value;
    }
    if (at != end) {
        return false;
    }
    address = htonl(address);
    memcpy(out->bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(out->bytes + 12, &address, sizeof address);
    return true;
}

int eg_endpoint_from_sockaddr(eg_endpoint *out, const void *sockaddr, size_t length)
{
    sa_family_t family;

    memset(out, 0, sizeof *out);
    if (length < offsetof(struct sockaddr, sa_data)) {
        return -EINVAL;
    }
    memcpy(&family, (const char *)sockaddr + offsetof(struct sockaddr, sa_family), sizeof family);
    out->family = family;
    switch (family) {
    case AF_INET: {
        struct sockaddr_in in;
        if (length < sizeof in) {
            return -EINVAL;
        }
        memcpy(&in, sockaddr, sizeof in);
        out->port = ntohs(in.sin_port);
        out->address = eg_address_from_ipv4((const uint8_t *)&in.sin_addr);
        return 0;
    }
    case AF_INET6: {
        struct sockaddr_in6 in6;
        memset(&in6, 0, sizeof in6);
        /* Linux takes the 24 bytes of RFC 2133, which end before the scope. */
        if (length < offsetof(struct sockaddr_in6, sin6_scope_id)) {
            return -EINVAL;
        }
        memcpy(&in6, sockaddr, length < sizeof in6 ? length : sizeof in6);
        out->port = ntohs(in6.sin6_port);
        out->scope_id = length < sizeof in6 ? 0 : in6.sin6_scope_id;
        out->flow_info = ntohl(in6.sin6_flowinfo);
        memcpy(out->address.bytes, &in6.sin6_addr, sizeof out->address.bytes);
        return 0;
    }
    case AF_UNIX: {
        size_t start = offsetof(struct sockaddr_un, sun_path);
        if (length > sizeof(struct sockaddr_un)) {
            return -EINVAL;
        }
        out->path = (const char *)sockaddr + start;
        out->path_length = length > start ? length - start : 0;
        if (out->path_length > 0 && out->path[0] != '\0') {
            out->path_length = strnlen(out->path, out->path_length);
        }
        return 0;
    }
#ifdef __linux__
    case AF_NETLINK: {
        struct sockaddr_nl nl;
        if (length < sizeof nl) {
            return -EINVAL;
        }
        memcpy(&nl, sockaddr, sizeof nl);
        out->netlink_pid = nl.nl_pid;
        out->netlink_groups = nl.nl_groups;
        return 0;
    }
#endif
    default:
        return 0;
    }
}

size_t eg_endpoint_to_sockaddr(const eg_endpoint *endpoint, void *out)
{
    if (endpoint->family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
        memcpy(&in.sin_addr, endpoint->address.bytes + 12, sizeof in.sin_addr);
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    if (endpoint->family == AF_INET6) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                                   .sin6_port = htons(endpoint->port),
                                   .sin6_flowinfo = htonl(endpoint->flow_info),
                                   .sin6_scope_id = endpoint->scope_id};
        memcpy(&in6.sin6_addr, endpoint->address.bytes, sizeof in6.sin6_addr);
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }
    return 0;
}

static eg_class ipv4_class(const uint8_t ipv4[4])
{
    if (ipv4[0] != 0 && ipv4[0] != 127 && ipv4[0] != 169 && ipv4[0] < 224) {
        return EG_CLASS_GLOBAL; /* the common case */
    }
    if (ipv4[0] == 127) {
        return EG_CLASS_LOOPBACK;
    }
    if ((ipv4[0] | ipv4[1] | ipv4[2] | ipv4[3]) == 0) {
        return EG_CLASS_UNSPECIFIED;
    }
    if (ipv4[0] == 169 && ipv4[1] == 254) {
        return EG_CLASS_LINK_LOCAL;
    }
    if ((ipv4[0] & 0xf0) == 0xe0) {
        return EG_CLASS_MULTICAST;
    }
    if ((ipv4[0] & ipv4[1] & ipv4[2] & ipv4[3]) == 0xff) {
        return EG_CLASS_BROADCAST;
    }
    return EG_CLASS_GLOBAL;
}

eg_class eg_address_class(const eg_address *address)
{
    static const uint8_t zero[15];
    const uint8_t *bytes = address->bytes;

    if (eg_address_is_ipv4(address)) {
        return ipv4_class(bytes + 12);
    }
    if (memcmp(bytes, zero, sizeof zero) == 0) {
        if (bytes[15] == 0) {
            return EG_CLASS_UNSPECIFIED;
        }
        if (bytes[15] == 1) {
            return EG_CLASS_LOOPBACK;
        }
    }
    if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) {
        return EG_CLASS_LINK_LOCAL;
    }
    if (bytes[0] == 0xff) {
        return EG_CLASS_MULTICAST;
    }
    return EG_CLASS_GLOBAL;
}

eg_address eg_address_masked(const eg_address *address, unsigned length)
{
    eg_address masked = {{0}};
    memcpy(masked.bytes, address->bytes, length / 8);
    if (length % 8 != 0) {
        masked.bytes[length / 8] = (uint8_t)(address->bytes[length / 8] & (0xff00 >> (length % 8)));
    }
    return masked;
}

bool eg_address_is_test_loopback(const eg_address *address)
{
    static const eg_address ipv4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};
    static const eg_address ipv6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    return eg_address_equal(address, &ipv4) || eg_address_equal(address, &ipv6);
}

/* RFC 6052, 2.2: byte 8 is never part of the address. */
static size_t local_nat64(const uint8_t *bytes, eg_address *embedded)
{
    static const uint8_t layouts[4][4] = {{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}};
    for (size_t i = 0; i < 4; i++) {
        const uint8_t ipv4[4] = {bytes[layouts[i][0]], bytes[layouts[i][1]], bytes[layouts[i][2]],
                                 bytes[layouts[i][3]]};
        embedded[i] = eg_address_from_ipv4(ipv4);
    }
    /* Zero bytes of a layout that is not the one in use say nothing: keep what has a value,
     * and the last layout, which every other one shares the prefix with. */
    size_t kept = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i == 3 || eg_address_class(&embedded[i]) != EG_CLASS_UNSPECIFIED) {
            embedded[kept++] = embedded[i];
        }
    }
    if (kept > 1 && eg_address_class(&embedded[kept - 1]) == EG_CLASS_UNSPECIFIED) {
        kept--;
    }
    return kept;
}

size_t eg_address_embedded(const eg_address *address, eg_address embedded[EG_EMBEDDED_MAX])
{
    static const uint8_t compatible[12];
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    static const uint8_t nat64_local[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
    static const uint8_t teredo[4] = {0x20, 0x01, 0x00, 0x00};
    static const uint8_t sixto4[2] = {0x20, 0x02};
    static const uint8_t translated[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0};
    const uint8_t *bytes = address->bytes;
    size_t count = 0;

    if (eg_address_is_ipv4(address)) {
        return 0;
    }
    if (memcmp(bytes, compatible, sizeof compatible) == 0) {
        /* :: and ::1 stand in this range; they have classes of their own. */
        if (eg_address_class(address) != EG_CLASS_GLOBAL) {
            return 0;
        }
        embedded[count++] = eg_address_from_ipv4(bytes + 12);
    } else if (memcmp(bytes, nat64, sizeof nat64) == 0 || memcmp(bytes, translated, sizeof translated) == 0) {
        embedded[count++] = eg_address_from_ipv4(bytes + 12);
    } else if (memcmp(bytes, nat64_local, sizeof nat64_local) == 0) {
        count = local_nat64(bytes, embedded);
    } else if (memcmp(bytes, sixto4, sizeof sixto4) == 0) {
        embedded[count++] = eg_address_from_ipv4(bytes + 2);
    } else if (memcmp(bytes, teredo, sizeof teredo) == 0) {
        uint8_t client[4];
        for (size_t i = 0; i < sizeof client; i++) {
            client[i] = (uint8_t)(bytes[12 + i] ^ 0xff);
        }
        embedded[count++] = eg_address_from_ipv4(bytes + 4);
        embedded[count++] = eg_address_from_ipv4(client);
    }
    /* ISATAP, under any prefix: the interface identifier is 0000:5efe or 0200:5efe and the
     * IPv4 address. */
    if ((bytes[8] & 0xfd) == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe) {
        embedded[count++] = eg_address_from_ipv4(bytes + 12);
    }
    return count;
}

/* libc's inet_ntop formats by printf, which took a tenth of a refusal. */
static size_t ipv4_text(const uint8_t ipv4[4], char *text)
{
    char *at = text;
    for (int i = 0; i < 4; i++) {
        if (i > 0) {
            *at++ = '.';
        }
        if (ipv4[i] >= 100) {
            *at++ = (char)('0' + ipv4[i] / 100);
        }
        if (ipv4[i] >= 10) {
            *at++ = (char)('0' + ipv4[i] / 10 % 10);
        }
        *at++ = (char)('0' + ipv4[i] % 10);
    }
    *at = '\0';
    return (size_t)(at - text);
}

size_t eg_address_text(const eg_address *address, char *text)
{
    if (eg_address_is_ipv4(address)) {
        return ipv4_text(address->bytes + 12, text);
    }
    if (inet_ntop(AF_INET6, address->bytes, text, EG_ENDPOINT_TEXT_SIZE) == NULL) {
        text[0] = '\0';
    }
    return strlen(text);
}

size_t eg_endpoint_host_text(const eg_endpoint *endpoint, char *text)
{
    switch (endpoint->family) {
    case AF_INET:
    case AF_INET6: {
        size_t length = eg_address_text(&endpoint->address, text);
        if (endpoint->scope_id != 0) {
            int more = snprintf(text + length, EG_ENDPOINT_TEXT_SIZE - length, "%%%u", endpoint->scope_id);
            length += more > 0 ? (size_t)more : 0;
        }
        return length;
    }
    case AF_UNIX: {
        size_t length = (size_t)snprintf(text, EG_ENDPOINT_TEXT_SIZE, "unix:");
        for (size_t i = 0; i < endpoint->path_length && length + 1 < EG_ENDPOINT_TEXT_SIZE; i++) {
            unsigned char byte = (unsigned char)endpoint->path[i];
            if (i == 0 && byte == '\0') {
                byte = '@';
            } else if (byte < 0x20 || byte > 0x7e) {
                byte = '?';
            }
            text[length++] = (char)byte;
        }
        text[length] = '\0';
        return length;
    }
#ifdef __linux__
    case AF_NETLINK:
        return (size_t)snprintf(text, EG_ENDPOINT_TEXT_SIZE, "netlink");
#endif
    default:
        return (size_t)snprintf(text, EG_ENDPOINT_TEXT_SIZE, "family %u", endpoint->family);
    }
}

bool eg_endpoint_from_number(const char *text, size_t length, eg_endpoint *out)
{
    char copy[1280]; /* libc reads numbers with any count of leading zeros */
    struct in6_addr ipv6;
    struct addrinfo hints, *found = NULL;
    eg_endpoint endpoint;
    bool is_number = false;

    if (length == 0 || length >= sizeof copy || memchr(text, '\0', length) != NULL) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    memset(&endpoint, 0, sizeof endpoint);
    if (eg_address_parse_ipv4(text, length, &endpoint.address)) {
        endpoint.family = AF_INET;
        is_number = true;
    } else if (inet_pton(AF_INET6, copy, &ipv6) == 1) {
        endpoint.family = AF_INET6;
        memcpy(endpoint.address.bytes, &ipv6, sizeof endpoint.address.bytes);
        is_number = true;
    } else if ((copy[0] >= '0' && copy[0] <= '9') || strchr(copy, ':') != NULL) {
        /* The odd spellings are the C library's own business, so it is asked itself:
         * AI_NUMERICHOST never leaves the process. */
        memset(&hints, 0, sizeof hints);
        hints.ai_flags = AI_NUMERICHOST;
        hints.ai_socktype = SOCK_DGRAM;
        if (getaddrinfo(copy, NULL, &hints, &found) == 0 && found != NULL) {
            is_number = eg_endpoint_from_sockaddr(&endpoint, found->ai_addr, found->ai_addrlen) == 0 &&
                        (endpoint.family == AF_INET || endpoint.family == AF_INET6);
        }
        if (found != NULL) {
            freeaddrinfo(found);
        }
    }
    if (is_number && out != NULL) {
        *out = endpoint;
    }
    return is_number;
}
