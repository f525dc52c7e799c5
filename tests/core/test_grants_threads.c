/* Grants from many threads at once: nothing is lost, nothing is mixed. */
#include "grants_support.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define WRITERS 8
#define PER_WRITER 400u

typedef struct work {
    eg_state *state;
    uint32_t first;
    _Atomic bool *stop;
    _Atomic unsigned *mistakes;
} work;

static void *write_grants(void *argument)
{
    work *mine = argument;
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < PER_WRITER; i++) {
            eg_address address = numbered(mine->first + i);
            if (eg_grants_add(&mine->state->grants, &address, (mine->first + i) % 2) != 0) {
                atomic_fetch_add(mine->mistakes, 1);
            }
        }
    }
    return NULL;
}

/* Even numbers are granted for record 0 (port 1), odd ones for record 1 (port 2): a reader
 * that mixes two grants sees a port that nobody gave. */
static void *read_grants(void *argument)
{
    work *mine = argument;
    while (!atomic_load(mine->stop)) {
        for (uint32_t i = 0; i < WRITERS * PER_WRITER; i += 7) {
            eg_address address = numbered(i), never = numbered(1000000 + i);
            if (covers(mine->state, &address, i % 2 == 0 ? 2 : 1) || covers(mine->state, &never, EG_ANY_PORT)) {
                atomic_fetch_add(mine->mistakes, 1);
            }
        }
    }
    return NULL;
}

static void eight_writers_and_two_readers_agree(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(2);
    _Atomic bool stop = false;
    _Atomic unsigned mistakes = 0;
    pthread_t writers[WRITERS], readers[2];
    work works[WRITERS];

    for (size_t i = 0; i < WRITERS; i++) {
        works[i] = (work){state, (uint32_t)i * PER_WRITER, &stop, &mistakes};
        assert_int_equal(pthread_create(&writers[i], NULL, write_grants, &works[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_grants, &works[0]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(writers[i], NULL);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        pthread_join(readers[i], NULL);
    }
    assert_int_equal(mistakes, 0);
    for (uint32_t i = 0; i < WRITERS * PER_WRITER; i++) {
        eg_address address = numbered(i);
        ROW(covers(state, &address, i % 2 == 0 ? 1 : 2), "number %u is lost", i);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

/* All in one bucket: the writers fight for its sixteen slots, and every slot is somebody's
 * oldest. A slot that two of them write at once would grant an address the other's port. */
#define RIVALS 48

static eg_address rival_addresses[RIVALS];

static void find_rivals(uint64_t seed)
{
    const uint64_t factor = 0x9e3779b97f4a7c15u; /* as grants.c spreads addresses */
    for (uint64_t i = 0; i < RIVALS; i++) {
        uint64_t high = i + 1, low = ((high + seed) * factor) ^ 0x1234;
        memcpy(rival_addresses[i].bytes, &high, sizeof high);
        memcpy(rival_addresses[i].bytes + 8, &low, sizeof low);
    }
}

static eg_grant *bucket_of_rivals(eg_state *state)
{
    for (size_t i = 0; i < EG_GRANT_BUCKETS; i++) {
        if (atomic_load(&state->grants.slots[i][0].sequence) != 0) {
            return state->grants.slots[i];
        }
    }
    fail_msg("nothing is granted");
    return NULL;
}

/* Rival number `high` - 1 has record 0 or 1, as the number is even or odd. A slot says so
 * itself, whenever its sequence says that it is whole. */
static bool is_mixed(const eg_grant *slot)
{
    uint32_t before = atomic_load(&slot->sequence);
    uint64_t high = atomic_load(&slot->address_high), record = atomic_load(&slot->record);
    return before != 0 && before % 2 == 0 && atomic_load(&slot->sequence) == before && record != (high - 1) % 2;
}

static void *fight(void *argument)
{
    work *mine = argument;
    const eg_grant *bucket = bucket_of_rivals(mine->state);
    for (uint32_t i = mine->first; i < mine->first + 300000; i++) {
        uint32_t rival = i * 7 % RIVALS;
        eg_grants_add(&mine->state->grants, &rival_addresses[rival], rival % 2);
        for (size_t way = 0; way < EG_GRANT_WAYS; way++) {
            if (is_mixed(&bucket[way])) {
                atomic_fetch_add(mine->mistakes, 1);
            }
        }
    }
    return NULL;
}

static void writers_that_fight_for_a_bucket_never_mix(void **unused)
{
    (void)unused;
    eg_state *state = state_of_ports(2);
    _Atomic unsigned mistakes = 0;
    pthread_t threads[WRITERS];
    work works[WRITERS];

    find_rivals(state->grants.hash_seed);
    for (uint32_t i = 0; i < EG_GRANT_WAYS + 1; i++) {
        assert_int_equal(eg_grants_add(&state->grants, &rival_addresses[i], i % 2), 0);
    }
    assert_false(covers(state, &rival_addresses[0], 1)); /* else they are no rivals any more */
    for (size_t i = 0; i < WRITERS; i++) {
        works[i] = (work){state, (uint32_t)i, NULL, &mistakes};
        assert_int_equal(pthread_create(&threads[i], NULL, fight, &works[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(mistakes, 0);
    for (uint32_t i = 0; i < RIVALS; i++) {
        ROW(!covers(state, &rival_addresses[i], i % 2 == 0 ? 2 : 1), "number %u has the other's port", i);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

/* ---- a writer stopped in the middle ---- */

/* The table is laid so that a page ends in the middle of one slot; writing its second half
 * then faults, and the handler looks at the first. */
static eg_grant *stopped_slot;
static char *stopped_page;
static size_t page;
static volatile uint32_t sequence_while_written;

static void look_at_the_slot(int signal)
{
    (void)signal;
    sequence_while_written = atomic_load(&stopped_slot->sequence);
    mprotect(stopped_page, page, PROT_READ | PROT_WRITE);
}

static size_t slot_that_takes(const eg_address *address)
{
    eg_state *state = state_of_ports(1);
    state->grants.hash_seed = 1;
    assert_int_equal(eg_grants_add(&state->grants, address, 0), 0);
    size_t found = 0;
    while (atomic_load(&(&state->grants.slots[0][0] + found)->sequence) == 0) {
        found++;
    }
    eg_state_destroy(state);
    return found;
}

static void a_slot_says_so_while_it_is_written(void **unused)
{
    (void)unused;
    eg_address address = address_of("192.0.2.1"), other = address_of("192.0.2.2");
    size_t number = slot_that_takes(&address), half = sizeof(eg_grant) / 2;
    page = (size_t)sysconf(_SC_PAGESIZE);
    size_t offset = offsetof(eg_grants, slots) + number * sizeof(eg_grant) + half;
    size_t shift = (page - offset % page) % page;
    char *block = mmap(NULL, sizeof(eg_grants) + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_handler = look_at_the_slot}, before;

    assert_ptr_not_equal(block, MAP_FAILED);
    eg_grants *grants = (eg_grants *)(void *)(block + shift);
    grants->hash_seed = 1;
    stopped_slot = &grants->slots[0][0] + number;
    stopped_page = (char *)stopped_slot + half;
    assert_int_equal((uintptr_t)stopped_page % page, 0);
    sigaction(SIGSEGV, &action, &before);
    sequence_while_written = 0;
    assert_int_equal(mprotect(stopped_page, page, PROT_READ), 0);
    assert_int_equal(eg_grants_add(grants, &address, 0), 0);
    sigaction(SIGSEGV, &before, NULL);
    assert_int_equal(sequence_while_written % 2, 1);
    assert_int_equal(atomic_load(&stopped_slot->sequence) % 2, 0);
    assert_true(eg_grants_has(grants, &address, 0));
    assert_false(eg_grants_has(grants, &other, 0));
    munmap(block, sizeof(eg_grants) + 2 * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_writers_and_two_readers_agree),
        cmocka_unit_test(writers_that_fight_for_a_bucket_never_mix),
        cmocka_unit_test(a_slot_says_so_while_it_is_written),
    };
    return cmocka_run_group_tests_name("grants from many threads", tests, NULL, NULL);
}
