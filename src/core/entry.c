/* Parsing the entries of the allowlist. Nothing here looks anything up. */
#include "core/entry.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct prefix {
    uint8_t bytes[16];
    uint8_t length;
} prefix;

/* Every range whose addresses are this machine, or carry this machine's address inside.
 * A CIDR may not overlap one of them: ADR-0006 leaves no entry that opens loopback. */
static const prefix this_machine[] = {
    {{0}, 127},                                                                  /* ::, ::1 */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127}, 104},                      /* 127.0.0.0/8 */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 128},                           /* 0.0.0.0 */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 127}, 104},                            /* compatible */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 127}, 104},                      /* translated */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 128},
    {{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 127}, 104},                /* NAT64 */
    {{0x00, 0x64, 0xff, 0x9b}, 128},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48},                                  /* local NAT64 */
    {{0x20, 0x02, 127}, 24},                                                     /* 6to4 */
    {{0x20, 0x02, 0, 0, 0, 0}, 48},
    {{0x20, 0x01, 0, 0}, 32},                                                    /* Teredo */
};

static bool covers(const uint8_t *network, unsigned length, const uint8_t *address)
{
    unsigned whole = length / 8, rest = length % 8;
    if (memcmp(network, address, whole) != 0) {
        return false;
    }
    return rest == 0 || ((network[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

static bool embeds_this_machine(const eg_address *address)
{
    eg_address embedded[EG_EMBEDDED_MAX];
    size_t count = eg_address_embedded(address, embedded);
    for (size_t i = 0; i < count; i++) {
        eg_class class = eg_address_class(&embedded[i]);
        if (class == EG_CLASS_LOOPBACK || class == EG_CLASS_UNSPECIFIED) {
            return true;
        }
    }
    return false;
}

/* The table has no prefix for ISATAP, whose IPv4 address stands behind any: a CIDR that
 * reaches into the last 32 bits is compared there. */
static bool isatap_covers_this_machine(const eg_address *address, unsigned length)
{
    static const uint8_t loopback[4] = {127}, unspecified[4] = {0};
    const uint8_t *bytes = address->bytes;
    if (length < 96 || (bytes[8] & 0xfd) != 0 || bytes[9] != 0 || bytes[10] != 0x5e || bytes[11] != 0xfe) {
        return false;
    }
    unsigned inside = length - 96;
    return covers(loopback, inside < 8 ? inside : 8, bytes + 12) || covers(unspecified, inside, bytes + 12);
}

/* Two prefixes overlap exactly where the shorter covers the longer. */
static bool means_this_machine(const eg_address *address, unsigned length)
{
    for (size_t i = 0; i < sizeof this_machine / sizeof this_machine[0]; i++) {
        const prefix *range = &this_machine[i];
        /* One exact address inside a range that carries many: judged by what it carries. */
        if (length == 128 && range->length < 104 && range->length != 24) {
            continue;
        }
        unsigned shorter = length < range->length ? length : range->length;
        if (covers(range->bytes, shorter, address->bytes)) {
            return true;
        }
    }
    return length == 128 ? embeds_this_machine(address) : isatap_covers_this_machine(address, length);
}

static bool parse_decimal(const char *text, size_t length, unsigned most, unsigned *out)
{
    unsigned value = 0;
    if (length == 0 || length > 5 || (length > 1 && text[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *out = value;
    return value <= most;
}

static const char *parse_port(const char *text, size_t length, eg_entry *out)
{
    static const char *const wrong = "the port must be a number from 1 to 65535, a range lo-hi, or *";
    unsigned low, high;

    if (length == 1 && text[0] == '*') {
        out->port_low = 0;
        out->port_high = 65535;
        return NULL;
    }
    const char *dash = memchr(text, '-', length);
    if (dash == NULL) {
        if (!parse_decimal(text, length, 65535, &low)) {
            return wrong;
        }
        high = low;
    } else {
        size_t before = (size_t)(dash - text);
        if (!parse_decimal(text, before, 65535, &low) ||
            !parse_decimal(dash + 1, length - before - 1, 65535, &high)) {
            return wrong;
        }
        if (low > high) {
            return "the port range ends before it begins";
        }
    }
    if (low == 0) {
        return wrong;
    }
    out->port_low = (uint16_t)low;
    out->port_high = (uint16_t)high;
    return NULL;
}

static const char *finish_address(eg_entry *out, unsigned prefix_length)
{
    eg_address masked = eg_address_masked(&out->address, prefix_length);
    if (!eg_address_equal(&masked, &out->address)) {
        return "host bits are set behind the prefix length";
    }
    if (means_this_machine(&out->address, prefix_length)) {
        return "covers or embeds loopback or the unspecified address, which no entry can open "
               "(tests use the fixture egress_test_loopback)";
    }
    out->kind = EG_ENTRY_ADDRESS;
    out->prefix_length = (uint8_t)prefix_length;
    return NULL;
}

/* `text` is the host, perhaps with /len: an IPv4 address of `bits` 32, IPv6 of 128. */
static const char *parse_address(const char *text, size_t length, int family, eg_entry *out)
{
    char copy[64];
    unsigned bits = family == AF_INET ? 32 : 128, prefix_length = bits;
    const char *slash = memchr(text, '/', length);
    size_t host = slash == NULL ? length : (size_t)(slash - text);

    if (slash != NULL && !parse_decimal(slash + 1, length - host - 1, bits, &prefix_length)) {
        return family == AF_INET ? "the prefix length must be 0 to 32" : "the prefix length must be 0 to 128";
    }
    if (family == AF_INET) {
        return eg_address_parse_ipv4(text, host, &out->address) ? finish_address(out, prefix_length + 96)
                                                                : "not an IPv4 address of four decimal numbers";
    }
    if (host >= sizeof copy) {
        return "not an address";
    }
    memcpy(copy, text, host);
    copy[host] = '\0';
    if (strchr(copy, '%') != NULL) {
        return "a scope id cannot be part of an entry";
    }
    if (inet_pton(AF_INET6, copy, out->address.bytes) != 1) {
        return "not an IPv6 address";
    }
    return finish_address(out, prefix_length);
}

#define NO_UNIX_ADDRESS "a UNIX entry is unix:/absolute/path or unix:@abstract"

static const char *parse_unix(const char *path, size_t length, eg_entry *out)
{
    struct sockaddr_un limit;
    if (length < 2 || (path[0] != '/' && path[0] != '@')) {
        return NO_UNIX_ADDRESS;
    }
    if (length > sizeof limit.sun_path) {
        return "the UNIX path is longer than a socket address holds";
    }
    if (memchr(path, '\0', length) != NULL) {
        return "contains a NUL byte";
    }
    out->kind = EG_ENTRY_UNIX;
    out->port_high = 65535;
    out->text_length = (uint16_t)length;
    memcpy(out->text, path, length);
    out->text[length] = '\0';
    return NULL;
}

static const char *parse_name(const char *text, size_t length, eg_entry *out)
{
    eg_name name;
    bool wildcard = length > 2 && text[0] == '*' && text[1] == '.';

    if (length == 1 && text[0] == '*') {
        return "a host is needed: * alone would open every host, loopback included";
    }
    if (wildcard) {
        text += 2;
        length -= 2;
    }
    if (memchr(text, '*', length) != NULL) {
        return "* stands only for whole labels at the beginning: *.name:port";
    }
    if (!eg_name_normalise(text, length, &name)) {
        return "not a host name";
    }
    if (eg_endpoint_from_number(name.text, name.length, NULL)) {
        return wildcard ? "a wildcard needs a name behind it"
                        : "the C library reads this as a number; write the address as four decimal numbers";
    }
    if (!wildcard && eg_name_equal(&name, "unix")) {
        return NO_UNIX_ADDRESS; /* its canonical text would be read as one */
    }
    const char *last = strrchr(name.text, '.');
    last = last == NULL ? name.text : last + 1;
    if (strspn(last, "0123456789") == strlen(last)) {
        return "not a host name: the last label is a number";
    }
    if (strcmp(last, "localhost") == 0 || eg_name_equal(&name, "localhost.localdomain")) {
        return "names this machine, which no entry can open (tests use the fixture egress_test_loopback)";
    }
    out->kind = wildcard ? EG_ENTRY_WILDCARD : EG_ENTRY_NAME;
    out->text_length = (uint16_t)name.length;
    memcpy(out->text, name.text, name.length + 1);
    return NULL;
}

const char *eg_entry_parse(const char *text, size_t length, eg_entry *out)
{
    const char *wrong;

    memset(out, 0, offsetof(eg_entry, text) + 1);
    if (length == 0) {
        return "empty";
    }
    if (length >= 5 && memcmp(text, "unix:", 5) == 0) {
        return parse_unix(text + 5, length - 5, out);
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f) {
            return "contains a space or another character that no host has";
        }
        if (text[i] == '/' && i + 2 < length && text[i + 1] == '/') {
            return "an entry is host:port, not a URL";
        }
    }
    if (text[0] == '[') {
        const char *end = memchr(text, ']', length);
        if (end == NULL || (size_t)(end - text) + 1 >= length || end[1] != ':') {
            return "an IPv6 entry is [address]:port";
        }
        wrong = parse_port(end + 2, length - (size_t)(end + 2 - text), out);
        return wrong != NULL ? wrong : parse_address(text + 1, (size_t)(end - text) - 1, AF_INET6, out);
    }
    const char *colon = memchr(text, ':', length);
    if (colon == NULL) {
        return "the port is missing: an entry is host:port";
    }
    size_t host = (size_t)(colon - text);
    if (memchr(colon + 1, ':', length - host - 1) != NULL) {
        return "an IPv6 entry is [address]:port";
    }
    if (host == 0) {
        return "the host is missing: an entry is host:port";
    }
    wrong = parse_port(colon + 1, length - host - 1, out);
    if (wrong != NULL) {
        return wrong;
    }
    size_t digits = 0;
    while (digits < host && ((text[digits] >= '0' && text[digits] <= '9') || text[digits] == '.')) {
        digits++;
    }
    eg_address number;
    if (digits > 0 && (text[digits] == '/' || (digits == host && eg_address_parse_ipv4(text, digits, &number)))) {
        return parse_address(text, host, AF_INET, out);
    }
    return parse_name(text, host, out);
}

static void port_text(const eg_entry *entry, char *text, size_t size)
{
    if (entry->port_low == 0 && entry->port_high == 65535) {
        snprintf(text, size, "*");
    } else if (entry->port_low == entry->port_high) {
        snprintf(text, size, "%u", entry->port_low);
    } else {
        snprintf(text, size, "%u-%u", entry->port_low, entry->port_high);
    }
}

size_t eg_entry_text(const eg_entry *entry, char *text)
{
    char port[16], host[EG_ENDPOINT_TEXT_SIZE], slash[8] = "";
    int length = 0;

    port_text(entry, port, sizeof port);
    switch (entry->kind) {
    case EG_ENTRY_UNIX:
        length = snprintf(text, EG_ENTRY_TEXT_SIZE, "unix:%s", entry->text);
        break;
    case EG_ENTRY_WILDCARD:
        length = snprintf(text, EG_ENTRY_TEXT_SIZE, "*.%s:%s", entry->text, port);
        break;
    case EG_ENTRY_NAME:
        length = snprintf(text, EG_ENTRY_TEXT_SIZE, "%s:%s", entry->text, port);
        break;
    case EG_ENTRY_ADDRESS:
        eg_address_text(&entry->address, host);
        if (eg_address_is_ipv4(&entry->address)) {
            if (entry->prefix_length < 128) {
                snprintf(slash, sizeof slash, "/%u", entry->prefix_length - 96u);
            }
            length = snprintf(text, EG_ENTRY_TEXT_SIZE, "%s%s:%s", host, slash, port);
        } else {
            if (entry->prefix_length < 128) {
                snprintf(slash, sizeof slash, "/%u", entry->prefix_length);
            }
            length = snprintf(text, EG_ENTRY_TEXT_SIZE, "[%s%s]:%s", host, slash, port);
        }
        break;
    default:
        text[0] = '\0';
        break;
    }
    return length < 0 ? 0 : (size_t)length;
}
