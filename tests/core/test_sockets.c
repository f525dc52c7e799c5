/* Which sockets can be judged at all, families other than IP, and options that route. */
#include "verdict_support.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/un.h>

/* ---- kinds of sockets ---- */

#define IPPROTO_MPTCP_NUMBER 262
#define AF_VSOCK_NUMBER 40

static const struct {
    const char *what;
    int family, type, protocol;
    eg_socket_kind expected;
} kinds[] = {
    {"TCP", AF_INET, SOCK_STREAM, 0, EG_SOCKET_TCP},
    {"TCP by its protocol", AF_INET, SOCK_STREAM, IPPROTO_TCP, EG_SOCKET_TCP},
    {"TCP over IPv6", AF_INET6, SOCK_STREAM, IPPROTO_TCP, EG_SOCKET_TCP},
    {"MPTCP", AF_INET, SOCK_STREAM, IPPROTO_MPTCP_NUMBER, EG_SOCKET_TCP},
    {"non-blocking TCP", AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, EG_SOCKET_TCP},
    {"UDP", AF_INET, SOCK_DGRAM, 0, EG_SOCKET_UDP},
    {"UDP by its protocol", AF_INET6, SOCK_DGRAM, IPPROTO_UDP, EG_SOCKET_UDP},
    {"non-blocking UDP", AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0, EG_SOCKET_UDP},
    {"SCTP stream", AF_INET, SOCK_STREAM, IPPROTO_SCTP, EG_SOCKET_OTHER},
    {"SCTP one-to-many", AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP, EG_SOCKET_OTHER},
    {"TCP's protocol on a datagram socket", AF_INET, SOCK_DGRAM, IPPROTO_TCP, EG_SOCKET_OTHER},
    {"UDP's protocol on a stream socket", AF_INET, SOCK_STREAM, IPPROTO_UDP, EG_SOCKET_OTHER},
    {"ICMP datagram", AF_INET, SOCK_DGRAM, IPPROTO_ICMP, EG_SOCKET_OTHER},
    {"ICMPv6 datagram", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, EG_SOCKET_OTHER},
    {"UDP-Lite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, EG_SOCKET_UDPLITE},
    {"UDP-Lite, IPv6, non-blocking", AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDPLITE, EG_SOCKET_UDPLITE},
    {"UDP-Lite's protocol on a stream socket", AF_INET, SOCK_STREAM, IPPROTO_UDPLITE, EG_SOCKET_OTHER},
    {"DCCP", AF_INET, 6, IPPROTO_DCCP, EG_SOCKET_OTHER},
    {"raw", AF_INET, SOCK_RAW, IPPROTO_RAW, EG_SOCKET_OTHER},
    {"raw TCP", AF_INET, SOCK_RAW, IPPROTO_TCP, EG_SOCKET_OTHER},
    {"raw UDP", AF_INET6, SOCK_RAW, IPPROTO_UDP, EG_SOCKET_OTHER},
    {"raw ICMP", AF_INET, SOCK_RAW, IPPROTO_ICMP, EG_SOCKET_OTHER},
    {"an unknown type", AF_INET, 9, 0, EG_SOCKET_OTHER},
    {"no type", AF_INET, 0, 0, EG_SOCKET_OTHER},
    {"UNIX stream", AF_UNIX, SOCK_STREAM, 0, EG_SOCKET_UNIX_STREAM},
    {"UNIX seqpacket", AF_UNIX, SOCK_SEQPACKET, 0, EG_SOCKET_UNIX_STREAM},
    {"UNIX datagram", AF_UNIX, SOCK_DGRAM, 0, EG_SOCKET_UNIX_DATAGRAM},
    {"non-blocking UNIX stream", AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, EG_SOCKET_UNIX_STREAM},
    {"UNIX raw", AF_UNIX, SOCK_RAW, 0, EG_SOCKET_OTHER},
    {"netlink route", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, EG_SOCKET_NETLINK},
    {"netlink generic", AF_NETLINK, SOCK_DGRAM, NETLINK_GENERIC, EG_SOCKET_NETLINK},
    {"netlink between processes", AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK, EG_SOCKET_NETLINK_USER},
    {"kernel cryptography", AF_ALG, SOCK_SEQPACKET, 0, EG_SOCKET_ALG},
    {"VSOCK", AF_VSOCK_NUMBER, SOCK_STREAM, 0, EG_SOCKET_OTHER},
    {"packet", AF_PACKET, SOCK_RAW, 0, EG_SOCKET_OTHER},
    {"packet datagram", AF_PACKET, SOCK_DGRAM, 0, EG_SOCKET_OTHER},
    {"Bluetooth", AF_BLUETOOTH, SOCK_STREAM, 3, EG_SOCKET_OTHER},
    {"CAN", AF_CAN, SOCK_DGRAM, 2, EG_SOCKET_OTHER},
    {"TIPC", AF_TIPC, SOCK_STREAM, 0, EG_SOCKET_OTHER},
    {"no family", AF_UNSPEC, SOCK_STREAM, 0, EG_SOCKET_OTHER},
    {"an unknown family", 4711, SOCK_STREAM, 0, EG_SOCKET_OTHER},
    {"a negative family", -1, SOCK_STREAM, 0, EG_SOCKET_OTHER},
};

static void every_kind_of_socket_is_known_or_other(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        int kind = (int)eg_socket_kind_of(kinds[i].family, kinds[i].type, kinds[i].protocol);
        ROW(kind == (int)kinds[i].expected, "%s: %d", kinds[i].what, kind);
    }
    FINISH_ROWS();
}

static void the_kernel_says_what_a_descriptor_is(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        int descriptor = kinds[i].family < 0 ? -1 : socket(kinds[i].family, kinds[i].type, kinds[i].protocol);
        if (descriptor < 0) {
            continue; /* this kernel or this user has none */
        }
        eg_socket_kind wanted = kinds[i].expected;
        if (kinds[i].family == AF_UNIX && kinds[i].type == SOCK_RAW) {
            wanted = EG_SOCKET_UNIX_DATAGRAM; /* unix(7): Linux makes it one */
        }
        errno = 4711;
        int kind = (int)eg_socket_kind_of_descriptor(descriptor);
        ROW(kind == (int)wanted, "%s: %d", kinds[i].what, kind);
        ROW(errno == 4711, "%s: errno is changed", kinds[i].what);
        close(descriptor);
    }
    int pair[2];
    assert_int_equal(pipe(pair), 0);
    errno = 4711;
    ROW(eg_socket_kind_of_descriptor(pair[0]) == EG_SOCKET_OTHER, "a pipe is a socket");
    ROW(eg_socket_kind_of_descriptor(-1) == EG_SOCKET_OTHER, "no descriptor is a socket");
    ROW(errno == 4711, "errno is changed");
    close(pair[0]);
    close(pair[1]);
    FINISH_ROWS();
}

/* ---- families ---- */

static void families_without_an_entry_are_refused(void **unused)
{
    (void)unused;
    static const uint16_t families[] = {AF_VSOCK_NUMBER, AF_PACKET, AF_BLUETOOTH, AF_CAN, AF_TIPC, AF_X25, AF_AX25, AF_IPX,
                                        AF_APPLETALK, AF_KEY, AF_IB, AF_QIPCRTR, AF_XDP, 39, 45, 255, 65535};
    static const eg_socket_kind sockets[] = {EG_SOCKET_OTHER, EG_SOCKET_TCP, EG_SOCKET_UDP, EG_SOCKET_UNIX_STREAM, EG_SOCKET_ALG};
    eg_state *state = state_of_dials();
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        for (size_t j = 0; j < COUNT_OF(sockets); j++) {
            eg_endpoint endpoint = {.family = families[i]};
            eg_dial dial = dial_of(&endpoint, sockets[j]);
            dial.loopback_open = true;
            ROW(eg_verdict_for_dial(state, &dial) == EG_REFUSED_FAMILY, "family %u", families[i]);
            dial.action = EG_ACTION_SEND;
            ROW(eg_verdict_for_dial(state, &dial) == EG_REFUSED_FAMILY, "family %u, a message", families[i]);
        }
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void no_family_disconnects_and_sends_nothing(void **unused)
{
    (void)unused;
    eg_state *state = state_of_dials();
    eg_endpoint endpoint = endpoint_of("203.0.113.9", 443);
    endpoint.family = AF_UNSPEC;
    eg_dial dial = dial_of(&endpoint, EG_SOCKET_UDP);
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_ALLOWED);
    dial.action = EG_ACTION_SEND; /* Linux would dial it as IPv4 */
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_REFUSED_FAMILY);
    dial.action = 0;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_REFUSED_FAMILY);
    eg_state_destroy(state);
}

static void netlink_reaches_the_kernel_alone(void **unused)
{
    (void)unused;
    static const struct {
        const char *what;
        eg_socket_kind socket;
        uint32_t pid, groups;
        eg_reason expected;
    } rows[] = {
        {"the kernel", EG_SOCKET_NETLINK, 0, 0, EG_ALLOWED},
        {"a process", EG_SOCKET_NETLINK, 1, 0, EG_REFUSED_NETLINK},
        {"another process", EG_SOCKET_NETLINK, UINT32_MAX, 0, EG_REFUSED_NETLINK},
        {"a group", EG_SOCKET_NETLINK, 0, 1, EG_REFUSED_NETLINK},
        {"the last group", EG_SOCKET_NETLINK, 0, 0x80000000u, EG_REFUSED_NETLINK},
        {"a process and a group", EG_SOCKET_NETLINK, 1, 1, EG_REFUSED_NETLINK},
        {"NETLINK_USERSOCK", EG_SOCKET_NETLINK_USER, 0, 0, EG_REFUSED_NETLINK},
        {"NETLINK_USERSOCK to a process", EG_SOCKET_NETLINK_USER, 1, 0, EG_REFUSED_NETLINK},
        {"another kind of socket", EG_SOCKET_OTHER, 0, 0, EG_REFUSED_NETLINK},
        {"a UDP socket", EG_SOCKET_UDP, 0, 0, EG_REFUSED_NETLINK},
    };
    eg_state *state = state_of_dials();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        eg_endpoint endpoint = {.family = AF_NETLINK, .netlink_pid = rows[i].pid, .netlink_groups = rows[i].groups};
        eg_dial dial = dial_of(&endpoint, rows[i].socket);
        dial.loopback_open = true;
        ROW(eg_verdict_for_dial(state, &dial) == rows[i].expected, "%s", rows[i].what);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void kernel_cryptography_passes(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH(NULL);
    eg_endpoint endpoint = {.family = AF_ALG};
    eg_dial dial = dial_of(&endpoint, EG_SOCKET_ALG);
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_ALLOWED);
    dial.socket = EG_SOCKET_UDP;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_REFUSED_SOCKET);
    eg_state_destroy(state);
}

static const struct {
    const char *what;
    const char *path;
    size_t length;
    eg_socket_kind socket;
    eg_reason expected;
} unix_dials[] = {
    {"a listed path", TEXT("/run/listed"), EG_SOCKET_UNIX_STREAM, EG_ALLOWED},
    {"a listed path, a datagram", TEXT("/run/listed"), EG_SOCKET_UNIX_DATAGRAM, EG_ALLOWED},
    {"a listed path, an IP socket", TEXT("/run/listed"), EG_SOCKET_TCP, EG_REFUSED_SOCKET},
    {"a listed path, another socket", TEXT("/run/listed"), EG_SOCKET_OTHER, EG_REFUSED_SOCKET},
    {"another path", TEXT("/run/listed2"), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
    {"a shorter path", TEXT("/run/liste"), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
    {"another spelling of the path", TEXT("/run//listed"), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
    {"a relative path", TEXT("run/listed"), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
    {"a listed abstract name", TEXT("\0listed"), EG_SOCKET_UNIX_STREAM, EG_ALLOWED},
    {"a listed abstract name, a datagram", TEXT("\0listed"), EG_SOCKET_UNIX_DATAGRAM, EG_ALLOWED},
    {"an abstract name and a NUL", TEXT("\0listed\0"), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
    {"another abstract name", TEXT("\0liste"), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
    {"a file that is called @listed", TEXT("@listed"), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
    {"an abstract name like the path", TEXT("\0/run/listed"), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
    {"no path", TEXT(""), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
    {"the empty abstract name", TEXT("\0"), EG_SOCKET_UNIX_STREAM, EG_REFUSED_UNIX},
};

static void unix_sockets_need_their_entry(void **unused)
{
    (void)unused;
    eg_state *state = state_of_dials();
    for (size_t i = 0; i < COUNT_OF(unix_dials); i++) {
        eg_endpoint endpoint = {.family = AF_UNIX, .path = unix_dials[i].path, .path_length = unix_dials[i].length};
        eg_dial dial = dial_of(&endpoint, unix_dials[i].socket);
        dial.loopback_open = true;
        eg_reason reason = eg_verdict_for_dial(state, &dial);
        ROW(reason == unix_dials[i].expected, "%s: %s", unix_dials[i].what, eg_reason_word(reason));
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

/* Without an entry: this program's own listener, or datagram socket (test_unix_owner.c has the
 * others). One is not there for the other. */
static void a_listener_of_its_own_needs_no_entry(void **unused)
{
    (void)unused;
    char name[32] = "";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = 1 + (size_t)snprintf(name + 1, sizeof name - 1, "egressguard-own-%d", (int)getpid());
    memcpy(address.sun_path, name, length);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)), 0);
    assert_int_equal(listen(listener, 1), 0);
    eg_state *state = STATE_WITH(NULL);
    eg_endpoint endpoint = {.family = AF_UNIX, .path = name, .path_length = length};
    eg_dial dial = dial_of(&endpoint, EG_SOCKET_UNIX_STREAM);
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_ALLOWED);
    dial.socket = EG_SOCKET_UNIX_DATAGRAM;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_REFUSED_UNIX);
    dial.socket = EG_SOCKET_TCP;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_REFUSED_SOCKET);
    close(listener);
    int receiver = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(receiver, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)), 0);
    dial.socket = EG_SOCKET_UNIX_DATAGRAM;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_ALLOWED);
    dial.socket = EG_SOCKET_UNIX_STREAM;
    assert_int_equal(eg_verdict_for_dial(state, &dial), EG_REFUSED_UNIX);
    close(receiver);
    eg_state_destroy(state);
}

static void the_longest_path_is_judged_and_a_longer_one_refused(void **unused)
{
    (void)unused;
    char path[256] = "/", text[256];
    memset(path + 1, 'p', sizeof path - 1);
    snprintf(text, sizeof text, "unix:%.*s", 108, path);
    eg_state *state = STATE_WITH(text);
    for (size_t length = 100; length < 200; length++) {
        eg_endpoint endpoint = {.family = AF_UNIX, .path = path, .path_length = length};
        eg_dial dial = dial_of(&endpoint, EG_SOCKET_UNIX_STREAM);
        ROW((eg_verdict_for_dial(state, &dial) == EG_ALLOWED) == (length == 108), "%zu bytes", length);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void binding_is_refused_to_packet_and_can_sockets_alone(void **unused)
{
    (void)unused;
    static const uint16_t families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_UNSPEC, AF_VSOCK_NUMBER};
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        eg_endpoint endpoint = {.family = families[i]};
        ROW(eg_verdict_for_bind(&endpoint) == EG_ALLOWED, "family %u", families[i]);
    }
    eg_endpoint packet = {.family = AF_PACKET}, can = {.family = AF_CAN};
    ROW(eg_verdict_for_bind(&packet) == EG_REFUSED_SOCKET, "a packet socket");
    ROW(eg_verdict_for_bind(&can) == EG_REFUSED_SOCKET, "a CAN socket");
    FINISH_ROWS();
}

/* ---- options and control messages ---- */

#define SCTP 132

static void only_routing_and_membership_options_are_refused(void **unused)
{
    (void)unused;
    static const int announced[][2] = {
        {IPPROTO_IP, 35},   /* IP_ADD_MEMBERSHIP */
        {IPPROTO_IP, 39},   /* IP_ADD_SOURCE_MEMBERSHIP */
        {IPPROTO_IP, 41},   /* IP_MSFILTER */
        {IPPROTO_IP, 42},   /* MCAST_JOIN_GROUP */
        {IPPROTO_IP, 46},   /* MCAST_JOIN_SOURCE_GROUP */
        {IPPROTO_IP, 48},   /* MCAST_MSFILTER */
        {IPPROTO_IPV6, 20}, /* IPV6_JOIN_GROUP */
        {IPPROTO_IPV6, 27}, /* IPV6_JOIN_ANYCAST */
        {IPPROTO_IPV6, 42},
        {IPPROTO_IPV6, 46},
        {IPPROTO_IPV6, 48},
    };
    static const int refused[][2] = {
        {IPPROTO_IP, 4},    /* IP_OPTIONS */
        {IPPROTO_IPV6, 57}, /* IPV6_RTHDR */
        {IPPROTO_IPV6, 5},  /* IPV6_2292RTHDR */
        {IPPROTO_IPV6, 6},  /* IPV6_2292PKTOPTIONS */
        {IPPROTO_IPV6, 32}, /* IPV6_FLOWLABEL_MGR: takes control messages */
        {SCTP, 107},        /* SCTP_SOCKOPT_CONNECTX_OLD */
        {SCTP, 110},        /* SCTP_SOCKOPT_CONNECTX */
        {SCTP, 111},        /* SCTP_SOCKOPT_CONNECTX3 */
    };
    static const int levels[] = {IPPROTO_IP, SOL_SOCKET, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_IPV6, SCTP, SOL_RAW, 255, -1};
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        for (int option = -1; option < 300; option++) {
            eg_reason wanted = EG_ALLOWED;
            for (size_t j = 0; j < COUNT_OF(refused); j++) {
                wanted = refused[j][0] == levels[i] && refused[j][1] == option ? EG_REFUSED_ROUTING : wanted;
            }
            for (size_t j = 0; j < COUNT_OF(announced); j++) {
                wanted = announced[j][0] == levels[i] && announced[j][1] == option ? EG_REFUSED_MEMBERSHIP : wanted;
            }
            bool udp = levels[i] == IPPROTO_UDP || levels[i] == IPPROTO_UDPLITE;
            wanted = udp && option == 1 /* UDP_CORK */ ? EG_REFUSED_NAMESERVER : wanted;
            ROW(eg_verdict_for_option(levels[i], option) == wanted, "level %d option %d", levels[i], option);
        }
    }
    FINISH_ROWS();
}

static void only_routing_control_messages_are_refused(void **unused)
{
    (void)unused;
    static const int refused[][2] = {
        {IPPROTO_IP, 7},    /* IP_RETOPTS: ip(7), sendmsg takes options by it */
        {IPPROTO_IP, 4},    /* IP_OPTIONS */
        {IPPROTO_IPV6, 57}, /* IPV6_RTHDR */
        {IPPROTO_IPV6, 5},  /* IPV6_2292RTHDR */
        {IPPROTO_IPV6, 6},  /* IPV6_2292PKTOPTIONS */
        {SCTP, 7},          /* SCTP_DSTADDRV4 */
        {SCTP, 8},          /* SCTP_DSTADDRV6 */
    };
    static const int levels[] = {IPPROTO_IP, SOL_SOCKET, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6, SCTP, 255, -1};
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        for (int type = -1; type < 300; type++) {
            eg_reason wanted = EG_ALLOWED;
            for (size_t j = 0; j < COUNT_OF(refused); j++) {
                wanted = refused[j][0] == levels[i] && refused[j][1] == type ? EG_REFUSED_ROUTING : wanted;
            }
            ROW(eg_verdict_for_control_message(levels[i], type) == wanted, "level %d type %d", levels[i], type);
        }
    }
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_socket_is_known_or_other),
        cmocka_unit_test(the_kernel_says_what_a_descriptor_is),
        cmocka_unit_test(families_without_an_entry_are_refused),
        cmocka_unit_test(no_family_disconnects_and_sends_nothing),
        cmocka_unit_test(netlink_reaches_the_kernel_alone),
        cmocka_unit_test(kernel_cryptography_passes),
        cmocka_unit_test(unix_sockets_need_their_entry),
        cmocka_unit_test(a_listener_of_its_own_needs_no_entry),
        cmocka_unit_test(the_longest_path_is_judged_and_a_longer_one_refused),
        cmocka_unit_test(binding_is_refused_to_packet_and_can_sockets_alone),
        cmocka_unit_test(only_routing_and_membership_options_are_refused),
        cmocka_unit_test(only_routing_control_messages_are_refused),
    };
    return cmocka_run_group_tests_name("sockets", tests, NULL, NULL);
}
