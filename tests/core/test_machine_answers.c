/* Where an address is delivered, by answers that the kernel gives seldom: whatever is not a
 * whole, plain answer is "not known", which refuses. */
#include "netlink.h"

#include <linux/rtnetlink.h>

#include "core/machine.h"

typedef struct route_answer {
    struct nlmsghdr header;
    struct rtmsg route;
} route_answer;

typedef struct error_answer {
    struct nlmsghdr header;
    struct nlmsgerr error;
} error_answer;

static route_answer a_route(unsigned char type)
{
    return (route_answer){{.nlmsg_len = sizeof(route_answer), .nlmsg_type = RTM_NEWROUTE}, {.rtm_type = type}};
}

static error_answer an_error(int error)
{
    return (error_answer){{.nlmsg_len = sizeof(error_answer), .nlmsg_type = NLMSG_ERROR}, {.error = -error}};
}

static eg_locality asked(void)
{
    eg_address address = address_of("203.0.113.9");
    eg_locality locality = eg_machine_ask_locality(&address);
    script.active = false;
    return locality;
}

static void only_a_unicast_route_leads_elsewhere(void **unused)
{
    (void)unused;
    for (int type = 0; type < 32; type++) {
        route_answer answer = a_route((unsigned char)type);
        start_script();
        then_bytes(&answer, sizeof answer);
        ROW(asked() == (type == RTN_UNICAST ? EG_LOCALITY_ELSEWHERE : EG_LOCALITY_OWN), "type %d", type);
    }
    FINISH_ROWS();
}

static void only_errors_that_mean_no_route_lead_elsewhere(void **unused)
{
    (void)unused;
    static const int no_route[] = {ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL};
    for (int error = 0; error < 140; error++) {
        error_answer answer = an_error(error);
        eg_locality wanted = EG_LOCALITY_UNKNOWN;
        for (size_t i = 0; i < COUNT_OF(no_route); i++) {
            wanted = error == no_route[i] ? EG_LOCALITY_ELSEWHERE : wanted;
        }
        start_script();
        then_bytes(&answer, sizeof answer);
        ROW(asked() == wanted, "%s", strerror(error));
    }
    FINISH_ROWS();
}

static void an_answer_that_is_not_whole_says_nothing(void **unused)
{
    (void)unused;
    route_answer route = a_route(RTN_UNICAST);
    error_answer error = an_error(ENETUNREACH);
    for (size_t size = 0; size < sizeof route; size++) {
        start_script();
        then_bytes(&route, size);
        ROW(asked() == EG_LOCALITY_UNKNOWN, "a route of %zu bytes", size);
    }
    for (size_t size = 0; size < sizeof error; size++) {
        start_script();
        then_bytes(&error, size);
        ROW(asked() == EG_LOCALITY_UNKNOWN, "an error of %zu bytes", size);
    }
    static const uint16_t others[] = {NLMSG_NOOP, NLMSG_DONE, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWADDR};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        route.header.nlmsg_type = error.header.nlmsg_type = others[i];
        start_script();
        then_bytes(&error, sizeof error);
        ROW(asked() == EG_LOCALITY_UNKNOWN, "type %u", others[i]);
    }
    FINISH_ROWS();
}

static void a_question_that_is_not_answered_says_nothing(void **unused)
{
    (void)unused;
    static const int errors[] = {EAGAIN, ENOBUFS, EPERM, EBADF};
    route_answer route = a_route(RTN_UNICAST);
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        start_script();
        then_error(errors[i]);
        then_bytes(&route, sizeof route);
        ROW(asked() == EG_LOCALITY_UNKNOWN, "recv: %s", strerror(errors[i]));
        start_script();
        script.send_errors[0] = errors[i];
        then_bytes(&route, sizeof route);
        ROW(asked() == EG_LOCALITY_UNKNOWN, "send: %s", strerror(errors[i]));
        ROW(script.sends == 1, "send: %s: asked %zu times", strerror(errors[i]), script.sends);
    }
    FINISH_ROWS();
}

static void an_interrupted_question_is_asked_again(void **unused)
{
    (void)unused;
    route_answer route = a_route(RTN_UNICAST);
    start_script();
    script.send_errors[0] = script.send_errors[1] = EINTR;
    then_error(EINTR);
    then_error(EINTR);
    then_bytes(&route, sizeof route);
    assert_int_equal(asked(), EG_LOCALITY_ELSEWHERE);
    assert_int_equal(script.sends, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_unicast_route_leads_elsewhere),
        cmocka_unit_test(only_errors_that_mean_no_route_lead_elsewhere),
        cmocka_unit_test(an_answer_that_is_not_whole_says_nothing),
        cmocka_unit_test(a_question_that_is_not_answered_says_nothing),
        cmocka_unit_test(an_interrupted_question_is_asked_again),
    };
    return cmocka_run_group_tests_name("machine, answers about routes", tests, NULL, NULL);
}
