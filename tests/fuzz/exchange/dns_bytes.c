/* RFC 1035, as much as it takes to write. */
#include "exchange/dns_bytes.h"

#include <ctype.h>

#define HEADER 12
#define SIXTY "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"

static const char *const names[16] = {
    "a.example", /* on the list, as fuzz_exchange.c has it */
    "b.example",
    "six.example",
    "x.w.example",
    "w.example", /* and these are not */
    "off.example",
    "a.example.evil.example",
    "cname.example",
    "10.113.0.203.in-addr.arpa", /* once it was granted */
    "70.113.0.203.in-addr.arpa",
    "1.0.0.127.in-addr.arpa",
    "localhost",
    "this-machine",
    "203.0.113.10",
    SIXTY "." SIXTY "." SIXTY "." SIXTY ".w.example",
    "",
};

static const uint8_t types[16] = {1, 28, 12, 5, 65, 255, 41, 16, 1, 28, 1, 28, 1, 28, 1, 28};

static const uint8_t addresses[15][16] = {
    {[10] = 0xff, 0xff, 203, 0, 113, 10},
    {[10] = 0xff, 0xff, 203, 0, 113, 11},
    {0x20, 0x01, 0x0d, 0xb8, [15] = 0x10},
    {[10] = 0xff, 0xff, 127, 0, 0, 1},
    {[10] = 0xff, 0xff, 169, 254, 169, 254},
    {[10] = 0xff, 0xff, 0, 0, 0, 0},
    {[10] = 0xff, 0xff, 203, 0, 113, 77}, /* this machine's */
    {[10] = 0xff, 0xff, 203, 0, 113, 99}, /* the kernel does not say whose */
    {[10] = 0xff, 0xff, 255, 255, 255, 255},
    {[10] = 0xff, 0xff, 224, 0, 0, 1},
    {[15] = 1},
    {0xfe, 0x80, [15] = 1},
    {0, 0x64, 0xff, 0x9b, [12] = 127, 0, 0, 1},    /* NAT64 */
    {0x20, 0x02, 169, 254, 169, 254},              /* 6to4 */
    {0x20, 0x01, 0x0d, 0xb8, [15] = 0x77},         /* this machine's */
};

uint8_t take_byte(fuzz_bytes *bytes)
{
    if (bytes->left == 0) {
        return 0;
    }
    bytes->left--;
    return *bytes->at++;
}

static size_t take_many(fuzz_bytes *bytes, size_t length, uint8_t *out)
{
    length = length < bytes->left ? length : bytes->left;
    memcpy(out, bytes->at, length);
    bytes->at += length;
    bytes->left -= length;
    return length;
}

static void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static size_t put_name(uint8_t *at, const char *name, bool upper)
{
    size_t used = 0;
    while (*name != '\0') {
        size_t label = strcspn(name, ".");
        at[used++] = (uint8_t)label;
        for (size_t i = 0; i < label; i++) {
            at[used++] = (uint8_t)(upper ? toupper((unsigned char)name[i]) : name[i]);
        }
        name += label + (name[label] == '.');
    }
    at[used++] = 0;
    return used;
}

static void damage(fuzz_bytes *bytes, uint8_t *message, size_t length)
{
    size_t place = take_byte(bytes);
    uint8_t value = take_byte(bytes);
    if (place < length) {
        message[place] = value;
    }
}

size_t make_question(fuzz_bytes *bytes, uint16_t id, uint8_t out[DNS_QUESTION_ROOM])
{
    static const uint8_t opt[11] = {0, 0, 41, 0x10, 0};
    uint8_t what = take_byte(bytes), flags = take_byte(bytes);
    size_t at = HEADER;

    if ((flags & DNS_Q_RAW) != 0) {
        return take_many(bytes, take_byte(bytes), out);
    }
    memset(out, 0, HEADER);
    put_u16(out, id);
    out[2] = 1; /* RD */
    out[5] = 1;
    at += put_name(out + at, names[what & 15], (flags & DNS_Q_UPPER) != 0);
    put_u16(out + at, types[what >> 4]);
    put_u16(out + at + 2, 1);
    at += 4;
    if ((flags & DNS_Q_OPT) != 0) {
        memcpy(out + at, opt, sizeof opt);
        at += sizeof opt;
        out[11] = 1;
        if ((flags & DNS_Q_COOKIE) != 0) {
            out[at - 1] = 12;
            memset(out + at, 0, 12);
            out[at + 1] = 10;
            out[at + 3] = 8;
            at += 12;
        }
    }
    if ((flags & DNS_Q_DAMAGE) != 0) {
        damage(bytes, out, at);
    }
    if ((flags & DNS_Q_LONG) != 0) {
        memset(out + at, 0, DNS_QUESTION_ROOM - at);
        at = DNS_QUESTION_ROOM / 2 + 1 + (what >> 4); /* around what is too long */
    }
    return at;
}

/* One record behind `at`; `cname` is where the target of the last CNAME stands, for the records of DNS_OF_CNAME. */
static size_t put_record(fuzz_bytes *bytes, uint8_t *message, size_t at, size_t *cname)
{
    uint8_t what = take_byte(bytes);
    uint8_t address[16] = {0};
    unsigned of = what >> 4 & 3;

    if ((what & 15) == 15) {
        take_many(bytes, sizeof address, address);
    } else {
        memcpy(address, addresses[what & 15], sizeof address);
    }
    bool ipv4 = memcmp(address, addresses[0], 12) == 0 && (what & 0x80) == 0;
    if (of == DNS_OF_OTHER) {
        at += put_name(message + at, "off.example", false);
    } else { /* a chain: each CNAME belongs to the target of the one before */
        put_u16(message + at, 0xc000u | (unsigned)(of == DNS_OF_NAME ? HEADER : *cname));
        at += 2;
    }
    put_u16(message + at, of == DNS_CNAME ? 5 : ipv4 ? 1 : 28);
    put_u16(message + at + 2, 1);
    memset(message + at + 4, 0, 4);
    uint8_t *size = message + at + 8;
    at += 10;
    size_t start = at;
    if (of == DNS_CNAME) {
        *cname = at;
        at += put_name(message + at, names[what & 7], (what & 0x80) != 0);
    } else {
        memcpy(message + at, address + (ipv4 ? 12 : 0), ipv4 ? 4 : 16);
        at += ipv4 ? 4 : 16;
    }
    put_u16(size, (unsigned)(at - start));
    return at;
}

static size_t question_end(const uint8_t *query, size_t length)
{
    size_t at = HEADER;
    while (at < length && query[at] != 0) {
        at += query[at] + 1u;
    }
    return at + 5 <= length ? at + 5 : length;
}

size_t make_answer(fuzz_bytes *bytes, const uint8_t *query, size_t length, uint8_t *out)
{
    uint8_t flags = take_byte(bytes);
    size_t at = question_end(query, length), cname = HEADER;

    if ((flags & DNS_A_RAW) != 0) {
        at = 2 + take_many(bytes, take_byte(bytes), out + 2);
        memcpy(out, query, 2);
    } else {
        memcpy(out, query, at);
        put_u16(out + 2, 0x8180u | ((flags & DNS_A_TRUNCATED) != 0 ? 0x200 : 0) | ((flags & DNS_A_CODE) != 0 ? 3 : 0));
        unsigned records = take_byte(bytes) % 80;
        put_u16(out + 6, records);
        memset(out + 8, 0, 4);
        for (unsigned i = 0; i < records; i++) {
            at = put_record(bytes, out, at, &cname);
        }
        out[HEADER + 1] ^= (flags & DNS_A_OTHER_NAME) != 0;
    }
    if ((flags & DNS_A_DAMAGE) != 0) {
        damage(bytes, out, at);
    }
    out[0] ^= (flags & DNS_A_OTHER_ID) != 0;
    if ((flags & DNS_A_LONG) != 0) {
        memset(out + at, 0, DNS_ANSWER_ROOM - at);
        at = DNS_ANSWER_ROOM;
    }
    return at;
}
