/* What an address is, for every range of the IANA special-purpose registries
 * (RFC 6890; iana.org/assignments/iana-ipv4-special-registry and -ipv6-) and their edges. */
#include "support.h"

#include "core/endpoint.h"

static const struct {
    const char *range;
    const char *address;
    eg_class expected;
} ranges[] = {
    {"0.0.0.0/8 this host", "0.0.0.0", EG_CLASS_UNSPECIFIED},
    {"0.0.0.0/8 this network", "0.0.0.1", EG_CLASS_GLOBAL}, /* Linux dials it as any other */
    {"0.0.0.0/8", "0.0.1.0", EG_CLASS_GLOBAL},
    {"0.0.0.0/8", "0.1.0.0", EG_CLASS_GLOBAL},
    {"0.0.0.0/8", "0.255.255.255", EG_CLASS_GLOBAL},
    {"1.0.0.0", "1.0.0.0", EG_CLASS_GLOBAL},
    {"10.0.0.0/8 private", "10.0.0.1", EG_CLASS_GLOBAL},
    {"100.64.0.0/10 shared", "100.64.0.1", EG_CLASS_GLOBAL},
    {"before 127.0.0.0/8", "126.255.255.255", EG_CLASS_GLOBAL},
    {"127.0.0.0/8 loopback, first", "127.0.0.0", EG_CLASS_LOOPBACK},
    {"127.0.0.0/8 loopback", "127.0.0.1", EG_CLASS_LOOPBACK},
    {"127.0.0.0/8 resolved's stub", "127.0.0.53", EG_CLASS_LOOPBACK},
    {"127.0.0.0/8 loopback, last", "127.255.255.255", EG_CLASS_LOOPBACK},
    {"behind 127.0.0.0/8", "128.0.0.0", EG_CLASS_GLOBAL},
    {"before 169.254.0.0/16", "169.253.255.255", EG_CLASS_GLOBAL},
    {"169.254.0.0/16 link local, first", "169.254.0.0", EG_CLASS_LINK_LOCAL},
    {"169.254.0.0/16 cloud metadata", "169.254.169.254", EG_CLASS_LINK_LOCAL},
    {"169.254.0.0/16 link local, last", "169.254.255.255", EG_CLASS_LINK_LOCAL},
    {"behind 169.254.0.0/16", "169.255.0.0", EG_CLASS_GLOBAL},
    {"the other byte of 169.254", "168.254.0.1", EG_CLASS_GLOBAL},
    {"172.16.0.0/12 private", "172.16.0.1", EG_CLASS_GLOBAL},
    {"192.0.0.0/24 protocols", "192.0.0.1", EG_CLASS_GLOBAL},
    {"192.0.0.0/29 DS-Lite", "192.0.0.2", EG_CLASS_GLOBAL},
    {"192.0.0.8/32 dummy", "192.0.0.8", EG_CLASS_GLOBAL},
    {"192.0.0.9/32 PCP anycast", "192.0.0.9", EG_CLASS_GLOBAL},
    {"192.0.0.10/32 TURN anycast", "192.0.0.10", EG_CLASS_GLOBAL},
    {"192.0.0.170/32 NAT64 discovery", "192.0.0.170", EG_CLASS_GLOBAL},
    {"192.0.2.0/24 TEST-NET-1", "192.0.2.1", EG_CLASS_GLOBAL},
    {"192.31.196.0/24 AS112-v4", "192.31.196.1", EG_CLASS_GLOBAL},
    {"192.52.193.0/24 AMT", "192.52.193.1", EG_CLASS_GLOBAL},
    {"192.88.99.0/24 6to4 relay", "192.88.99.1", EG_CLASS_GLOBAL},
    {"192.168.0.0/16 private", "192.168.0.1", EG_CLASS_GLOBAL},
    {"192.175.48.0/24 AS112", "192.175.48.1", EG_CLASS_GLOBAL},
    {"198.18.0.0/15 benchmarks", "198.18.0.1", EG_CLASS_GLOBAL},
    {"198.51.100.0/24 TEST-NET-2", "198.51.100.1", EG_CLASS_GLOBAL},
    {"203.0.113.0/24 TEST-NET-3", "203.0.113.1", EG_CLASS_GLOBAL},
    {"before 224.0.0.0/4", "223.255.255.255", EG_CLASS_GLOBAL},
    {"224.0.0.0/4 multicast, first", "224.0.0.0", EG_CLASS_MULTICAST},
    {"224.0.0.0/4 mDNS", "224.0.0.251", EG_CLASS_MULTICAST},
    {"224.0.0.0/4 multicast, last", "239.255.255.255", EG_CLASS_MULTICAST},
    {"240.0.0.0/4 reserved, first", "240.0.0.0", EG_CLASS_GLOBAL},
    {"240.0.0.0/4 reserved, last", "255.255.255.254", EG_CLASS_GLOBAL},
    {"all but the first byte", "254.255.255.255", EG_CLASS_GLOBAL},
    {"all but the second byte", "255.254.255.255", EG_CLASS_GLOBAL},
    {"all but the third byte", "255.255.254.255", EG_CLASS_GLOBAL},
    {"255.255.255.255/32 broadcast", "255.255.255.255", EG_CLASS_BROADCAST},

    {"::/128 unspecified", "::", EG_CLASS_UNSPECIFIED},
    {"::1/128 loopback", "::1", EG_CLASS_LOOPBACK},
    {"behind ::1", "::2", EG_CLASS_GLOBAL},
    {"::/96 the byte before the last", "::100", EG_CLASS_GLOBAL},
    {"::/96 compatible loopback: it is embedded", "::127.0.0.1", EG_CLASS_GLOBAL},
    {"1 in the first group", "1::1", EG_CLASS_GLOBAL},
    {"1 in the first group alone", "1::", EG_CLASS_GLOBAL},
    {"::ffff:0:0/96 mapped loopback", "::ffff:127.0.0.1", EG_CLASS_LOOPBACK},
    {"::ffff:0:0/96 mapped, last loopback", "::ffff:7fff:ffff", EG_CLASS_LOOPBACK},
    {"::ffff:0:0/96 mapped unspecified", "::ffff:0.0.0.0", EG_CLASS_UNSPECIFIED},
    {"::ffff:0:0/96 mapped link local", "::ffff:169.254.1.1", EG_CLASS_LINK_LOCAL},
    {"::ffff:0:0/96 mapped multicast", "::ffff:224.0.0.1", EG_CLASS_MULTICAST},
    {"::ffff:0:0/96 mapped broadcast", "::ffff:255.255.255.255", EG_CLASS_BROADCAST},
    {"::ffff:0:0/96 mapped", "::ffff:192.0.2.1", EG_CLASS_GLOBAL},
    {"::ffff:0:0:0/96 translated", "::ffff:0:127.0.0.1", EG_CLASS_GLOBAL},
    {"64:ff9b::/96 NAT64", "64:ff9b::127.0.0.1", EG_CLASS_GLOBAL},
    {"64:ff9b:1::/48 local NAT64", "64:ff9b:1::127.0.0.1", EG_CLASS_GLOBAL},
    {"100::/64 discard", "100::1", EG_CLASS_GLOBAL},
    {"100:0:0:1::/64 dummy prefix", "100:0:0:1::1", EG_CLASS_GLOBAL},
    {"2001::/23 protocols", "2001:100::1", EG_CLASS_GLOBAL},
    {"2001::/32 Teredo", "2001::1", EG_CLASS_GLOBAL},
    {"2001:1::1/128 PCP anycast", "2001:1::1", EG_CLASS_GLOBAL},
    {"2001:1::2/128 TURN anycast", "2001:1::2", EG_CLASS_GLOBAL},
    {"2001:1::3/128 DNS-SD anycast", "2001:1::3", EG_CLASS_GLOBAL},
    {"2001:2::/48 benchmarks", "2001:2::1", EG_CLASS_GLOBAL},
    {"2001:3::/32 AMT", "2001:3::1", EG_CLASS_GLOBAL},
    {"2001:4:112::/48 AS112-v6", "2001:4:112::1", EG_CLASS_GLOBAL},
    {"2001:10::/28 ORCHID", "2001:10::1", EG_CLASS_GLOBAL},
    {"2001:20::/28 ORCHIDv2", "2001:20::1", EG_CLASS_GLOBAL},
    {"2001:30::/28 drone ids", "2001:30::1", EG_CLASS_GLOBAL},
    {"2001:db8::/32 documentation", "2001:db8::1", EG_CLASS_GLOBAL},
    {"2002::/16 6to4", "2002:c000:201::1", EG_CLASS_GLOBAL},
    {"2620:4f:8000::/48 AS112", "2620:4f:8000::1", EG_CLASS_GLOBAL},
    {"3fff::/20 documentation", "3fff::1", EG_CLASS_GLOBAL},
    {"5f00::/16 segment routing", "5f00::1", EG_CLASS_GLOBAL},
    {"fc00::/7 unique local", "fc00::1", EG_CLASS_GLOBAL},
    {"fc00::/7 unique local, last", "fdff:ffff::1", EG_CLASS_GLOBAL},
    {"before fe80::/10", "fe7f:ffff::1", EG_CLASS_GLOBAL},
    {"fe80::/10 link local, first", "fe80::", EG_CLASS_LINK_LOCAL},
    {"fe80::/10 link local", "fe80::1", EG_CLASS_LINK_LOCAL},
    {"fe80::/10 link local, last", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", EG_CLASS_LINK_LOCAL},
    {"fec0::/10 site local, deprecated", "fec0::1", EG_CLASS_GLOBAL},
    {"the other byte of fe80", "ff80::1", EG_CLASS_MULTICAST},
    {"the other byte of fe80", "fc80::1", EG_CLASS_GLOBAL},
    {"before ff00::/8", "feff:ffff::1", EG_CLASS_GLOBAL},
    {"ff00::/8 multicast, first", "ff00::", EG_CLASS_MULTICAST},
    {"ff00::/8 interface-local all nodes", "ff01::1", EG_CLASS_MULTICAST},
    {"ff00::/8 mDNS", "ff02::fb", EG_CLASS_MULTICAST},
    {"ff00::/8 multicast, last", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", EG_CLASS_MULTICAST},
};

static void every_special_range_has_its_class(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        eg_address address = address_of(ranges[i].address);
        int found = (int)eg_address_class(&address);
        ROW(found == (int)ranges[i].expected, "%s (%s): class %d", ranges[i].range, ranges[i].address, found);
    }
    FINISH_ROWS();
}

/* A bit more anywhere before the last byte, and the address is another. */
static void loopback_and_unspecified_look_at_every_byte(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 15; i++) {
        eg_address address = address_of("::1");
        address.bytes[i] = 1;
        ROW(eg_address_class(&address) == EG_CLASS_GLOBAL, "::1 with byte %zu set", i);
        address.bytes[15] = 0;
        ROW(eg_address_class(&address) == EG_CLASS_GLOBAL, ":: with byte %zu set", i);
    }
    FINISH_ROWS();
}

static void only_the_mapped_form_is_ipv4(void **unused)
{
    (void)unused;
    eg_address mapped = address_of("::ffff:192.0.2.1");
    assert_true(eg_address_is_ipv4(&mapped));
    for (size_t i = 0; i < 12; i++) {
        eg_address other = mapped;
        other.bytes[i] ^= 1;
        ROW(!eg_address_is_ipv4(&other), "byte %zu differs", i);
    }
    FINISH_ROWS();
}

static void the_capability_names_two_addresses(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        bool opened;
    } rows[] = {
        {"127.0.0.1", true},  {"::1", true},        {"::ffff:127.0.0.1", true}, {"127.0.0.2", false},
        {"127.0.1.1", false}, {"127.1.0.1", false}, {"126.0.0.1", false},       {"0.0.0.0", false},
        {"::", false},        {"::2", false},       {"::127.0.0.1", false},     {"1::1", false},
        {"64:ff9b::127.0.0.1", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        eg_address address = address_of(rows[i].text);
        ROW(eg_address_is_test_loopback(&address) == rows[i].opened, "%s", rows[i].text);
    }
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_special_range_has_its_class),
        cmocka_unit_test(loopback_and_unspecified_look_at_every_byte),
        cmocka_unit_test(only_the_mapped_form_is_ipv4),
        cmocka_unit_test(the_capability_names_two_addresses),
    };
    return cmocka_run_group_tests_name("class", tests, NULL, NULL);
}
