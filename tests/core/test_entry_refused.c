/* Entries that are refused, each with the complaint that a person reads. */
#include "support.h"

#include "core/entry.h"

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define N253 L63 "." L63 "." L63 "." "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"
#define P50 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
#define ZEROS60 "000000000000000000000000000000000000000000000000000000000000"

static const struct {
    const char *text;
    size_t length;
    const char *complaint; /* a fragment of it */
} bad[] = {
    {TEXT(""), "empty"},
    {TEXT("api.test"), "the port is missing"},
    {TEXT("https://api.test:443"), "not a URL"},
    {TEXT("api.test:443//x"), "not a URL"},
    {TEXT("api.test:443//"), "the port must be"},
    {TEXT(":443"), "the host is missing"},
    {TEXT("api.test:443 "), "a space"},
    {TEXT(" api.test:443"), "a space"},
    {TEXT("api test:443"), "a space"},
    {TEXT("api.test\t:443"), "a space"},
    {TEXT("api.test:443\n"), "a space"},
    {TEXT("api.test\0:443"), "a space"},
    {TEXT("m\xc3\xbcnchen.test:443"), "another character"},
    {TEXT("\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1:443"), "another character"},
    {TEXT("a\x7f.test:443"), "another character"},
    {TEXT("a~.test:443"), "not a host name"},
    {TEXT("!a.test:443"), "not a host name"},
    {TEXT("api..test:443"), "not a host name"},
    {TEXT("api.test..:443"), "not a host name"},
    {TEXT(".test:443"), "not a host name"},
    {TEXT(".:443"), "not a host name"},
    {TEXT("a/b:443"), "not a host name"},
    {TEXT("a]:443"), "not a host name"},
    {TEXT(L63 "x.test:443"), "not a host name"},
    {TEXT(N253 "j:443"), "not a host name"},
    {TEXT("*:443"), "* alone"},
    {TEXT("*:*"), "* alone"},
    {TEXT("*.:443"), "* stands only"},
    {TEXT("**.test:443"), "* stands only"},
    {TEXT("*a.test:443"), "* stands only"},
    {TEXT("*.*.test:443"), "* stands only"},
    {TEXT("a.*.test:443"), "* stands only"},
    {TEXT("*.a*.test:443"), "* stands only"},
    {TEXT("api.*:443"), "* stands only"},
    {TEXT("*..:443"), "not a host name"},
    {TEXT("*..test:443"), "not a host name"},
    {TEXT("*.127:443"), "a wildcard needs a name"},
    {TEXT("*.0.0.1:443"), "a wildcard needs a name"},
    {TEXT("*.1.2.3.4.5:443"), "the last label is a number"},

    {TEXT("api.test:"), "the port must be"},
    {TEXT("api.test:0"), "the port must be"},
    {TEXT("api.test:00"), "the port must be"},
    {TEXT("api.test:0-1"), "the port must be"},
    {TEXT("api.test:0-65535"), "the port must be"},
    {TEXT("api.test:65536"), "the port must be"},
    {TEXT("api.test:99999"), "the port must be"},
    {TEXT("api.test:100000"), "the port must be"},
    {TEXT("api.test:4294967739"), "the port must be"}, /* 443 + 2^32 */
    {TEXT("api.test:0443"), "the port must be"},
    {TEXT("api.test:+443"), "the port must be"},
    {TEXT("api.test:-1"), "the port must be"},
    {TEXT("api.test:443-"), "the port must be"},
    {TEXT("api.test:443-65536"), "the port must be"},
    {TEXT("api.test:1-2-3"), "the port must be"},
    {TEXT("api.test:-"), "the port must be"},
    {TEXT("api.test:a"), "the port must be"},
    {TEXT("api.test:/"), "the port must be"},
    {TEXT("api.test:4a"), "the port must be"},
    {TEXT("api.test:4/"), "the port must be"},
    {TEXT("api.test:https"), "the port must be"},
    {TEXT("api.test:0x1bb"), "the port must be"},
    {TEXT("api.test:**"), "the port must be"},
    {TEXT("api.test:*-443"), "the port must be"},
    {TEXT("api.test:443,444"), "the port must be"},
    {TEXT("api.test:444-443"), "ends before it begins"},
    {TEXT("UNIX:/run/x"), "the port must be"},

    {TEXT("192.0.2.1"), "the port is missing"},
    {TEXT("192.0.2.1/24:443"), "host bits"},
    {TEXT("10.128.0.0/8:443"), "host bits"},
    {TEXT("192.0.2.1/31:443"), "host bits"},
    {TEXT("192.0.2.0/33:443"), "0 to 32"},
    {TEXT("192.0.2.0/99:443"), "0 to 32"},
    {TEXT("192.0.2.0/:443"), "0 to 32"},
    {TEXT("192.0.2.0/-1:443"), "0 to 32"},
    {TEXT("192.0.2.0/024:443"), "0 to 32"},
    {TEXT("192.0.2.0/255.255.255.0:443"), "0 to 32"},
    {TEXT("192.0.2.0/24/24:443"), "0 to 32"},
    {TEXT("192.0.2/24:443"), "four decimal numbers"},
    {TEXT("192.0.2.0.0/24:443"), "four decimal numbers"},
    {TEXT("192.0.02.0/24:443"), "four decimal numbers"},
    {TEXT("10/8:443"), "four decimal numbers"},
    {TEXT("/8:443"), "not a host name"},
    {TEXT("0x0a.0.0.0/8:443"), "not a host name"},
    {TEXT("10.1:443"), "four decimal numbers"},
    {TEXT("010.0.0.1:443"), "four decimal numbers"},
    {TEXT("3232235521:443"), "four decimal numbers"},
    {TEXT("256.0.0.1:443"), "the last label is a number"},
    {TEXT("1.2.3.4.5:443"), "the last label is a number"},
    {TEXT("99999999999999999999:443"), "the last label is a number"},
    {TEXT("1234567890123456:443"), "the last label is a number"},
    {TEXT("a.1:443"), "the last label is a number"},

    {TEXT("2001:db8::1:443"), "[address]:port"},
    {TEXT("[2001:db8::1]"), "[address]:port"},
    {TEXT("[2001:db8::1]443"), "[address]:port"},
    {TEXT("[2001:db8::1"), "[address]:port"},
    {TEXT("["), "[address]:port"},
    {TEXT("[]"), "[address]:port"},
    {TEXT("[2001:db8::1]:"), "the port must be"},
    {TEXT("[2001:db8::1]:0"), "the port must be"},
    {TEXT("[2001:db8::1]:443:443"), "the port must be"},
    {TEXT("[]:443"), "not an IPv6 address"},
    {TEXT("[192.0.2.1]:443"), "not an IPv6 address"},
    {TEXT("[api.test]:443"), "not an IPv6 address"},
    {TEXT("[2001:db8::1::]:443"), "not an IPv6 address"},
    {TEXT("[[2001:db8::1]]:443"), "[address]:port"},
    {TEXT("[" ZEROS60 "::1]:443"), "not an IPv6 address"},
    {TEXT("[" ZEROS60 "::12]:443"), "not an address"},
    {TEXT("[fe80::1%lo]:443"), "a scope id"},
    {TEXT("[fe80::1%1]:443"), "a scope id"},
    {TEXT("[2001:db8::1/64]:443"), "host bits"},
    {TEXT("[2001:db8:8000::/32]:443"), "host bits"},
    {TEXT("[2001:db8::/129]:443"), "0 to 128"},
    {TEXT("[2001:db8::/]:443"), "0 to 128"},
    {TEXT("[2001:db8::]/32:443"), "[address]:port"},

    {TEXT("unix:"), "unix:/absolute/path"},
    {TEXT("unix:/"), "unix:/absolute/path"},
    {TEXT("unix:@"), "unix:/absolute/path"},
    {TEXT("unix:run/x"), "unix:/absolute/path"},
    {TEXT("unix:443"), "unix:/absolute/path"},
    {TEXT("UNIX:443"), "unix:/absolute/path"}, /* as a host it would read "unix:443" */
    {TEXT("unix.:443"), "unix:/absolute/path"},
    {TEXT("unix:./x"), "unix:/absolute/path"},
    {TEXT("unix:" "/" P50 P50 "12345678"), "longer than a socket address"},
    {TEXT("unix:" "@" P50 P50 "12345678"), "longer than a socket address"},
    {TEXT("unix:/a\0b"), "NUL"},
    {TEXT("unix:@a\0"), "NUL"},
};

static void bad_entries_are_refused_with_their_reason(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        eg_entry entry;
        const char *complaint = eg_entry_parse(fenced(bad[i].text, bad[i].length), bad[i].length, &entry);
        ROW(complaint != NULL, "%s is taken", bad[i].text);
        if (complaint != NULL) {
            ROW(strstr(complaint, bad[i].complaint) != NULL, "%s: %s", bad[i].text, complaint);
        }
    }
    FINISH_ROWS();
}

/* "a port is missing", "the name is wrong": an entry that is wrong anyway must be wrong for
 * every port, or a person could open this machine by a detour. */
static const struct {
    const char *host;
    const char *complaint;
} this_machine[] = {
#define NO_ENTRY "no entry can open"
#define NUMBER "as a number"
    {"localhost", NO_ENTRY},
    {"LOCALHOST.", NO_ENTRY},
    {"a.localhost", NO_ENTRY},
    {"*.localhost", NO_ENTRY},
    {"*.a.localhost", NO_ENTRY},
    {"localhost.localdomain", NO_ENTRY},
    {"127.0.0.1", NO_ENTRY},
    {"127.0.0.1/32", NO_ENTRY},
    {"127.0.0.53", NO_ENTRY},
    {"127.255.255.255", NO_ENTRY},
    {"127.0.0.0/8", NO_ENTRY},
    {"127.128.0.0/9", NO_ENTRY},
    {"126.0.0.0/7", NO_ENTRY},
    {"64.0.0.0/2", NO_ENTRY},
    {"0.0.0.0", NO_ENTRY},
    {"0.0.0.0/0", NO_ENTRY},
    {"0.0.0.0/1", NO_ENTRY},
    {"0.0.0.0/8", NO_ENTRY},
    {"0.0.0.0/31", NO_ENTRY},
    {"127.1", NUMBER},
    {"2130706433", NUMBER},
    {"0x7f.1", NUMBER},
    {"0x7f000001", NUMBER},
    {"0177.0.0.1", NUMBER},
    {"0", NUMBER},
    {"0x0", NUMBER},
    {ZEROS60 "." ZEROS60 ".0x" ZEROS60 "1", NUMBER},
    {"[::]", NO_ENTRY},
    {"[::1]", NO_ENTRY},
    {"[0:0:0:0:0:0:0:1]", NO_ENTRY},
    {"[::/0]", NO_ENTRY},
    {"[::/1]", NO_ENTRY},
    {"[::/96]", NO_ENTRY},
    {"[::/127]", NO_ENTRY},
    {"[::/126]", NO_ENTRY},
    {"[::/64]", NO_ENTRY},
    {"[::ffff:127.0.0.1]", NO_ENTRY},
    {"[::ffff:0.0.0.0]", NO_ENTRY},
    {"[::ffff:0:0/96]", NO_ENTRY},
    {"[::ffff:127.0.0.0/104]", NO_ENTRY},
    {"[::fffe:0:0/95]", NO_ENTRY},
    {"[::ffff:0:0/97]", NO_ENTRY},
    {"[::127.0.0.1]", NO_ENTRY},
    {"[::127.1.2.3]", NO_ENTRY},
    {"[::127.0.0.0/104]", NO_ENTRY},
    {"[::126.0.0.0/103]", NO_ENTRY},
    {"[::ffff:0:127.0.0.1]", NO_ENTRY},
    {"[::ffff:0:0.0.0.0]", NO_ENTRY},
    {"[::ffff:0:0:0/96]", NO_ENTRY},
    {"[::ffff:0:126.0.0.0/103]", NO_ENTRY},
    {"[::ffff:0:0.0.0.0/127]", NO_ENTRY},
    {"[64:ff9b::127.0.0.1]", NO_ENTRY},
    {"[64:ff9b::0.0.0.0]", NO_ENTRY},
    {"[64:ff9b::/96]", NO_ENTRY},
    {"[64:ff9b::/127]", NO_ENTRY},
    {"[64:ff9b::127.0.0.0/104]", NO_ENTRY},
    {"[64:ff9b::126.0.0.0/103]", NO_ENTRY},
    {"[64:ff9b:1::127.0.0.1]", NO_ENTRY},
    {"[64:ff9b:1:7f00:0:100::]", NO_ENTRY},
    {"[64:ff9b:1:7f:0:1::]", NO_ENTRY},
    {"[64:ff9b:1:0:7f:0:100:0]", NO_ENTRY},
    {"[64:ff9b:1::]", NO_ENTRY},
    {"[64:ff9b:1::/48]", NO_ENTRY},
    {"[64:ff9b:1::/64]", NO_ENTRY},
    {"[64:ff9b:1:7f00::/56]", NO_ENTRY},
    {"[64:ff9b::/32]", NO_ENTRY},
    {"[2002:7f00:1::]", NO_ENTRY},
    {"[2002:7f00:1::1]", NO_ENTRY},
    {"[2002:7f12:3456::1]", NO_ENTRY},
    {"[2002::1]", NO_ENTRY},
    {"[2002::/16]", NO_ENTRY},
    {"[2002::/48]", NO_ENTRY},
    {"[2002:7f00::/24]", NO_ENTRY},
    {"[2002:7f00:1::/48]", NO_ENTRY},
    {"[2002:7e00::/23]", NO_ENTRY},
    {"[2002:808:808:1:0:5efe:7f00:1]", NO_ENTRY},
    {"[2001:0:7f00:1::f7f7:f7f7]", NO_ENTRY},
    {"[2001:0:808:808::80ff:fffe]", NO_ENTRY},
    {"[2001:0:808:808::ffff:ffff]", NO_ENTRY},
    {"[2001::/32]", NO_ENTRY},
    {"[2001::/16]", NO_ENTRY},
    {"[2001:0:808:808::/64]", NO_ENTRY},
    {"[2001:db8::5efe:127.0.0.1]", NO_ENTRY},
    {"[2001:db8::200:5efe:127.0.0.1]", NO_ENTRY},
    {"[2001:db8::5efe:0.0.0.0]", NO_ENTRY},
    {"[2001:db8::5efe:127.0.0.0/104]", NO_ENTRY},
    {"[2001:db8::5efe:0.0.0.0/96]", NO_ENTRY},
    {"[2001:db8::5efe:64.0.0.0/98]", NO_ENTRY},
    {"[2001:db8::5efe:127.1.0.0/112]", NO_ENTRY},
    {"[2001:db8::5efe:0.0.0.0/127]", NO_ENTRY},
};

static void every_entry_that_could_mean_this_machine_is_refused(void **unused)
{
    (void)unused;
    static const char *const ports[] = {"1", "53", "443", "8000-9000", "*"};
    for (size_t i = 0; i < COUNT_OF(this_machine); i++) {
        for (size_t j = 0; j < COUNT_OF(ports); j++) {
            char text[512];
            eg_entry entry;
            int length = snprintf(text, sizeof text, "%s:%s", this_machine[i].host, ports[j]);
            const char *complaint = eg_entry_parse(text, (size_t)length, &entry);
            ROW(complaint != NULL, "%s is taken", text);
            ROW(complaint == NULL || strstr(complaint, this_machine[i].complaint) != NULL, "%s: %s", text, complaint);
        }
    }
    FINISH_ROWS();
}

/* The same question asked without our tables: walk all prefixes that cover an address of
 * this machine; none may be an entry. */
static void no_prefix_of_an_address_of_this_machine_is_an_entry(void **unused)
{
    (void)unused;
    static const char *const addresses[] = {
        "127.0.0.1", "127.255.255.255", "0.0.0.0", "::", "::1", "::127.0.0.1", "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1", "64:ff9b::", "64:ff9b:1::127.0.0.1", "2002:7f00:1::", "2002::1", "2001::1",
    };
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        bool ipv4 = strchr(addresses[i], ':') == NULL;
        for (unsigned length = 0; length <= (ipv4 ? 32u : 128u); length++) {
            char host[EG_ENDPOINT_TEXT_SIZE], text[512];
            eg_entry entry;
            eg_address address = address_of(addresses[i]);
            for (unsigned bit = ipv4 ? 96 + length : length; bit < 128; bit++) {
                address.bytes[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
            }
            inet_ntop(AF_INET6, address.bytes, host, sizeof host);
            int size = snprintf(text, sizeof text, "[%s/%u]:443", host, ipv4 ? 96 + length : length);
            ROW(eg_entry_parse(text, (size_t)size, &entry) != NULL, "%s is taken", text);
        }
    }
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_entries_are_refused_with_their_reason),
        cmocka_unit_test(every_entry_that_could_mean_this_machine_is_refused),
        cmocka_unit_test(no_prefix_of_an_address_of_this_machine_is_an_entry),
    };
    return cmocka_run_group_tests_name("entry refused", tests, NULL, NULL);
}
