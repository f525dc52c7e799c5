/* The ring of violations: exact counts from many threads, laps, and records that are whole
 * or not there. */
#include "support.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static eg_journal *new_journal(void **kept)
{
    *kept = mmap(NULL, sizeof(eg_journal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(*kept, MAP_FAILED);
    return *kept;
}

static int set_up(void **journal)
{
    new_journal(journal);
    return 0;
}

static int tear_down(void **journal)
{
    return munmap(*journal, sizeof(eg_journal));
}

static uint64_t add(eg_journal *journal, int port)
{
    eg_violation violation = {.port = port, .reason = EG_REFUSED_LOOPBACK, .route = EG_ROUTE_SENDTO, .line = 7};
    strcpy(violation.host, "127.0.0.1");
    strcpy(violation.address, "::1");
    strcpy(violation.file, "app.py");
    strcpy(violation.caller_file, "main.py");
    strcpy(violation.library_file, "client.py");
    violation.caller_line = 8;
    strcpy(violation.program, "python");
    return eg_journal_add(journal, &violation);
}

static void a_new_journal_holds_nothing(void **journal)
{
    eg_violation violation;
    assert_int_equal(eg_journal_total(*journal), 0);
    assert_false(eg_journal_read(*journal, 0, &violation));
    assert_false(eg_journal_read(*journal, 1, &violation));
}

static void a_record_comes_back_as_it_was_put_in(void **journal)
{
    eg_violation violation;
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(add(*journal, 443), 1);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(eg_journal_total(*journal), 1);
    assert_true(eg_journal_read(*journal, 1, &violation));
    assert_int_equal(violation.number, 1);
    assert_int_equal(violation.port, 443);
    assert_int_equal(violation.reason, EG_REFUSED_LOOPBACK);
    assert_int_equal(violation.route, EG_ROUTE_SENDTO);
    assert_int_equal(violation.line, 7);
    assert_string_equal(violation.host, "127.0.0.1");
    assert_string_equal(violation.address, "::1");
    assert_string_equal(violation.file, "app.py");
    assert_string_equal(violation.caller_file, "main.py");
    assert_string_equal(violation.library_file, "client.py");
    assert_int_equal(violation.caller_line, 8);
    assert_string_equal(violation.program, "python");
    assert_int_equal(violation.pid, getpid());
    assert_int_equal(violation.tid, syscall(SYS_gettid));
    assert_in_range(violation.monotonic_ns, (uint64_t)before.tv_sec * 1000000000u + (uint64_t)before.tv_nsec,
                    (uint64_t)after.tv_sec * 1000000000u + (uint64_t)after.tv_nsec);
    assert_in_range(violation.wall_ns / 1000000000, time(NULL) - 5, time(NULL) + 5);
}

static void numbers_count_from_one_and_only_known_ones_are_read(void **journal)
{
    eg_violation violation;
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(add(*journal, (int)i), i);
    }
    for (uint64_t i = 1; i <= 5; i++) {
        assert_true(eg_journal_read(*journal, i, &violation));
        assert_int_equal(violation.port, i);
    }
    assert_false(eg_journal_read(*journal, 0, &violation));
    assert_false(eg_journal_read(*journal, 6, &violation));
    assert_false(eg_journal_read(*journal, 1 + EG_JOURNAL_SLOTS, &violation));
    assert_false(eg_journal_read(*journal, EG_JOURNAL_SLOTS, &violation));
    assert_false(eg_journal_read(*journal, UINT64_MAX, &violation));
}

static void whoever_tried_in_another_process_is_kept(void **journal)
{
    eg_violation violation = {.pid = 4711, .tid = 4712, .port = EG_NO_PORT};
    assert_int_equal(eg_journal_add(*journal, &violation), 1);
    memset(&violation, 0, sizeof violation);
    assert_true(eg_journal_read(*journal, 1, &violation));
    assert_int_equal(violation.pid, 4711);
    assert_int_equal(violation.tid, 4712);
    assert_int_equal(violation.port, EG_NO_PORT);
}

static void a_lap_drops_the_oldest_and_keeps_the_count(void **journal)
{
    eg_violation violation;
    const uint64_t total = EG_JOURNAL_SLOTS * 2 + 10;
    for (uint64_t i = 1; i <= total; i++) {
        assert_int_equal(add(*journal, (int)i), i);
    }
    assert_int_equal(eg_journal_total(*journal), total);
    for (uint64_t i = 1; i <= total; i++) {
        bool there = eg_journal_read(*journal, i, &violation);
        ROW(there == (i > total - EG_JOURNAL_SLOTS), "number %u", (unsigned)i);
        ROW(!there || (violation.port == (int32_t)i && violation.number == i), "number %u is another", (unsigned)i);
    }
    FINISH_ROWS();
    assert_true(EG_JOURNAL_SLOTS >= 1024);
}

/* A record that fills its fields is cut, not run over. */
static void text_always_ends(void **journal)
{
    eg_violation violation;
    memset(&violation, 'x', sizeof violation);
    uint64_t number = eg_journal_add(*journal, &violation);
    assert_true(eg_journal_read(*journal, number, &violation));
    assert_int_equal(strlen(violation.host), sizeof violation.host - 1);
    assert_int_equal(strlen(violation.address), sizeof violation.address - 1);
    assert_int_equal(strlen(violation.file), sizeof violation.file - 1);
    assert_int_equal(strlen(violation.caller_file), sizeof violation.caller_file - 1);
    assert_int_equal(strlen(violation.library_file), sizeof violation.library_file - 1);
    assert_int_equal(strlen(violation.program), sizeof violation.program - 1);
}

static eg_journal_slot *slot_of(eg_journal *journal, uint64_t number)
{
    return &journal->slots[number % EG_JOURNAL_SLOTS];
}

static void a_record_that_is_being_written_is_not_read(void **kept)
{
    eg_journal *journal = *kept;
    eg_violation violation;
    add(journal, 1);
    atomic_store(&slot_of(journal, 1)->sequence, 1 * 2 + 1);
    assert_false(eg_journal_read(journal, 1, &violation));
}

static void a_writer_that_died_is_overwritten_one_lap_later(void **kept)
{
    eg_journal *journal = *kept;
    eg_violation violation;
    add(journal, 1);
    atomic_store(&slot_of(journal, 1)->sequence, 1 * 2 + 1);
    atomic_store(&journal->total, EG_JOURNAL_SLOTS);
    assert_int_equal(add(journal, 99), EG_JOURNAL_SLOTS + 1);
    assert_true(eg_journal_read(journal, EG_JOURNAL_SLOTS + 1, &violation));
    assert_int_equal(violation.port, 99);
}

/* A writer that slept for a lap finds a younger record in its place, written or not. */
static void a_writer_that_was_lapped_leaves_the_younger_record(void **kept)
{
    eg_journal *journal = *kept;
    eg_violation violation;
    const uint64_t younger = 1 + EG_JOURNAL_SLOTS;
    atomic_store(&journal->total, younger - 1);
    add(journal, 50);
    atomic_store(&journal->total, 0);
    assert_int_equal(add(journal, 1), 1);
    assert_false(eg_journal_read(journal, 1, &violation));
    assert_true(eg_journal_read(journal, younger, &violation));
    assert_int_equal(violation.port, 50);

    atomic_store(&slot_of(journal, 1)->sequence, younger * 2 + 1);
    atomic_store(&journal->total, 0);
    assert_int_equal(add(journal, 1), 1);
    assert_int_equal(atomic_load(&slot_of(journal, 1)->sequence), younger * 2 + 1);
}

static void the_same_number_is_not_written_twice(void **kept)
{
    eg_journal *journal = *kept;
    eg_violation violation;
    add(journal, 1);
    atomic_store(&journal->total, 0);
    assert_int_equal(add(journal, 2), 1);
    assert_true(eg_journal_read(journal, 1, &violation));
    assert_int_equal(violation.port, 1);
}

/* Two writers a lap apart can mix their words: such a record is lost, not read. */
static void a_record_that_was_mixed_is_not_read(void **kept)
{
    eg_journal *journal = *kept;
    eg_violation violation;
    add(journal, 1);
    atomic_store(&slot_of(journal, 1)->words[0], 1 + EG_JOURNAL_SLOTS);
    assert_false(eg_journal_read(journal, 1, &violation));
    for (size_t i = 0; i < slot_of(journal, 1)->used; i++) {
        uint64_t number = add(journal, 1);
        assert_true(eg_journal_read(journal, number, &violation));
        atomic_fetch_xor(&slot_of(journal, number)->words[i], (uint64_t)1 << i % 64);
        ROW(!eg_journal_read(journal, number, &violation), "word %zu is another's", i);
    }
    FINISH_ROWS();
}

static void a_record_with_anothers_length_is_not_read(void **kept)
{
    eg_journal *journal = *kept;
    eg_violation violation;
    uint64_t used, lengths[] = {0, 1, EG_VIOLATION_WORDS, EG_VIOLATION_WORDS + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint64_t number = add(journal, 1);
        assert_true(eg_journal_read(journal, number, &violation));
        used = atomic_exchange(&slot_of(journal, number)->used, lengths[i]);
        ROW(!eg_journal_read(journal, number, &violation), "%llu words for %llu", (unsigned long long)lengths[i],
            (unsigned long long)used);
    }
    FINISH_ROWS();
}

/* The slot held a longer one a lap ago, and what that left there is not this record's. */
static void a_short_record_in_the_place_of_a_long_one_is_itself(void **kept)
{
    eg_journal *journal = *kept;
    eg_violation violation, brief = {.port = 9};
    add(journal, 1);
    atomic_store(&journal->total, EG_JOURNAL_SLOTS);
    strcpy(brief.host, "::2");
    memset(&violation, 'x', sizeof violation);
    assert_int_equal(eg_journal_add(journal, &brief), 1 + EG_JOURNAL_SLOTS);
    assert_true(eg_journal_read(journal, 1 + EG_JOURNAL_SLOTS, &violation));
    assert_memory_equal(&violation, &brief, sizeof brief);
}

static void a_record_that_fills_every_field_comes_back_whole(void **kept)
{
    eg_violation violation, full;
    memset(&full, 'x', sizeof full);
    full.host[sizeof full.host - 1] = full.address[sizeof full.address - 1] = full.file[sizeof full.file - 1] = '\0';
    full.caller_file[sizeof full.caller_file - 1] = full.library_file[sizeof full.library_file - 1] = '\0';
    full.program[sizeof full.program - 1] = '\0';
    assert_int_equal(eg_journal_add(*kept, &full), 1);
    assert_true(eg_journal_read(*kept, 1, &violation));
    assert_memory_equal(&violation, &full, sizeof full);
}

/* ---- many threads ---- */

#define WRITERS 8
#define PER_WRITER 1500

typedef struct work {
    eg_journal *journal;
    int number;
    _Atomic bool *stop;
    _Atomic unsigned *mistakes;
} work;

/* Every text field says the same number, so a mixed record shows. */
static void *write_records(void *argument)
{
    work *mine = argument;
    for (int i = 0; i < PER_WRITER; i++) {
        eg_violation violation = {.port = mine->number * PER_WRITER + i};
        snprintf(violation.host, sizeof violation.host, "%d", violation.port);
        snprintf(violation.program, sizeof violation.program, "%d", violation.port);
        if (eg_journal_add(mine->journal, &violation) == 0) {
            atomic_fetch_add(mine->mistakes, 1);
        }
    }
    return NULL;
}

static bool is_whole(const eg_violation *violation)
{
    char text[32];
    snprintf(text, sizeof text, "%d", violation->port);
    return strcmp(text, violation->host) == 0 && strcmp(text, violation->program) == 0;
}

static void *read_records(void *argument)
{
    work *mine = argument;
    while (!atomic_load(mine->stop)) {
        uint64_t total = eg_journal_total(mine->journal);
        for (uint64_t number = total > 64 ? total - 64 : 1; number <= total; number++) {
            eg_violation violation;
            if (eg_journal_read(mine->journal, number, &violation) &&
                (violation.number != number || !is_whole(&violation))) {
                atomic_fetch_add(mine->mistakes, 1);
            }
        }
    }
    return NULL;
}

static void eight_writers_are_counted_exactly_and_read_whole(void **journal)
{
    _Atomic bool stop = false;
    _Atomic unsigned mistakes = 0;
    pthread_t writers[WRITERS], reader;
    work works[WRITERS];
    eg_violation violation;

    for (int i = 0; i < WRITERS; i++) {
        works[i] = (work){*journal, i, &stop, &mistakes};
        assert_int_equal(pthread_create(&writers[i], NULL, write_records, &works[i]), 0);
    }
    assert_int_equal(pthread_create(&reader, NULL, read_records, &works[0]), 0);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i], NULL);
    }
    atomic_store(&stop, true);
    pthread_join(reader, NULL);
    assert_int_equal(mistakes, 0);
    const uint64_t total = (uint64_t)WRITERS * PER_WRITER;
    assert_int_equal(eg_journal_total(*journal), total);
    bool seen[WRITERS * PER_WRITER] = {false};
    for (uint64_t number = total - EG_JOURNAL_SLOTS + 1; number <= total; number++) {
        if (eg_journal_read(*journal, number, &violation)) {
            ROW(is_whole(&violation), "number %u is mixed", (unsigned)number);
            ROW(!seen[violation.port], "%d stands twice", violation.port);
            seen[violation.port] = true;
        }
    }
    FINISH_ROWS();
}

static void a_forked_child_writes_to_its_parents_journal(void **journal)
{
    eg_violation violation;
    pid_t child = fork();
    if (child == 0) {
        _exit(add(*journal, 5) == 1 ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(eg_journal_read(*journal, 1, &violation));
    assert_int_equal(violation.pid, child);
}

#define JOURNAL_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(a_new_journal_holds_nothing),
        JOURNAL_TEST(a_record_comes_back_as_it_was_put_in),
        JOURNAL_TEST(numbers_count_from_one_and_only_known_ones_are_read),
        JOURNAL_TEST(whoever_tried_in_another_process_is_kept),
        JOURNAL_TEST(a_lap_drops_the_oldest_and_keeps_the_count),
        JOURNAL_TEST(text_always_ends),
        JOURNAL_TEST(a_record_that_is_being_written_is_not_read),
        JOURNAL_TEST(a_writer_that_died_is_overwritten_one_lap_later),
        JOURNAL_TEST(a_writer_that_was_lapped_leaves_the_younger_record),
        JOURNAL_TEST(the_same_number_is_not_written_twice),
        JOURNAL_TEST(a_record_that_was_mixed_is_not_read),
        JOURNAL_TEST(a_record_with_anothers_length_is_not_read),
        JOURNAL_TEST(a_short_record_in_the_place_of_a_long_one_is_itself),
        JOURNAL_TEST(a_record_that_fills_every_field_comes_back_whole),
        JOURNAL_TEST(eight_writers_are_counted_exactly_and_read_whole),
        JOURNAL_TEST(a_forked_child_writes_to_its_parents_journal),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
