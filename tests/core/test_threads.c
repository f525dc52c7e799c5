/* The table of threads whose loopback flag is set: a flag belongs to one live thread. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIDFD_THREAD 0x80u
#define PIDFS_MAGIC 0x50494446
#define ANON_INODE_FS_MAGIC 0x09041934 /* what process descriptors were of before Linux 6.9 */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static struct {
    eg_threads threads;
    _Atomic uint64_t behind;
} memory;
#define table memory.threads
static enum { AS_IT_IS, OLDER, FAILING } kernel;

/* In front of libc's, for the core as well. */
int fstatfs(int descriptor, struct statfs *out)
{
    int result = (int)syscall(SYS_fstatfs, descriptor, out);
    out->f_type = kernel == OLDER ? ANON_INODE_FS_MAGIC : kernel == FAILING ? PIDFS_MAGIC : out->f_type;
    return kernel == FAILING ? -1 : result;
}

static int empty_table(void **unused)
{
    (void)unused;
    kernel = AS_IT_IS;
    memset(&memory, 0, sizeof memory);
    return 0;
}

static int32_t own_tid(void)
{
    return (int32_t)syscall(SYS_gettid);
}

static void nobody_is_in_a_new_table(void **unused)
{
    (void)unused;
    assert_false(eg_threads_has(&table, own_tid()));
    assert_false(eg_threads_has(&table, 0));
    assert_int_equal(eg_threads_count(&table), 0);
}

static void a_thread_is_put_in_and_taken_out(void **unused)
{
    (void)unused;
    assert_int_equal(eg_threads_set(&table, true), 0);
    assert_true(eg_threads_has(&table, own_tid()));
    assert_false(eg_threads_has(&table, own_tid() + 1));
    assert_int_equal(eg_threads_count(&table), 1);
    assert_int_equal(eg_threads_set(&table, false), 0);
    assert_false(eg_threads_has(&table, own_tid()));
    assert_int_equal(eg_threads_count(&table), 0);
}

static void setting_twice_is_setting_once(void **unused)
{
    (void)unused;
    assert_int_equal(eg_threads_set(&table, true), 0);
    assert_int_equal(eg_threads_set(&table, true), 0);
    assert_int_equal(eg_threads_count(&table), 1);
    assert_int_equal(eg_threads_set(&table, false), 0);
    assert_int_equal(eg_threads_set(&table, false), 0);
    assert_int_equal(eg_threads_count(&table), 0);
}

/* A name with blanks and brackets stands in the middle of /proc/<tid>/stat. */
static void the_name_of_a_thread_does_not_matter(void **unused)
{
    (void)unused;
    prctl(PR_SET_NAME, "a) S 1 (2 3) 4");
    assert_int_equal(eg_threads_set(&table, true), 0);
    assert_true(eg_threads_has(&table, own_tid()));
    prctl(PR_SET_NAME, ") R 9 9 9 9 9 9");
    assert_true(eg_threads_has(&table, own_tid()));
    assert_int_equal(eg_threads_set(&table, false), 0);
}

typedef struct other {
    pthread_barrier_t meeting;
    bool flag;
    int result;
    int32_t tid;
} other;

static void *live_for_a_while(void *argument)
{
    other *self = argument;
    self->tid = own_tid();
    self->result = self->flag ? eg_threads_set(&table, true) : 0;
    pthread_barrier_wait(&self->meeting); /* it is set */
    pthread_barrier_wait(&self->meeting); /* it may end */
    return NULL;
}

static pthread_t start(other *thread, bool flag)
{
    pthread_t handle;
    thread->flag = flag;
    pthread_barrier_init(&thread->meeting, NULL, 2);
    assert_int_equal(pthread_create(&handle, NULL, live_for_a_while, thread), 0);
    pthread_barrier_wait(&thread->meeting);
    return handle;
}

static void end(other *thread, pthread_t handle)
{
    pthread_barrier_wait(&thread->meeting);
    pthread_join(handle, NULL);
    pthread_barrier_destroy(&thread->meeting);
    /* The kernel takes a moment to forget the id. */
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", thread->tid);
    for (int i = 0; i < 2000 && access(path, F_OK) == 0; i++) {
        usleep(1000);
    }
}

static void a_flag_belongs_to_one_thread(void **unused)
{
    (void)unused;
    other with = {.result = -1}, without = {.result = -1};
    pthread_t first = start(&with, true), second = start(&without, false);
    assert_int_equal(with.result, 0);
    assert_true(eg_threads_has(&table, with.tid));
    assert_false(eg_threads_has(&table, without.tid));
    assert_false(eg_threads_has(&table, own_tid()));
    assert_int_equal(eg_threads_set(&table, true), 0);
    assert_int_equal(eg_threads_count(&table), 2);
    assert_int_equal(eg_threads_set(&table, false), 0);
    assert_true(eg_threads_has(&table, with.tid));
    end(&without, second);
    end(&with, first);
    assert_false(eg_threads_has(&table, with.tid));
    assert_int_equal(eg_threads_count(&table), 0);
}

/* What the next owner of a thread id finds: the id is the same, the start time is not. */
static void the_next_owner_of_an_id_inherits_nothing(void **unused)
{
    (void)unused;
    assert_int_equal(eg_threads_set(&table, true), 0);
    bool changed = false;
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        uint64_t value = atomic_load(&table.slots[i]);
        if (value != 0) {
            atomic_store(&table.slots[i], value ^ 1);
            changed = true;
        }
    }
    assert_true(changed);
    assert_false(eg_threads_has(&table, own_tid()));
    assert_int_equal(eg_threads_count(&table), 0);
    assert_int_equal(eg_threads_set(&table, true), 0);
    assert_true(eg_threads_has(&table, own_tid()));
    assert_int_equal(eg_threads_set(&table, false), 0);
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        assert_int_equal(atomic_load(&table.slots[i]), 0);
    }
}

static void a_forked_child_is_not_in_the_table(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH(NULL);
    assert_int_equal(eg_threads_set(&state->threads, true), 0);
    pid_t child = fork();
    if (child == 0) {
        bool inherited = eg_threads_has(&state->threads, own_tid());
        eg_threads_set(&state->threads, false); /* must not touch its parent's */
        _exit(inherited ? 1 : 0);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(eg_threads_has(&state->threads, own_tid()));
    eg_state_destroy(state);
}

static void a_full_table_of_the_living_says_so(void **unused)
{
    (void)unused;
    static other threads[EG_THREAD_SLOTS];
    static pthread_t handles[EG_THREAD_SLOTS];
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        handles[i] = start(&threads[i], true);
        ROW(threads[i].result == 0, "thread %zu: %d", i, threads[i].result);
    }
    ROW(eg_threads_count(&table) == EG_THREAD_SLOTS, "%zu are counted", eg_threads_count(&table));
    ROW(eg_threads_has(&table, threads[EG_THREAD_SLOTS - 1].tid), "the last is not in");
    ROW(eg_threads_set(&table, true) == -EAGAIN, "one more is taken");
    ROW(!eg_threads_has(&table, own_tid()), "one more is in");
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        end(&threads[i], handles[i]);
    }
    FINISH_ROWS();
}

static void threads_that_ended_with_their_flag_leave_their_place(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        other thread = {.result = -1};
        end(&thread, start(&thread, true));
        ROW(thread.result == 0, "thread %zu: %d", i, thread.result);
    }
    ROW(eg_threads_count(&table) == 0, "%zu are counted", eg_threads_count(&table));
    ROW(eg_threads_set(&table, true) == 0, "no place is left");
    ROW(eg_threads_has(&table, own_tid()), "it is not in");
    FINISH_ROWS();
}

/* Where /proc cannot be read nobody can be told from the next owner of the id. */
static void without_a_start_time_there_is_no_flag(void **unused)
{
    (void)unused;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(eg_threads_set(&table, true), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int result = eg_threads_set(&table, true);
    bool has = eg_threads_has(&table, own_tid());
    size_t count = eg_threads_count(&table);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(result < 0);
    assert_false(has);
    assert_int_equal(count, 0);
    assert_false(eg_threads_has(&table, own_tid()));
}

/* What stands in the table for this thread. */
static uint32_t own_identity(void)
{
    assert_int_equal(eg_threads_set(&table, true), 0);
    for (size_t i = 0; i < EG_THREAD_SLOTS; i++) {
        uint64_t value = atomic_load(&table.slots[i]);
        if ((int32_t)(value >> 32) == own_tid()) {
            return (uint32_t)value;
        }
    }
    return 0;
}

/* Field 22 of its stat file. */
static uint32_t own_start_time(void)
{
    char text[1024] = "";
    unsigned long long time = 0;
    FILE *file = fopen("/proc/thread-self/stat", "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    const char *at = strrchr(text, ')') + 2;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ') + 1;
    }
    assert_int_equal(sscanf(at, "%llu", &time), 1);
    return (uint32_t)time;
}

/* 0 where this kernel has none that tells threads apart. */
static uint32_t own_inode(void)
{
    struct statfs files = {0};
    struct stat facts = {0};
    int descriptor = (int)syscall(SYS_pidfd_open, own_tid(), PIDFD_THREAD);
    if (descriptor < 0) {
        return 0;
    }
    assert_int_equal(fstatfs(descriptor, &files), 0);
    assert_int_equal(fstat(descriptor, &facts), 0);
    close(descriptor);
    return files.f_type == PIDFS_MAGIC ? (uint32_t)facts.st_ino : 0;
}

static void nothing_behind_the_table_counts(void **unused)
{
    (void)unused;
    uint64_t mine = (uint64_t)own_tid() << 32 | own_identity();
    assert_int_equal(eg_threads_set(&table, false), 0);
    atomic_store(&memory.behind, mine);
    assert_false(eg_threads_has(&table, own_tid()));
    assert_int_equal(eg_threads_count(&table), 0);
    assert_int_equal(eg_threads_set(&table, false), 0);
    assert_true(atomic_load(&memory.behind) == mine);
}

static void check_identity(void)
{
    uint32_t inode = own_inode();
    assert_int_equal(own_identity(), inode != 0 ? inode : own_start_time());
    kernel = OLDER;
    assert_int_equal(own_identity(), own_start_time());
    assert_true(eg_threads_has(&table, own_tid()));
    kernel = FAILING;
    assert_int_equal(own_identity(), own_start_time());
    kernel = AS_IT_IS;
}

/* By the inode, or where the kernel has none that is used once, by the start time. */
static void a_thread_is_known_by_what_the_kernel_has(void **unused)
{
    (void)unused;
    prctl(PR_SET_NAME, "a) S 1 (2 3) 4");
    check_identity();
}

/* The first descriptor is 0 where a program closed its standard input. */
static void a_thread_is_known_without_standard_input(void **unused)
{
    (void)unused;
    int kept = dup(0);
    close(0);
    check_identity();
    if (kept >= 0) {
        dup2(kept, 0);
        close(kept);
    }
}

#define TABLE_TEST(test) cmocka_unit_test_setup(test, empty_table)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLE_TEST(nobody_is_in_a_new_table),
        TABLE_TEST(a_thread_is_put_in_and_taken_out),
        TABLE_TEST(setting_twice_is_setting_once),
        TABLE_TEST(the_name_of_a_thread_does_not_matter),
        TABLE_TEST(a_flag_belongs_to_one_thread),
        TABLE_TEST(the_next_owner_of_an_id_inherits_nothing),
        TABLE_TEST(a_forked_child_is_not_in_the_table),
        TABLE_TEST(a_full_table_of_the_living_says_so),
        TABLE_TEST(threads_that_ended_with_their_flag_leave_their_place),
        TABLE_TEST(without_a_start_time_there_is_no_flag),
        TABLE_TEST(nothing_behind_the_table_counts),
        TABLE_TEST(a_thread_is_known_by_what_the_kernel_has),
        TABLE_TEST(a_thread_is_known_without_standard_input),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
