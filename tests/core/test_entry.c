/* Entries that are good: what they mean, and their one canonical text. */
#include "support.h"

#include "core/entry.h"

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define N253 L63 "." L63 "." L63 "." "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"
#define P50 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
#define PATH108 "/" P50 P50 "1234567"

static const struct {
    const char *text;
    const char *canonical; /* NULL: the same */
    eg_entry_kind kind;
    int low, high;
} good[] = {
    {"api.anthropic.com:443", NULL, EG_ENTRY_NAME, 443, 443},
    {"API.Anthropic.com.:443", "api.anthropic.com:443", EG_ENTRY_NAME, 443, 443},
    {"db:1", NULL, EG_ENTRY_NAME, 1, 1},
    {"db:65535", NULL, EG_ENTRY_NAME, 65535, 65535},
    {"db:9", NULL, EG_ENTRY_NAME, 9, 9},
    {"db:10", NULL, EG_ENTRY_NAME, 10, 10},
    {"db:*", NULL, EG_ENTRY_NAME, 0, 65535},
    {"db:1-65535", NULL, EG_ENTRY_NAME, 1, 65535},
    {"db:8000-8080", NULL, EG_ENTRY_NAME, 8000, 8080},
    {"db:80-80", "db:80", EG_ENTRY_NAME, 80, 80},
    {"_srv.a-b.test:1", NULL, EG_ENTRY_NAME, 1, 1},
    {"1e100.net:443", NULL, EG_ENTRY_NAME, 443, 443},
    {"10.in-addr.arpa:53", NULL, EG_ENTRY_NAME, 53, 53},
    {"1.2.3.4.test:1", NULL, EG_ENTRY_NAME, 1, 1},
    {"1.2.3.4.5.6.7.8.9.10.test:1", NULL, EG_ENTRY_NAME, 1, 1},
    {"localhost.test:1", NULL, EG_ENTRY_NAME, 1, 1},
    {"notlocalhost:1", NULL, EG_ENTRY_NAME, 1, 1},
    {"xn--mnchen-3ya.test:1", NULL, EG_ENTRY_NAME, 1, 1},
    {L63 ".test:1", NULL, EG_ENTRY_NAME, 1, 1},
    {N253 ":50000-60000", NULL, EG_ENTRY_NAME, 50000, 60000},
    {"*.test:443", NULL, EG_ENTRY_WILDCARD, 443, 443},
    {"*.A.test.:443", "*.a.test:443", EG_ENTRY_WILDCARD, 443, 443},
    {"*.a:*", NULL, EG_ENTRY_WILDCARD, 0, 65535},
    {"*." N253 ":50000-60000", NULL, EG_ENTRY_WILDCARD, 50000, 60000},
    {"192.0.2.1:443", NULL, EG_ENTRY_ADDRESS, 443, 443},
    {"192.0.2.1/32:443", "192.0.2.1:443", EG_ENTRY_ADDRESS, 443, 443},
    {"0.0.0.1:443", NULL, EG_ENTRY_ADDRESS, 443, 443},
    {"255.255.255.255:9", NULL, EG_ENTRY_ADDRESS, 9, 9},
    {"10.0.0.0/8:*", NULL, EG_ENTRY_ADDRESS, 0, 65535},
    {"126.0.0.0/8:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"128.0.0.0/1:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"169.254.169.254:80", NULL, EG_ENTRY_ADDRESS, 80, 80},
    {"1.0.0.0/8:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"192.0.2.128/25:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"192.0.2.254/31:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2001:db8::1]:443", NULL, EG_ENTRY_ADDRESS, 443, 443},
    {"[2001:DB8:0:0::1]:443", "[2001:db8::1]:443", EG_ENTRY_ADDRESS, 443, 443},
    {"[2001:db8::1/128]:443", "[2001:db8::1]:443", EG_ENTRY_ADDRESS, 443, 443},
    {"[2001:db8::/32]:443", NULL, EG_ENTRY_ADDRESS, 443, 443},
    {"[2001:db8::fffe/127]:443", NULL, EG_ENTRY_ADDRESS, 443, 443},
    {"[8000::/1]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[fc00::/7]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[fe80::1]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127]:50000-60000", NULL, EG_ENTRY_ADDRESS, 50000, 60000},
    {"[::ffff:192.0.2.1]:443", "192.0.2.1:443", EG_ENTRY_ADDRESS, 443, 443},
    {"[::ffff:10.0.0.0/104]:443", "10.0.0.0/8:443", EG_ENTRY_ADDRESS, 443, 443},
    {"[::2]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[::192.0.2.1]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[64:ff9b::808:808]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[64:ff9b:1::808:808]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[64:ff9b:1:808:8:800::]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[64:ff9b::800:0/101]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2002:808:808::1]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2002:808:808::/48]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2002:808:808:1::/96]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2001:db8::5efe:800:0/101]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    /* One byte beside ISATAP, and no IPv4 address is meant. */
    {"[2001:db8::/96]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2001:db8::100:5efe:7f00:0/104]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2001:db8::1:5efe:7f00:0/104]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2001:db8::5ffe:7f00:0/104]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2001:db8::5eff:7f00:0/104]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2001:db8::5efe:0:0/95]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2001:0:808:808::f7f7:f7f7]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"[2001:db8::5efe:808:808]:1", NULL, EG_ENTRY_ADDRESS, 1, 1},
    {"*.unix:443", NULL, EG_ENTRY_WILDCARD, 443, 443},
    {"unix.test:443", NULL, EG_ENTRY_NAME, 443, 443},
    {"unix:/run/x.sock", NULL, EG_ENTRY_UNIX, 0, 65535},
    {"unix:/a", NULL, EG_ENTRY_UNIX, 0, 65535},
    {"unix:@a", NULL, EG_ENTRY_UNIX, 0, 65535},
    {"unix:@a b:c@d", NULL, EG_ENTRY_UNIX, 0, 65535},
    {"unix:/run/m\xc3\xbcnchen", NULL, EG_ENTRY_UNIX, 0, 65535},
    {"unix:" PATH108, NULL, EG_ENTRY_UNIX, 0, 65535},
};

static void good_entries_are_read(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        eg_entry entry;
        const char *wrong = eg_entry_parse(fenced(good[i].text, strlen(good[i].text)), strlen(good[i].text), &entry);
        ROW(wrong == NULL, "%s: %s", good[i].text, wrong);
        if (wrong == NULL) {
            ROW(entry.kind == good[i].kind, "%s: kind %d", good[i].text, (int)entry.kind);
            ROW(entry.port_low == good[i].low && entry.port_high == good[i].high, "%s: ports %u-%u", good[i].text,
                entry.port_low, entry.port_high);
        }
    }
    FINISH_ROWS();
}

static void an_entry_has_one_canonical_text(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        eg_entry entry, again;
        char text[EG_ENTRY_TEXT_SIZE];
        const char *canonical = good[i].canonical != NULL ? good[i].canonical : good[i].text;
        if (eg_entry_parse(good[i].text, strlen(good[i].text), &entry) != NULL) {
            continue; /* the test above says it */
        }
        size_t length = eg_entry_text(&entry, text);
        ROW(strcmp(text, canonical) == 0 && length == strlen(canonical), "%s: %s", canonical, text);
        ROW(eg_entry_parse(text, length, &again) == NULL, "%s: its own text is not read", canonical);
        ROW(again.kind == entry.kind && again.prefix_length == entry.prefix_length &&
                again.port_low == entry.port_low && again.port_high == entry.port_high &&
                again.text_length == entry.text_length && strcmp(again.text, entry.text) == 0 &&
                eg_address_equal(&again.address, &entry.address),
            "%s: read again it is another entry", canonical);
    }
    FINISH_ROWS();
}

static void an_address_entry_keeps_its_prefix(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        const char *address;
        unsigned length; /* of the mapped form */
    } rows[] = {
        {"192.0.2.1:1", "192.0.2.1", 128},     {"10.0.0.0/8:1", "10.0.0.0", 104},
        {"128.0.0.0/1:1", "128.0.0.0", 97},    {"[2001:db8::1]:1", "2001:db8::1", 128},
        {"[2001:db8::/32]:1", "2001:db8::", 32}, {"[8000::/1]:1", "8000::", 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        eg_entry entry = entry_of(rows[i].text);
        eg_address address = address_of(rows[i].address);
        ROW(entry.prefix_length == rows[i].length, "%s: /%u", rows[i].text, entry.prefix_length);
        ROW(eg_address_equal(&entry.address, &address), "%s: another address", rows[i].text);
        ROW(entry.text_length == 0, "%s: text", rows[i].text);
    }
    FINISH_ROWS();
}

static void a_text_entry_keeps_its_text(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *kept;
    } rows[] = {
        {"A.test.:1", "a.test"}, {"*.A.test:1", "a.test"}, {"unix:/run/X", "/run/X"}, {"unix:@X", "@X"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        eg_entry entry = entry_of(rows[i].text);
        ROW(strcmp(entry.text, rows[i].kept) == 0, "%s: %s", rows[i].text, entry.text);
        ROW(entry.text_length == strlen(rows[i].kept), "%s: length %u", rows[i].text, entry.text_length);
    }
    FINISH_ROWS();
}

static void an_entry_without_a_kind_has_no_text(void **unused)
{
    (void)unused;
    char text[EG_ENTRY_TEXT_SIZE] = "before";
    eg_entry none = {0};
    assert_int_equal(eg_entry_text(&none, text), 0);
    assert_string_equal(text, "");
}

static void an_entry_is_read_by_its_length_alone(void **unused)
{
    (void)unused;
    eg_entry entry;
    assert_null(eg_entry_parse("a.test:443999", 10, &entry));
    assert_int_equal(entry.port_low, 443);
    assert_null(eg_entry_parse("unix:/run/xyz", 11, &entry));
    assert_string_equal(entry.text, "/run/x");
    assert_int_equal(entry.text_length, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_entries_are_read),
        cmocka_unit_test(an_entry_has_one_canonical_text),
        cmocka_unit_test(an_address_entry_keeps_its_prefix),
        cmocka_unit_test(a_text_entry_keeps_its_text),
        cmocka_unit_test(an_entry_without_a_kind_has_no_text),
        cmocka_unit_test(an_entry_is_read_by_its_length_alone),
    };
    return cmocka_run_group_tests_name("entry", tests, NULL, NULL);
}
