/* The one flat block: of which a child has a copy, but for the journal; closed while nobody has filled it. */
#include "support.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_new_block_is_empty(void **unused)
{
    (void)unused;
    eg_state *state = eg_state_create(10, 100);
    assert_non_null(state);
    assert_int_equal(state->allowlist.entry_count, 0);
    assert_int_equal(state->allowlist.record_count, 0);
    assert_int_equal(eg_journal_total(state->journal), 0);
    assert_int_equal(eg_threads_count(&state->threads), 0);
    assert_int_equal(state->installer.pid, getpid());
    assert_true(state->installer.start_time > 0);
    assert_true(state->size >= sizeof *state);
    eg_state_destroy(state);
}

static void a_childs_list_is_its_own_and_its_refusals_are_its_parents(void **unused)
{
    (void)unused;
    eg_state *state = eg_state_create(1, 10);
    pid_t child = fork();
    if (child == 0) {
        eg_entry entry;
        eg_violation violation = {.port = 7};
        bool added = eg_entry_parse("a:1", 3, &entry) == NULL && eg_allowlist_add(&state->allowlist, &entry) == 0;
        state->shared->sockets_distrusted = true;
        _exit(added && eg_journal_add(state->journal, &violation) == 1 ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    eg_name name = name_of("a");
    eg_name_match match;
    assert_int_not_equal(eg_allowlist_match_name(&state->allowlist, &name, 1, &match), EG_MATCH_LISTED);
    assert_int_equal(state->allowlist.entry_count, 0);
    assert_int_equal(eg_journal_total(state->journal), 1);
    assert_true(state->shared->sockets_distrusted); /* the child can send such a socket back */
    eg_state_destroy(state);
}

static void two_blocks_have_seeds_of_their_own(void **unused)
{
    (void)unused;
    eg_state *one = eg_state_create(0, 0), *two = eg_state_create(0, 0);
    assert_true(one->allowlist.hash_seed != two->allowlist.hash_seed);
    assert_true(one->grants.hash_seed != two->grants.hash_seed);
    assert_true(one->grants.hash_seed != one->allowlist.hash_seed);
    eg_state_destroy(one);
    eg_state_destroy(two);
}

static void a_list_that_cannot_be_numbered_is_not_made(void **unused)
{
    (void)unused;
    static const size_t sizes[][2] = {
        {UINT32_MAX / 4, 0}, {UINT32_MAX, 0}, {SIZE_MAX, 0}, {0, UINT32_MAX / 2}, {0, SIZE_MAX}, {SIZE_MAX, SIZE_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        errno = 0;
        eg_state *state = eg_state_create(sizes[i][0], sizes[i][1]);
        ROW(state == NULL, "row %zu", i);
        ROW(errno == ENOMEM, "row %zu: errno %d", i, errno);
    }
    FINISH_ROWS();
}

static void destroying_nothing_is_allowed(void **unused)
{
    (void)unused;
    eg_state_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_block_is_empty),
        cmocka_unit_test(a_childs_list_is_its_own_and_its_refusals_are_its_parents),
        cmocka_unit_test(two_blocks_have_seeds_of_their_own),
        cmocka_unit_test(a_list_that_cannot_be_numbered_is_not_made),
        cmocka_unit_test(destroying_nothing_is_allowed),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
