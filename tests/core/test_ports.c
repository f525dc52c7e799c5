/* Ports of the allowlist: ranges that merge, the canonical entries that come back, and
 * which names a port could mean. */
#include "support.h"

#define MOST_ENTRIES 16

static const struct {
    const char *what;
    const char *entries[MOST_ENTRIES];
    const char *canonical[MOST_ENTRIES];
} merging[] = {
    {"one", {"a:1"}, {"a:1"}},
    {"twice the same", {"a:1", "a:1"}, {"a:1"}},
    {"neighbours, rising", {"a:1", "a:2"}, {"a:1-2"}},
    {"neighbours, falling", {"a:2", "a:1"}, {"a:1-2"}},
    {"a gap of one", {"a:1", "a:3"}, {"a:1", "a:3"}},
    {"a gap of one, falling", {"a:3", "a:1"}, {"a:1", "a:3"}},
    {"a gap that closes", {"a:1", "a:3", "a:2"}, {"a:1-3"}},
    {"a gap that closes from far", {"a:1", "a:5", "a:9", "a:2-4", "a:6-8"}, {"a:1-9"}},
    {"three that do not touch", {"a:9", "a:5", "a:1"}, {"a:1", "a:5", "a:9"}},
    {"overlapping", {"a:10-20", "a:15-25"}, {"a:10-25"}},
    {"overlapping, falling", {"a:15-25", "a:10-20"}, {"a:10-25"}},
    {"one inside another", {"a:10-20", "a:12-13"}, {"a:10-20"}},
    {"one around another", {"a:12-13", "a:10-20"}, {"a:10-20"}},
    {"one around two", {"a:1", "a:9", "a:1-9"}, {"a:1-9"}},
    {"a range inside an older one", {"a:10-20", "a:30", "a:12-13"}, {"a:10-20", "a:30"}},
    {"the first and the last port", {"a:65535", "a:1"}, {"a:1", "a:65535"}},
    {"up to the last port", {"a:65534", "a:65535"}, {"a:65534-65535"}},
    {"all", {"a:*"}, {"a:*"}},
    {"all and one", {"a:*", "a:443"}, {"a:*"}},
    {"one and all", {"a:443", "a:*"}, {"a:*"}},
    {"all but 0", {"a:1-65535"}, {"a:1-65535"}},
    {"all but 0, in two parts", {"a:30000-65535", "a:1-29999"}, {"a:1-65535"}},
    {"two hosts stay two", {"a:1", "b:2"}, {"a:1", "b:2"}},
    {"spellings of one host", {"A.test.:1", "a.test:2"}, {"a.test:1-2"}},
    {"a wildcard is not its name", {"*.a:1", "a:2"}, {"*.a:1", "a:2"}},
    {"a CIDR is not its first address", {"10.0.0.0/8:1", "10.0.0.0:2"}, {"10.0.0.0/8:1", "10.0.0.0:2"}},
    {"two prefix lengths", {"10.0.0.0/8:1", "10.0.0.0/9:2"}, {"10.0.0.0/8:1", "10.0.0.0/9:2"}},
    {"mapped is IPv4", {"[::ffff:192.0.2.1]:1", "192.0.2.1:2"}, {"192.0.2.1:1-2"}},
    {"compatible is not IPv4", {"[::192.0.2.1]:1", "192.0.2.1:2"}, {"[::192.0.2.1]:1", "192.0.2.1:2"}},
    {"UNIX has no port", {"unix:/a", "unix:/a", "unix:@a"}, {"unix:/a", "unix:@a"}},
    {"a UNIX path is not a name", {"unix:@a", "a:1"}, {"unix:@a", "a:1"}},
};

static void ports_of_a_host_come_back_merged_and_sorted(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(merging); i++) {
        eg_state *state = state_with(merging[i].entries);
        eg_allowlist_cursor cursor = {0, 0};
        eg_entry entry;
        size_t count = 0;
        while (count < MOST_ENTRIES && eg_allowlist_next_entry(&state->allowlist, &cursor, &entry)) {
            char text[EG_ENTRY_TEXT_SIZE];
            const char *wanted = merging[i].canonical[count] != NULL ? merging[i].canonical[count] : "no more";
            eg_entry_text(&entry, text);
            ROW(strcmp(text, wanted) == 0, "%s: %s, not %s", merging[i].what, text, wanted);
            count++;
        }
        ROW(count == MOST_ENTRIES || merging[i].canonical[count] == NULL, "%s: ends after %zu", merging[i].what, count);
        ROW(!eg_allowlist_next_entry(&state->allowlist, &cursor, &entry), "%s: goes on after its end", merging[i].what);
        eg_state_destroy(state);
    }
    FINISH_ROWS();
}

static void merged_ranges_open_the_ports_they_had(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(merging); i++) {
        eg_state *state = state_with(merging[i].entries);
        for (int port = 0; port <= 65535; port += port < 40 || port >= 65500 ? 1 : 97) {
            bool wanted[2] = {false, false};
            for (size_t j = 0; merging[i].entries[j] != NULL; j++) {
                eg_entry entry = entry_of(merging[i].entries[j]);
                bool is_a = entry.kind == EG_ENTRY_NAME && strcmp(entry.text, "a") == 0;
                wanted[0] = wanted[0] || (is_a && port >= entry.port_low && port <= entry.port_high);
            }
            eg_name name = name_of("a");
            eg_name_match match;
            wanted[1] = eg_allowlist_match_name(&state->allowlist, &name, port, &match) == EG_MATCH_LISTED;
            ROW(wanted[0] == wanted[1], "%s: port %d", merging[i].what, port);
        }
        eg_state_destroy(state);
    }
    FINISH_ROWS();
}

/* ---- which names a port could mean (for callers with a resolver of their own) ---- */

static size_t names_for(const eg_state *state, int port)
{
    uint32_t records[EG_NAMES_FOR_PORT_MAX];
    size_t count = eg_allowlist_names_for_port(&state->allowlist, port, records);
    for (size_t i = 0; i < count; i++) {
        assert_true(eg_allowlist_record_covers(&state->allowlist, records[i], port));
        assert_true(strlen(eg_allowlist_record_text(&state->allowlist, records[i])) > 0);
    }
    return count;
}

static void only_exact_names_are_candidates_for_a_port(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH("a.test:443", "*.b.test:443", "192.0.2.1:443", "unix:/a", "c.test:400-443", "d.test:444",
                                 "e.test:*");
    assert_int_equal(names_for(state, 443), 3);
    assert_int_equal(names_for(state, 400), 2);
    assert_int_equal(names_for(state, 399), 1);
    assert_int_equal(names_for(state, 444), 2);
    assert_int_equal(names_for(state, 445), 1);
    assert_int_equal(names_for(state, 0), 1);
    assert_int_equal(names_for(state, 65535), 1);
    assert_int_equal(eg_allowlist_count_names_for_port(&state->allowlist, 443), 3);
    uint32_t records[EG_NAMES_FOR_PORT_MAX];
    assert_int_equal(eg_allowlist_names_for_port(&state->allowlist, 444, records), 2);
    assert_string_equal(eg_allowlist_record_text(&state->allowlist, records[0]), "d.test");
    assert_string_equal(eg_allowlist_record_text(&state->allowlist, records[1]), "e.test");
    eg_state_destroy(state);
}

static void eight_names_are_candidates_and_nine_are_too_many(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH("a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1", "i:2", "j:2", "k:2", "l:2", "m:2",
                                 "n:2", "o:2", "p:2", "q:2", "r:2", "s:2", "t:2", "u:2");
    assert_int_equal(names_for(state, 1), 8);
    assert_int_equal(names_for(state, 2), 0);
    assert_true(eg_allowlist_count_names_for_port(&state->allowlist, 2) > EG_NAMES_FOR_PORT_MAX);
    assert_int_equal(names_for(state, 3), 0);
    assert_int_equal(eg_allowlist_count_names_for_port(&state->allowlist, 3), 0);
    eg_state_destroy(state);
}

static void a_name_that_stands_twice_counts_once(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH("a:1", "a:1", "A.:1", "a:1-2", "a:1", "a:1", "a:1", "a:1", "a:1", "a:1");
    assert_int_equal(names_for(state, 1), 1);
    assert_int_equal(names_for(state, 2), 1);
    eg_state_destroy(state);
    state = STATE_WITH("a:*", "a:*", "a:*", "a:*", "a:*", "a:*", "a:*", "a:*", "a:*", "a:*");
    assert_int_equal(names_for(state, 1), 1);
    eg_state_destroy(state);
}

static void names_with_every_port_count_with_the_others(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH("a:*", "b:*", "c:*", "d:*", "e:*", "f:*", "g:*", "h:1", "i:2", "j:2");
    assert_int_equal(names_for(state, 1), 8);
    assert_int_equal(names_for(state, 2), 0);
    assert_true(eg_allowlist_count_names_for_port(&state->allowlist, 2) > EG_NAMES_FOR_PORT_MAX);
    assert_int_equal(names_for(state, 3), 7);
    eg_state_destroy(state);
}

/* "*" alone opens port 0, and a name with "*" and a number counts twice. */
static void every_port_is_more_than_all_numbers(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH("a:1-65535");
    assert_int_equal(eg_allowlist_count_names_for_port(&state->allowlist, 0), 0);
    assert_int_equal(eg_allowlist_count_names_for_port(&state->allowlist, 1), 1);
    assert_int_equal(eg_allowlist_count_names_for_port(&state->allowlist, 65535), 1);
    eg_state_destroy(state);
    state = STATE_WITH("a:1-65535", "a:*");
    assert_int_equal(names_for(state, 0), 1);
    assert_int_equal(names_for(state, 443), 1);
    eg_state_destroy(state);
    state = STATE_WITH("a:443", "a:*");
    assert_int_equal(eg_allowlist_count_names_for_port(&state->allowlist, 443), 2);
    assert_int_equal(eg_allowlist_count_names_for_port(&state->allowlist, 444), 1);
    assert_int_equal(names_for(state, 443), 1);
    eg_state_destroy(state);
}

/* A port given after its neighbour takes no room of its own. */
static void a_run_of_ports_stays_one_range(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH("a:5", "a:6", "a:7", "a:4", "a:3", "a:1-10", "a:2");
    assert_int_equal(state->allowlist.range_count, 1);
    eg_state_destroy(state);
}

static void very_many_names_do_not_overflow_the_count(void **unused)
{
    (void)unused;
    eg_state *state = eg_state_create(600, 600 * 16);
    for (int i = 0; i < 600; i++) {
        char text[32];
        snprintf(text, sizeof text, "n%d:%s", i, i % 2 ? "7" : "*");
        eg_entry entry = entry_of(text);
        assert_int_equal(eg_allowlist_add(&state->allowlist, &entry), 0);
        if (i > 20) {
            ROW(eg_allowlist_count_names_for_port(&state->allowlist, 7) > EG_NAMES_FOR_PORT_MAX, "%d names", i);
        }
    }
    assert_int_equal(names_for(state, 7), 0);
    eg_state_destroy(state);
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_of_a_host_come_back_merged_and_sorted),
        cmocka_unit_test(merged_ranges_open_the_ports_they_had),
        cmocka_unit_test(only_exact_names_are_candidates_for_a_port),
        cmocka_unit_test(eight_names_are_candidates_and_nine_are_too_many),
        cmocka_unit_test(a_name_that_stands_twice_counts_once),
        cmocka_unit_test(names_with_every_port_count_with_the_others),
        cmocka_unit_test(every_port_is_more_than_all_numbers),
        cmocka_unit_test(a_run_of_ports_stays_one_range),
        cmocka_unit_test(very_many_names_do_not_overflow_the_count),
    };
    return cmocka_run_group_tests_name("ports", tests, NULL, NULL);
}
