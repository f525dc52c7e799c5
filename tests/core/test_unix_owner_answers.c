/* Who listens behind a UNIX address, by answers that the kernel gives seldom: a list that is
 * not whole may lack a listener, and is not believed. */
#include "netlink.h"

#include <linux/rtnetlink.h>
#include <linux/unix_diag.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "core/unix_owner.h"

#define STATE_LISTEN 10
#define NAME "\0egressguard-netlink"
#define NAME_SIZE (sizeof NAME - 1)

static eg_installer installer;
static uint32_t own_inode;
static int own_listener = -1;
static char message[1024];
static size_t message_size;
static bool of_datagrams;

static int make_listener(void **unused)
{
    (void)unused;
    struct stat status;
    own_listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    eg_unix_owner_remember(&installer);
    own_inode = fstat(own_listener, &status) == 0 ? (uint32_t)status.st_ino : 0;
    return own_inode == 0;
}

static void add_header(uint16_t type, uint16_t flags, size_t size)
{
    struct nlmsghdr header = {.nlmsg_len = (uint32_t)(sizeof header + size), .nlmsg_type = type, .nlmsg_flags = flags};
    memcpy(message + message_size, &header, sizeof header);
    message_size += sizeof header;
}

static void add_attribute(uint16_t type, const void *bytes, size_t size)
{
    struct rtattr attribute = {.rta_len = (uint16_t)(sizeof attribute + size), .rta_type = type};
    memcpy(message + message_size, &attribute, sizeof attribute);
    memcpy(message + message_size + sizeof attribute, bytes, size);
    message_size += (sizeof attribute + size + 3) / 4 * 4;
}

/* A listener by this abstract name; its size is set right at the end. */
static size_t begin_listener(uint32_t inode, uint8_t state)
{
    size_t start = message_size;
    struct unix_diag_msg found = {.udiag_family = AF_UNIX, .udiag_type = SOCK_STREAM, .udiag_state = state, .udiag_ino = inode};
    add_header(20, NLM_F_MULTI, sizeof found);
    memcpy(message + message_size, &found, sizeof found);
    message_size += sizeof found;
    return start;
}

static void end_listener(size_t start)
{
    uint32_t size = (uint32_t)(message_size - start);
    memcpy(message + start, &size, sizeof size);
}

static void add_listener(uint32_t inode)
{
    size_t start = begin_listener(inode, STATE_LISTEN);
    add_attribute(UNIX_DIAG_NAME, NAME, NAME_SIZE);
    end_listener(start);
}

static void add_end(void)
{
    add_header(NLMSG_DONE, NLM_F_MULTI, 4);
    message_size += 4;
}

static void new_message(void)
{
    memset(message, 0, sizeof message);
    message_size = 0;
}

static void new_script(void)
{
    start_script();
    new_message();
}

static void then_message(void)
{
    then_bytes(message, message_size);
    new_message();
}

static bool is_family(void)
{
    eg_endpoint endpoint = {.family = AF_UNIX, .path = NAME, .path_length = NAME_SIZE};
    errno = EINTR; /* left over from before */
    bool family = eg_unix_owner_is_family(&installer, &endpoint, of_datagrams);
    script.active = false;
    return family;
}

static void a_whole_list_is_believed(void **unused)
{
    (void)unused;
    new_script();
    add_listener(own_inode);
    add_end();
    then_message();
    assert_true(is_family());
    assert_int_equal(errno, EINTR);

    new_script(); /* in several messages, interrupted between them */
    add_listener(own_inode);
    then_message();
    then_error(EINTR);
    add_listener(own_inode);
    then_message();
    add_end();
    then_message();
    assert_true(is_family());
    assert_int_equal(script.next, 4);
}

static void every_listener_of_the_list_counts(void **unused)
{
    (void)unused;
    static const struct {
        int own_before, foreign, own_behind;
        bool expected;
    } rows[] = {{0, 0, 0, false}, {1, 0, 0, true}, {0, 1, 0, false}, {1, 1, 0, false}, {0, 1, 1, false},
                {2, 1, 2, false}, {7, 0, 0, true}, {8, 0, 0, false}, {9, 0, 0, false}, {6, 1, 0, false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        new_script();
        for (int j = 0; j < rows[i].own_before + rows[i].foreign + rows[i].own_behind; j++) {
            bool foreign = j >= rows[i].own_before && j < rows[i].own_before + rows[i].foreign;
            add_listener(foreign ? 0xfffffff0u : own_inode);
        }
        add_end();
        then_message();
        ROW(is_family() == rows[i].expected, "%d, %d foreign, %d", rows[i].own_before, rows[i].foreign, rows[i].own_behind);
    }
    FINISH_ROWS();
}

static void a_list_that_breaks_off_is_not_believed(void **unused)
{
    (void)unused;
    static const int errors[] = {ENOBUFS, EAGAIN, EBADF};
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        new_script();
        add_listener(own_inode);
        then_message();
        then_error(errors[i]);
        ROW(!is_family(), "recv: %s", strerror(errors[i]));
        ROW(script.next == 2, "recv: %s: goes on", strerror(errors[i]));
    }
    new_script();
    add_listener(own_inode);
    then_message();
    then_bytes("", 0);
    add_end();
    then_message();
    ROW(!is_family(), "nothing more");

    new_script();
    add_listener(own_inode);
    add_header(NLMSG_ERROR, 0, 4);
    message_size += 4;
    then_message();
    ROW(!is_family(), "an error");

    new_script();
    add_listener(own_inode);
    add_header(NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, 4);
    message_size += 4;
    then_message();
    ROW(!is_family(), "a list that changed meanwhile");

    new_script();
    script.send_errors[0] = EPERM;
    add_listener(own_inode);
    add_end();
    then_message();
    ROW(!is_family(), "a question that was not sent");
    FINISH_ROWS();
}

static void what_is_cut_is_not_read(void **unused)
{
    (void)unused;
    for (size_t cut = 1; cut < 60; cut++) {
        new_script();
        add_listener(own_inode);
        message_size -= cut < message_size ? cut : message_size;
        then_message();
        add_end();
        then_message();
        ROW(!is_family(), "a listener without its last %zu bytes", cut);
    }
    for (uint32_t size = 0; size < sizeof(struct nlmsghdr); size++) {
        new_script();
        add_listener(own_inode);
        memcpy(message, &size, sizeof size);
        then_message();
        add_end();
        then_message();
        ROW(!is_family(), "a message of %u bytes", size);
    }
    FINISH_ROWS();
}

/* A length of an attribute that leads out of the message, or nowhere. */
static void attributes_that_are_not_whole_are_not_read(void **unused)
{
    (void)unused;
    for (int length = 0; length < 400; length++) {
        uint16_t wrong = (uint16_t)length, right = (uint16_t)(sizeof(struct rtattr) + NAME_SIZE);
        new_script();
        size_t start = begin_listener(own_inode, STATE_LISTEN);
        size_t attribute = message_size;
        add_attribute(UNIX_DIAG_NAME, NAME, NAME_SIZE);
        memcpy(message + attribute, &wrong, sizeof wrong);
        end_listener(start);
        add_end();
        then_message();
        ROW(is_family() == (wrong == right), "a name of %d bytes", length);
    }
    FINISH_ROWS();
}

static void a_broken_attribute_in_front_is_not_passed_over(void **unused)
{
    (void)unused;
    static const uint16_t lengths[] = {0, 1, 2, 3, 200, 65535};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        new_script();
        size_t start = begin_listener(own_inode, STATE_LISTEN), attribute = message_size;
        add_attribute(UNIX_DIAG_SHUTDOWN, "", 0);
        memcpy(message + attribute, &lengths[i], sizeof lengths[i]);
        add_attribute(UNIX_DIAG_NAME, NAME, NAME_SIZE);
        end_listener(start);
        add_end();
        then_message();
        ROW(!is_family(), "of %u bytes", lengths[i]);
    }
    FINISH_ROWS();
}

static void the_end_of_the_list_may_be_a_header_alone(void **unused)
{
    (void)unused;
    new_script();
    add_listener(own_inode);
    add_header(NLMSG_DONE, NLM_F_MULTI, 0);
    then_message();
    assert_true(is_family());
    assert_int_equal(script.next, 1);
}

/* The listener is there; who holds it cannot be found out. */
static void without_proc_nobody_is_family(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/egressguard-XXXXXX";
    assert_non_null(mkdtemp(folder));
    pid_t child = fork();
    if (child == 0) {
        if (chroot(folder) != 0) {
            _exit(77);
        }
        new_script();
        add_listener(own_inode);
        add_end();
        then_message();
        _exit(is_family() ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(rmdir(folder), 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("  skipped: this user may not chroot\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void other_attributes_are_passed_over(void **unused)
{
    (void)unused;
    uint32_t number = 7;
    new_script();
    size_t start = begin_listener(own_inode, STATE_LISTEN);
    add_attribute(UNIX_DIAG_SHUTDOWN, "", 0); /* empty */
    add_attribute(UNIX_DIAG_SHUTDOWN, "\1", 1);
    add_attribute(UNIX_DIAG_PEER, &number, sizeof number);
    add_attribute(UNIX_DIAG_NAME, NAME, NAME_SIZE);
    end_listener(start);
    add_end();
    then_message();
    assert_true(is_family());

    new_script(); /* the last attribute ends with the message, without padding */
    start = begin_listener(own_inode, STATE_LISTEN);
    add_attribute(UNIX_DIAG_NAME, NAME, NAME_SIZE);
    message_size = start + sizeof(struct nlmsghdr) + sizeof(struct unix_diag_msg) + sizeof(struct rtattr) + NAME_SIZE;
    end_listener(start);
    message_size = (message_size + 3) / 4 * 4;
    add_end();
    then_message();
    assert_true(is_family());
}

static void what_does_not_listen_is_passed_over(void **unused)
{
    (void)unused;
    new_script();
    size_t start = begin_listener(0xfffffff0u, 7); /* closed */
    add_attribute(UNIX_DIAG_NAME, NAME, NAME_SIZE);
    end_listener(start);
    start = begin_listener(0xfffffff0u, STATE_LISTEN); /* has no name */
    end_listener(start);
    start = begin_listener(0xfffffff0u, STATE_LISTEN); /* has another */
    add_attribute(UNIX_DIAG_NAME, NAME "2", NAME_SIZE + 1);
    end_listener(start);
    add_listener(own_inode);
    add_end();
    then_message();
    assert_true(is_family());
}

/* A listener of the same name, which no datagram reaches; the kernel lists what it was asked for. */
static void what_is_no_datagram_socket_is_passed_over(void **unused)
{
    (void)unused;
    static const struct {
        uint8_t type, state;
        bool expected;
    } rows[] = {{SOCK_DGRAM, 7, true}, {SOCK_DGRAM, 1, true}, {SOCK_STREAM, 7, false}, {SOCK_STREAM, STATE_LISTEN, false},
                {SOCK_SEQPACKET, 1, false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        new_script();
        size_t start = begin_listener(own_inode, rows[i].state);
        message[start + sizeof(struct nlmsghdr) + offsetof(struct unix_diag_msg, udiag_type)] = (char)rows[i].type;
        add_attribute(UNIX_DIAG_NAME, NAME, NAME_SIZE);
        end_listener(start);
        add_end();
        then_message();
        of_datagrams = true;
        ROW(is_family() == rows[i].expected, "type %u in state %u", rows[i].type, rows[i].state);
        of_datagrams = false;
    }
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_list_is_believed),
        cmocka_unit_test(every_listener_of_the_list_counts),
        cmocka_unit_test(a_list_that_breaks_off_is_not_believed),
        cmocka_unit_test(what_is_cut_is_not_read),
        cmocka_unit_test(attributes_that_are_not_whole_are_not_read),
        cmocka_unit_test(a_broken_attribute_in_front_is_not_passed_over),
        cmocka_unit_test(the_end_of_the_list_may_be_a_header_alone),
        cmocka_unit_test(without_proc_nobody_is_family),
        cmocka_unit_test(other_attributes_are_passed_over),
        cmocka_unit_test(what_does_not_listen_is_passed_over),
        cmocka_unit_test(what_is_no_datagram_socket_is_passed_over),
    };
    return cmocka_run_group_tests_name("unix owner, answers about listeners", tests, make_listener, NULL);
}
