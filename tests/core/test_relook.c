/* The second look at listed names, for clients that resolve by themselves: single flight, at
 * most once a second, never longer than the caller waits.
 *
 * No block is given back here: as in a guarded process it lives as long as the threads that
 * look names up, and a new one at the same address would be taken for the old one. */
#include "nameserver.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "core/relook.h"

static time_t later; /* seconds by which the clock of the core goes before the kernel's; never less */

/* In front of libc's, for the core as well. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, clock, out);
    out->tv_sec += later;
    return result;
}

static int fresh(void **unused)
{
    (void)unused;
    nameserver_hold(false);
    nameserver_forget();
    return 0;
}

static bool granted(const eg_state *state, const char *text, int port)
{
    eg_address address = address_of(text);
    return eg_grants_cover(&state->grants, &state->allowlist, &address, port);
}

/* A lookup that is let go can end before anybody waits for it again. */
static void wait_until_granted(const eg_state *state, const char *text, int port)
{
    for (int i = 0; i < 3000 && !granted(state, text, port); i++) {
        usleep(1000);
    }
    assert_true(granted(state, text, port));
}

static long elapsed_ms(struct timespec since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)(now.tv_sec - since.tv_sec) * 1000 + (now.tv_nsec - since.tv_nsec) / 1000000;
}

static void it_helps_where_one_to_eight_names_open_the_port(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH("a:1", "b:1-2", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1", "*.i:3", "192.0.2.1:3",
                                 "j:4", "k:4", "l:4", "m:4", "n:4", "o:4", "p:4", "q:4", "r:4");
    assert_true(eg_relook_may_help(state, 1));  /* eight */
    assert_true(eg_relook_may_help(state, 2));  /* one */
    assert_false(eg_relook_may_help(state, 3)); /* no exact name */
    assert_false(eg_relook_may_help(state, 4)); /* nine */
    assert_false(eg_relook_may_help(state, 5));
}

/* A second after an answer; after failures 2, 4, 8 ... and never more than 64 seconds. */
static void a_name_that_keeps_failing_is_asked_ever_less_often(void **unused)
{
    (void)unused;
    eg_pace pace = {0};
    for (int failures = 1; failures <= 9; failures++) {
        eg_pace_ended(&pace, false, 500);
        int64_t seconds = failures < 6 ? 1 << failures : 64;
        ROW(eg_pace_due_ms(&pace) == 500 + seconds * 1000, "%d failures: %d ms", failures, (int)eg_pace_due_ms(&pace));
    }
    eg_pace_ended(&pace, true, 700);
    ROW(eg_pace_due_ms(&pace) == 1700 && pace.failures == 0, "an answer: %d ms", (int)eg_pace_due_ms(&pace));
    FINISH_ROWS();
}

/* Another name may have its place a second after it was asked for, however often it failed. */
static void a_place_is_given_away_after_a_second(void **unused)
{
    (void)unused;
    eg_pace pace = {0};
    for (int failures = 1; failures <= 8; failures++) {
        eg_pace_ended(&pace, false, 500);
        ROW(!eg_pace_is_over(&pace, 1499), "%d failures: a moment early", failures);
        ROW(eg_pace_is_over(&pace, 1500), "%d failures", failures);
    }
    eg_pace_ended(&pace, true, 500);
    ROW(!eg_pace_is_over(&pace, 1499) && eg_pace_is_over(&pace, 1500), "an answer");
    FINISH_ROWS();
}

static void a_second_look_grants_what_it_finds(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = STATE_WITH("api.test:443", "mixed.test:443", "a.wild.test:80");
    assert_int_equal(eg_relook(state, 443, 3000), EG_RELOOK_ENDED);
    /* One answer is enough to judge again; all are there a moment later. */
    for (int i = 0; i < 1000 && !(granted(state, "203.0.113.9", 443) && granted(state, "203.0.113.11", 443)); i++) {
        usleep(1000);
    }
    assert_true(granted(state, "203.0.113.9", 443));
    assert_true(granted(state, "2001:db8:99::9", 443));
    assert_true(granted(state, "203.0.113.11", 443));
    assert_false(granted(state, "127.0.0.1", EG_ANY_PORT));
    assert_int_equal(nameserver_asked("api.test"), 2);
    assert_int_equal(nameserver_asked("mixed.test"), 2);
    assert_int_equal(nameserver_asked(NULL), 4); /* the name for another port is not asked */
}

static void a_name_is_asked_once_a_second(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = STATE_WITH("api.test:443");
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(eg_relook(state, 443, 3000), EG_RELOOK_ENDED);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(eg_relook(state, 443, 3000), EG_RELOOK_NOTHING); /* nothing is under way: no wait either */
    }
    assert_true(elapsed_ms(start) < 900);
    assert_int_equal(nameserver_asked("api.test"), 2);
    usleep(1100000);
    assert_int_equal(eg_relook(state, 443, 3000), EG_RELOOK_ENDED);
    assert_int_equal(nameserver_asked("api.test"), 4);
}

static void a_name_that_fails_is_asked_less_often(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = STATE_WITH("gone.test:443");
    assert_int_equal(eg_relook(state, 443, 3000), EG_RELOOK_ENDED);
    size_t first = nameserver_asked(NULL);
    assert_true(first >= 1);
    usleep(1200000);
    assert_int_equal(eg_relook(state, 443, 3000), EG_RELOOK_NOTHING); /* two seconds after one failure */
    assert_int_equal(nameserver_asked(NULL), first);
    usleep(1000000);
    assert_int_equal(eg_relook(state, 443, 3000), EG_RELOOK_ENDED);
    assert_int_equal(nameserver_asked(NULL), 2 * first);
}

static void answers_that_may_not_be_dialled_count_as_a_failure(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = STATE_WITH("bad.test:443");
    assert_int_equal(eg_relook(state, 443, 3000), EG_RELOOK_ENDED);
    usleep(1200000);
    assert_int_equal(eg_relook(state, 443, 3000), EG_RELOOK_NOTHING);
    assert_false(granted(state, "127.0.0.1", EG_ANY_PORT));
}

static void nobody_waits_longer_than_he_chose(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = STATE_WITH("slow.test:443");
    struct timespec start;
    nameserver_hold(true);
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(eg_relook(state, 443, 50), EG_RELOOK_UNDER_WAY);
    long waited = elapsed_ms(start);
    assert_in_range(waited, 45, 900);
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(eg_relook(state, 443, 0), EG_RELOOK_UNDER_WAY);
    assert_true(elapsed_ms(start) < 500);
    assert_false(granted(state, "203.0.113.10", 443));
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(eg_relook(state, 443, 999), EG_RELOOK_UNDER_WAY); /* over a full second of the clock */
    assert_in_range(elapsed_ms(start), 990, 1900);
    nameserver_hold(false);
    wait_until_granted(state, "203.0.113.10", 443); /* by the same lookup, which ends now */
    assert_true(nameserver_asked("slow.test") <= 4);
}

typedef struct caller {
    eg_state *state;
    bool ended;
} caller;

static void *call(void *argument)
{
    caller *self = argument;
    self->ended = eg_relook(self->state, 443, 3000) == EG_RELOOK_ENDED;
    return NULL;
}

/* A list of so many names that the last stands in the set of the first and of every 32nd. */
static eg_state *long_list(const char *const texts[], const int places[], size_t count)
{
    enum { names = 257 };
    eg_state *state = eg_state_create(names, names * 16);
    for (int i = 0; i < names; i++) {
        char text[32];
        snprintf(text, sizeof text, "n%d.test:80", i);
        for (size_t given = 0; given < count; given++) {
            if (places[given] == i) {
                snprintf(text, sizeof text, "%s", texts[given]);
            }
        }
        eg_entry entry = entry_of(text);
        assert_int_equal(eg_allowlist_add(&state->allowlist, &entry), 0);
    }
    return state;
}

/* Only so many names are followed at once: the ninth of a set waits for its turn. */
static void a_name_without_a_place_waits_for_its_turn(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    static const char *const texts[] = {"slow.test:443", "a.test:442", "b.test:442", "c.test:442",  "d.test:442",
                                        "e.test:442",    "f.test:442", "g.test:442", "api.test:444"};
    static const int places[] = {0, 32, 64, 96, 128, 160, 192, 224, 256};
    eg_state *state = long_list(texts, places, COUNT_OF(texts));
    nameserver_hold(true);
    assert_int_equal(eg_relook(state, 443, 200), EG_RELOOK_UNDER_WAY);
    assert_int_equal(eg_relook(state, 442, 20), EG_RELOOK_UNDER_WAY); /* asked behind the slow one */
    assert_int_equal(eg_relook(state, 444, 20), EG_RELOOK_NOTHING);   /* the places are taken */
    assert_int_equal(nameserver_asked("api.test"), 0);
    nameserver_hold(false);
    wait_until_granted(state, "203.0.113.10", 443);
    for (int i = 0; i < 3000 && eg_relook(state, 444, 3000) == EG_RELOOK_NOTHING; i++) {
        usleep(1000); /* the first place is given back a moment later */
    }
    assert_int_equal(nameserver_asked("api.test"), 2);
    assert_true(granted(state, "203.0.113.9", 444));
}

/* Nine names of one set, each dialled within the same second: none is refused for want of a place. */
static void more_names_than_a_set_holds_are_all_asked(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    static const char *const texts[] = {"mixed.test:440", "b.test:441", "c.test:442", "d.test:443", "e.test:444",
                                        "f.test:445",     "g.test:446", "h.test:447", "api.test:448"};
    static const int places[] = {0, 32, 64, 96, 128, 160, 192, 224, 256};
    eg_state *state = long_list(texts, places, COUNT_OF(texts));
    for (int port = 440; port <= 448; port++) {
        assert_int_equal(eg_relook(state, port, 3000), EG_RELOOK_ENDED);
    }
    assert_true(granted(state, "203.0.113.9", 448));
}

/* gone.test failed twice and is due in two seconds; api.test had its answer now or two seconds ago, the six names
 * between have just been asked for. Then mixed.test needs a place. */
static eg_state *crowded_set(bool api_is_recent)
{
    static const char *const texts[] = {"gone.test:440", "api.test:441", "b.test:442", "c.test:443",  "d.test:444",
                                        "e.test:445",    "f.test:446",   "g.test:447", "mixed.test:448"};
    static const int places[] = {0, 32, 64, 96, 128, 160, 192, 224, 256};
    eg_state *state = long_list(texts, places, COUNT_OF(texts));
    assert_int_equal(eg_relook(state, 440, 3000), EG_RELOOK_ENDED);
    later += 3;
    assert_int_equal(eg_relook(state, 440, 3000), EG_RELOOK_ENDED);
    if (!api_is_recent) {
        assert_int_equal(eg_relook(state, 441, 3000), EG_RELOOK_ENDED);
    }
    later += 2;
    for (int port = api_is_recent ? 441 : 442; port <= 448; port++) {
        assert_int_equal(eg_relook(state, port, 3000), EG_RELOOK_ENDED);
    }
    return state;
}

/* Though it is due first: it would be asked for twice within a second. */
static void a_name_that_was_just_asked_for_keeps_its_place(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = crowded_set(true);
    assert_int_equal(eg_relook(state, 441, 3000), EG_RELOOK_NOTHING);
    assert_int_equal(nameserver_asked("api.test"), 2);
}

/* Of two that may be forgotten it is the one that nobody has to be spared. */
static void a_name_that_keeps_failing_keeps_its_place(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = crowded_set(false);
    size_t before = nameserver_asked("gone.test");
    assert_int_equal(eg_relook(state, 440, 3000), EG_RELOOK_NOTHING);
    assert_int_equal(nameserver_asked("gone.test"), before);
}

/* What they have in common is a place in a table: neither is asked for more often because of the other. */
static void names_of_one_set_are_each_asked_once_a_second(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    static const char *const texts[] = {"api.test:443", "mixed.test:443", "gone.test:443"};
    static const int places[] = {0, 32, 256};
    eg_state *state = long_list(texts, places, COUNT_OF(texts));
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (elapsed_ms(start) < 900) {
        eg_relook(state, 443, 50);
    }
    assert_int_equal(nameserver_asked("api.test"), 2);
    assert_int_equal(nameserver_asked("mixed.test"), 2);
    size_t first = nameserver_asked("gone.test");
    assert_true(first >= 1 && first <= 2);
}

static void many_callers_share_one_lookup(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = STATE_WITH("slow.test:443");
    pthread_t threads[16];
    caller callers[COUNT_OF(threads)];
    nameserver_hold(true);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        callers[i] = (caller){state, false};
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    usleep(100000);
    nameserver_hold(false);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
        ROW(callers[i].ended, "caller %zu saw no end", i);
    }
    ROW(nameserver_asked("slow.test") == 2, "asked %zu times", nameserver_asked("slow.test"));
    ROW(granted(state, "203.0.113.10", 443), "not granted");
    FINISH_ROWS();
}

static void too_many_names_are_not_asked(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
    eg_state *state = STATE_WITH("api.test:443", "b.test:443", "c.test:443", "d.test:443", "e.test:443", "f.test:443", "g.test:443",
                                 "h.test:443", "i.test:443");
    assert_int_equal(eg_relook(state, 443, 1000), EG_RELOOK_NOTHING);
    assert_int_equal(eg_relook(state, 80, 1000), EG_RELOOK_NOTHING);
    assert_int_equal(nameserver_asked(NULL), 0);
}

/* A child has none of its parent's lookups under way, and can make its own. */
static void a_forked_child_looks_by_itself(void **unused)
{
    (void)unused;
    NEEDS_SANDBOX();
#ifdef __SANITIZE_THREAD__
    print_message("  skipped: ThreadSanitizer ends a child that makes threads\n");
    skip();
#endif
    eg_state *state = STATE_WITH("slow.test:443");
    nameserver_hold(true);
    assert_int_equal(eg_relook(state, 443, 10), EG_RELOOK_UNDER_WAY);
    pid_t child = fork();
    if (child == 0) {
        usleep(300000); /* the parent lets the answers go meanwhile */
        _exit(eg_relook(state, 443, 3000) == EG_RELOOK_ENDED ? 0 : 1);
    }
    nameserver_hold(false);
    wait_until_granted(state, "203.0.113.10", 443);
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define RELOOK_TEST(test) cmocka_unit_test_setup(test, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELOOK_TEST(it_helps_where_one_to_eight_names_open_the_port),
        RELOOK_TEST(a_name_that_keeps_failing_is_asked_ever_less_often),
        RELOOK_TEST(a_place_is_given_away_after_a_second),
        RELOOK_TEST(a_second_look_grants_what_it_finds),
        RELOOK_TEST(a_name_is_asked_once_a_second),
        RELOOK_TEST(a_name_that_fails_is_asked_less_often),
        RELOOK_TEST(answers_that_may_not_be_dialled_count_as_a_failure),
        RELOOK_TEST(nobody_waits_longer_than_he_chose),
        RELOOK_TEST(a_name_without_a_place_waits_for_its_turn),
        RELOOK_TEST(more_names_than_a_set_holds_are_all_asked),
        RELOOK_TEST(names_of_one_set_are_each_asked_once_a_second),
        RELOOK_TEST(many_callers_share_one_lookup),
        RELOOK_TEST(too_many_names_are_not_asked),
        RELOOK_TEST(a_forked_child_looks_by_itself),
        /* The last: they set the clock forward, and a wait would end as much later. */
        RELOOK_TEST(a_name_that_was_just_asked_for_keeps_its_place),
        RELOOK_TEST(a_name_that_keeps_failing_keeps_its_place),
    };
    nameserver_enter();
    return cmocka_run_group_tests_name("relook", tests, NULL, NULL);
}
