/* Socket addresses of any bytes and any length: read within bounds, written back the same,
 * and of the class that an independent reading gives. */
#include "fuzz.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/endpoint.h"

static bool starts(const uint8_t *bytes, const char *prefix, size_t length)
{
    return memcmp(bytes, prefix, length) == 0;
}

/* By the words of the registries, byte for byte. */
static eg_class class_of(const uint8_t *b)
{
    static const uint8_t zero[16];
    if (starts(b, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12)) {
        uint32_t ipv4 = (uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15];
        return ipv4 == 0                  ? EG_CLASS_UNSPECIFIED
               : ipv4 >> 24 == 127        ? EG_CLASS_LOOPBACK
               : ipv4 >> 16 == 0xa9fe     ? EG_CLASS_LINK_LOCAL
               : ipv4 >> 28 == 14         ? EG_CLASS_MULTICAST
               : ipv4 == 0xffffffffu      ? EG_CLASS_BROADCAST
                                          : EG_CLASS_GLOBAL;
    }
    return memcmp(b, zero, 16) == 0                         ? EG_CLASS_UNSPECIFIED
           : memcmp(b, zero, 15) == 0 && b[15] == 1         ? EG_CLASS_LOOPBACK
           : b[0] == 0xff                                   ? EG_CLASS_MULTICAST
           : b[0] == 0xfe && b[1] >= 0x80 && b[1] <= 0xbf   ? EG_CLASS_LINK_LOCAL
                                                            : EG_CLASS_GLOBAL;
}

/* A range that embeds IPv4 and holds 127.0.0.1 there must say so. */
static void check_embedded(const eg_address *address)
{
    eg_address embedded[EG_EMBEDDED_MAX], loopback = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};
    const uint8_t *b = address->bytes;
    size_t count = eg_address_embedded(address, embedded);
    bool found = false, wanted;

    CHECK(count <= EG_EMBEDDED_MAX, "not more embedded addresses than there is room for");
    for (size_t i = 0; i < count; i++) {
        CHECK(eg_address_is_ipv4(&embedded[i]), "what is embedded is IPv4");
        found = found || eg_address_equal(&embedded[i], &loopback);
    }
    wanted = starts(b, "\0\x64\xff\x9b\0\0\0\0\0\0\0\0\x7f\0\0\1", 16) || starts(b, "\0\0\0\0\0\0\0\0\0\0\0\0\x7f\0\0\1", 16) ||
             starts(b, "\x20\x02\x7f\0\0\1", 6) || starts(b, "\x20\x01\0\0\x7f\0\0\1", 8) ||
             (starts(b, "\x20\x01\0\0", 4) && starts(b + 12, "\x80\xff\xff\xfe", 4)) ||
             starts(b + 8, "\0\0\x5e\xfe\x7f\0\0\1", 8) || starts(b + 8, "\2\0\x5e\xfe\x7f\0\0\1", 8);
    CHECK(!wanted || found, "embedded loopback is found");
}

static void check_ip(const eg_endpoint *endpoint)
{
    struct sockaddr_storage storage;
    eg_endpoint back, number;
    char text[EG_ENDPOINT_TEXT_SIZE];

    size_t length = eg_endpoint_to_sockaddr(endpoint, &storage);
    CHECK(length > 0 && eg_endpoint_from_sockaddr(&back, &storage, length) == 0, "an IP endpoint has a socket address");
    CHECK(back.family == endpoint->family && back.port == endpoint->port && back.scope_id == endpoint->scope_id &&
              back.flow_info == endpoint->flow_info && eg_address_equal(&back.address, &endpoint->address),
          "the socket address is that of the endpoint");
    CHECK(eg_address_class(&endpoint->address) == class_of(endpoint->address.bytes), "the class is that of the registries");
    length = eg_address_text(&endpoint->address, text);
    CHECK(eg_endpoint_from_number(text, length, &number) && eg_address_equal(&number.address, &endpoint->address),
          "the text of an address reads as the address");
    check_embedded(&endpoint->address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    eg_endpoint endpoint;
    char text[EG_ENDPOINT_TEXT_SIZE];

    int result = eg_endpoint_from_sockaddr(&endpoint, data, size);
    CHECK(result == 0 || result == -EINVAL, "a socket address is read or not");
    if (result != 0) {
        return 0;
    }
    size_t length = eg_endpoint_host_text(&endpoint, text);
    CHECK(length < sizeof text && strlen(text) == length, "the text fits");
    for (size_t i = 0; i < length; i++) {
        CHECK(text[i] >= 0x20 && text[i] <= 0x7e, "the text can be shown");
    }
    if (endpoint.family == AF_UNIX) {
        CHECK(endpoint.path_length <= sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path), "a path is not longer than it can be");
    } else if (endpoint.family == AF_INET || endpoint.family == AF_INET6) {
        check_ip(&endpoint);
    } else {
        CHECK(endpoint.path == NULL && endpoint.port == 0, "nothing else is set");
    }
    return 0;
}
