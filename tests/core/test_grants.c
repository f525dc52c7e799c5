/* Grants: which addresses an allowed name resolved to. Bounded, the oldest goes first, and
 * safe from a writer that died in the middle. */
#include "grants_support.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static void nothing_is_granted_at_first(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(1);
    static const char *const texts[] = {"::", "0.0.0.0", "192.0.2.1", "2001:db8::1"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        eg_address address = address_of(texts[i]);
        ROW(!covers(state, &address, 1) && !covers(state, &address, EG_ANY_PORT), "%s", texts[i]);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void a_grant_opens_the_ports_of_its_name_alone(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH("a.test:443", "b.test:80-90");
    eg_address granted = address_of("192.0.2.1"), other = address_of("192.0.2.2");
    assert_int_equal(eg_grants_add(&state->grants, &granted, 1), 0);
    assert_true(covers(state, &granted, 80));
    assert_true(covers(state, &granted, 90));
    assert_true(covers(state, &granted, EG_ANY_PORT));
    assert_false(covers(state, &granted, 79));
    assert_false(covers(state, &granted, 91));
    assert_false(covers(state, &granted, 443));
    assert_false(covers(state, &other, 80));
    assert_int_equal(eg_grants_add(&state->grants, &granted, 0), 0);
    assert_true(covers(state, &granted, 443));
    assert_true(covers(state, &granted, 80));
    eg_state_destroy(state);
}

static void an_address_is_granted_whole(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(1);
    eg_address granted = address_of("2001:db8::1");
    assert_int_equal(eg_grants_add(&state->grants, &granted, 0), 0);
    for (size_t i = 0; i < sizeof granted.bytes; i++) {
        eg_address other = granted;
        other.bytes[i] ^= 0x10;
        ROW(!covers(state, &other, 1), "byte %zu differs", i);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void a_grant_for_a_record_that_is_not_there_opens_nothing(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(1);
    eg_address address = address_of("192.0.2.1");
    assert_int_equal(eg_grants_add(&state->grants, &address, 1), 0);
    assert_int_equal(eg_grants_add(&state->grants, &address, UINT32_MAX), 0);
    assert_false(covers(state, &address, 1));
    assert_false(covers(state, &address, EG_ANY_PORT));
    eg_state_destroy(state);
}

static void a_pair_is_remembered_as_it_was_given(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(3);
    eg_address address = address_of("192.0.2.1"), other = address_of("192.0.2.2"), far = address_of("2001:db8::c000:201");
    assert_false(eg_grants_has(&state->grants, &address, 0));
    assert_int_equal(eg_grants_add(&state->grants, &address, 1), 0);
    assert_true(eg_grants_has(&state->grants, &address, 1));
    assert_false(eg_grants_has(&state->grants, &address, 0));
    assert_false(eg_grants_has(&state->grants, &address, 2));
    assert_false(eg_grants_has(&state->grants, &other, 1));
    assert_false(eg_grants_has(&state->grants, &far, 1));
    eg_state_destroy(state);
}

static void what_was_only_observed_opens_nothing(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(1);
    eg_address address = address_of("192.0.2.1");
    assert_int_equal(eg_grants_add(&state->grants, &address, EG_RECORD_OBSERVED), 0);
    assert_true(eg_grants_has(&state->grants, &address, EG_RECORD_OBSERVED));
    assert_false(eg_grants_has(&state->grants, &address, 0));
    assert_false(covers(state, &address, 1));
    assert_false(covers(state, &address, EG_ANY_PORT));
    eg_state_destroy(state);
}

/* One address has EG_GRANT_WAYS places: one more name for it, and the oldest goes. */
static void the_oldest_grant_goes_first(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(EG_GRANT_WAYS + 2);
    eg_address address = address_of("192.0.2.1");
    for (uint32_t record = 0; record < EG_GRANT_WAYS; record++) {
        assert_int_equal(eg_grants_add(&state->grants, &address, record), 0);
    }
    for (uint32_t record = 0; record < EG_GRANT_WAYS; record++) {
        ROW(covers(state, &address, (int)record + 1), "record %u is gone before its time", record);
    }
    /* Given again, number 0 is young again: number 1 is the oldest then. */
    assert_int_equal(eg_grants_add(&state->grants, &address, 0), 0);
    assert_int_equal(eg_grants_add(&state->grants, &address, EG_GRANT_WAYS), 0);
    ROW(covers(state, &address, 1), "what was given again is gone");
    ROW(!covers(state, &address, 2), "the oldest is still there");
    ROW(covers(state, &address, 3), "one too many is gone");
    ROW(covers(state, &address, EG_GRANT_WAYS + 1), "the youngest is not there");
    assert_int_equal(eg_grants_add(&state->grants, &address, EG_GRANT_WAYS + 1), 0);
    ROW(!covers(state, &address, 3), "the next oldest is still there");
    ROW(covers(state, &address, EG_GRANT_WAYS + 2), "the youngest is not there");
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void giving_a_grant_again_takes_no_place(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(EG_GRANT_WAYS);
    eg_address address = address_of("192.0.2.1");
    for (uint32_t record = 0; record < EG_GRANT_WAYS; record++) {
        assert_int_equal(eg_grants_add(&state->grants, &address, record), 0);
        for (int again = 0; again < 40; again++) {
            assert_int_equal(eg_grants_add(&state->grants, &address, record), 0);
        }
    }
    for (uint32_t record = 0; record < EG_GRANT_WAYS; record++) {
        ROW(covers(state, &address, (int)record + 1), "record %u is gone", record);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void the_table_is_bounded_and_the_young_stay(void **unused)
{
    (void)unused;
    const uint32_t capacity = EG_GRANT_BUCKETS * EG_GRANT_WAYS, many = capacity * 3;
    eg_state *state = state_of_ports(1);
    uint32_t kept = 0;
    state->grants.hash_seed = 1; /* which numbers share a bucket must not be luck */
    for (uint32_t i = 0; i < many; i++) {
        eg_address address = numbered(i);
        assert_int_equal(eg_grants_add(&state->grants, &address, 0), 0);
    }
    for (uint32_t i = 0; i < many; i++) {
        eg_address address = numbered(i);
        bool there = covers(state, &address, 1);
        kept += there;
        ROW(there || i < many - capacity / 8, "young number %u is gone", i);
        ROW(!there || i >= capacity / 2, "old number %u is still there", i);
    }
    ROW(kept <= capacity && kept > capacity - capacity / 8, "%u of %u are kept", kept, capacity);
    eg_state_destroy(state);
    FINISH_ROWS();
}

/* What a process that is killed between the two stores of the sequence leaves behind. */
static void a_writer_that_died_costs_one_place_and_opens_nothing(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(EG_GRANT_WAYS + 1);
    eg_address address = address_of("192.0.2.1");
    assert_int_equal(eg_grants_add(&state->grants, &address, 0), 0);
    eg_grant *slot = NULL;
    for (size_t i = 0; i < EG_GRANT_BUCKETS * EG_GRANT_WAYS; i++) {
        eg_grant *at = &state->grants.slots[0][0] + i;
        slot = atomic_load(&at->sequence) != 0 ? at : slot;
    }
    assert_non_null(slot);
    atomic_fetch_add(&slot->sequence, 1);
    assert_false(covers(state, &address, 1));
    for (uint32_t record = 1; record < EG_GRANT_WAYS; record++) {
        assert_int_equal(eg_grants_add(&state->grants, &address, record), 0);
    }
    for (uint32_t record = 1; record < EG_GRANT_WAYS; record++) {
        ROW(covers(state, &address, (int)record + 1), "record %u has no place", record);
    }
    assert_int_equal(eg_grants_add(&state->grants, &address, EG_GRANT_WAYS), 0);
    ROW(covers(state, &address, EG_GRANT_WAYS + 1), "the youngest is not there");
    ROW(!covers(state, &address, 2), "the oldest is still there");
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void where_every_writer_died_the_add_says_so(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(1);
    eg_address address = address_of("192.0.2.1");
    for (size_t i = 0; i < EG_GRANT_BUCKETS * EG_GRANT_WAYS; i++) {
        atomic_store(&(&state->grants.slots[0][0] + i)->sequence, 1);
    }
    assert_int_equal(eg_grants_add(&state->grants, &address, 0), -EAGAIN);
    assert_false(covers(state, &address, 1));
    eg_state_destroy(state);
}

/* The sequence of a slot that is written very often wraps: it must not land on "empty". */
static void a_sequence_that_wraps_is_not_empty(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(EG_GRANT_WAYS + 2);
    eg_address address = address_of("192.0.2.1");
    for (uint32_t record = 0; record < EG_GRANT_WAYS; record++) {
        assert_int_equal(eg_grants_add(&state->grants, &address, record), 0);
    }
    for (size_t i = 0; i < EG_GRANT_BUCKETS * EG_GRANT_WAYS; i++) {
        eg_grant *at = &state->grants.slots[0][0] + i;
        if (atomic_load(&at->sequence) != 0) {
            atomic_store(&at->sequence, UINT32_MAX - 1);
        }
    }
    assert_int_equal(eg_grants_add(&state->grants, &address, EG_GRANT_WAYS), 0);
    assert_true(covers(state, &address, EG_GRANT_WAYS + 1));
    eg_state_destroy(state);
}

/* It has its parent's; its own would open addresses to its parent, and native code in it can write them (ADR-0023). */
static void a_forked_childs_grants_are_its_own(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(1);
    eg_address before = address_of("192.0.2.1"), address = address_of("192.0.2.2");
    assert_int_equal(eg_grants_add(&state->grants, &before, 0), 0);
    pid_t child = fork();
    if (child == 0) {
        bool made = eg_grants_add(&state->grants, &address, 0) == 0;
        _exit(made && covers(state, &before, 1) && covers(state, &address, 1) ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(covers(state, &address, 1));
    assert_true(covers(state, &before, 1));
    eg_state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_granted_at_first),
        cmocka_unit_test(a_grant_opens_the_ports_of_its_name_alone),
        cmocka_unit_test(an_address_is_granted_whole),
        cmocka_unit_test(a_grant_for_a_record_that_is_not_there_opens_nothing),
        cmocka_unit_test(a_pair_is_remembered_as_it_was_given),
        cmocka_unit_test(what_was_only_observed_opens_nothing),
        cmocka_unit_test(the_oldest_grant_goes_first),
        cmocka_unit_test(giving_a_grant_again_takes_no_place),
        cmocka_unit_test(the_table_is_bounded_and_the_young_stay),
        cmocka_unit_test(a_writer_that_died_costs_one_place_and_opens_nothing),
        cmocka_unit_test(where_every_writer_died_the_add_says_so),
        cmocka_unit_test(a_sequence_that_wraps_is_not_empty),
        cmocka_unit_test(a_forked_childs_grants_are_its_own),
    };
    return cmocka_run_group_tests_name("grants", tests, NULL, NULL);
}
