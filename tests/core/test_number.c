/* Which spellings of a host are numbers: what the C library would dial without asking
 * anybody. A spelling that the guard took for a name would be looked up; a name that it
 * took for a number would pass unjudged. */
#include "support.h"

#include <netdb.h>
#include <netinet/in.h>

#include "core/endpoint.h"

#define ZEROS60 "000000000000000000000000000000000000000000000000000000000000"

static const struct {
    const char *text;
    const char *address;
    uint32_t scope_id;
} numbers[] = {
    {"127.0.0.1", "127.0.0.1", 0},
    {"255.255.255.255", "255.255.255.255", 0},
    {"0.0.0.0", "0.0.0.0", 0},
    {"127.1", "127.0.0.1", 0},
    {"127.0.1", "127.0.0.1", 0},
    {"127.65535", "127.0.255.255", 0},
    {"127.16777215", "127.255.255.255", 0},
    {"2130706433", "127.0.0.1", 0},
    {"4294967295", "255.255.255.255", 0},
    {"0", "0.0.0.0", 0},
    {"0.0", "0.0.0.0", 0},
    {"1", "0.0.0.1", 0},
    {"9", "0.0.0.9", 0},
    {"0x7f.1", "127.0.0.1", 0},
    {"0X7F.1", "127.0.0.1", 0},
    {"0x7f000001", "127.0.0.1", 0},
    {"0x7f.0x0.0x0.0x1", "127.0.0.1", 0},
    {"017700000001", "127.0.0.1", 0},
    {"0177.0.0.1", "127.0.0.1", 0},
    {"0177.0x0.1", "127.0.0.1", 0},
    {"127.0.0.01", "127.0.0.1", 0},
    {"00000000000000000000000000177.0.0.1", "127.0.0.1", 0},
    {ZEROS60 ZEROS60 "177.1", "127.0.0.1", 0},                       /* 125 bytes */
    {ZEROS60 ZEROS60 "00177.1", "127.0.0.1", 0},                     /* 127 */
    {ZEROS60 ZEROS60 "000177.1", "127.0.0.1", 0},                    /* 128 */
    {ZEROS60 ZEROS60 ZEROS60 ZEROS60 ZEROS60 "177.1", "127.0.0.1", 0},
    {"::1", "::1", 0},
    {"::", "::", 0},
    {"0:0:0:0:0:0:0:1", "::1", 0},
    {"0000:0000:0000:0000:0000:0000:0000:0001", "::1", 0},
    {"::0001", "::1", 0},
    {"::FFFF:127.0.0.1", "127.0.0.1", 0},
    {"::ffff:127.0.0.1", "127.0.0.1", 0},
    {"::ffff:7f00:1", "127.0.0.1", 0},
    {"::127.0.0.1", "::127.0.0.1", 0},
    {"64:ff9b::127.0.0.1", "64:ff9b::127.0.0.1", 0},
    {"2001:DB8::1", "2001:db8::1", 0},
    {"fe80::1%1", "fe80::1", 1},
    {"fe80::1%lo", "fe80::1", 1},
    {"fe80::1%4294967295", "fe80::1", 4294967295u},
    {"::1%1", "::1", 1},
};

static const struct {
    const char *what;
    const char *text;
    size_t length;
} names[] = {
    {"empty", TEXT("")},
    {"a name", TEXT("localhost")},
    {"a name that begins with a digit", TEXT("1e100.net")},
    {"a name of hexadecimal digits", TEXT("cafe")},
    {"a number behind a letter", TEXT("a127.0.0.1")},
    {"a number and a name", TEXT("127.0.0.1.test")},
    {"five parts", TEXT("1.2.3.4.5")},
    {"a part too large", TEXT("256.0.0.1")},
    {"a last part too large", TEXT("127.16777216")},
    {"a number too large", TEXT("4294967296")},
    {"a trailing dot", TEXT("127.0.0.1.")},
    {"an empty part", TEXT("127..1")},
    {"a leading dot", TEXT(".127.0.0.1")},
    {"a digit that octal has not", TEXT("08.0.0.1")},
    {"a port behind it", TEXT("127.0.0.1:80")},
    {"a prefix length", TEXT("127.0.0.0/8")},
    {"a sign", TEXT("-1")},
    {"a plus", TEXT("+127.0.0.1")},
    {"a leading space", TEXT(" 127.0.0.1")},
    {"a trailing space", TEXT("127.0.0.1 ")},
    {"something behind a space", TEXT("127.0.0.1 x")},
    {"a trailing newline", TEXT("127.0.0.1\n")},
    {"a NUL behind it", TEXT("127.0.0.1\0")},
    {"a NUL and more", TEXT("127.0.0.1\0.test")},
    {"a NUL in front", TEXT("\0" "127.0.0.1")},
    {"brackets", TEXT("[::1]")},
    {"three colons", TEXT(":::")},
    {"one colon", TEXT(":")},
    {"nine groups", TEXT("1:2:3:4:5:6:7:8:9")},
    {"no such interface", TEXT("fe80::1%no-such-link")},
    {"a scope without an address", TEXT("%lo")},
    {"full-width digits", TEXT("\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1")},
    {"an ideographic full stop", TEXT("127\xe3\x80\x82" "0\xe3\x80\x82" "0\xe3\x80\x82" "1")},
    {"an Arabic digit", TEXT("\xd9\xa1")},
};

static void every_spelling_of_a_number_is_one(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        const char *text = numbers[i].text;
        eg_address wanted = address_of(numbers[i].address);
        eg_endpoint endpoint;
        bool taken = eg_endpoint_from_number(fenced(text, strlen(text)), strlen(text), &endpoint);
        ROW(taken, "%s is no number", text);
        if (taken) {
            ROW(eg_address_equal(&endpoint.address, &wanted), "%s is another address", text);
            ROW(endpoint.scope_id == numbers[i].scope_id, "%s: scope %u", text, endpoint.scope_id);
            ROW(endpoint.family == (strchr(text, ':') != NULL ? AF_INET6 : AF_INET), "%s: family %u", text,
                endpoint.family);
            ROW(endpoint.port == 0 && endpoint.path == NULL, "%s: more than an address", text);
        }
        ROW(eg_endpoint_from_number(text, strlen(text), NULL) == taken, "%s: another answer without a place", text);
    }
    FINISH_ROWS();
}

static void nothing_else_is_a_number(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        eg_endpoint endpoint = {.family = 4711};
        ROW(!eg_endpoint_from_number(fenced(names[i].text, names[i].length), names[i].length, &endpoint), "%s", names[i].what);
        ROW(endpoint.family == 4711, "%s: written to", names[i].what);
    }
    FINISH_ROWS();
}

/* The tables above hold what we believe; this holds what the C library does. */
static bool libc_reads_a_number(const char *text, struct sockaddr_storage *address)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM}, *found = NULL;
    if (getaddrinfo(text, NULL, &hints, &found) != 0) {
        return false;
    }
    memcpy(address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

static void the_c_library_agrees(void **unused)
{
    (void)unused;
    struct sockaddr_storage address;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        ROW(libc_reads_a_number(numbers[i].text, &address), "%s is no number to libc", numbers[i].text);
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (names[i].length > 0 && strlen(names[i].text) == names[i].length) {
            ROW(!libc_reads_a_number(names[i].text, &address), "%s is a number to libc", names[i].what);
        }
    }
    FINISH_ROWS();
}

/* Longer than any libc function takes it from a name: refused, not cut. */
static void a_text_without_end_is_no_number(void **unused)
{
    (void)unused;
    static char text[100000];
    memset(text, '0', sizeof text);
    for (size_t length = 1200; length < sizeof text; length += length < 1400 ? 1 : 20000) {
        bool number = eg_endpoint_from_number(fenced(text, length % 65536), length % 65536, NULL);
        ROW(number == (length % 65536 < 1280), "%zu bytes", length % 65536);
    }
    FINISH_ROWS();
}

/* The fast way for four decimal numbers must read what inet_pton(3) reads, to the byte. */
static void four_decimal_numbers_are_read_as_inet_pton_does(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "0.0.0.0",     "1.2.3.4",     "9.9.9.9",   "10.20.30.40", "99.99.99.99", "100.101.109.199", "255.255.255.255", "249.250.0.5",
        "256.0.0.0",   "0.256.0.0",   "0.0.0.256", "299.0.0.0",   "300.0.0.0",   "999.0.0.0",       "1000.0.0.0",      "0.0.0.1000",
        "00.0.0.0",    "01.0.0.0",    "0.0.0.00",  "0.0.0.01",    "1.02.3.4",    "1.2.3.",          "1.2.3",           "1.2.3.4.",
        "1.2.3.4.5",   ".1.2.3.4",    "1..2.3",    "1.2..3",      "",            ".",               "...",             "1",
        "1.2.3.4 ",    " 1.2.3.4",    "1.2.3.4a",  "a.2.3.4",     "1.2.3.a",     "1.2.3.4:80",      "1.2.3.-4",        "+1.2.3.4",
        "1,2.3.4",     "1/2.3.4",     "1:2.3.4",   "1.2.3.4/8",   "0x1.2.3.4",   "/.0.0.0",         ":.0.0.0",         "1a.2.3.4",
        "10a.2.3.4",   "1.2.3.4\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        eg_address address = address_of("2001:db8::1"), before = address;
        uint8_t ipv4[4];
        bool wanted = inet_pton(AF_INET, texts[i], ipv4) == 1;
        bool read = eg_address_parse_ipv4(fenced(texts[i], strlen(texts[i])), strlen(texts[i]), &address);
        eg_address expected = wanted ? eg_address_from_ipv4(ipv4) : before;
        ROW(read == wanted, "'%s'", texts[i]);
        ROW(eg_address_equal(&address, &expected), "'%s' is another address", texts[i]);
    }
    FINISH_ROWS();
    eg_address address;
    assert_true(eg_address_parse_ipv4("1.2.3.45", 7, &address)); /* by its length alone */
    assert_int_equal(address.bytes[15], 4);
    assert_false(eg_address_parse_ipv4("1.2.3.4", 6, &address));
    assert_false(eg_address_parse_ipv4(TEXT("1.2.3.4\0"), &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_of_a_number_is_one),
        cmocka_unit_test(nothing_else_is_a_number),
        cmocka_unit_test(the_c_library_agrees),
        cmocka_unit_test(a_text_without_end_is_no_number),
        cmocka_unit_test(four_decimal_numbers_are_read_as_inet_pton_does),
    };
    return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
