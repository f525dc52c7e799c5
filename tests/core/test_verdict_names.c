/* The verdict about names, about what a listed name resolved to, and about reverse lookups. */
#include "verdict_support.h"

#include "core/machine.h"

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define N255 L63 "." L63 "." L63 "." L63

static const struct {
    const char *what;
    const char *text;
    size_t length;
    int port;
    eg_reason reason;
    eg_name_kind kind;
} asked[] = {
    {"empty", TEXT(""), 443, EG_ALLOWED, EG_NAME_NUMBER},
    {"loopback", TEXT("127.0.0.1"), 443, EG_ALLOWED, EG_NAME_NUMBER}, /* the connect is judged */
    {"a short number", TEXT("127.1"), 443, EG_ALLOWED, EG_NAME_NUMBER},
    {"a decimal number", TEXT("2130706433"), 443, EG_ALLOWED, EG_NAME_NUMBER},
    {"a hexadecimal number", TEXT("0x7f.1"), 443, EG_ALLOWED, EG_NAME_NUMBER},
    {"an octal number", TEXT("0177.0.0.1"), 443, EG_ALLOWED, EG_NAME_NUMBER},
    {"IPv6", TEXT("::1"), 443, EG_ALLOWED, EG_NAME_NUMBER},
    {"mapped", TEXT("::ffff:127.0.0.1"), 443, EG_ALLOWED, EG_NAME_NUMBER},
    {"a scope", TEXT("fe80::1%1"), 443, EG_ALLOWED, EG_NAME_NUMBER},
    {"localhost", TEXT("localhost"), 443, EG_ALLOWED, EG_NAME_THIS_MACHINE},
    {"localhost, spelled otherwise", TEXT("LocalHost."), 443, EG_ALLOWED, EG_NAME_THIS_MACHINE},
    {"localhost, no port", TEXT("localhost"), EG_ANY_PORT, EG_ALLOWED, EG_NAME_THIS_MACHINE},
    {"a name under localhost", TEXT("a.localhost"), 443, EG_REFUSED_NOT_LISTED, EG_NAME_REFUSED},
    {"localhost.localdomain", TEXT("localhost.localdomain"), 443, EG_REFUSED_NOT_LISTED, EG_NAME_REFUSED},
    {"a longer name", TEXT("localhost.evil.test"), 443, EG_REFUSED_NOT_LISTED, EG_NAME_REFUSED},
    {"listed", TEXT("api.test"), 443, EG_ALLOWED, EG_NAME_LISTED},
    {"listed, no port", TEXT("api.test"), EG_ANY_PORT, EG_ALLOWED, EG_NAME_LISTED},
    {"listed, spelled otherwise", TEXT("API.Test."), 443, EG_ALLOWED, EG_NAME_LISTED},
    {"listed, another port", TEXT("api.test"), 444, EG_REFUSED_PORT, EG_NAME_REFUSED},
    {"listed, port 0", TEXT("api.test"), 0, EG_REFUSED_PORT, EG_NAME_REFUSED},
    {"a wildcard", TEXT("a.b.wild.test"), 8000, EG_ALLOWED, EG_NAME_LISTED},
    {"a wildcard, another port", TEXT("a.wild.test"), 8011, EG_REFUSED_PORT, EG_NAME_REFUSED},
    {"a wildcard's bare name", TEXT("wild.test"), 8000, EG_REFUSED_NOT_LISTED, EG_NAME_REFUSED},
    {"not listed", TEXT("evil.test"), 443, EG_REFUSED_NOT_LISTED, EG_NAME_REFUSED},
    {"a search domain behind it", TEXT("api.test.evil.test"), 443, EG_REFUSED_NOT_LISTED, EG_NAME_REFUSED},
    {"a label in front", TEXT("evil.api.test"), 443, EG_REFUSED_NOT_LISTED, EG_NAME_REFUSED},
    {"a number with a trailing dot", TEXT("127.0.0.1."), 443, EG_REFUSED_NOT_LISTED, EG_NAME_REFUSED},
    {"a listed address is no name", TEXT("203.0.113.9.test"), 443, EG_REFUSED_NOT_LISTED, EG_NAME_REFUSED},
    {"a NUL behind a listed name", TEXT("api.test\0"), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"a NUL and a listed name", TEXT("evil.test\0api.test"), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"a NUL behind a number", TEXT("127.0.0.1\0"), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"a NUL behind localhost", TEXT("localhost\0"), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"full-width digits", TEXT("\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1"), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"an ideographic full stop", TEXT("api\xe3\x80\x82test"), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"a surrogate's bytes", TEXT("\xed\xa0\x80.test"), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"a space", TEXT("127.0.0.1 "), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"a star", TEXT("*.wild.test"), 8000, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"the root", TEXT("."), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"255 bytes", TEXT(N255), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
    {"256 bytes", TEXT(N255 "."), 443, EG_REFUSED_NAME, EG_NAME_REFUSED},
};

static void names_are_judged_before_anything_is_asked(void **unused)
{
    (void)unused;
    eg_state *state = state_of_dials();
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        eg_name_decision decision;
        memset(&decision, 0xff, sizeof decision);
        eg_reason reason = eg_verdict_for_name(state, asked[i].text, asked[i].length, asked[i].port, &decision);
        ROW(reason == asked[i].reason, "%s: %s", asked[i].what, eg_reason_word(reason));
        ROW(decision.reason == reason, "%s: two answers", asked[i].what);
        ROW(decision.kind == asked[i].kind, "%s: kind %d", asked[i].what, (int)decision.kind);
        if (asked[i].kind == EG_NAME_LISTED) {
            ROW(decision.match.count == 1, "%s: %zu records", asked[i].what, decision.match.count);
        }
        if (asked[i].kind == EG_NAME_NUMBER) {
            ROW(decision.name.length == 0 && decision.match.count == 0, "%s: a number has a name", asked[i].what);
        }
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void a_decision_holds_the_normal_form(void **unused)
{
    (void)unused;
    eg_state *state = state_of_dials();
    eg_name_decision decision;
    assert_int_equal(eg_verdict_for_name(state, TEXT("API.Test."), 443, &decision), EG_ALLOWED);
    assert_string_equal(decision.name.text, "api.test");
    assert_string_equal(eg_allowlist_record_text(&state->allowlist, decision.match.records[0]), "api.test");
    eg_state_destroy(state);
}

static void the_host_name_of_this_machine_passes(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = state_of_dials();
    eg_name_decision decision;
    static const char *const own[] = {SANDBOX_HOST, "guarded.example", "GUARDED.EXAMPLE."};
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        ROW(eg_verdict_for_name(state, own[i], strlen(own[i]), 443, &decision) == EG_ALLOWED, "%s", own[i]);
        ROW(decision.kind == EG_NAME_THIS_MACHINE, "%s: kind %d", own[i], (int)decision.kind);
    }
    static const char *const others[] = {"guarded", "x.guarded.example", "guarded.example.evil"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        ROW(eg_verdict_for_name(state, others[i], strlen(others[i]), 443, &decision) == EG_REFUSED_NOT_LISTED, "%s", others[i]);
    }
    /* As it was at install(): a later name is any other name. */
    assert_int_equal(sethostname("evil.test", 9), 0);
    ROW(eg_verdict_for_name(state, "evil.test", 9, 443, &decision) == EG_REFUSED_NOT_LISTED, "a later host name passes");
    assert_int_equal(sethostname(SANDBOX_HOST, strlen(SANDBOX_HOST)), 0);
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void a_host_name_that_is_no_name_passes_nothing(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    static const char *const bad[] = {"", "not a name", "(none)"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(sethostname(bad[i], strlen(bad[i])), 0);
        eg_state *state = state_of_dials();
        eg_name_decision decision;
        ROW(state->own_name.length == 0 && state->own_name.text[0] == '\0', "'%s' is kept", bad[i]);
        ROW(eg_verdict_for_name(state, bad[i], strlen(bad[i]), 443, &decision) != EG_ALLOWED || bad[i][0] == '\0',
            "'%s' passes", bad[i]);
        eg_state_destroy(state);
    }
    assert_int_equal(sethostname(SANDBOX_HOST, strlen(SANDBOX_HOST)), 0);
    FINISH_ROWS();
}

/* ---- what a listed name resolved to ---- */

static const struct {
    const char *address;
    bool good, sandbox;
} answers[] = {
    {"203.0.113.9", true, false},
    {"2001:db8:99::9", true, false},
    {"10.0.0.1", true, false},
    {"64:ff9b::808:808", true, false},
    {"2002:808:808::1", true, false},
    {"127.0.0.1", false, false},
    {"127.9.9.9", false, false},
    {"0.0.0.0", false, false},
    {"169.254.169.254", false, false},
    {"224.0.0.1", false, false},
    {"255.255.255.255", false, false},
    {"::1", false, false},
    {"::", false, false},
    {"fe80::1", false, false},
    {"ff02::1", false, false},
    {"::ffff:127.0.0.1", false, false},
    {"::ffff:169.254.169.254", false, false},
    {"::127.0.0.1", false, false},
    {"64:ff9b::127.0.0.1", false, false},
    {"64:ff9b::169.254.169.254", false, false},
    {"64:ff9b::224.0.0.1", false, false},
    {"64:ff9b:1::127.0.0.1", false, false},
    {"2002:7f00:1::1", false, false},
    {"2001:0:808:808::80ff:fffe", false, false},
    {"2001:db8:99::5efe:127.0.0.1", false, false},
    {SANDBOX_IPV4, false, true},
    {"::ffff:" SANDBOX_IPV4, false, true},
    {SANDBOX_IPV6, false, true},
    {SANDBOX_BROADCAST, false, true},
    {SANDBOX_ANYCAST, false, true},
    {"203.0.113.200", false, true},
    {"64:ff9b::" SANDBOX_IPV4, false, true},
    {"198.51.100.8", true, true},
};

static void answers_that_may_not_be_dialled_are_dropped(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        if (answers[i].sandbox && sandbox_missing[0] != '\0') {
            continue;
        }
        eg_address address = address_of(answers[i].address);
        ROW(eg_verdict_answer_is_good(&address) == answers[i].good, "%s", answers[i].address);
    }
    FINISH_ROWS();
}

static void an_answer_of_unknown_place_is_dropped(void **unused)
{
    (void)unused;
    eg_address address = address_of("203.0.113.9"), embedding = address_of("64:ff9b::808:808");
    usleep((EG_LOCALITY_KEPT_MS + 50) * 1000);
    descriptors_are_used_up();
    bool good = eg_verdict_answer_is_good(&address), good_too = eg_verdict_answer_is_good(&embedding);
    descriptors_are_back();
    assert_false(good);
    assert_false(good_too);
}

/* ---- reverse lookups ---- */

static void reverse_lookups_are_of_local_listed_and_granted_addresses(void **unused)
{
    (void)unused;
    static const struct {
        const char *address;
        eg_reverse expected;
        bool sandbox;
    } rows[] = {
        {"127.0.0.1", EG_REVERSE_LOCAL, false},
        {"127.0.0.53", EG_REVERSE_LOCAL, false},
        {"::1", EG_REVERSE_LOCAL, false},
        {"0.0.0.0", EG_REVERSE_LOCAL, false},
        {"::", EG_REVERSE_LOCAL, false},
        {"203.0.113.9", EG_REVERSE_LISTED, false},
        {"203.0.113.10", EG_REVERSE_LISTED, false},
        {"2001:db8:99::1", EG_REVERSE_LISTED, false},
        {"198.18.0.1", EG_REVERSE_LISTED, false}, /* granted */
        {"198.18.0.2", EG_REVERSE_REFUSED, false},
        {"2001:db8:ff::1", EG_REVERSE_REFUSED, false},
        {"::127.0.0.1", EG_REVERSE_REFUSED, false},
        {SANDBOX_IPV4, EG_REVERSE_LOCAL, true},
        {SANDBOX_IPV6, EG_REVERSE_LOCAL, true},
        {"198.51.100.8", EG_REVERSE_LISTED, true},
    };
    eg_state *state = state_of_dials();
    eg_address granted = address_of("198.18.0.1");
    assert_int_equal(eg_grants_add(&state->grants, &granted, 0), 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].sandbox && sandbox_missing[0] != '\0') {
            continue;
        }
        eg_address address = address_of(rows[i].address);
        int found = (int)eg_verdict_for_reverse(state, &address);
        ROW(found == (int)rows[i].expected, "%s: %d", rows[i].address, found);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_judged_before_anything_is_asked),
        cmocka_unit_test(a_decision_holds_the_normal_form),
        cmocka_unit_test(the_host_name_of_this_machine_passes),
        cmocka_unit_test(a_host_name_that_is_no_name_passes_nothing),
        cmocka_unit_test(answers_that_may_not_be_dialled_are_dropped),
        cmocka_unit_test(an_answer_of_unknown_place_is_dropped),
        cmocka_unit_test(reverse_lookups_are_of_local_listed_and_granted_addresses),
    };
    sandbox_enter();
    return cmocka_run_group_tests_name("verdict about names", tests, NULL, NULL);
}
