/* UNIX listeners of the program itself: its own and those of its descendants that still run
 * the same executable, and nobody else's. */
#include "unix_support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

static void a_listener_of_its_own_is_family(void **unused)
{
    (void)unused;
    int by_path = listening(SOCK_STREAM, PATH), by_name = listening(SOCK_STREAM, ABSTRACT);
    assert_true(is_family(PATH));
    assert_true(is_family(ABSTRACT));
    /* What changes about a process while it lives tells nothing about whose it is. */
    void *more = mmap(NULL, 1u << 26, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(is_family(ABSTRACT));
    munmap(more, 1u << 26);
    close(by_path);
    close(by_name);
    assert_false(is_family(PATH)); /* the file is still there, nobody listens */
    assert_false(is_family(ABSTRACT));
}

static void a_seqpacket_listener_counts_too(void **unused)
{
    (void)unused;
    int by_path = listening(SOCK_SEQPACKET, PATH), by_name = listening(SOCK_SEQPACKET, ABSTRACT);
    assert_true(is_family(PATH));
    assert_true(is_family(ABSTRACT));
    close(by_path);
    close(by_name);
}

static void only_listeners_count(void **unused)
{
    (void)unused;
    int stream = bound(SOCK_STREAM, PATH), datagram = bound(SOCK_DGRAM, ABSTRACT);
    assert_false(is_family(PATH));
    assert_false(is_family(ABSTRACT));
    close(stream);
    close(datagram);
}

static void a_datagram_socket_of_its_own_is_family_for_datagrams(void **unused)
{
    (void)unused;
    int by_path = bound(SOCK_DGRAM, PATH), by_name = bound(SOCK_DGRAM, ABSTRACT);
    assert_false(is_family(PATH));
    of_datagrams = true;
    assert_true(is_family(PATH));
    assert_true(is_family(ABSTRACT));
    assert_false(is_family(abstract, strlen(abstract + 1))); /* one byte less */
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    strcpy(peer.sun_path, path);
    assert_int_equal(connect(by_name, (struct sockaddr *)&peer, sizeof peer), 0); /* another state */
    assert_true(is_family(ABSTRACT));
    close(by_path);
    close(by_name);
    assert_false(is_family(PATH));
    assert_false(is_family(ABSTRACT));
}

static void a_listener_is_no_family_for_datagrams(void **unused)
{
    (void)unused;
    int by_path = listening(SOCK_STREAM, PATH), by_name = listening(SOCK_SEQPACKET, ABSTRACT);
    of_datagrams = true;
    assert_false(is_family(PATH));
    assert_false(is_family(ABSTRACT));
    close(by_path);
    close(by_name);
}

static void other_names_are_not_family(void **unused)
{
    (void)unused;
    int by_path = listening(SOCK_STREAM, PATH), by_name = listening(SOCK_STREAM, ABSTRACT);
    char longer[sizeof path + 8];
    snprintf(longer, sizeof longer, "%s2", path);
    assert_false(is_family(longer, strlen(longer)));
    assert_false(is_family(abstract, strlen(abstract + 1))); /* one byte less */
    assert_false(is_family(abstract, 2 + strlen(abstract + 1)));
    assert_false(is_family(abstract + 1, strlen(abstract + 1)));
    abstract[1] ^= 1;
    assert_false(is_family(ABSTRACT));
    abstract[1] ^= 1;
    assert_false(is_family("", 0));
    static const char too_long[200] = "/";
    assert_false(is_family(too_long, sizeof too_long));
    assert_false(is_family(too_long, 128));
    close(by_path);
    close(by_name);
}

static void a_link_to_the_listener_is_followed(void **unused)
{
    (void)unused;
    char link[sizeof path + 8];
    int by_path = listening(SOCK_STREAM, PATH);
    snprintf(link, sizeof link, "%s.link", path);
    assert_int_equal(symlink(path, link), 0);
    assert_true(is_family(link, strlen(link)));
    assert_int_equal(unlink(link), 0);
    close(by_path);
}

/* Two listeners can have had one path; the file says which of them is dialled. */
static void a_file_that_was_replaced_names_the_new_listener(void **unused)
{
    (void)unused;
    int old = listening(SOCK_STREAM, PATH);
    assert_int_equal(unlink(path), 0);
    assert_false(is_family(PATH));
    int new = bound(SOCK_STREAM, PATH);
    assert_false(is_family(PATH)); /* the old one still listens, but not here */
    assert_int_equal(listen(new, 1), 0);
    assert_true(is_family(PATH));
    close(old);
    close(new);
}

/* Where it was found before is looked at first, and is not believed. */
static void a_listener_that_changed_hands_is_looked_for_anew(void **unused)
{
    (void)unused;
    int own = listening(SOCK_STREAM, ABSTRACT);
    assert_true(is_family(ABSTRACT));
    int moved = fcntl(own, F_DUPFD_CLOEXEC, 100);
    close(own);
    assert_true(is_family(ABSTRACT)); /* under another number */
    assert_int_equal(open("/dev/null", O_RDONLY), own);
    assert_true(is_family(ABSTRACT));
    close(own);
    installer.start_time++;
    assert_false(is_family(ABSTRACT)); /* found a moment ago, for an installer that it does not belong to */
    installer.start_time--;
    close(moved);
    assert_false(is_family(ABSTRACT));
}

/* ---- other processes ---- */

static void a_descendant_with_the_same_program_is_family(void **unused)
{
    (void)unused;
    pid_t child = holder(SAME_PROGRAM, SOCK_STREAM, ABSTRACT);
    assert_true(is_family(ABSTRACT));
    end(child);
    let_all_end();
    assert_false(is_family(ABSTRACT));
}

static void a_datagram_socket_of_another_program_is_not(void **unused)
{
    (void)unused;
    of_datagrams = true;
    pid_t child = holder(OTHER_PROGRAM, SOCK_DGRAM, ABSTRACT);
    assert_false(is_family(ABSTRACT));
    end(child);
    let_all_end();
    child = holder(SAME_PROGRAM, SOCK_DGRAM, ABSTRACT);
    assert_true(is_family(ABSTRACT));
    end(child);
    let_all_end();
}

static void a_descendant_with_another_program_is_not(void **unused)
{
    (void)unused;
    pid_t child = holder(OTHER_PROGRAM, SOCK_STREAM, ABSTRACT);
    int own = listening(SOCK_STREAM, PATH);
    assert_false(is_family(ABSTRACT));
    assert_true(is_family(PATH)); /* what a foreigner listens on elsewhere does not matter */
    close(own);
    end(child);
    let_all_end();
}

/* The kernel layer judges whatever program a descendant runs: it says so by inode 0. */
static void any_program_is_family_where_the_installer_names_none(void **unused)
{
    (void)unused;
    installer.program_inode = 0;
    pid_t child = holder(OTHER_PROGRAM, SOCK_STREAM, ABSTRACT);
    assert_true(is_family(ABSTRACT));
    end(child);
    let_all_end();
    assert_false(is_family(ABSTRACT));
}

/* The kernel layer's filter is inherited: who was there before it does not stand under it. */
static void a_descendant_from_before_the_filter_is_not(void **unused)
{
    (void)unused;
    int own = listening(SOCK_STREAM, PATH);
    fcntl(own, F_SETFD, FD_CLOEXEC);
    pid_t child = holder(SAME_PROGRAM, SOCK_STREAM, ABSTRACT);
    usleep(30000); /* start times are told in hundredths of a second */
    eg_unix_owner_filtered(&installer);
    assert_false(is_family(ABSTRACT));
    assert_true(is_family(PATH)); /* the installer itself is older than its filter */
    end(child);
    let_all_end();
    child = holder(SAME_PROGRAM, SOCK_STREAM, ABSTRACT);
    assert_true(is_family(ABSTRACT));
    atomic_fetch_add(&installer.filters, 1); /* as if it had not inherited one */
    assert_false(is_family(ABSTRACT));
    assert_true(is_family(PATH));
    end(child);
    let_all_end();
    close(own);
}

/* Under the filter whatever a descendant runs is judged: the program tells nothing any more. */
static void a_descendant_of_any_program_is_once_the_filter_stands(void **unused)
{
    (void)unused;
    eg_unix_owner_filtered(&installer);
    pid_t child = holder(OTHER_PROGRAM, SOCK_STREAM, ABSTRACT);
    assert_true(is_family(ABSTRACT));
    end(child);
    let_all_end();
}

static void the_filters_of_the_installer_are_counted(void **unused)
{
    (void)unused;
    struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    struct sock_fprog program = {1, &allow};
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        eg_unix_owner_filtered(&installer);
        uint32_t before = atomic_load(&installer.filters);
        bool stands = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
        eg_unix_owner_filtered(&installer);
        _exit(stands && atomic_load(&installer.filters) == before + 1 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Started in the same hundredth of a second as the filter: its filters tell. */
static void a_start_in_the_very_tick_of_the_filter_is_late_enough(void **unused)
{
    (void)unused;
    for (int i = 0; i < 5; i++) {
        eg_unix_owner_filtered(&installer);
        pid_t child = holder(SAME_PROGRAM, SOCK_STREAM, ABSTRACT);
        assert_true(is_family(ABSTRACT));
        end(child);
        let_all_end();
    }
}

static void a_process_that_is_no_descendant_is_not(void **unused)
{
    (void)unused;
    pid_t child = holder(SAME_PROGRAM, SOCK_STREAM, ABSTRACT);
    /* Seen from an installer that is that child, this process is its parent, not its child. */
    eg_installer own = installer;
    int mine = listening(SOCK_STREAM, ORPHANED);
    installer.pid = child;
    assert_false(is_family(ORPHANED));
    installer = own;
    assert_true(is_family(ORPHANED));
    close(mine);
    end(child);
    let_all_end();
}

static void an_installer_is_known_by_all_its_marks(void **unused)
{
    (void)unused;
    int listener = listening(SOCK_STREAM, ABSTRACT);
    eg_installer real = installer;
    assert_true(is_family(ABSTRACT));
    installer = real, installer.pid = 0;
    ROW(!is_family(ABSTRACT), "an installer that is not known");
    installer = real, installer.start_time++;
    ROW(!is_family(ABSTRACT), "another start time");
    installer = real, installer.program_inode++;
    ROW(!is_family(ABSTRACT), "another program");
    installer = real, installer.program_device++;
    ROW(!is_family(ABSTRACT), "a program on another device");
    installer = real, installer.pid = INT32_MAX;
    ROW(!is_family(ABSTRACT), "another process");
    close(listener);
    FINISH_ROWS();
}

/* An abstract name exists once for streams and once for seqpackets: both must be family,
 * whichever the kernel lists first. */
static void a_foreign_listener_of_the_other_type_is_not_overlooked(void **unused)
{
    (void)unused;
    static const int types[2] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (int i = 0; i < 2; i++) {
        for (int foreign_first = 0; foreign_first < 2; foreign_first++) {
            int own = foreign_first ? -1 : listening(types[i], ABSTRACT);
            if (own >= 0) {
                fcntl(own, F_SETFD, FD_CLOEXEC);
            }
            pid_t child = holder(OTHER_PROGRAM, types[1 - i], ABSTRACT);
            own = own >= 0 ? own : listening(types[i], ABSTRACT);
            ROW(!is_family(ABSTRACT), "own type %d, foreign first: %d", types[i], foreign_first);
            end(child);
            let_all_end();
    let_all_end();
            ROW(is_family(ABSTRACT), "own type %d alone", types[i]);
            close(own);
        }
    }
    FINISH_ROWS();
}

static void a_grandchild_is_family_until_it_is_an_orphan(void **unused)
{
    (void)unused;
    pid_t child = holder(GRANDCHILD, SOCK_STREAM, ORPHANED);
    assert_true(is_family(ORPHANED));
    end(child); /* its child goes on, and nobody can tell whose it is */
    bool family = true;
    for (int i = 0; family && i < 200; i++, usleep(1000)) {
        family = is_family(ORPHANED);
    }
    let_all_end();
    assert_false(family);
}

static void without_descriptors_nothing_is_family(void **unused)
{
    (void)unused;
    int listener = listening(SOCK_STREAM, ABSTRACT);
    descriptors_are_used_up();
    eg_endpoint endpoint = {.family = AF_UNIX, .path = abstract, .path_length = 1 + strlen(abstract + 1)};
    bool family = eg_unix_owner_is_family(&installer, &endpoint, false);
    eg_installer unknown;
    memset(&unknown, 0xff, sizeof unknown);
    eg_unix_owner_remember(&unknown);
    descriptors_are_back();
    assert_false(family);
    assert_int_equal(unknown.pid, 0);
    close(listener);
}

/* As the command of a container, the installer is process 1. */
static void an_installer_that_is_process_1_has_a_family(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    pid_t outer = fork();
    if (outer == 0) {
        if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) {
            _exit(77);
        }
        pid_t first = fork();
        if (first == 0) {
            if (getpid() != 1 || mount("proc", "/proc", "proc", 0, NULL) != 0) {
                _exit(77);
            }
            eg_unix_owner_remember(&installer);
            listening(SOCK_STREAM, ABSTRACT);
            _exit(is_family(ABSTRACT) ? 0 : 1);
        }
        int status = 0;
        waitpid(first, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(outer, &status, 0), outer);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("  skipped: this machine does not give a process namespace\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define OWNER_TEST(test) cmocka_unit_test_setup(test, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWNER_TEST(a_listener_of_its_own_is_family),
        OWNER_TEST(a_seqpacket_listener_counts_too),
        OWNER_TEST(only_listeners_count),
        OWNER_TEST(a_datagram_socket_of_its_own_is_family_for_datagrams),
        OWNER_TEST(a_listener_is_no_family_for_datagrams),
        OWNER_TEST(other_names_are_not_family),
        OWNER_TEST(a_link_to_the_listener_is_followed),
        OWNER_TEST(a_file_that_was_replaced_names_the_new_listener),
        OWNER_TEST(a_descendant_with_the_same_program_is_family),
        OWNER_TEST(a_datagram_socket_of_another_program_is_not),
        OWNER_TEST(a_descendant_with_another_program_is_not),
        OWNER_TEST(any_program_is_family_where_the_installer_names_none),
        OWNER_TEST(a_descendant_of_any_program_is_once_the_filter_stands),
        OWNER_TEST(the_filters_of_the_installer_are_counted),
        OWNER_TEST(a_listener_that_changed_hands_is_looked_for_anew),
        OWNER_TEST(a_descendant_from_before_the_filter_is_not),
        OWNER_TEST(a_start_in_the_very_tick_of_the_filter_is_late_enough),
        OWNER_TEST(a_process_that_is_no_descendant_is_not),
        OWNER_TEST(an_installer_is_known_by_all_its_marks),
        OWNER_TEST(a_foreign_listener_of_the_other_type_is_not_overlooked),
        OWNER_TEST(a_grandchild_is_family_until_it_is_an_orphan),
        OWNER_TEST(without_descriptors_nothing_is_family),
        OWNER_TEST(an_installer_that_is_process_1_has_a_family),
    };
    sandbox_enter();
    return cmocka_run_group_tests_name("unix owner", tests, make_folder, remove_folder);
}
