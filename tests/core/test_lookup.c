/* The guard's own lookups: what is asked, what becomes a grant, and what this machine
 * answers without asking anybody. */
#include "nameserver.h"

#include "core/lookup.h"

static const char default_hosts[] = "127.0.0.1 localhost\n";

static int fresh(void **unused)
{
    (void)unused;
    if (sandbox_missing[0] == '\0') {
        sandbox_write("/etc/hosts", default_hosts);
        nameserver_forget();
    }
    return 0;
}

static eg_state *new_state(void)
{
    return STATE_WITH("api.test:443", "mixed.test:443", "bad.test:443", "gone.test:443", "*.wild.test:80", "*.test:25");
}

static int looked_up(eg_state *state, const char *text)
{
    eg_name name = name_of(text);
    eg_name_match match;
    if (eg_allowlist_match_name(&state->allowlist, &name, EG_ANY_PORT, &match) != EG_MATCH_LISTED) {
        fail_msg("the test itself is wrong: %s is not listed", text);
    }
    return eg_lookup_grant(state, &name, &match);
}

static bool granted(const eg_state *state, const char *text, int port)
{
    eg_address address = address_of(text);
    return eg_grants_cover(&state->grants, &state->allowlist, &address, port);
}

static void the_absolute_form_ends_in_a_dot(void **unused)
{
    (void)unused;
    char text[EG_NAME_MAX + 2];
    eg_name name = name_of("API.test.");
    eg_lookup_absolute(&name, text);
    assert_string_equal(text, "api.test.");
    char longest[EG_NAME_MAX + 1];
    for (size_t i = 0; i < EG_NAME_MAX; i++) {
        longest[i] = i % 2 ? '.' : 'a';
    }
    longest[EG_NAME_MAX] = '\0';
    name = name_of(longest);
    eg_lookup_absolute(&name, text);
    assert_int_equal(strlen(text), EG_NAME_MAX + 1);
}

static void a_good_answer_is_granted_for_every_record(void **unused)
{
    (void)unused;
    eg_state *state = new_state();
    eg_name name = name_of("a.wild.test");
    eg_name_match match;
    eg_address good = address_of("203.0.113.9"), bad = address_of("127.0.0.1");
    assert_int_equal(eg_allowlist_match_name(&state->allowlist, &name, EG_ANY_PORT, &match), EG_MATCH_LISTED);
    assert_true(eg_lookup_accept(state, &match, &good));
    assert_true(granted(state, "203.0.113.9", 80));
    assert_true(granted(state, "203.0.113.9", 25));
    assert_false(granted(state, "203.0.113.9", 443));
    assert_false(eg_lookup_accept(state, &match, &bad));
    assert_false(granted(state, "127.0.0.1", EG_ANY_PORT));
    match.count = 0;
    good = address_of("203.0.113.20");
    assert_false(eg_lookup_accept(state, &match, &good)); /* nothing could be granted */
    eg_state_destroy(state);
}

static void an_answer_that_finds_no_place_is_dropped(void **unused)
{
    (void)unused;
    eg_state *state = new_state();
    eg_name name = name_of("api.test");
    eg_name_match match;
    eg_address good = address_of("203.0.113.9");
    assert_int_equal(eg_allowlist_match_name(&state->allowlist, &name, 443, &match), EG_MATCH_LISTED);
    for (size_t i = 0; i < EG_GRANT_BUCKETS * EG_GRANT_WAYS; i++) {
        atomic_store(&(&state->grants.slots[0][0] + i)->sequence, 1);
    }
    assert_false(eg_lookup_accept(state, &match, &good));
    eg_state_destroy(state);
}

static void a_listed_name_is_asked_as_it_stands_and_granted(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = new_state();
    assert_int_equal(looked_up(state, "api.test"), 2);
    assert_true(granted(state, "203.0.113.9", 443));
    assert_true(granted(state, "2001:db8:99::9", 443));
    assert_true(granted(state, "203.0.113.9", 25)); /* by *.test */
    assert_false(granted(state, "203.0.113.9", 80));
    assert_int_equal(nameserver_asked("api.test"), 2); /* A and AAAA */
    assert_int_equal(nameserver_asked(NULL), 2);       /* no search domain, nothing else */
    eg_state_destroy(state);
}

static void bad_answers_are_dropped_and_good_ones_kept(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = new_state();
    assert_int_equal(looked_up(state, "mixed.test"), 1);
    assert_true(granted(state, "203.0.113.11", 443));
    assert_false(granted(state, "127.0.0.1", EG_ANY_PORT));
    assert_false(granted(state, "::1", EG_ANY_PORT));
    assert_false(granted(state, SANDBOX_IPV4, EG_ANY_PORT));
    assert_int_equal(looked_up(state, "bad.test"), 0);
    assert_false(granted(state, "127.0.0.1", EG_ANY_PORT));
    assert_false(granted(state, "169.254.1.1", EG_ANY_PORT));
    eg_state_destroy(state);
}

static void a_name_that_does_not_exist_fails_and_is_asked_once(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = new_state();
    assert_int_equal(looked_up(state, "gone.test"), -1);
    assert_int_equal(nameserver_asked(NULL), nameserver_asked("gone.test"));
    assert_true(nameserver_asked("gone.test") >= 1);
    eg_state_destroy(state);
}

static void hosts_come_first_and_nobody_is_asked(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/hosts", "203.0.113.30 api.test\n203.0.113.31 API.TEST.\n127.0.0.1 api.test bad.test\n");
    eg_state *state = new_state();
    int count = looked_up(state, "api.test");
    assert_int_equal(count, 2);
    assert_true(granted(state, "203.0.113.30", 443));
    assert_false(granted(state, "203.0.113.9", EG_ANY_PORT));
    assert_false(granted(state, "127.0.0.1", EG_ANY_PORT));
    /* Hosts that name only this machine are the answer: the nameserver is not asked for a better one. */
    assert_int_equal(looked_up(state, "bad.test"), 0);
    assert_int_equal(nameserver_asked(NULL), 0);
    eg_state_destroy(state);
}

/* ---- this machine's own names ---- */

static void own_names_are_answered_without_dns(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    static const struct {
        const char *what, *hosts, *name;
        const char *addresses[3];
    } rows[] = {
        {"localhost by hosts", "127.0.0.1 localhost\n", "localhost", {"127.0.0.1"}},
        {"localhost by both lines", "127.0.0.1 localhost\n::1 localhost\n", "localhost", {"127.0.0.1", "::1"}},
        {"localhost without hosts", "", "localhost", {"::1", "127.0.0.1"}},
        {"the host name by hosts", "127.0.1.1 guarded.example\n", "guarded.example", {"127.0.1.1"}},
        {"the host name without hosts", "127.0.0.1 localhost\n", "guarded.example", {SANDBOX_IPV4, SANDBOX_IPV6}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        sandbox_file("/etc/hosts", rows[i].hosts);
        eg_name name = name_of(rows[i].name);
        eg_address found[4];
        size_t count = eg_lookup_this_machine(&name, found, 4), wanted = 0;
        for (; wanted < 3 && rows[i].addresses[wanted] != NULL; wanted++) {
            eg_address address = address_of(rows[i].addresses[wanted]);
            ROW(wanted < count && eg_address_equal(&found[wanted], &address), "%s: %s", rows[i].what, rows[i].addresses[wanted]);
        }
        ROW(count == wanted, "%s: %zu addresses", rows[i].what, count);
        ROW(eg_lookup_this_machine(&name, found, 1) <= 1, "%s: more than there is room for", rows[i].what);
        ROW(eg_lookup_this_machine(&name, found, 0) == 0, "%s: more than no room", rows[i].what);
        ROW(eg_lookup_this_machine(&name, found, 2) == (wanted < 2 ? wanted : 2), "%s: with room for two", rows[i].what);
    }
    ROW(nameserver_asked(NULL) == 0, "somebody was asked");
    FINISH_ROWS();
}

static void a_machine_without_addresses_is_loopback(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/hosts", "");
    eg_name name = name_of("guarded.example");
    eg_address found[2], loopback = address_of("::1");
    descriptors_are_used_up();
    size_t count = eg_lookup_this_machine(&name, found, 2);
    descriptors_are_back();
    assert_int_equal(count, 2);
    assert_true(eg_address_equal(&found[0], &loopback));
}

static void local_addresses_have_names_without_dns(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    static const struct {
        const char *what, *hosts, *address;
        const char *names[3];
    } rows[] = {
        {"by hosts", "127.0.0.1 localhost lo\n", "127.0.0.1", {"localhost", "lo"}},
        {"loopback without hosts", "", "127.0.0.1", {"localhost"}},
        {"another loopback address", "127.0.0.1 localhost\n", "127.0.0.2", {"localhost"}},
        {"IPv6 loopback without hosts", "", "::1", {"localhost"}},
        {"an own address", "", SANDBOX_IPV4, {"guarded.example"}},
        {"an own address by hosts", SANDBOX_IPV4 " box\n", SANDBOX_IPV4, {"box"}},
        {"the unspecified address", "", "0.0.0.0", {"guarded.example"}},
    };
    eg_state *state = new_state();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        sandbox_file("/etc/hosts", rows[i].hosts);
        eg_address address = address_of(rows[i].address);
        eg_name found[4];
        size_t count = eg_lookup_local_names(state, &address, found, 4), wanted = 0;
        for (; wanted < 3 && rows[i].names[wanted] != NULL; wanted++) {
            ROW(wanted < count && eg_name_equal(&found[wanted], rows[i].names[wanted]), "%s: %s", rows[i].what, rows[i].names[wanted]);
        }
        ROW(count == wanted, "%s: %zu names", rows[i].what, count);
        ROW(eg_lookup_local_names(state, &address, found, 1) == 1, "%s: with room for one", rows[i].what);
        ROW(eg_lookup_local_names(state, &address, found, 0) == 0, "%s: more than no room", rows[i].what);
    }
    /* A machine whose name is no name still has localhost. */
    sandbox_file("/etc/hosts", "");
    memset(&state->own_name, 0, sizeof state->own_name);
    eg_address own = address_of(SANDBOX_IPV4);
    eg_name found[1];
    ROW(eg_lookup_local_names(state, &own, found, 1) == 1 && eg_name_equal(&found[0], "localhost"), "without a host name");
    ROW(nameserver_asked(NULL) == 0, "somebody was asked");
    eg_state_destroy(state);
    FINISH_ROWS();
}

#define LOOKUP_TEST(test) cmocka_unit_test_setup(test, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOKUP_TEST(the_absolute_form_ends_in_a_dot),
        LOOKUP_TEST(a_good_answer_is_granted_for_every_record),
        LOOKUP_TEST(an_answer_that_finds_no_place_is_dropped),
        LOOKUP_TEST(a_listed_name_is_asked_as_it_stands_and_granted),
        LOOKUP_TEST(bad_answers_are_dropped_and_good_ones_kept),
        LOOKUP_TEST(a_name_that_does_not_exist_fails_and_is_asked_once),
        LOOKUP_TEST(hosts_come_first_and_nobody_is_asked),
        LOOKUP_TEST(own_names_are_answered_without_dns),
        LOOKUP_TEST(a_machine_without_addresses_is_loopback),
        LOOKUP_TEST(local_addresses_have_names_without_dns),
    };
    nameserver_enter();
    return cmocka_run_group_tests_name("lookup", tests, NULL, NULL);
}
