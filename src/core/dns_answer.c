/* Reading answers. A pointer may only lead backwards, and there is a limit to everything. */
#include "core/dns_answer.h"

#include <string.h>

#define HEADER_SIZE 12u
#define CLASS_IN 1u
#define TYPE_CNAME 5u
#define POINTERS_MAX 32
#define CHAIN_MAX 12  /* CNAMEs; libc gives up as well */
#define RECORDS_MAX 512u

typedef struct record {
    bool named;      /* the owner is a host name */
    eg_name owner;
    uint16_t type, class, size;
    size_t data;     /* where its data start */
} record;

static uint16_t read_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* Read a name at `*at`, which then stands behind it. False where it cannot be read; `named`
 * tells whether it is a host name. */
static bool read_name(const uint8_t *message, size_t length, size_t *at, eg_name *out, bool *named)
{
    char text[EG_NAME_MAX + 2];
    size_t used = 0, here = *at;
    bool jumped = false, plain = true;

    for (int pointers = 0;;) {
        if (here >= length) {
            return false;
        }
        size_t label = message[here];
        if (label >= 0xc0) {
            if (length - here < 2 || ++pointers > POINTERS_MAX) {
                return false;
            }
            size_t target = read_u16(message + here) & 0x3fffu;
            if (target >= here) {
                return false;
            }
            *at = jumped ? *at : here + 2;
            jumped = true;
            here = target;
            continue;
        }
        here++;
        if (label == 0) {
            break;
        }
        if (label > 63 || label > length - here || used + label + 1 > EG_NAME_MAX + 1) {
            return false;
        }
        if (used > 0) {
            text[used++] = '.';
        }
        plain = plain && memchr(message + here, '.', label) == NULL;
        memcpy(text + used, message + here, label);
        used += label;
        here += label;
    }
    *at = jumped ? *at : here;
    *named = plain && eg_name_normalise(text, used, out);
    return true;
}

static bool read_record(const uint8_t *message, size_t length, size_t *at, record *out)
{
    if (!read_name(message, length, at, &out->owner, &out->named) || length - *at < 10) {
        return false;
    }
    out->type = read_u16(message + *at);
    out->class = read_u16(message + *at + 2);
    out->size = read_u16(message + *at + 8);
    *at += 10;
    out->data = *at;
    if (out->size > length - *at) {
        return false;
    }
    *at += out->size;
    return true;
}

static bool is_in(const eg_name *chain, size_t count, const eg_name *name)
{
    for (size_t i = 0; i < count; i++) {
        if (eg_name_equal(&chain[i], name->text)) {
            return true;
        }
    }
    return false;
}

/* Add where the CNAMEs of this message lead to; in whatever order they stand. */
static bool follow(const uint8_t *message, size_t length, size_t start, unsigned records, eg_name *chain,
                   size_t *count)
{
    for (size_t before = 0; before != *count;) {
        size_t at = start;
        before = *count;
        for (unsigned i = 0; i < records; i++) {
            record one;
            eg_name target;
            bool named;
            if (!read_record(message, length, &at, &one)) {
                return false;
            }
            size_t data = one.data;
            if (one.type != TYPE_CNAME || one.class != CLASS_IN || !one.named || !is_in(chain, *count, &one.owner) ||
                !read_name(message, length, &data, &target, &named) || !named || is_in(chain, *count, &target)) {
                continue;
            }
            if (*count == CHAIN_MAX) {
                return false;
            }
            chain[(*count)++] = target;
        }
    }
    return true;
}

static void collect(const uint8_t *message, const record *one, eg_dns_answer *out)
{
    if (out->count == EG_DNS_ADDRESSES_MAX) {
        return;
    }
    if (one->type == EG_DNS_TYPE_A && one->size == 4) {
        out->addresses[out->count++] = eg_address_from_ipv4(message + one->data);
    } else if (one->type == EG_DNS_TYPE_AAAA && one->size == 16) {
        memcpy(out->addresses[out->count++].bytes, message + one->data, 16);
    }
}

bool eg_dns_read_answer(const uint8_t *message, size_t length, const eg_dns_question *asked, eg_dns_answer *out)
{
    eg_name name, chain[CHAIN_MAX];
    size_t at = HEADER_SIZE, chain_count = 1;
    bool named;

    memset(out, 0, sizeof *out);
    /* A response to a standard query with one question, the one that was asked. */
    if (length < HEADER_SIZE || read_u16(message) != asked->id || (message[2] & 0xf8) != 0x80 ||
        read_u16(message + 4) != 1 || !read_name(message, length, &at, &name, &named) || !named ||
        !eg_name_equal(&name, asked->name.text) || length - at < 4 || read_u16(message + at) != asked->type ||
        read_u16(message + at + 2) != CLASS_IN) {
        return false;
    }
    at += 4;
    out->truncated = (message[2] & 0x02) != 0;
    unsigned records = read_u16(message + 6);
    if (out->truncated || (message[3] & 0x0f) != 0 || records == 0) {
        return true; /* nothing that could be granted */
    }
    chain[0] = asked->name;
    if (records > RECORDS_MAX || !follow(message, length, at, records, chain, &chain_count)) {
        return false;
    }
    for (unsigned i = 0; i < records; i++) {
        record one;
        if (!read_record(message, length, &at, &one)) {
            return false;
        }
        if (one.class == CLASS_IN && one.named && is_in(chain, chain_count, &one.owner)) {
            collect(message, &one, out);
        }
    }
    return true;
}

size_t eg_dns_make_refusal(const uint8_t *query, const eg_dns_question *asked, unsigned code, uint8_t *out)
{
    memcpy(out, query, asked->end);
    out[2] = (uint8_t)(0x80 | (query[2] & 0x01)); /* a response; recursion as it was wanted */
    out[3] = (uint8_t)(0x80 | code);
    memset(out + 6, 0, 6); /* no answer, no authority, nothing additional */
    return asked->end;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool eg_dns_reverse_address(const eg_name *name, eg_address *out)
{
    static const char ipv4_end[] = ".in-addr.arpa", ipv6_end[] = ".ip6.arpa";
    size_t tail = sizeof ipv4_end - 1;

    if (name->length > tail && strcmp(name->text + name->length - tail, ipv4_end) == 0) {
        eg_address reversed;
        if (!eg_address_parse_ipv4(name->text, name->length - tail, &reversed)) {
            return false;
        }
        uint8_t ipv4[4] = {reversed.bytes[15], reversed.bytes[14], reversed.bytes[13], reversed.bytes[12]};
        *out = eg_address_from_ipv4(ipv4);
        return true;
    }
    if (name->length != 63 + sizeof ipv6_end - 1 || strcmp(name->text + 63, ipv6_end) != 0) {
        return false;
    }
    for (size_t i = 0; i < 32; i++) {
        int digit = hex_digit(name->text[2 * i]);
        if (digit < 0 || (i < 31 && name->text[2 * i + 1] != '.')) {
            return false;
        }
        uint8_t *byte = &out->bytes[15 - i / 2];
        *byte = (uint8_t)(i % 2 == 0 ? digit : *byte | digit << 4);
    }
    return true;
}
