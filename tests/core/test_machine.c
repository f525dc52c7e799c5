/* What this machine is: own addresses from the kernel, nameservers and hosts from /etc. */
#include "sandbox.h"

#include <sys/stat.h>

#include "core/machine.h"

/* ---- own addresses ---- */

static const struct {
    const char *what;
    const char *address;
    eg_locality expected;
} localities[] = {
    {"loopback", "127.0.0.1", EG_LOCALITY_OWN},
    {"IPv6 loopback", "::1", EG_LOCALITY_OWN},
    {"an interface address", SANDBOX_IPV4, EG_LOCALITY_OWN},
    {"the same, mapped", "::ffff:" SANDBOX_IPV4, EG_LOCALITY_OWN},
    {"the same, compatible", "::" SANDBOX_IPV4, EG_LOCALITY_ELSEWHERE},
    {"an IPv6 interface address", SANDBOX_IPV6, EG_LOCALITY_OWN},
    {"a neighbour", "198.51.100.8", EG_LOCALITY_ELSEWHERE},
    {"an IPv6 neighbour", "2001:db8:77::8", EG_LOCALITY_ELSEWHERE},
    {"the directed broadcast", SANDBOX_BROADCAST, EG_LOCALITY_OWN},
    {"an anycast address", SANDBOX_ANYCAST, EG_LOCALITY_OWN},
    {"behind a route", "203.0.113.9", EG_LOCALITY_ELSEWHERE},
    {"behind an IPv6 route", "2001:db8:99::9", EG_LOCALITY_ELSEWHERE},
    {"a local route", "203.0.113.200", EG_LOCALITY_OWN},
    {"no route", "192.0.2.1", EG_LOCALITY_ELSEWHERE},
    {"no IPv6 route", "2001:db8:ff::1", EG_LOCALITY_ELSEWHERE},
    {"a blackhole", "192.0.2.17", EG_LOCALITY_ELSEWHERE},
    {"a prohibited route", "192.0.2.33", EG_LOCALITY_ELSEWHERE},
    {"an unreachable route", "192.0.2.49", EG_LOCALITY_ELSEWHERE},
    {"an IPv6 blackhole", "2001:db8:aa::1", EG_LOCALITY_ELSEWHERE},
    {"a prohibited IPv6 route", "2001:db8:bb::1", EG_LOCALITY_ELSEWHERE},
    {"an unreachable IPv6 route", "2001:db8:cc::1", EG_LOCALITY_ELSEWHERE},
};

static void the_kernel_says_what_is_own(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    for (size_t i = 0; i < COUNT_OF(localities); i++) {
        eg_address address = address_of(localities[i].address);
        errno = EINTR; /* left over from before: no call of ours was interrupted */
        eg_locality asked = eg_machine_ask_locality(&address), first = eg_machine_locality(&address),
                    second = eg_machine_locality(&address);
        ROW(errno == EINTR, "%s: errno is changed", localities[i].what);
        ROW(asked == localities[i].expected, "%s: %d", localities[i].what, (int)asked);
        ROW(first == localities[i].expected, "%s: %d at first", localities[i].what, (int)first);
        ROW(second == localities[i].expected, "%s: %d when kept", localities[i].what, (int)second);
    }
    FINISH_ROWS();
}

/* Not only in the sandbox: the machine that runs the test has addresses of its own too. */
static void real_own_addresses_are_own(void **unused)
{
    (void)unused;
    eg_address own[64];
    size_t count = eg_machine_own_addresses(own, 64);
    if (count == 0) {
        print_message("  skipped: no interface has an address that is neither loopback nor link-local\n");
        skip();
    }
    for (size_t i = 0; i < count; i++) {
        char text[EG_ENDPOINT_TEXT_SIZE];
        eg_address_text(&own[i], text);
        ROW(eg_address_class(&own[i]) == EG_CLASS_GLOBAL, "%s is listed", text);
        ROW(eg_machine_ask_locality(&own[i]) == EG_LOCALITY_OWN, "%s is not own", text);
    }
    FINISH_ROWS();
}

static void own_addresses_are_listed_without_loopback(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_address own[8], ipv4 = address_of(SANDBOX_IPV4), ipv6 = address_of(SANDBOX_IPV6);
    size_t count = eg_machine_own_addresses(own, 8);
    assert_int_equal(count, 2);
    assert_true(eg_address_equal(&own[0], &ipv4));
    assert_true(eg_address_equal(&own[1], &ipv6));
    own[1] = ipv4;
    assert_int_equal(eg_machine_own_addresses(own, 1), 1);
    assert_true(eg_address_equal(&own[1], &ipv4));
    assert_int_equal(eg_machine_own_addresses(own, 0), 0);
}

static void an_answer_is_kept_for_a_moment_only(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_address kept = address_of("203.0.113.77"), other = address_of("203.0.113.78");
    assert_int_equal(eg_machine_locality(&kept), EG_LOCALITY_ELSEWHERE);
    descriptors_are_used_up();
    eg_locality still = eg_machine_locality(&kept), unknown = eg_machine_locality(&other);
    usleep((EG_LOCALITY_KEPT_MS + 50) * 1000);
    eg_locality forgotten = eg_machine_locality(&kept);
    descriptors_are_back();
    assert_int_equal(still, EG_LOCALITY_ELSEWHERE);
    assert_int_equal(unknown, EG_LOCALITY_UNKNOWN);
    assert_int_equal(forgotten, EG_LOCALITY_UNKNOWN);
    /* What is not known is not kept. */
    assert_int_equal(eg_machine_locality(&other), EG_LOCALITY_ELSEWHERE);
}

static void an_address_that_is_added_becomes_own(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_address address = address_of("203.0.113.79");
    assert_int_equal(eg_machine_locality(&address), EG_LOCALITY_ELSEWHERE);
    assert_true(sandbox_ip("address add 203.0.113.79/32 dev guard0\n"));
    assert_int_equal(eg_machine_ask_locality(&address), EG_LOCALITY_OWN);
    usleep((EG_LOCALITY_KEPT_MS + 50) * 1000);
    assert_int_equal(eg_machine_locality(&address), EG_LOCALITY_OWN);
}

/* The memory is small: addresses that share a place must not answer for each other. */
static void many_addresses_do_not_answer_for_each_other(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    for (int i = 0; i < 3000; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s.%d", i % 2 ? "203.0.113" : "127.0.0", i / 2 % 128);
        if (strcmp(text, "203.0.113.79") == 0) {
            continue;
        }
        eg_address address = address_of(text);
        ROW(eg_machine_locality(&address) == (i % 2 ? EG_LOCALITY_ELSEWHERE : EG_LOCALITY_OWN), "%s", text);
    }
    FINISH_ROWS();
}

/* ---- nameservers ---- */

#define EIGHT                                                                                    \
    "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n" \
    "nameserver 1.1.1.5\nnameserver 1.1.1.6\nnameserver 1.1.1.7\nnameserver 1.1.1.8\n"

static const struct {
    const char *what;
    const char *file; /* NULL: there is none */
    const char *address;
    bool expected;
} nameservers[] = {
    {"one", "nameserver 203.0.113.53\n", "203.0.113.53", true},
    {"another address", "nameserver 203.0.113.53\n", "203.0.113.54", false},
    {"loopback beside it", "nameserver 203.0.113.53\n", "127.0.0.1", false},
    {"the second", "nameserver 203.0.113.53\nnameserver 203.0.113.54\n", "203.0.113.54", true},
    {"the third", "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\n", "1.1.1.3", true},
    {"the eighth", EIGHT "nameserver 1.1.1.9\n", "1.1.1.8", true},
    {"the ninth: libc asks three", EIGHT "nameserver 1.1.1.9\n", "1.1.1.9", false},
    {"without a last newline", "nameserver 203.0.113.53", "203.0.113.53", true},
    {"behind other lines", "# a comment\nsearch a.test b.test\noptions edns0\n\nnameserver 203.0.113.53\n", "203.0.113.53", true},
    {"by tabs and blanks", "nameserver \t 203.0.113.53 \t\n", "203.0.113.53", true},
    {"a comment behind it", "nameserver 203.0.113.53 # mine\n", "203.0.113.53", true},
    {"commented out", "#nameserver 203.0.113.53\nnameserver 1.1.1.1\n", "203.0.113.53", false},
    {"commented out by a semicolon", ";nameserver 203.0.113.53\nnameserver 1.1.1.1\n", "203.0.113.53", false},
    {"another keyword", "nameservers 203.0.113.53\nnameserver 1.1.1.1\n", "203.0.113.53", false},
    {"no address", "nameserver\nnameserver 1.1.1.1\n", "203.0.113.53", false},
    {"a stub on loopback", "nameserver 127.0.0.53\n", "127.0.0.53", true},
    {"IPv6", "nameserver 2001:db8::53\n", "2001:db8::53", true},
    {"IPv6 with a scope", "nameserver fe80::53%eth0\n", "fe80::53", true},
    {"mapped", "nameserver ::ffff:203.0.113.53\n", "203.0.113.53", true},
    {"as libc reads numbers", "nameserver 127.1\n", "127.0.0.1", true},
    {"as libc reads numbers, hexadecimal", "nameserver 0xcb.0.0x71.53\n", "203.0.113.53", true},
    {"nonsense", "nameserver example.test\nnameserver 203.0.113.53\n", "203.0.113.53", true},
    {"an empty file: libc asks this machine", "", "127.0.0.1", true},
    {"an empty file, another address", "", "203.0.113.53", false},
    {"no nameserver line", "search a.test\n", "127.0.0.1", true},
    {"no nameserver line, another of 127/8", "search a.test\n", "127.0.0.2", false},
    {"no file: libc asks this machine", NULL, "127.0.0.1", true},
    {"no file, another address", NULL, "203.0.113.53", false},
};

static void nameservers_are_those_that_libc_asks(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    for (size_t i = 0; i < COUNT_OF(nameservers); i++) {
        eg_address address = address_of(nameservers[i].address);
        unlink("/etc/resolv.conf");
        if (nameservers[i].file != NULL) {
            sandbox_file("/etc/resolv.conf", nameservers[i].file);
        }
        errno = EINTR;
        eg_nameserver found = eg_machine_is_nameserver(&address);
        ROW(found == (nameservers[i].expected ? EG_NAMESERVER_YES : EG_NAMESERVER_NO), "%s", nameservers[i].what);
        ROW(errno == EINTR, "%s: errno is changed", nameservers[i].what);
    }
    unlink("/etc/resolv.conf");
    FINISH_ROWS();
}

static void the_first_nameserver_is_the_one_that_libc_asks_first(void **unused)
{
    static const struct {
        const char *file, *expected;
    } rows[] = {
        {"search a.test\nnameserver 203.0.113.53\nnameserver 1.1.1.1\n", "203.0.113.53"},
        {"nameserver example.test\nnameserver 2001:db8::53\n", "2001:db8::53"},
        {"search a.test\n", "127.0.0.1"},
        {NULL, "127.0.0.1"},
    };
    (void)unused;
    NEEDS_SANDBOX();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        eg_address wanted = address_of(rows[i].expected), found;
        unlink("/etc/resolv.conf");
        if (rows[i].file != NULL) {
            sandbox_file("/etc/resolv.conf", rows[i].file);
        }
        errno = EINTR;
        ROW(eg_machine_first_nameserver(&found) && eg_address_equal(&found, &wanted), "%s", rows[i].expected);
        ROW(errno == EINTR, "%s: errno is changed", rows[i].expected);
    }
    unlink("/etc/resolv.conf");
    FINISH_ROWS();
}

/* Lines longer than a reader's buffer, and a buffer that ends at every place of a line. */
static void a_nameserver_is_found_behind_a_line_of_any_length(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_address address = address_of("203.0.113.53");
    static char file[20000];
    for (size_t length = 1; length < 9000; length += length > 4000 && length < 4200 ? 1 : 500) {
        memset(file, 'x', length);
        strcpy(file + length, "\nnameserver 203.0.113.53\nnameserver 1.1.1.1");
        sandbox_file("/etc/resolv.conf", file);
        ROW(eg_machine_is_nameserver(&address) == EG_NAMESERVER_YES, "behind %zu bytes", length);
        address = address_of("1.1.1.1");
        ROW(eg_machine_is_nameserver(&address) == EG_NAMESERVER_YES, "the last behind %zu bytes", length);
        address = address_of("203.0.113.53");
        /* The end of a line that is too long is not a line. */
        memset(file, ' ', length);
        strcpy(file + length, "nameserver 203.0.113.53");
        file[0] = 'x';
        sandbox_file("/etc/resolv.conf", file);
        ROW(eg_machine_is_nameserver(&address) == EG_NAMESERVER_NO, "at the end of a line of %zu bytes", length);
    }
    unlink("/etc/resolv.conf");
    FINISH_ROWS();
}

static void nameservers_that_cannot_be_read_are_unknown(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_address address = address_of("203.0.113.53"), loopback = address_of("127.0.0.1");
    sandbox_file("/etc/resolv.conf", "nameserver 203.0.113.53\n");
    descriptors_are_used_up();
    eg_nameserver listed = eg_machine_is_nameserver(&address), other = eg_machine_is_nameserver(&loopback);
    descriptors_are_back();
    assert_int_equal(listed, EG_NAMESERVER_UNKNOWN);
    assert_int_equal(other, EG_NAMESERVER_UNKNOWN);
    /* It opens, and every read of it fails. */
    unlink("/etc/resolv.conf");
    assert_int_equal(mkdir("/etc/resolv.conf", 0755), 0);
    listed = eg_machine_is_nameserver(&loopback);
    assert_int_equal(rmdir("/etc/resolv.conf"), 0);
    assert_int_equal(listed, EG_NAMESERVER_UNKNOWN);
}

/* ---- hosts ---- */

static const char hosts[] =
    "127.0.0.1\tlocalhost localhost.localdomain\n"
    "::1 localhost ip6-localhost\n"
    "# 192.0.2.9 commented.test\n"
    "192.0.2.1 db.test db # db2.test\n"
    "192.0.2.2 DB.Test other.test\n"
    "192.0.2.2 db.test\n"
    "not-an-address db.test\n"
    "127.1 short.test\n"
    "192.0.2.3\n"
    "\n"
    "  2001:db8::3   v6.test \n"
    "192.0.2.4 bad~name good.test\n"
    "192.0.2.5 last.test";

static const struct {
    const char *name;
    const char *addresses[3];
} by_name[] = {
    {"localhost", {"127.0.0.1", "::1"}},
    {"db.test", {"192.0.2.1", "192.0.2.2"}},
    {"db", {"192.0.2.1"}},
    {"other.test", {"192.0.2.2"}},
    {"v6.test", {"2001:db8::3"}},
    {"good.test", {"192.0.2.4"}},
    {"last.test", {"192.0.2.5"}},
    {"db2.test", {NULL}},
    {"commented.test", {NULL}},
    {"test", {NULL}},
    {"b.test", {NULL}},
    {"db.tes", {NULL}},
    {"not-an-address", {NULL}},
};

static void hosts_give_the_addresses_of_a_name_in_their_order(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/hosts", hosts);
    for (size_t i = 0; i < COUNT_OF(by_name); i++) {
        eg_name name = name_of(by_name[i].name);
        eg_address found[8];
        size_t count = eg_machine_hosts_addresses(&name, found, 8), wanted = 0;
        for (; wanted < 3 && by_name[i].addresses[wanted] != NULL; wanted++) {
            eg_address address = address_of(by_name[i].addresses[wanted]);
            ROW(wanted < count && eg_address_equal(&found[wanted], &address), "%s: %s", by_name[i].name,
                by_name[i].addresses[wanted]);
        }
        ROW(count == wanted, "%s: %zu addresses", by_name[i].name, count);
    }
    FINISH_ROWS();
}

static void no_more_addresses_are_given_than_there_is_room_for(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/hosts", hosts);
    eg_name name = name_of("db.test");
    eg_address found[2] = {address_of("::"), address_of("::")}, untouched = found[1];
    assert_int_equal(eg_machine_hosts_addresses(&name, found, 1), 1);
    assert_true(eg_address_equal(&found[1], &untouched));
    assert_int_equal(eg_machine_hosts_addresses(&name, found, 0), 0);
}

static void hosts_give_the_names_of_an_address(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/hosts", hosts);
    static const struct {
        const char *address;
        const char *names[3];
    } rows[] = {
        {"127.0.0.1", {"localhost", "localhost.localdomain"}},
        {"::1", {"localhost", "ip6-localhost"}},
        {"192.0.2.1", {"db.test", "db"}},
        {"192.0.2.2", {"db.test", "other.test"}},
        {"192.0.2.4", {"good.test"}},
        {"192.0.2.5", {"last.test"}},
        {"2001:db8::3", {"v6.test"}},
        {"192.0.2.3", {NULL}},
        {"192.0.2.9", {NULL}},
        {"192.0.2.99", {NULL}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        eg_address address = address_of(rows[i].address);
        eg_name found[8];
        size_t count = eg_machine_hosts_names(&address, found, 8), wanted = 0;
        for (; wanted < 3 && rows[i].names[wanted] != NULL; wanted++) {
            ROW(wanted < count && eg_name_equal(&found[wanted], rows[i].names[wanted]), "%s: %s", rows[i].address,
                rows[i].names[wanted]);
        }
        ROW(count == wanted, "%s: %zu names", rows[i].address, count);
        if (wanted > 0) {
            ROW(eg_machine_hosts_names(&address, found, 1) == 1, "%s: more than there is room for", rows[i].address);
        }
    }
    FINISH_ROWS();
}

static void without_the_file_hosts_give_nothing(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    unlink("/etc/hosts");
    eg_name name = name_of("localhost"), names[2];
    eg_address address = address_of("127.0.0.1");
    assert_int_equal(eg_machine_hosts_names(&address, names, 2), 0);
    assert_int_equal(eg_machine_hosts_addresses(&name, &address, 1), 0);
}

int main(void)
{
    const struct CMUnitTest real[] = {
        cmocka_unit_test(real_own_addresses_are_own),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_says_what_is_own),
        cmocka_unit_test(own_addresses_are_listed_without_loopback),
        cmocka_unit_test(real_own_addresses_are_own),
        cmocka_unit_test(an_answer_is_kept_for_a_moment_only),
        cmocka_unit_test(an_address_that_is_added_becomes_own),
        cmocka_unit_test(many_addresses_do_not_answer_for_each_other),
        cmocka_unit_test(nameservers_are_those_that_libc_asks),
        cmocka_unit_test(the_first_nameserver_is_the_one_that_libc_asks_first),
        cmocka_unit_test(a_nameserver_is_found_behind_a_line_of_any_length),
        cmocka_unit_test(nameservers_that_cannot_be_read_are_unknown),
        cmocka_unit_test(hosts_give_the_addresses_of_a_name_in_their_order),
        cmocka_unit_test(no_more_addresses_are_given_than_there_is_room_for),
        cmocka_unit_test(hosts_give_the_names_of_an_address),
        cmocka_unit_test(without_the_file_hosts_give_nothing),
    };
    int failed = cmocka_run_group_tests_name("the machine as it is", real, NULL, NULL);
    sandbox_enter();
    return failed + cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
