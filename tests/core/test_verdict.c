/* The verdict about IP endpoints, rule by rule as docs/architecture.md tells them. */
#include "verdict_support.h"

#include "core/machine.h"

/* ---- rules 2, 3, 5 and 7, on any machine ---- */

static const struct {
    const char *what;
    const char *address;
    uint16_t port;
    eg_reason expected, with_flag;
} dials[] = {
    /* 2. Loopback and unspecified */
    {"IPv4 loopback", "127.0.0.1", 443, EG_REFUSED_LOOPBACK, EG_ALLOWED},
    {"IPv4 loopback, port 0", "127.0.0.1", 0, EG_REFUSED_LOOPBACK, EG_ALLOWED},
    {"IPv4 loopback, the last port", "127.0.0.1", 65535, EG_REFUSED_LOOPBACK, EG_ALLOWED},
    {"another loopback address", "127.0.0.2", 443, EG_REFUSED_LOOPBACK, EG_REFUSED_LOOPBACK},
    {"Debian's own loopback", "127.0.1.1", 443, EG_REFUSED_LOOPBACK, EG_REFUSED_LOOPBACK},
    {"the first loopback address", "127.0.0.0", 443, EG_REFUSED_LOOPBACK, EG_REFUSED_LOOPBACK},
    {"the last loopback address", "127.255.255.255", 443, EG_REFUSED_LOOPBACK, EG_REFUSED_LOOPBACK},
    {"IPv6 loopback", "::1", 443, EG_REFUSED_LOOPBACK, EG_ALLOWED},
    {"IPv4 unspecified", "0.0.0.0", 443, EG_REFUSED_UNSPECIFIED, EG_REFUSED_UNSPECIFIED},
    {"IPv6 unspecified", "::", 443, EG_REFUSED_UNSPECIFIED, EG_REFUSED_UNSPECIFIED},
    /* 3. Embedded IPv4 */
    {"mapped loopback", "::ffff:127.0.0.1", 443, EG_REFUSED_LOOPBACK, EG_ALLOWED},
    {"mapped, another loopback", "::ffff:127.0.0.2", 443, EG_REFUSED_LOOPBACK, EG_REFUSED_LOOPBACK},
    {"mapped unspecified", "::ffff:0.0.0.0", 443, EG_REFUSED_UNSPECIFIED, EG_REFUSED_UNSPECIFIED},
    {"mapped and listed", "::ffff:203.0.113.9", 443, EG_ALLOWED, EG_ALLOWED},
    {"mapped and listed by a CIDR", "::ffff:203.0.113.10", 443, EG_ALLOWED, EG_ALLOWED},
    {"mapped, not listed", "::ffff:192.0.2.200", 443, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"compatible loopback", "::127.0.0.1", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"translated loopback", "::ffff:0:127.0.0.1", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"NAT64 loopback", "64:ff9b::127.0.0.1", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"NAT64 unspecified", "64:ff9b::", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"local NAT64 loopback", "64:ff9b:1::127.0.0.1", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"local NAT64 loopback, /48", "64:ff9b:1:7f00:0:100::", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"6to4 loopback", "2002:7f00:1::1", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"Teredo server on loopback", "2001:0:7f00:1::f7f7:f7f7", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"Teredo client on loopback", "2001:0:808:808::80ff:fffe", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"ISATAP loopback under a listed CIDR", "2001:db8:99::5efe:127.0.0.1", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"ISATAP loopback, universal", "2001:db8:99::200:5efe:127.0.0.1", 443, EG_REFUSED_EMBEDDED, EG_REFUSED_EMBEDDED},
    {"compatible of a listed address", "::203.0.113.9", 443, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"NAT64 of a listed address", "64:ff9b::203.0.113.9", 443, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"6to4 of a listed address", "2002:cb00:7109::1", 443, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"NAT64 with an entry of its own", "64:ff9b::808:808", 443, EG_ALLOWED, EG_ALLOWED},
    {"NAT64 with an entry, another port", "64:ff9b::808:808", 444, EG_REFUSED_PORT, EG_REFUSED_PORT},
    {"ISATAP with an entry of its own", "2001:db8:99::5efe:808:808", 8443, EG_ALLOWED, EG_ALLOWED},
    /* 5. Entries */
    {"a CIDR", "203.0.113.10", 443, EG_ALLOWED, EG_ALLOWED},
    {"a CIDR, the port before", "203.0.113.10", 442, EG_REFUSED_PORT, EG_REFUSED_PORT},
    {"a CIDR, the port behind", "203.0.113.10", 444, EG_REFUSED_PORT, EG_REFUSED_PORT},
    {"an address, port 0 of all", "203.0.113.9", 0, EG_ALLOWED, EG_ALLOWED},
    {"an address, the last port of all", "203.0.113.9", 65535, EG_ALLOWED, EG_ALLOWED},
    {"an IPv6 CIDR", "2001:db8:99::9", 443, EG_ALLOWED, EG_ALLOWED},
    {"an IPv6 CIDR, another port", "2001:db8:99::9", 22, EG_REFUSED_PORT, EG_REFUSED_PORT},
    {"link-local, listed", "169.254.169.254", 80, EG_ALLOWED, EG_ALLOWED},
    {"link-local, not listed", "169.254.169.253", 80, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"multicast, listed", "224.0.0.251", 5353, EG_ALLOWED, EG_ALLOWED},
    {"multicast, not listed", "224.0.0.1", 5353, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"broadcast, listed", "255.255.255.255", 9, EG_ALLOWED, EG_ALLOWED},
    {"broadcast, another port", "255.255.255.255", 10, EG_REFUSED_PORT, EG_REFUSED_PORT},
    {"an address without a route, listed", "192.0.2.1", 53, EG_ALLOWED, EG_ALLOWED},
    /* 7. Everything else */
    {"not listed", "192.0.2.200", 443, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"not listed, port 53", "192.0.2.200", 53, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"IPv6, not listed", "2001:db8:ff::1", 443, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"IPv6 link-local, not listed", "fe80::1", 443, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
    {"IPv6 multicast, not listed", "ff02::1", 443, EG_REFUSED_NOT_LISTED, EG_REFUSED_NOT_LISTED},
};

static void ip_dials_are_judged_by_their_address(void **unused)
{
    (void)unused;
    eg_state *state = state_of_dials();
    for (size_t i = 0; i < COUNT_OF(dials); i++) {
        for (int variant = 0; variant < 12; variant++) {
            static const eg_socket_kind sockets[] = {EG_SOCKET_TCP, EG_SOCKET_UDP, EG_SOCKET_UDPLITE};
            static const char *const words[] = {"TCP", "UDP", "UDP-Lite"};
            int socket = variant / 4;
            eg_endpoint endpoint = endpoint_of(dials[i].address, dials[i].port);
            eg_dial dial = dial_of(&endpoint, sockets[socket]);
            dial.action = variant & 2 ? EG_ACTION_SEND : EG_ACTION_CONNECT;
            dial.loopback_open = (variant & 1) != 0;
            eg_reason reason = eg_verdict_for_dial(state, &dial);
            eg_reason wanted = dial.loopback_open ? dials[i].with_flag : dials[i].expected;
            ROW(reason == wanted, "%s: %s %s%s: %s, not %s", dials[i].what, words[socket],
                variant & 2 ? "send" : "connect", dial.loopback_open ? " with the flag" : "", eg_reason_word(reason),
                eg_reason_word(wanted));
        }
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void a_scope_and_a_flow_change_nothing(void **unused)
{
    (void)unused;
    eg_state *state = state_of_dials();
    static const char *const addresses[] = {"::1", "::", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2001:db8:ff::1"};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        eg_endpoint endpoint = endpoint_of(addresses[i], 443);
        endpoint.scope_id = 1;
        endpoint.flow_info = 0xfffff;
        eg_dial dial = dial_of(&endpoint, EG_SOCKET_TCP);
        ROW(eg_verdict_for_dial(state, &dial) == judged(state, addresses[i], 443, EG_SOCKET_TCP), "%s", addresses[i]);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void an_ipv4_address_under_ipv6_is_the_same_address(void **unused)
{
    (void)unused;
    eg_state *state = state_of_dials();
    static const char *const addresses[] = {"127.0.0.1", "0.0.0.0", "203.0.113.9", "192.0.2.200"};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        eg_endpoint endpoint = endpoint_of(addresses[i], 443);
        endpoint.family = AF_INET6;
        eg_dial dial = dial_of(&endpoint, EG_SOCKET_TCP);
        ROW(eg_verdict_for_dial(state, &dial) == judged(state, addresses[i], 443, EG_SOCKET_TCP), "%s", addresses[i]);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void only_tcp_and_udp_sockets_dial_ip(void **unused)
{
    (void)unused;
    static const eg_socket_kind others[] = {EG_SOCKET_OTHER,   EG_SOCKET_UNIX_STREAM,  EG_SOCKET_UNIX_DATAGRAM,
                                            EG_SOCKET_NETLINK, EG_SOCKET_NETLINK_USER, EG_SOCKET_ALG};
    eg_state *state = state_of_dials();
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        static const char *const addresses[] = {"203.0.113.9", "2001:db8:99::9", "127.0.0.1", "203.0.113.53"};
        for (size_t j = 0; j < COUNT_OF(addresses); j++) {
            eg_endpoint endpoint = endpoint_of(addresses[j], 53);
            eg_dial dial = dial_of(&endpoint, others[i]);
            dial.loopback_open = true;
            ROW(eg_verdict_for_dial(state, &dial) == EG_REFUSED_SOCKET, "kind %d to %s", (int)others[i], addresses[j]);
        }
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void nothing_is_allowed_by_an_empty_list(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH(NULL);
    for (size_t i = 0; i < COUNT_OF(dials); i++) {
        ROW(judged(state, dials[i].address, 443, EG_SOCKET_TCP) != EG_ALLOWED, "%s", dials[i].what);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

/* ---- rule 4: this machine's own addresses ---- */

static const struct {
    const char *what;
    const char *address;
    uint16_t port;
    eg_reason expected;
} own[] = {
    {"an exact entry", SANDBOX_IPV4, 22, EG_ALLOWED},
    {"an exact entry, mapped", "::ffff:" SANDBOX_IPV4, 22, EG_ALLOWED},
    {"a CIDR with another port", SANDBOX_IPV4, 443, EG_REFUSED_OWN_ADDRESS},
    {"a CIDR, mapped", "::ffff:" SANDBOX_IPV4, 443, EG_REFUSED_OWN_ADDRESS},
    {"a neighbour under the same CIDR", "198.51.100.8", 443, EG_ALLOWED},
    {"an exact IPv6 entry", SANDBOX_IPV6, 22, EG_ALLOWED},
    {"an IPv6 CIDR", SANDBOX_IPV6, 443, EG_REFUSED_OWN_ADDRESS},
    {"an IPv6 neighbour", "2001:db8:77::8", 443, EG_ALLOWED},
    {"the directed broadcast under a CIDR", SANDBOX_BROADCAST, 443, EG_REFUSED_OWN_ADDRESS},
    {"an anycast address under a CIDR", SANDBOX_ANYCAST, 443, EG_REFUSED_OWN_ADDRESS},
    {"a local route under a CIDR", "203.0.113.200", 443, EG_REFUSED_OWN_ADDRESS},
    {"6to4 of an own address", "2002:c633:6407::1", 443, EG_REFUSED_EMBEDDED},
    {"NAT64 of an own address", "64:ff9b::" SANDBOX_IPV4, 443, EG_REFUSED_EMBEDDED},
    {"ISATAP of an own address under a CIDR", "2001:db8:99::5efe:" SANDBOX_IPV4, 443, EG_REFUSED_EMBEDDED},
};

static void own_addresses_need_an_exact_entry(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = state_of_dials();
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        eg_reason reason = judged(state, own[i].address, own[i].port, EG_SOCKET_TCP);
        ROW(reason == own[i].expected, "%s: %s", own[i].what, eg_reason_word(reason));
    }
    ROW(judged(state, SANDBOX_IPV4, 80, EG_SOCKET_TCP) != EG_ALLOWED, "a port that nothing covers");
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void an_own_address_is_not_opened_by_a_grant(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = STATE_WITH("api.test:443");
    eg_address address = address_of(SANDBOX_IPV4);
    assert_int_equal(eg_grants_add(&state->grants, &address, 0), 0);
    assert_int_equal(judged(state, SANDBOX_IPV4, 443, EG_SOCKET_TCP), EG_REFUSED_OWN_ADDRESS);
    eg_state_destroy(state);
}

static void real_own_addresses_are_not_opened_by_a_cidr(void **unused)
{
    (void)unused;
    eg_address addresses[64];
    size_t count = eg_machine_own_addresses(addresses, 64);
    if (count == 0) {
        print_message("  skipped: no interface has an address that is neither loopback nor link-local\n");
        skip();
    }
    eg_state *state = STATE_WITH("128.0.0.0/1:443", "64.0.0.0/3:443", "1.0.0.0/8:443", "2.0.0.0/7:443", "4.0.0.0/6:443",
                                 "8.0.0.0/5:443", "16.0.0.0/4:443", "32.0.0.0/3:443", "96.0.0.0/4:443", "[fc00::/7]:443",
                                 "[2400::/6]:443", "[2600::/7]:443", "[2800::/5]:443", "[2001:8000::/17]:443",
                                 "[2001:100::/24]:443", "[2003::/16]:443");
    for (size_t i = 0; i < count; i++) {
        char text[EG_ENDPOINT_TEXT_SIZE];
        eg_address_text(&addresses[i], text);
        eg_reason reason = judged(state, text, 443, EG_SOCKET_TCP);
        ROW(reason != EG_ALLOWED, "%s is opened", text);
        ROW(reason == EG_REFUSED_OWN_ADDRESS || !eg_allowlist_covers_address(&state->allowlist, &addresses[i], 443, false),
            "%s: %s", text, eg_reason_word(reason));
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void where_the_kernel_does_not_say_a_cidr_opens_nothing(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = state_of_dials();
    eg_address granted = address_of("198.18.0.1");
    assert_int_equal(eg_grants_add(&state->grants, &granted, 0), 0);
    usleep((EG_LOCALITY_KEPT_MS + 50) * 1000); /* forget what earlier tests asked */
    descriptors_are_used_up();
    eg_reason by_cidr = judged(state, "203.0.113.10", 443, EG_SOCKET_TCP);
    eg_reason by_grant = judged(state, "198.18.0.1", 443, EG_SOCKET_TCP);
    eg_reason embedded = judged(state, "64:ff9b::808:808", 443, EG_SOCKET_TCP);
    eg_reason exact = judged(state, "203.0.113.9", 443, EG_SOCKET_TCP);
    descriptors_are_back();
    assert_int_equal(by_cidr, EG_REFUSED_INTERNAL);
    assert_int_equal(by_grant, EG_REFUSED_INTERNAL);
    assert_int_not_equal(embedded, EG_ALLOWED);
    assert_int_equal(exact, EG_ALLOWED); /* needs no answer */
    eg_state_destroy(state);
}

/* ---- rule 6: grants ---- */

static void a_grant_opens_the_ports_of_its_name(void **unused)
{
    (void)unused;
    eg_state *state = state_of_dials();
    eg_address api = address_of("198.18.0.1"), wild = address_of("198.18.0.2"), compatible = address_of("::198.18.0.3");
    assert_int_equal(judged(state, "198.18.0.1", 443, EG_SOCKET_TCP), EG_REFUSED_NOT_LISTED);
    assert_int_equal(eg_grants_add(&state->grants, &api, 0), 0);
    assert_int_equal(eg_grants_add(&state->grants, &wild, 1), 0);
    assert_int_equal(eg_grants_add(&state->grants, &compatible, 0), 0);
    assert_int_equal(judged(state, "198.18.0.1", 443, EG_SOCKET_TCP), EG_ALLOWED);
    assert_int_equal(judged(state, "198.18.0.1", 443, EG_SOCKET_UDP), EG_ALLOWED);
    assert_int_equal(judged(state, "::ffff:198.18.0.1", 443, EG_SOCKET_TCP), EG_ALLOWED);
    assert_int_equal(judged(state, "198.18.0.1", 444, EG_SOCKET_TCP), EG_REFUSED_PORT);
    assert_int_equal(judged(state, "198.18.0.2", 443, EG_SOCKET_TCP), EG_REFUSED_PORT);
    assert_int_equal(judged(state, "198.18.0.2", 8005, EG_SOCKET_TCP), EG_ALLOWED);
    assert_int_equal(judged(state, "198.18.0.3", 443, EG_SOCKET_TCP), EG_REFUSED_NOT_LISTED);
    assert_int_equal(judged(state, "::198.18.0.3", 443, EG_SOCKET_TCP), EG_ALLOWED);
    eg_state_destroy(state);
}

static void a_grant_never_opens_loopback(void **unused)
{
    (void)unused;
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", "::", "64:ff9b::127.0.0.1",
                                            "::127.0.0.1", "2002:7f00:1::1"};
    eg_state *state = STATE_WITH("api.test:443");
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        eg_address address = address_of(addresses[i]);
        assert_int_equal(eg_grants_add(&state->grants, &address, 0), 0);
        ROW(judged(state, addresses[i], 443, EG_SOCKET_TCP) != EG_ALLOWED, "%s", addresses[i]);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest anywhere[] = {
        cmocka_unit_test(ip_dials_are_judged_by_their_address),
        cmocka_unit_test(a_scope_and_a_flow_change_nothing),
        cmocka_unit_test(an_ipv4_address_under_ipv6_is_the_same_address),
        cmocka_unit_test(only_tcp_and_udp_sockets_dial_ip),
        cmocka_unit_test(nothing_is_allowed_by_an_empty_list),
        cmocka_unit_test(real_own_addresses_are_not_opened_by_a_cidr),
        cmocka_unit_test(a_grant_opens_the_ports_of_its_name),
        cmocka_unit_test(a_grant_never_opens_loopback),
    };
    const struct CMUnitTest inside[] = {
        cmocka_unit_test(ip_dials_are_judged_by_their_address),
        cmocka_unit_test(own_addresses_need_an_exact_entry),
        cmocka_unit_test(an_own_address_is_not_opened_by_a_grant),
        cmocka_unit_test(where_the_kernel_does_not_say_a_cidr_opens_nothing),
    };
    int failed = cmocka_run_group_tests_name("verdict on this machine", anywhere, NULL, NULL);
    sandbox_enter();
    usleep((EG_LOCALITY_KEPT_MS + 50) * 1000); /* what was asked outside is another machine's */
    return failed + cmocka_run_group_tests_name("verdict", inside, NULL, NULL);
}
