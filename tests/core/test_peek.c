/* Answers that lie in a socket: found behind others, believed from the nameserver alone, and
 * left where they are. */
#include "verdict_support.h"

#include <netinet/in.h>
#include <unistd.h>

#include "core/peek.h"

#define QUESTION "\x03" "api\x04" "test\x00\x00\x01\x00\x01"
#define ANSWER(id, code, ip) id "\x81" code "\x00\x01\x00\x01\x00\x00\x00\x00" QUESTION "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" ip
#define GOOD ANSWER("\x12\x34", "\x80", "\xcb\x00\x71\x01")

static int caller, server, stranger;
static eg_endpoint nameserver;

static int bound(struct sockaddr_in *out)
{
    socklen_t size = sizeof *out;
    int made = socket(AF_INET, SOCK_DGRAM, 0);
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(made, (struct sockaddr *)out, sizeof *out), 0);
    assert_int_equal(getsockname(made, (struct sockaddr *)out, &size), 0);
    return made;
}

static int fresh(void **unused)
{
    struct sockaddr_in to_caller, address, other;
    (void)unused;
    caller = bound(&to_caller);
    server = bound(&address);
    stranger = bound(&other);
    assert_int_equal(connect(server, (struct sockaddr *)&to_caller, sizeof to_caller), 0);
    assert_int_equal(connect(stranger, (struct sockaddr *)&to_caller, sizeof to_caller), 0);
    return eg_endpoint_from_sockaddr(&nameserver, &address, sizeof address);
}

static int done(void **unused)
{
    (void)unused;
    return close(caller) | close(server) | close(stranger);
}

static void say(int from, const char *message, size_t length)
{
    assert_int_equal(send(from, message, length, 0), length);
}

static bool found(eg_dns_answer *answer)
{
    static uint8_t buffer[512];
    eg_dns_question asked = {.id = 0x1234, .type = EG_DNS_TYPE_A};
    asked.name = name_of("api.test");
    return eg_peek_answer(caller, &nameserver, &asked, buffer, sizeof buffer, answer);
}

static int waiting(void)
{
    char bytes[600];
    int count = 0;
    while (recv(caller, bytes, sizeof bytes, MSG_DONTWAIT) >= 0) {
        count++;
    }
    return count;
}

static void nothing_is_there(void **unused)
{
    eg_dns_answer answer;
    (void)unused;
    assert_false(found(&answer));
}

static void an_answer_is_found_and_stays(void **unused)
{
    eg_dns_answer answer;
    eg_address wanted = address_of("203.0.113.1");
    (void)unused;
    say(server, TEXT(GOOD));
    for (int again = 0; again < 2; again++) {
        assert_true(found(&answer));
        assert_int_equal(answer.count, 1);
        assert_true(eg_address_equal(&answer.addresses[0], &wanted));
    }
    assert_int_equal(waiting(), 1);
}

static void an_answer_lies_behind_others(void **unused)
{
    eg_dns_answer answer;
    (void)unused;
    say(server, "", 0);
    say(server, TEXT(ANSWER("\x12\x35", "\x80", "\xcb\x00\x71\x02")));
    for (int i = 2; i < 31; i++) {
        say(server, TEXT("no answer"));
    }
    say(server, TEXT(GOOD));
    assert_true(found(&answer));
    assert_int_equal(waiting(), 32);
}

static void what_lies_too_far_behind_is_not_looked_for(void **unused)
{
    eg_dns_answer answer;
    (void)unused;
    for (int i = 0; i < 32; i++) {
        say(server, TEXT("no answer"));
    }
    say(server, TEXT(GOOD));
    assert_false(found(&answer));
}

static void nobody_else_is_believed(void **unused)
{
    eg_dns_answer answer;
    (void)unused;
    say(stranger, TEXT(GOOD));                                              /* another port */
    say(server, TEXT(ANSWER("\x12\x35", "\x80", "\xcb\x00\x71\x01")));       /* another id */
    say(server, "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION, 26); /* a question */
    assert_false(found(&answer));
    nameserver.address = address_of("127.0.0.2");
    say(server, TEXT(GOOD)); /* another address */
    assert_false(found(&answer));
}

static void the_callers_own_offset_is_left_alone(void **unused)
{
    eg_dns_answer answer;
    int offset = 7;
    socklen_t size = sizeof offset;
    (void)unused;
    assert_int_equal(setsockopt(caller, SOL_SOCKET, SO_PEEK_OFF, &offset, size), 0);
    say(server, TEXT(GOOD));
    assert_true(found(&answer));
    offset = 0;
    assert_int_equal(getsockopt(caller, SOL_SOCKET, SO_PEEK_OFF, &offset, &size), 0);
    assert_int_equal(offset, 7);
}

static void what_may_be_dialled_is_granted(void **unused)
{
    static const struct {
        const char *address;
        bool good;
    } rows[] = {{"203.0.113.1", true}, {"127.0.0.1", false}, {"169.254.169.254", false}, {"::ffff:127.0.0.1", false}};
    eg_name name = name_of("api.test");
    eg_name_match match;
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        eg_state *state = STATE_WITH("api.test:443");
        eg_dns_answer answer = {.count = 1, .addresses = {address_of(rows[i].address), address_of("203.0.113.9")}};
        assert_int_equal(eg_allowlist_match_name(&state->allowlist, &name, EG_ANY_PORT, &match), EG_MATCH_LISTED);
        ROW(eg_peek_grant(state, &match, &answer) == rows[i].good, "%s", rows[i].address);
        ROW(eg_grants_cover(&state->grants, &state->allowlist, &answer.addresses[0], 443) == rows[i].good, "%s",
            rows[i].address);
        ROW(!eg_grants_cover(&state->grants, &state->allowlist, &answer.addresses[0], 80), "%s", rows[i].address);
        ROW(!eg_grants_cover(&state->grants, &state->allowlist, &answer.addresses[1], 443), "not in the answer");
        answer.count = 0;
        ROW(eg_peek_grant(state, &match, &answer), "no address is no lie");
        match.count = 0;
        answer.count = 1;
        ROW(eg_peek_grant(state, &match, &answer), "nothing is granted for no name");
        eg_state_destroy(state);
    }
    FINISH_ROWS();
}

static void nothing_behind_the_last_address_is_granted(void **unused)
{
    eg_name name = name_of("api.test");
    eg_name_match match;
    eg_state *state = STATE_WITH("api.test:443");
    eg_dns_answer answer = {.count = 1, .addresses = {address_of("127.0.0.1"), address_of("203.0.113.1")}};
    (void)unused;
    assert_int_equal(eg_allowlist_match_name(&state->allowlist, &name, EG_ANY_PORT, &match), EG_MATCH_LISTED);
    assert_false(eg_peek_grant(state, &match, &answer));
    assert_false(eg_grants_cover(&state->grants, &state->allowlist, &answer.addresses[1], 443));
    eg_state_destroy(state);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_is_there),
        CASE(an_answer_is_found_and_stays),
        CASE(an_answer_lies_behind_others),
        CASE(what_lies_too_far_behind_is_not_looked_for),
        CASE(nobody_else_is_believed),
        CASE(the_callers_own_offset_is_left_alone),
        CASE(what_may_be_dialled_is_granted),
        CASE(nothing_behind_the_last_address_is_granted),
    };
    return cmocka_run_group_tests_name("peek", tests, NULL, NULL);
}
