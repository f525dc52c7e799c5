/* Ids are remembered, and are never another's: not a parent's, whichever way the child was forked, nor another
 * thread's. */
#include "support.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/own_ids.h"

static enum { AS_IT_IS, NO_PAGE, NO_WIPING } kernel;
static unsigned asked, mapped, unmapped;

/* In front of libc's, for the core as well. */
pid_t getpid(void)
{
    asked++;
    return (pid_t)syscall(SYS_getpid);
}

#ifndef __SANITIZE_THREAD__ /* which maps memory before it can call anything */
void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset)
{
    mapped++;
    return kernel == NO_PAGE
               ? MAP_FAILED
               : (void *)syscall(SYS_mmap, address, length, protection, flags, descriptor, offset); /* NOLINT */
}

int munmap(void *address, size_t length)
{
    unmapped++;
    return (int)syscall(SYS_munmap, address, length);
}

int madvise(void *address, size_t length, int advice)
{
    return kernel == NO_WIPING ? -1 : (int)syscall(SYS_madvise, address, length, advice);
}
#endif

static bool are_true(void)
{
    eg_own_ids ids = eg_own_ids_get();
    return ids.pid == (int32_t)syscall(SYS_getpid) && ids.tid == (int32_t)syscall(SYS_gettid);
}

/* Whether the second of two questions asked the kernel again. */
static bool asks_again(void)
{
    eg_own_ids_get();
    unsigned before = asked;
    eg_own_ids_get();
    return asked != before;
}

/* By the system call, which runs no handler; the child ends with its own answer. */
static pid_t forked_raw(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static bool ended_well(pid_t child)
{
    int status = -1;
    return waitpid(child, &status, 0) == child && status == 0;
}

static void *true_in_this_thread(void *result)
{
    *(bool *)result = are_true() && are_true();
    return NULL;
}

static void before_they_are_prepared_the_kernel_is_asked(void **unused)
{
    (void)unused;
    assert_true(are_true());
    assert_true(asks_again());
}

/* Each in a child: a process prepares once. */
static void where_the_kernel_has_no_such_page_it_is_asked(void **unused)
{
    (void)unused;
#ifdef __SANITIZE_THREAD__
    print_message("  skipped: ThreadSanitizer cannot do without the calls that this test pretends to fail\n");
    skip();
#endif
    for (int way = NO_PAGE; way <= NO_WIPING; way++) {
        pid_t child = fork();
        if (child == 0) {
            kernel = way;
            eg_own_ids_prepare();
            bool done = are_true() && asks_again() && unmapped == (way == NO_WIPING ? 1u : 0u);
            pid_t grandchild = forked_raw();
            if (grandchild == 0) {
                _exit(are_true() ? 0 : 1);
            }
            _exit(done && ended_well(grandchild) ? 0 : 1);
        }
        ROW(ended_well(child), "way %d", way);
    }
    FINISH_ROWS();
}

static void they_are_remembered(void **unused)
{
    (void)unused;
    eg_own_ids_prepare();
    unsigned before = mapped;
    eg_own_ids_prepare();
    assert_int_equal(mapped, before);
    assert_int_equal(unmapped, 0);
    assert_true(are_true());
    assert_false(asks_again());
}

static void a_thread_has_its_own(void **unused)
{
    (void)unused;
    pthread_t thread;
    bool result = false;
    assert_true(are_true());
    assert_int_equal(pthread_create(&thread, NULL, true_in_this_thread, &result), 0);
    pthread_join(thread, NULL);
    assert_true(result);
    assert_true(are_true());
    assert_false(asks_again());
}

/* A child that asks only after it forked has inherited what its grandparent knew. */
static void a_forked_child_has_its_own(void **unused)
{
    (void)unused;
    for (int asks_first = 0; asks_first < 2; asks_first++) {
        assert_true(are_true());
        pid_t child = forked_raw();
        if (child == 0) {
            bool done = asks_first == 0 || (are_true() && !asks_again());
            pid_t grandchild = forked_raw();
            if (grandchild == 0) {
                _exit(are_true() && !asks_again() ? 0 : 1);
            }
            _exit(ended_well(grandchild) && are_true() && done ? 0 : 1);
        }
        ROW(ended_well(child), "asks first: %d", asks_first);
        ROW(are_true() && !asks_again(), "the parent, asks first: %d", asks_first);
    }
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_they_are_prepared_the_kernel_is_asked),
        cmocka_unit_test(where_the_kernel_has_no_such_page_it_is_asked),
        cmocka_unit_test(they_are_remembered),
        cmocka_unit_test(a_thread_has_its_own),
        cmocka_unit_test(a_forked_child_has_its_own),
    };
    return cmocka_run_group_tests_name("own_ids", tests, NULL, NULL);
}
