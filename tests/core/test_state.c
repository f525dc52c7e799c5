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

/* Whether the kernel was asked for huge pages there: "hg" in the flags of the mapping (proc(5)). */
static bool wants_huge_pages(const void *block)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    bool here = false, wanted = false;
    unsigned long low, high;

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%lx-%lx ", &low, &high) == 2) {
            here = low <= (unsigned long)block && (unsigned long)block < high;
        } else if (here && strncmp(line, "VmFlags:", 8) == 0) {
            wanted = strstr(line, " hg") != NULL;
        }
    }
    fclose(file);
    return wanted;
}

/* What is in no cache shall not cost a walk of the page tables as well; small lists take no more memory than they
 * need. */
static void a_long_list_asks_for_huge_pages(void **unused)
{
    (void)unused;
    eg_state *few = eg_state_create(10000, 200000), *many = eg_state_create(200000, 4000000);
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) != 0) {
        print_message("this kernel has no huge pages\n");
        skip();
    }
    assert_true(wants_huge_pages(many + 1));
    assert_false(wants_huge_pages(many)); /* the grants, whose number is fixed */
    assert_false(wants_huge_pages(few + 1));
    eg_state_destroy(few);
    eg_state_destroy(many);
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
        cmocka_unit_test(a_long_list_asks_for_huge_pages),
        cmocka_unit_test(destroying_nothing_is_allowed),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
