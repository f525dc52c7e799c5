/* Socket address to endpoint to text, and what an address carries inside. */
#include "support.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "core/endpoint.h"

static eg_endpoint read_endpoint(const void *sockaddr, size_t length, int expected)
{
    eg_endpoint endpoint;
    memset(&endpoint, 0xee, sizeof endpoint);
    assert_int_equal(eg_endpoint_from_sockaddr(&endpoint, fenced(sockaddr, length), length), expected);
    return endpoint;
}

/* ---- socket addresses ---- */

static void ipv4_is_kept_in_mapped_form(void **unused)
{
    (void)unused;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(443)};
    inet_pton(AF_INET, "192.0.2.1", &in.sin_addr);
    eg_endpoint endpoint = read_endpoint(&in, sizeof in, 0);
    eg_address mapped = address_of("::ffff:192.0.2.1");
    assert_int_equal(endpoint.family, AF_INET);
    assert_int_equal(endpoint.port, 443);
    assert_int_equal(endpoint.scope_id, 0);
    assert_null(endpoint.path);
    assert_true(eg_address_equal(&endpoint.address, &mapped));
    assert_true(eg_address_is_ipv4(&endpoint.address));
}

static void an_ipv4_address_may_be_longer_but_not_shorter(void **unused)
{
    (void)unused;
    struct sockaddr_storage storage = {.ss_family = AF_INET};
    read_endpoint(&storage, sizeof storage, 0);
    read_endpoint(&storage, sizeof(struct sockaddr_in), 0);
    for (size_t length = 0; length < sizeof(struct sockaddr_in); length++) {
        read_endpoint(&storage, length, -EINVAL);
    }
}

static void ipv6_keeps_port_scope_and_flow(void **unused)
{
    (void)unused;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(8080), .sin6_scope_id = 7};
    in6.sin6_flowinfo = htonl(0x12345);
    inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
    eg_endpoint endpoint = read_endpoint(&in6, sizeof in6, 0);
    eg_address address = address_of("2001:db8::1");
    assert_int_equal(endpoint.family, AF_INET6);
    assert_int_equal(endpoint.port, 8080);
    assert_int_equal(endpoint.scope_id, 7);
    assert_int_equal(endpoint.flow_info, 0x12345);
    assert_true(eg_address_equal(&endpoint.address, &address));
    assert_false(eg_address_is_ipv4(&endpoint.address));
}

static void ipv6_may_end_before_the_scope_as_linux_takes_it(void **unused)
{
    (void)unused;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(1), .sin6_scope_id = 0x01010101};
    size_t rfc2133 = offsetof(struct sockaddr_in6, sin6_scope_id);
    in6.sin6_addr.s6_addr[15] = 1;
    for (size_t length = 0; length < rfc2133; length++) {
        read_endpoint(&in6, length, -EINVAL);
    }
    for (size_t length = rfc2133; length < sizeof in6; length++) {
        eg_endpoint endpoint = read_endpoint(&in6, length, 0);
        assert_int_equal(endpoint.scope_id, 0);
        assert_int_equal(endpoint.address.bytes[15], 1);
    }
    assert_int_equal(read_endpoint(&in6, sizeof in6, 0).scope_id, 0x01010101);
    char longer[512] = {0};
    memcpy(longer, &in6, sizeof in6);
    assert_int_equal(read_endpoint(longer, sizeof longer, 0).scope_id, 0x01010101);
}

static void a_unix_path_ends_at_its_nul_and_an_abstract_name_at_the_length(void **unused)
{
    (void)unused;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t start = offsetof(struct sockaddr_un, sun_path);

    memcpy(un.sun_path, "/run/x\0rest", 12);
    eg_endpoint endpoint = read_endpoint(&un, start + 12, 0);
    assert_int_equal(endpoint.path_length, 6);
    assert_memory_equal(endpoint.path, "/run/x", 6);
    assert_int_equal(read_endpoint(&un, start + 4, 0).path_length, 4);
    assert_int_equal(read_endpoint(&un, start + 1, 0).path_length, 1);
    assert_int_equal(read_endpoint(&un, start, 0).path_length, 0);
    read_endpoint(&un, start - 1, -EINVAL);

    memcpy(un.sun_path, "\0name\0rest", 11);
    assert_int_equal(read_endpoint(&un, start + 11, 0).path_length, 11);
    assert_int_equal(read_endpoint(&un, start + 1, 0).path_length, 1);
}

static void a_unix_path_may_fill_its_socket_address(void **unused)
{
    (void)unused;
    struct {
        struct sockaddr_un un;
        char behind;
    } longer = {.un = {.sun_family = AF_UNIX}};
    memset(longer.un.sun_path, 'x', sizeof longer.un.sun_path);
    longer.behind = 'y';
    assert_int_equal(read_endpoint(&longer, sizeof longer.un, 0).path_length, sizeof longer.un.sun_path);
    read_endpoint(&longer, sizeof longer.un + 1, -EINVAL);
}

static void netlink_keeps_its_destination(void **unused)
{
    (void)unused;
    struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_pid = 42, .nl_groups = 5};
    eg_endpoint endpoint = read_endpoint(&nl, sizeof nl, 0);
    assert_int_equal(endpoint.netlink_pid, 42);
    assert_int_equal(endpoint.netlink_groups, 5);
    for (size_t length = 0; length < sizeof nl; length++) {
        read_endpoint(&nl, length, -EINVAL);
    }
}

static void another_family_is_only_named(void **unused)
{
    (void)unused;
    struct sockaddr other = {.sa_family = 40};
    assert_int_equal(read_endpoint(&other, sizeof other, 0).family, 40);
    assert_int_equal(read_endpoint(&other, 2, 0).family, 40);
    read_endpoint(&other, 1, -EINVAL);
    other.sa_family = AF_UNSPEC;
    assert_int_equal(read_endpoint(&other, 2, 0).family, AF_UNSPEC);
}

static void a_socket_address_survives_the_way_there_and_back(void **unused)
{
    (void)unused;
    eg_endpoint ipv4 = endpoint_of("192.0.2.33", 65534), ipv6 = endpoint_of("2001:db8::1", 258), back;
    eg_endpoint mapped = endpoint_of("::ffff:192.0.2.33", 80);
    ipv6.scope_id = 0x01020304;
    ipv6.flow_info = 0x12345;
    const eg_endpoint *const endpoints[] = {&ipv4, &ipv6, &mapped};
    for (size_t i = 0; i < COUNT_OF(endpoints); i++) {
        struct sockaddr_storage storage;
        memset(&storage, 0xee, sizeof storage);
        size_t length = eg_endpoint_to_sockaddr(endpoints[i], &storage);
        assert_int_equal(length, i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        assert_int_equal(storage.ss_family, endpoints[i]->family);
        back = read_endpoint(&storage, length, 0);
        assert_memory_equal(&back, endpoints[i], sizeof back);
    }
}

static void only_ip_endpoints_become_socket_addresses(void **unused)
{
    (void)unused;
    static const uint16_t families[] = {AF_UNSPEC, AF_UNIX, AF_NETLINK, 40};
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        struct sockaddr_storage storage = {.ss_family = 4711};
        eg_endpoint endpoint = {.family = families[i]};
        assert_int_equal(eg_endpoint_to_sockaddr(&endpoint, &storage), 0);
        assert_int_equal(storage.ss_family, 4711);
    }
}

/* ---- embedded IPv4 ---- */

static const struct {
    const char *text;
    const char *embedded[5]; /* each must be found, whatever else is */
} embedding[] = {
    {"::127.0.0.1", {"127.0.0.1"}},                         /* compatible (RFC 4291 2.5.5.1) */
    {"::192.0.2.1", {"192.0.2.1"}},
    {"::2", {"0.0.0.2"}},
    {"::ffff:0:127.0.0.1", {"127.0.0.1"}},                  /* translated (RFC 2765) */
    {"64:ff9b::127.0.0.1", {"127.0.0.1"}},                  /* NAT64 (RFC 6052) */
    {"64:ff9b::192.0.2.33", {"192.0.2.33"}},
    {"64:ff9b:1::127.0.0.1", {"127.0.0.1"}},                /* local NAT64 (RFC 8215) as a /96 */
    {"64:ff9b:1:7f00:0:100::", {"127.0.0.1"}},              /* as a /48 (RFC 6052 2.2) */
    {"64:ff9b:1:7f:0:1::", {"127.0.0.1"}},                  /* as a /56 */
    {"64:ff9b:1:0:7f:0:100:0", {"127.0.0.1"}},              /* as a /64 */
    {"64:ff9b:1:c000:2:2100::", {"192.0.2.33"}},
    {"64:ff9b:1::", {"0.0.0.0"}},
    {"2002:7f00:1::", {"127.0.0.1"}},                       /* 6to4 (RFC 3056) */
    {"2002:c000:221:5::1", {"192.0.2.33"}},
    {"2002:808:808:1:0:5efe:7f00:1", {"8.8.8.8", "127.0.0.1"}}, /* 6to4 around ISATAP */
    {"2001:0:7f00:1:0:0:f7f7:f7f7", {"127.0.0.1", "8.8.8.8"}},  /* Teredo: server, client */
    {"2001:0:808:808:0:0:80ff:fffe", {"8.8.8.8", "127.0.0.1"}},
    {"2001:db8::5efe:127.0.0.1", {"127.0.0.1"}},            /* ISATAP (RFC 5214) */
    {"2001:db8::200:5efe:127.0.0.1", {"127.0.0.1"}},
    {"fe80::5efe:192.0.2.1", {"192.0.2.1"}},
};

static void every_way_to_embed_ipv4_is_read(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(embedding); i++) {
        eg_address address = address_of(embedding[i].text), found[EG_EMBEDDED_MAX];
        size_t count = eg_address_embedded(&address, found);
        ROW(count <= EG_EMBEDDED_MAX, "%s: %zu of them", embedding[i].text, count);
        for (size_t j = 0; j < COUNT_OF(embedding[i].embedded) && embedding[i].embedded[j] != NULL; j++) {
            eg_address wanted = address_of(embedding[i].embedded[j]);
            bool there = false;
            for (size_t k = 0; k < count; k++) {
                there = there || eg_address_equal(&found[k], &wanted);
            }
            ROW(there, "%s: %s is not found", embedding[i].text, embedding[i].embedded[j]);
        }
    }
    FINISH_ROWS();
}

static void what_embeds_nothing_says_so(void **unused)
{
    (void)unused;
    static const char *const plain[] = {
        "192.0.2.1", "::ffff:127.0.0.1", "::", "::1", "2001:db8::1", "2001:db8:0:0:1:5efe:7f00:1",
        "2001:db8::100:5efe:7f00:1", "2001:db8::5eff:7f00:1", "2001:db8::5ffe:7f00:1", "2001:1:7f00:1::",
        "2003:7f00:1::", "64:ff9b:2::7f00:1", "64:ff9b::1:0:7f00:1", "65:ff9b::7f00:1",
        "0:0:0:1::7f00:1", "::1:7f00:1", "::1:ffff:7f00:1", "::ffff:1:7f00:1", "fe80::1", "ff02::1",
    };
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        eg_address address = address_of(plain[i]), found[EG_EMBEDDED_MAX];
        ROW(eg_address_embedded(&address, found) == 0, "%s", plain[i]);
    }
    FINISH_ROWS();
}

/* ---- text ---- */

static void addresses_have_their_canonical_text(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"127.0.0.1", "255.255.255.255", "0.0.0.0", "::", "::1", "2001:db8::1",
                                        "64:ff9b::7f00:1", "1:2:3:4:5:6:7:8"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char text[EG_ENDPOINT_TEXT_SIZE];
        eg_address address = address_of(texts[i]);
        size_t length = eg_address_text(&address, text);
        ROW(strcmp(text, texts[i]) == 0 && length == strlen(texts[i]), "%s: %s", texts[i], text);
    }
    FINISH_ROWS();
}

/* Every byte in every place, as libc writes it. */
static void ipv4_addresses_read_as_libc_writes_them(void **unused)
{
    (void)unused;
    for (unsigned place = 0; place < 4; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t ipv4[4] = {10, 20, 130, 4};
            char text[EG_ENDPOINT_TEXT_SIZE], expected[INET_ADDRSTRLEN];
            ipv4[place] = (uint8_t)byte;
            eg_address address = eg_address_from_ipv4(ipv4);
            size_t length = eg_address_text(&address, text);
            inet_ntop(AF_INET, ipv4, expected, sizeof expected);
            ROW(strcmp(text, expected) == 0 && length == strlen(expected), "%s: %s", expected, text);
        }
    }
    FINISH_ROWS();
}

static void a_mapped_address_reads_as_ipv4(void **unused)
{
    (void)unused;
    char text[EG_ENDPOINT_TEXT_SIZE];
    eg_address address = address_of("::ffff:127.0.0.1");
    eg_address_text(&address, text);
    assert_string_equal(text, "127.0.0.1");
}

static void an_endpoint_is_shown_as_people_read_it(void **unused)
{
    (void)unused;
    eg_endpoint scoped = endpoint_of("fe80::1", 1), plain = endpoint_of("192.0.2.1", 1);
    scoped.scope_id = 3;
    eg_endpoint path = {.family = AF_UNIX, .path = "/a\x01" "b c~\x7f\xc3", .path_length = 9};
    eg_endpoint abstract = {.family = AF_UNIX, .path = "\0n\0m", .path_length = 4};
    eg_endpoint nameless = {.family = AF_UNIX};
    const struct {
        const eg_endpoint *endpoint;
        const char *text;
    } rows[] = {
        {&scoped, "fe80::1%3"},
        {&plain, "192.0.2.1"},
        {&path, "unix:/a?b c~??"},
        {&abstract, "unix:@n?m"},
        {&nameless, "unix:"},
        {&(eg_endpoint){.family = AF_NETLINK}, "netlink"},
        {&(eg_endpoint){.family = 40}, "family 40"},
        {&(eg_endpoint){.family = AF_UNSPEC}, "family 0"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[EG_ENDPOINT_TEXT_SIZE];
        size_t length = eg_endpoint_host_text(rows[i].endpoint, text);
        ROW(strcmp(text, rows[i].text) == 0, "%s: %s", rows[i].text, text);
        ROW(length == strlen(text), "%s: length %zu", rows[i].text, length);
    }
    FINISH_ROWS();
}

static void a_long_path_is_cut_to_fit(void **unused)
{
    (void)unused;
    char path[400], text[EG_ENDPOINT_TEXT_SIZE + 8];
    memset(path, 'p', sizeof path);
    memset(text, '!', sizeof text);
    eg_endpoint endpoint = {.family = AF_UNIX, .path = path, .path_length = sizeof path};
    assert_int_equal(eg_endpoint_host_text(&endpoint, text), EG_ENDPOINT_TEXT_SIZE - 1);
    assert_int_equal(strlen(text), EG_ENDPOINT_TEXT_SIZE - 1);
    assert_int_equal(text[EG_ENDPOINT_TEXT_SIZE], '!');
}

static void equality_looks_at_every_byte(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(eg_address); i++) {
        eg_address left = address_of("2001:db8::1"), right = left;
        assert_true(eg_address_equal(&left, &right));
        right.bytes[i] ^= 1;
        assert_false(eg_address_equal(&left, &right));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_is_kept_in_mapped_form),
        cmocka_unit_test(an_ipv4_address_may_be_longer_but_not_shorter),
        cmocka_unit_test(ipv6_keeps_port_scope_and_flow),
        cmocka_unit_test(ipv6_may_end_before_the_scope_as_linux_takes_it),
        cmocka_unit_test(a_unix_path_ends_at_its_nul_and_an_abstract_name_at_the_length),
        cmocka_unit_test(a_unix_path_may_fill_its_socket_address),
        cmocka_unit_test(netlink_keeps_its_destination),
        cmocka_unit_test(another_family_is_only_named),
        cmocka_unit_test(a_socket_address_survives_the_way_there_and_back),
        cmocka_unit_test(only_ip_endpoints_become_socket_addresses),
        cmocka_unit_test(every_way_to_embed_ipv4_is_read),
        cmocka_unit_test(what_embeds_nothing_says_so),
        cmocka_unit_test(addresses_have_their_canonical_text),
        cmocka_unit_test(ipv4_addresses_read_as_libc_writes_them),
        cmocka_unit_test(a_mapped_address_reads_as_ipv4),
        cmocka_unit_test(an_endpoint_is_shown_as_people_read_it),
        cmocka_unit_test(a_long_path_is_cut_to_fit),
        cmocka_unit_test(equality_looks_at_every_byte),
    };
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
