/* Rule 1: what may be sent to a nameserver is judged by the question it carries. */
#include "verdict_support.h"

#include "core/machine.h"

#define HEADER "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define IN_A "\x00\x00\x01\x00\x01"
#define LISTED HEADER "\x03" "api\x04" "test" IN_A
#define WILD HEADER "\x01" "a\x04" "wild\x04" "test" IN_A
#define UNLISTED HEADER "\x04" "evil\x04" "test" IN_A
#define BARE HEADER "\x04" "wild\x04" "test" IN_A
#define NUMERIC HEADER "\x03" "127\x01" "0\x01" "0\x01" "1" IN_A
#define LOCALHOST HEADER "\x09" "localhost" IN_A

static const char nameservers[] = "nameserver 203.0.113.53\nnameserver 127.0.0.53\nnameserver 2001:db8:99::53\n";

static const struct {
    const char *what;
    const char *address;
    uint16_t port;
    eg_socket_kind socket;
    const char *payload; /* NULL: none is known */
    size_t length;
    eg_reason expected;
} sends[] = {
    {"a listed name", "203.0.113.53", 53, EG_SOCKET_UDP, TEXT(LISTED), EG_ALLOWED},
    {"a name under a wildcard", "203.0.113.53", 53, EG_SOCKET_UDP, TEXT(WILD), EG_ALLOWED},
    {"the bare name of a wildcard", "203.0.113.53", 53, EG_SOCKET_UDP, TEXT(BARE), EG_REFUSED_NAMESERVER},
    {"another name", "203.0.113.53", 53, EG_SOCKET_UDP, TEXT(UNLISTED), EG_REFUSED_NAMESERVER},
    {"a number", "203.0.113.53", 53, EG_SOCKET_UDP, TEXT(NUMERIC), EG_REFUSED_NAMESERVER},
    {"localhost", "203.0.113.53", 53, EG_SOCKET_UDP, TEXT(LOCALHOST), EG_REFUSED_NAMESERVER},
    {"a byte more", "203.0.113.53", 53, EG_SOCKET_UDP, TEXT(LISTED "\0"), EG_REFUSED_NAMESERVER},
    {"no question", "203.0.113.53", 53, EG_SOCKET_UDP, TEXT("GET / HTTP/1.0\r\n\r\n"), EG_REFUSED_NAMESERVER},
    {"nothing", "203.0.113.53", 53, EG_SOCKET_UDP, TEXT(""), EG_REFUSED_NAMESERVER},
    {"what nobody knows", "203.0.113.53", 53, EG_SOCKET_UDP, NULL, 0, EG_REFUSED_NAMESERVER},
    {"a stub on loopback", "127.0.0.53", 53, EG_SOCKET_UDP, TEXT(LISTED), EG_ALLOWED},
    {"a stub on loopback, another name", "127.0.0.53", 53, EG_SOCKET_UDP, TEXT(UNLISTED), EG_REFUSED_NAMESERVER},
    {"a stub on loopback, mapped", "::ffff:127.0.0.53", 53, EG_SOCKET_UDP, TEXT(LISTED), EG_ALLOWED},
    {"IPv6", "2001:db8:99::53", 53, EG_SOCKET_UDP, TEXT(LISTED), EG_ALLOWED},
    {"IPv6, another name", "2001:db8:99::53", 53, EG_SOCKET_UDP, TEXT(UNLISTED), EG_REFUSED_NAMESERVER},
    {"another loopback address", "127.0.0.1", 53, EG_SOCKET_UDP, TEXT(LISTED), EG_REFUSED_LOOPBACK},
    {"another host", "203.0.113.54", 53, EG_SOCKET_UDP, TEXT(LISTED), EG_REFUSED_PORT},
    {"another host, not listed", "198.18.0.1", 53, EG_SOCKET_UDP, TEXT(LISTED), EG_REFUSED_NOT_LISTED},
    {"the port before", "203.0.113.53", 52, EG_SOCKET_UDP, TEXT(LISTED), EG_REFUSED_PORT},
    {"multicast DNS", "203.0.113.53", 5353, EG_SOCKET_UDP, TEXT(LISTED), EG_REFUSED_PORT},
    {"a stub's other port", "127.0.0.53", 54, EG_SOCKET_UDP, TEXT(LISTED), EG_REFUSED_LOOPBACK},
    {"TCP by its entry", "203.0.113.53", 53, EG_SOCKET_TCP, TEXT(UNLISTED), EG_ALLOWED},
    {"TCP to a stub on loopback", "127.0.0.53", 53, EG_SOCKET_TCP, TEXT(LISTED), EG_REFUSED_LOOPBACK},
    {"TCP without an entry", "2001:db8:99::53", 53, EG_SOCKET_TCP, TEXT(LISTED), EG_REFUSED_PORT},
    {"UDP-Lite, whatever the entry", "203.0.113.53", 53, EG_SOCKET_UDPLITE, TEXT(LISTED), EG_REFUSED_NAMESERVER},
    {"UDP-Lite to a stub on loopback", "127.0.0.53", 53, EG_SOCKET_UDPLITE, TEXT(LISTED), EG_REFUSED_NAMESERVER},
    {"UDP-Lite to another host", "198.18.0.1", 53, EG_SOCKET_UDPLITE, TEXT(LISTED), EG_REFUSED_NOT_LISTED},
    {"UDP-Lite to another port", "203.0.113.53", 52, EG_SOCKET_UDPLITE, TEXT(LISTED), EG_REFUSED_PORT},
    {"another kind of socket", "203.0.113.53", 53, EG_SOCKET_OTHER, TEXT(LISTED), EG_REFUSED_SOCKET},
};

static void a_message_to_a_nameserver_is_judged_by_its_question(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/resolv.conf", nameservers);
    eg_state *state = state_of_dials();
    for (size_t i = 0; i < COUNT_OF(sends); i++) {
        for (int flag = 0; flag <= 1; flag++) {
            eg_endpoint endpoint = endpoint_of(sends[i].address, sends[i].port);
            eg_dial dial = dial_of(&endpoint, sends[i].socket);
            dial.action = EG_ACTION_SEND;
            dial.payload = (const uint8_t *)sends[i].payload;
            dial.payload_length = sends[i].length;
            dial.loopback_open = flag != 0;
            eg_reason wanted = sends[i].expected;
            if (flag != 0 && strcmp(sends[i].address, "127.0.0.1") == 0) {
                wanted = EG_ALLOWED;
            }
            eg_reason reason = eg_verdict_for_dial(state, &dial);
            ROW(reason == wanted, "%s%s: %s", sends[i].what, flag ? " with the flag" : "", eg_reason_word(reason));
        }
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

/* MSG_MORE: what leaves is this question and whatever is sent behind it. */
static void a_question_that_is_not_the_whole_message_is_refused(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/resolv.conf", nameservers);
    eg_state *state = state_of_dials();
    eg_endpoint endpoint = endpoint_of("203.0.113.53", 53);
    eg_dial dial = dial_of(&endpoint, EG_SOCKET_UDP);
    dial.action = EG_ACTION_SEND;
    dial.payload = (const uint8_t *)LISTED;
    dial.payload_length = sizeof LISTED - 1;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_ALLOWED);
    dial.more_to_come = true;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_REFUSED_NAMESERVER);
    eg_state_destroy(state);
}

/* What is sent later on a connected socket is not seen. */
static void connecting_to_a_nameserver_is_refused(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/resolv.conf", nameservers);
    eg_state *state = state_of_dials();
    static const char *const addresses[] = {"203.0.113.53", "127.0.0.53", "2001:db8:99::53"};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        eg_endpoint endpoint = endpoint_of(addresses[i], 53);
        eg_dial dial = dial_of(&endpoint, EG_SOCKET_UDP);
        ROW(eg_verdict_for_dial(state, &dial) == EG_REFUSED_NAMESERVER, "%s", addresses[i]);
        dial.loopback_open = true;
        ROW(eg_verdict_for_dial(state, &dial) == EG_REFUSED_NAMESERVER, "%s with the flag", addresses[i]);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void the_payload_is_asked_for_where_it_decides(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/resolv.conf", nameservers);
    for (size_t i = 0; i < COUNT_OF(sends); i++) {
        eg_endpoint endpoint = endpoint_of(sends[i].address, sends[i].port);
        eg_dial dial = dial_of(&endpoint, sends[i].socket);
        dial.action = EG_ACTION_SEND;
        bool decides = sends[i].port == 53 && sends[i].socket == EG_SOCKET_UDP && strstr(nameservers, sends[i].address) != NULL;
        decides = decides || strcmp(sends[i].address, "::ffff:127.0.0.53") == 0;
        ROW(eg_verdict_needs_payload(&dial) == decides, "%s", sends[i].what);
        endpoint.family = AF_UNIX;
        ROW(!eg_verdict_needs_payload(&dial), "%s, another family", sends[i].what);
    }
    FINISH_ROWS();
}

static void without_nameservers_this_machine_is_asked(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    unlink("/etc/resolv.conf");
    eg_state *state = state_of_dials();
    eg_endpoint endpoint = endpoint_of("127.0.0.1", 53);
    eg_dial dial = dial_of(&endpoint, EG_SOCKET_UDP);
    dial.action = EG_ACTION_SEND;
    dial.payload = (const uint8_t *)LISTED;
    dial.payload_length = sizeof LISTED - 1;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_ALLOWED);
    dial.payload = (const uint8_t *)UNLISTED;
    dial.payload_length = sizeof UNLISTED - 1;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_REFUSED_NAMESERVER);
    eg_state_destroy(state);
}

/* Whoever uses up the descriptors must not turn every host into a nameserver. */
static void where_the_nameservers_cannot_be_read_port_53_is_closed(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    sandbox_file("/etc/resolv.conf", nameservers);
    eg_state *state = state_of_dials();
    static const char *const addresses[] = {"198.18.0.1", "203.0.113.54", "192.0.2.1", "203.0.113.53", "127.0.0.53", "127.0.0.1"};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        eg_endpoint endpoint = endpoint_of(addresses[i], 53);
        eg_dial dial = dial_of(&endpoint, EG_SOCKET_UDP);
        dial.action = EG_ACTION_SEND;
        dial.payload = (const uint8_t *)LISTED;
        dial.payload_length = sizeof LISTED - 1;
        descriptors_are_used_up();
        eg_reason reason = eg_verdict_for_dial(state, &dial);
        descriptors_are_back();
        ROW(reason != EG_ALLOWED, "%s", addresses[i]);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_to_a_nameserver_is_judged_by_its_question),
        cmocka_unit_test(a_question_that_is_not_the_whole_message_is_refused),
        cmocka_unit_test(connecting_to_a_nameserver_is_refused),
        cmocka_unit_test(the_payload_is_asked_for_where_it_decides),
        cmocka_unit_test(without_nameservers_this_machine_is_asked),
        cmocka_unit_test(where_the_nameservers_cannot_be_read_port_53_is_closed),
    };
    sandbox_enter();
    return cmocka_run_group_tests_name("verdict about nameservers", tests, NULL, NULL);
}
