/* Answers of nameservers: which addresses belong to the name that was asked, and that nothing
 * hostile in them is read as one. */
#include "support.h"

#include "core/dns_answer.h"

#define ID "\x12\x34"
#define API "\x03" "api\x04" "test\x00"
#define QUESTION API "\x00\x01\x00\x01"
#define ANSWERS(count) ID "\x81\x80\x00\x01\x00" count "\x00\x00\x00\x00" QUESTION
#define TO_API "\xc0\x0c" /* a pointer to the question's name */
#define TTL "\x00\x00\x00\x3c"
#define A(owner, address) owner "\x00\x01\x00\x01" TTL "\x00\x04" address
#define AAAA(owner, address) owner "\x00\x1c\x00\x01" TTL "\x00\x10" address
#define CNAME(owner, size, target) owner "\x00\x05\x00\x01" TTL "\x00" size target
#define IP1 "\xcb\x00\x71\x01" /* 203.0.113.1 */
#define IP2 "\xcb\x00\x71\x02"
#define IP6 "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
#define WWW "\x03" "www\x04" "test\x00"  /* 10 bytes */
#define CDN "\x03" "cdn\x04" "test\x00"
#define EVIL "\x04" "evil\x04" "test\x00"

#define TEN(x) x x x x x x x x x x

static const eg_dns_question *asked(void)
{
    static eg_dns_question question = {.id = 0x1234, .type = EG_DNS_TYPE_A};
    question.name = name_of("api.test");
    return &question;
}

static const struct {
    const char *what;
    const char *message;
    size_t length;
    const char *addresses[4];
} good[] = {
    {"no record", TEXT(ANSWERS("\x00")), {NULL}},
    {"an address", TEXT(ANSWERS("\x01") A(TO_API, IP1)), {"203.0.113.1"}},
    {"two addresses", TEXT(ANSWERS("\x02") A(TO_API, IP1) A(TO_API, IP2)), {"203.0.113.1", "203.0.113.2"}},
    {"an IPv6 address", TEXT(ANSWERS("\x01") AAAA(TO_API, IP6)), {"2001:db8::1"}},
    {"a name in full", TEXT(ANSWERS("\x01") A(API, IP1)), {"203.0.113.1"}},
    {"a name in upper case", TEXT(ANSWERS("\x01") A("\x03" "API\x04" "TEST\x00", IP1)), {"203.0.113.1"}},
    {"a label and a pointer", TEXT(ANSWERS("\x01") A("\x03" "api\xc0\x10", IP1)), {"203.0.113.1"}},
    {"somebody else's address", TEXT(ANSWERS("\x02") A(EVIL, IP2) A(TO_API, IP1)), {"203.0.113.1"}},
    {"only somebody else's address", TEXT(ANSWERS("\x01") A(EVIL, IP2)), {NULL}},
    {"the address of a part of the name", TEXT(ANSWERS("\x01") A("\xc0\x10", IP2)), {NULL}},
    {"a CNAME", TEXT(ANSWERS("\x02") CNAME(TO_API, "\x0a", WWW) A(WWW, IP1)), {"203.0.113.1"}},
    {"a CNAME behind its address", TEXT(ANSWERS("\x02") A(WWW, IP1) CNAME(TO_API, "\x0a", WWW)), {"203.0.113.1"}},
    {"two CNAMEs", TEXT(ANSWERS("\x03") CNAME(TO_API, "\x0a", WWW) CNAME(WWW, "\x0a", CDN) A(CDN, IP1)), {"203.0.113.1"}},
    {"two CNAMEs, backwards", TEXT(ANSWERS("\x03") A(CDN, IP1) CNAME(WWW, "\x0a", CDN) CNAME(TO_API, "\x0a", WWW)), {"203.0.113.1"}},
    {"a CNAME that is a pointer at the end", TEXT(ANSWERS("\x02") A(WWW, IP1) CNAME(TO_API, "\x02", "\xc0\x1a")), {"203.0.113.1"}},
    {"a record without data at the end", TEXT(ANSWERS("\x02") A(TO_API, IP1) TO_API "\x00\x10\x00\x01" TTL "\x00\x00"), {"203.0.113.1"}},
    {"a CNAME of somebody else", TEXT(ANSWERS("\x02") CNAME(EVIL, "\x0a", WWW) A(WWW, IP1)), {NULL}},
    {"a CNAME to itself", TEXT(ANSWERS("\x02") CNAME(TO_API, "\x02", TO_API) A(TO_API, IP1)), {"203.0.113.1"}},
    {"CNAMEs in a circle", TEXT(ANSWERS("\x03") CNAME(TO_API, "\x0a", WWW) CNAME(WWW, "\x02", TO_API) A(WWW, IP1)), {"203.0.113.1"}},
    {"a CNAME of another class", TEXT(ANSWERS("\x02") TO_API "\x00\x05\x00\x03" TTL "\x00\x0a" WWW A(WWW, IP1)), {NULL}},
    {"a CNAME that is no host name", TEXT(ANSWERS("\x02") CNAME(TO_API, "\x09", "\x03" "w w\x03" "com\x00") A(TO_API, IP1)), {"203.0.113.1"}},
    {"a CNAME with a dot in a label", TEXT(ANSWERS("\x02") CNAME(TO_API, "\x0a", "\x08" "www.test\x00") A(WWW, IP1)), {NULL}},
    {"an owner with a dot in a label", TEXT(ANSWERS("\x01") A("\x08" "api.test\x00", IP1)), {NULL}},
    {"an owner that is no host name", TEXT(ANSWERS("\x02") A("\x03" "a i\x00", IP2) A(TO_API, IP1)), {"203.0.113.1"}},
    {"an address of the root", TEXT(ANSWERS("\x01") A("\x00", IP1)), {NULL}},
    {"an address of another class", TEXT(ANSWERS("\x01") TO_API "\x00\x01\x00\x03" TTL "\x00\x04" IP1), {NULL}},
    {"an A of three bytes", TEXT(ANSWERS("\x01") TO_API "\x00\x01\x00\x01" TTL "\x00\x03\xcb\x00\x71"), {NULL}},
    {"an A of sixteen bytes", TEXT(ANSWERS("\x01") TO_API "\x00\x01\x00\x01" TTL "\x00\x10" IP6), {NULL}},
    {"an AAAA of four bytes", TEXT(ANSWERS("\x01") TO_API "\x00\x1c\x00\x01" TTL "\x00\x04" IP1), {NULL}},
    {"a record of another type", TEXT(ANSWERS("\x02") TO_API "\x00\x10\x00\x01" TTL "\x00\x04" IP2 A(TO_API, IP1)), {"203.0.113.1"}},
    {"something behind the answers", TEXT(ANSWERS("\x01") A(TO_API, IP1) A(TO_API, IP2)), {"203.0.113.1"}},
    {"NXDOMAIN", TEXT(ID "\x81\x83\x00\x01\x00\x01\x00\x00\x00\x00" QUESTION A(TO_API, IP1)), {NULL}},
    {"SERVFAIL", TEXT(ID "\x81\x82\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION), {NULL}},
    {"rcode 8", TEXT(ID "\x81\x88\x00\x01\x00\x01\x00\x00\x00\x00" QUESTION A(TO_API, IP1)), {NULL}},
    {"rcode 4", TEXT(ID "\x81\x84\x00\x01\x00\x01\x00\x00\x00\x00" QUESTION A(TO_API, IP1)), {NULL}},
    {"rcode 1", TEXT(ID "\x81\x81\x00\x01\x00\x01\x00\x00\x00\x00" QUESTION A(TO_API, IP1)), {NULL}},
    {"truncated", TEXT(ID "\x83\x80\x00\x01\x00\x01\x00\x00\x00\x00" QUESTION A(TO_API, IP1)), {NULL}},
    {"authoritative", TEXT(ID "\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00" QUESTION A(TO_API, IP1)), {"203.0.113.1"}},
};

static void addresses_of_the_name_and_its_aliases_are_read(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        eg_dns_answer answer;
        size_t wanted = 0;
        bool read = eg_dns_read_answer(fenced(good[i].message, good[i].length), good[i].length, asked(), &answer);
        ROW(read, "%s is not read", good[i].what);
        for (; read && wanted < 4 && good[i].addresses[wanted] != NULL; wanted++) {
            eg_address address = address_of(good[i].addresses[wanted]);
            ROW(wanted < answer.count && eg_address_equal(&answer.addresses[wanted], &address), "%s: %s", good[i].what,
                good[i].addresses[wanted]);
        }
        ROW(answer.count == wanted, "%s: %zu addresses", good[i].what, answer.count);
        ROW(answer.truncated == (strcmp(good[i].what, "truncated") == 0), "%s: truncated", good[i].what);
    }
    FINISH_ROWS();
}

static const struct {
    const char *what;
    const char *message;
    size_t length;
} bad[] = {
    {"empty", TEXT("")},
    {"a header alone", TEXT(ID "\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00")},
    {"another id", TEXT("\x12\x35\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"another id, the high byte", TEXT("\x13\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"a question", TEXT(ID "\x01\x80\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"opcode 1", TEXT(ID "\x89\x80\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"opcode 8", TEXT(ID "\xc1\x80\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"no question", TEXT(ID "\x81\x80\x00\x00\x00\x01\x00\x00\x00\x00" A(API, IP1))},
    {"two questions", TEXT(ID "\x81\x80\x00\x02\x00\x00\x00\x00\x00\x00" QUESTION QUESTION)},
    {"257 questions", TEXT(ID "\x81\x80\x01\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"another name", TEXT(ID "\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" EVIL "\x00\x01\x00\x01" A(TO_API, IP1))},
    {"a name that is no host name", TEXT(ID "\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" "\x03" "a i\x04" "test\x00\x00\x01\x00\x01")},
    {"a name with a dot in a label", TEXT(ID "\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" "\x08" "api.test\x00\x00\x01\x00\x01")},
    {"another type", TEXT(ID "\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" API "\x00\x1c\x00\x01")},
    {"another type, the high byte", TEXT(ID "\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" API "\x01\x01\x00\x01")},
    {"another class", TEXT(ID "\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" API "\x00\x01\x00\x03")},
    {"half a question", TEXT(ID "\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" API "\x00\x01\x00")},
    {"a record that is not there", TEXT(ANSWERS("\x01"))},
    {"a second record that is not there", TEXT(ANSWERS("\x02") A(TO_API, IP1))},
    {"half a record", TEXT(ANSWERS("\x01") TO_API "\x00\x01\x00\x01" TTL "\x00")},
    {"data shorter than announced", TEXT(ANSWERS("\x01") TO_API "\x00\x01\x00\x01" TTL "\x00\x04\xcb\x00\x71")},
    {"a pointer to itself", TEXT(ANSWERS("\x01") A("\xc0\x1a", IP1))},
    {"a pointer forwards", TEXT(ANSWERS("\x01") A("\xc0\x1b", IP1))},
    {"a pointer forwards, and a record where it stands", TEXT(ANSWERS("\x01") "\xc0\x1b\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04" IP1)},
    {"a pointer behind the end", TEXT(ANSWERS("\x01") A("\xff\xff", IP1))},
    {"half a pointer", TEXT(ANSWERS("\x01") "\xc0")},
    {"a label of 64", TEXT(ANSWERS("\x01") A("\x40" TEN("123456") "1234\x00", IP1))},
    {"a reserved label", TEXT(ANSWERS("\x01") A("\x80" "a\x00", IP1))},
    {"a label behind the end", TEXT(ANSWERS("\x01") "\x3f" "api")},
    {"a label that could be a record", TEXT(ANSWERS("\x01") "\x09" "abcdefg\x00\x00")},
    {"a name without its end", TEXT(ANSWERS("\x01") "\x03" "api")},
    {"513 records", TEXT(ID "\x81\x80\x00\x01\x02\x01\x00\x00\x00\x00" QUESTION A(TO_API, IP1))},
};

static void anything_else_is_refused(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        eg_dns_answer answer;
        const uint8_t *copy = fenced(bad[i].message, bad[i].length);
        ROW(!eg_dns_read_answer(copy, bad[i].length, asked(), &answer), "%s is read", bad[i].what);
    }
    FINISH_ROWS();
}

static void an_answer_that_ends_early_gives_no_more_than_it_held(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        for (size_t length = 0; length < good[i].length; length++) {
            eg_dns_answer answer;
            const uint8_t *copy = fenced(good[i].message, length);
            bool read = eg_dns_read_answer(copy, length, asked(), &answer);
            ROW(!read || answer.count <= 1, "%s, cut to %zu bytes: %zu addresses", good[i].what, length, answer.count);
        }
    }
    FINISH_ROWS();
}

/* ---- limits ---- */

static uint8_t built[65536];
static size_t built_size;

static void build(const char *bytes, size_t length)
{
    memcpy(built + built_size, bytes, length);
    built_size += length;
}

static void build_header(unsigned records)
{
    built_size = 0;
    build(TEXT(ANSWERS("\x00")));
    built[6] = (uint8_t)(records >> 8);
    built[7] = (uint8_t)records;
}

static void more_addresses_than_there_is_room_for_are_dropped(void **unused)
{
    (void)unused;
    eg_dns_answer answer;
    for (unsigned count = EG_DNS_ADDRESSES_MAX - 1; count <= EG_DNS_ADDRESSES_MAX + 1; count++) {
        build_header(count);
        for (unsigned i = 0; i < count; i++) {
            build(TEXT(A(TO_API, IP1)));
        }
        assert_true(eg_dns_read_answer(built, built_size, asked(), &answer));
        assert_int_equal(answer.count, count < EG_DNS_ADDRESSES_MAX ? count : EG_DNS_ADDRESSES_MAX);
    }
}

static void up_to_512_records_are_read(void **unused)
{
    (void)unused;
    eg_dns_answer answer;
    for (unsigned count = 512; count <= 513; count++) {
        build_header(count);
        for (unsigned i = 0; i < count; i++) {
            build(TEXT(A(EVIL, IP1)));
        }
        assert_int_equal(eg_dns_read_answer(built, built_size, asked(), &answer), count == 512);
    }
}

/* Eleven CNAMEs are followed, whichever way round they stand; with the twelfth it ends. */
static void a_chain_of_names_has_an_end(void **unused)
{
    (void)unused;
    for (int backwards = 0; backwards < 2; backwards++) {
        for (unsigned links = 10; links <= 12; links++) {
            eg_dns_answer answer;
            char record[] = CNAME("\x01" "a\x00", "\x03", "\x01" "b\x00");
            build_header(links + 2);
            for (unsigned i = 0; i < links; i++) {
                unsigned link = backwards ? links - 1 - i : i;
                record[1] = (char)('a' + link);
                record[sizeof record - 3] = (char)('b' + link);
                if (link == 0) {
                    build(TEXT(CNAME(TO_API, "\x03", "\x01" "b\x00")));
                } else {
                    build(record, sizeof record - 1);
                }
            }
            /* A CNAME to what is no host name takes no place. */
            build(TEXT(CNAME(TO_API, "\x05", "\x03" "w w\x00")));
            char last[] = A("\x01" "a\x00", IP1);
            last[1] = (char)('a' + links);
            build(last, sizeof last - 1);
            bool read = eg_dns_read_answer(built, built_size, asked(), &answer);
            ROW(read == (links < 12), "%u links, backwards: %d", links, backwards);
            ROW(!read || answer.count == 1, "%u links: %zu addresses", links, answer.count);
        }
    }
    FINISH_ROWS();
}

/* A row of pointers, each to the one before, read from its end. */
static void a_name_follows_32_pointers(void **unused)
{
    (void)unused;
    for (unsigned pointers = 31; pointers <= 33; pointers++) {
        eg_dns_answer answer;
        build_header(2);
        /* The data of a record that nobody reads hold the pointers. */
        build(TEXT("\x00\x00\x63\x00\x01" TTL "\x00"));
        built[built_size++] = (uint8_t)(2 * pointers);
        for (unsigned i = 0; i < pointers; i++) {
            size_t target = i == 0 ? 12 : built_size - 2;
            built[built_size] = (uint8_t)(0xc0 | target >> 8);
            built[built_size + 1] = (uint8_t)target;
            built_size += 2;
        }
        /* The owner is one pointer more. */
        size_t last = built_size - 2;
        const char owner[] = {(char)(0xc0 | last >> 8), (char)last};
        build(owner, 2);
        build(TEXT("\x00\x01\x00\x01" TTL "\x00\x04" IP1));
        bool read = eg_dns_read_answer(built, built_size, asked(), &answer);
        ROW(read == (pointers + 1 <= 32), "%u pointers", pointers + 1);
        ROW(!read || answer.count == 1, "%u pointers: %zu addresses", pointers + 1, answer.count);
    }
    FINISH_ROWS();
}

/* A name too long for a host name is nobody's: its record gives nothing. */
static void a_name_too_long_has_no_addresses(void **unused)
{
    (void)unused;
    eg_dns_question question = {.id = 0x1234, .type = EG_DNS_TYPE_A};
    for (size_t last = 60; last <= 63; last++) {
        eg_dns_answer answer;
        char text[256] = "";
        built_size = 0;
        build(TEXT(ID "\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"));
        for (int i = 0; i < 4; i++) {
            size_t label = i < 3 ? 63 : last;
            built[built_size++] = (uint8_t)label;
            memset(built + built_size, 'a', label);
            memset(text + 64 * i, 'a', label);
            text[64 * i + 63] = '.';
            built_size += label;
        }
        text[192 + last] = '\0';
        build(TEXT("\x00\x00\x01\x00\x01" A(TO_API, IP1)));
        ROW(eg_name_normalise(text, 192 + last, &question.name) == (last <= 61), "%zu bytes are a name", 192 + last);
        bool read = eg_dns_read_answer(built, built_size, &question, &answer);
        ROW((read && answer.count == 1) == (last <= 61), "%zu bytes", 192 + last);
    }
    FINISH_ROWS();
}

/* ---- refusals and reverse names ---- */

static void a_refusal_repeats_the_question_and_nothing_else(void **unused)
{
    (void)unused;
    static const char query[] = ID "\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01" QUESTION "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    static const char wanted[] = ID "\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION;
    uint8_t refusal[EG_DNS_QUERY_MAX];
    eg_dns_question question;
    eg_dns_answer answer;
    assert_true(eg_dns_read_query((const uint8_t *)query, sizeof query - 1, &question));
    size_t size = eg_dns_make_refusal((const uint8_t *)query, &question, EG_DNS_NXDOMAIN, refusal);
    assert_int_equal(size, sizeof wanted - 1);
    assert_memory_equal(refusal, wanted, size);
    assert_true(eg_dns_read_answer(refusal, size, &question, &answer));
    assert_int_equal(answer.count, 0);
    char no_recursion[sizeof query];
    memcpy(no_recursion, query, sizeof query);
    no_recursion[2] = 0;
    eg_dns_make_refusal((const uint8_t *)no_recursion, &question, EG_DNS_SERVFAIL, refusal);
    assert_int_equal(refusal[2], 0x80);
    assert_int_equal(refusal[3], 0x82);
}

#define NIBBLES(last) "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0." last

static const struct {
    const char *name;
    const char *address;
} reverse[] = {
    {"1.0.0.127.in-addr.arpa", "127.0.0.1"},
    {"1.113.0.203.in-addr.arpa", "203.0.113.1"},
    {"255.254.253.252.in-addr.arpa", "252.253.254.255"},
    {NIBBLES("2") ".ip6.arpa", "2001:db8::1"},
    {"f.e.d.c.b.a.9.8.7.6.5.4.3.2.1.0.f.e.d.c.b.a.9.8.7.6.5.4.3.2.1.0.ip6.arpa", "0123:4567:89ab:cdef:0123:4567:89ab:cdef"},
    {"in-addr.arpa", NULL},
    {"127.in-addr.arpa", NULL},
    {"0.0.127.in-addr.arpa", NULL},
    {"1.1.0.0.127.in-addr.arpa", NULL},
    {"01.0.0.127.in-addr.arpa", NULL},
    {"256.0.0.127.in-addr.arpa", NULL},
    {"x.0.0.127.in-addr.arpa", NULL},
    {"1.0.0.127.in-addr.arpa.test", NULL},
    {"1.0.0.127xin-addr.arpa", NULL},
    {"1.0.0.127.in-addr.arpb", NULL},
    {"ip6.arpa", NULL},
    {"1.0.0.ip6.arpa", NULL},
    {"1-0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", NULL},
    {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0-2.ip6.arpa", NULL},
    {NIBBLES("g") ".ip6.arpa", NULL},
    {NIBBLES("-") ".ip6.arpa", NULL},
    {NIBBLES("_") ".ip6.arpa", NULL},
    {NIBBLES("2") "xip6.arpa", NULL},
    {NIBBLES("2") ".ip6.arpb", NULL},
    {"0." NIBBLES("2") ".ip6.arpa", NULL},
    {"100.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", NULL},
    {"100000.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", NULL},
    {"api.test", NULL},
};

static void reverse_names_tell_their_address(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(reverse); i++) {
        eg_name name = name_of(reverse[i].name);
        eg_address address;
        memset(&address, 0xee, sizeof address);
        bool read = eg_dns_reverse_address(&name, &address);
        ROW(read == (reverse[i].address != NULL), "%s", reverse[i].name);
        if (read && reverse[i].address != NULL) {
            eg_address wanted = address_of(reverse[i].address);
            ROW(eg_address_equal(&address, &wanted), "%s is another address", reverse[i].name);
        }
    }
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_the_name_and_its_aliases_are_read),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(an_answer_that_ends_early_gives_no_more_than_it_held),
        cmocka_unit_test(more_addresses_than_there_is_room_for_are_dropped),
        cmocka_unit_test(up_to_512_records_are_read),
        cmocka_unit_test(a_chain_of_names_has_an_end),
        cmocka_unit_test(a_name_follows_32_pointers),
        cmocka_unit_test(a_name_too_long_has_no_addresses),
        cmocka_unit_test(a_refusal_repeats_the_question_and_nothing_else),
        cmocka_unit_test(reverse_names_tell_their_address),
    };
    return cmocka_run_group_tests_name("dns answer", tests, NULL, NULL);
}
