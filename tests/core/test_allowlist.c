/* What a frozen list covers: addresses, names, wildcards, ports, UNIX paths. */
#include "support.h"

#include <errno.h>

static const char *const mixed[] = {
    "api.test:443",        "api.test:8000-8010",   "*.api.test:443",       "*.test:80",
    "other.test:*",        "192.0.2.1:443",        "198.51.100.0/24:80",   "198.51.100.128/25:81",
    "[2001:db8::1]:443",   "[2001:db8:1::/48]:80", "[2001:db8:2:8000::/49]:82", "[8000::/1]:83",
    "unix:/run/x",         "unix:@abstract",       "192.0.2.9/32:9",       "128.0.0.0/1:84", NULL,
};

static const struct {
    const char *address;
    int port;
    bool covered, exactly;
} addresses[] = {
    {"192.0.2.1", 443, true, true},
    {"192.0.2.1", 442, false, false},
    {"192.0.2.1", 444, false, false},
    {"192.0.2.1", EG_ANY_PORT, true, true},
    {"::ffff:192.0.2.1", 443, true, true},
    {"::192.0.2.1", 443, false, false},
    {"192.0.2.0", 443, false, false},
    {"192.0.2.2", 443, false, false},
    {"192.0.2.9", 9, true, true},
    {"198.51.100.0", 80, true, false},
    {"198.51.100.255", 80, true, false},
    {"198.51.100.255", 81, true, false},
    {"198.51.100.128", 81, true, false},
    {"198.51.100.127", 81, false, false},
    {"198.51.99.255", 80, false, false},
    {"198.51.101.0", 80, false, false},
    {"198.51.100.1", EG_ANY_PORT, true, false},
    {"127.0.0.1", 84, false, false},
    {"203.0.113.1", 84, true, false},
    {"2001:db8::1", 443, true, true},
    {"2001:db8::1", 80, false, false},
    {"2001:db8::2", 443, false, false},
    {"2001:db8:1::", 80, true, false},
    {"2001:db8:1:ffff:ffff:ffff:ffff:ffff", 80, true, false},
    {"2001:db8:2::", 80, false, false},
    {"2001:db8:0:ffff::", 80, false, false},
    {"2001:db8:2:8000::1", 82, true, false},
    {"2001:db8:2:ffff::1", 82, true, false},
    {"2001:db8:2:7fff::1", 82, false, false},
    {"8000::1", 83, true, false},
    {"ffff::1", 83, true, false},
    {"7fff::1", 83, false, false},
};

static void addresses_are_covered_as_the_entries_say(void **unused)
{
    (void)unused;
    eg_state *state = state_with(mixed);
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        eg_address address = address_of(addresses[i].address);
        bool covered = eg_allowlist_covers_address(&state->allowlist, &address, addresses[i].port, false);
        bool exactly = eg_allowlist_covers_address(&state->allowlist, &address, addresses[i].port, true);
        ROW(covered == addresses[i].covered, "%s port %d", addresses[i].address, addresses[i].port);
        ROW(exactly == addresses[i].exactly, "%s port %d exactly", addresses[i].address, addresses[i].port);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static const struct {
    const char *name;
    int port;
    eg_match expected;
    size_t records;
} names[] = {
    {"api.test", 443, EG_MATCH_LISTED, 2},        /* its own, and *.test */
    {"API.test.", 443, EG_MATCH_LISTED, 2},
    {"api.test", 80, EG_MATCH_LISTED, 2},         /* by the wildcard */
    {"api.test", 8000, EG_MATCH_LISTED, 2},
    {"api.test", 8010, EG_MATCH_LISTED, 2},
    {"api.test", 8011, EG_MATCH_OTHER_PORT, 2},
    {"api.test", 7999, EG_MATCH_OTHER_PORT, 2},
    {"api.test", EG_ANY_PORT, EG_MATCH_LISTED, 2},
    {"a.api.test", 443, EG_MATCH_LISTED, 2},      /* *.api.test and *.test */
    {"a.api.test", 80, EG_MATCH_LISTED, 2},
    {"a.api.test", 81, EG_MATCH_OTHER_PORT, 2},
    {"c.b.a.api.test", 443, EG_MATCH_LISTED, 2},
    {"other.test", 0, EG_MATCH_LISTED, 2},
    {"other.test", 65535, EG_MATCH_LISTED, 2},
    {"a.other.test", 80, EG_MATCH_LISTED, 1},
    {"a.other.test", 81, EG_MATCH_OTHER_PORT, 1},
    {"test", 80, EG_MATCH_NONE, 0},               /* a wildcard never means the bare name */
    {"test", EG_ANY_PORT, EG_MATCH_NONE, 0},
    {"xapi.test.evil", 443, EG_MATCH_NONE, 0},
    {"api.test.evil", 443, EG_MATCH_NONE, 0},
    {"evilapi.tests", 443, EG_MATCH_NONE, 0},
    {"evil-api-test", 443, EG_MATCH_NONE, 0},
    {"api", 443, EG_MATCH_NONE, 0},
    {"192.0.2.1", 443, EG_MATCH_NONE, 0},
    {"abstract", 443, EG_MATCH_NONE, 0},
};

static void names_match_their_own_entry_and_every_wildcard_above(void **unused)
{
    (void)unused;
    eg_state *state = state_with(mixed);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        eg_name name = name_of(names[i].name);
        eg_name_match match;
        eg_match found = eg_allowlist_match_name(&state->allowlist, &name, names[i].port, &match);
        ROW(found == names[i].expected, "%s port %d: %d", names[i].name, names[i].port, (int)found);
        ROW(match.count == names[i].records, "%s port %d: %zu records", names[i].name, names[i].port, match.count);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void a_match_names_the_records(void **unused)
{
    (void)unused;
    eg_state *state = state_with(mixed);
    eg_name name = name_of("api.test");
    eg_name_match match;
    assert_int_equal(eg_allowlist_match_name(&state->allowlist, &name, 443, &match), EG_MATCH_LISTED);
    assert_string_equal(eg_allowlist_record_text(&state->allowlist, match.records[0]), "api.test");
    assert_true(eg_allowlist_record_covers(&state->allowlist, match.records[0], 8005));
    assert_string_equal(eg_allowlist_record_text(&state->allowlist, match.records[1]), "test");
    assert_true(eg_allowlist_record_covers(&state->allowlist, match.records[1], 80));
    assert_false(eg_allowlist_record_covers(&state->allowlist, match.records[1], 443));
    eg_state_destroy(state);
}

static void the_longest_name_has_room_for_all_its_wildcards(void **unused)
{
    (void)unused;
    eg_state *state = eg_state_create(127, 127 * 256);
    char text[512] = "*.a:1";
    eg_entry entry = entry_of(text);
    assert_int_equal(eg_allowlist_add(&state->allowlist, &entry), 0);
    char name[EG_NAME_MAX + 1] = "a.a";
    for (size_t labels = 2; labels <= 126; labels++) {
        snprintf(text, sizeof text, "*.%s:1", name);
        entry = entry_of(text);
        assert_int_equal(eg_allowlist_add(&state->allowlist, &entry), 0);
        memmove(name + 2, name, strlen(name) + 1);
        memcpy(name, "a.", 2);
    }
    assert_int_equal(strlen(name), EG_NAME_MAX);
    snprintf(text, sizeof text, "%s:1", name);
    entry = entry_of(text);
    assert_int_equal(eg_allowlist_add(&state->allowlist, &entry), 0);
    eg_name longest = name_of(name);
    eg_name_match match;
    assert_int_equal(eg_allowlist_match_name(&state->allowlist, &longest, 1, &match), EG_MATCH_LISTED);
    assert_int_equal(match.count, 127);
    assert_true(match.count <= COUNT_OF(match.records));
    eg_state_destroy(state);
}

static void unix_paths_match_to_the_byte(void **unused)
{
    (void)unused;
    static const struct {
        const char *key;
        size_t length;
        bool covered;
    } rows[] = {
        {TEXT("/run/x"), true},     {TEXT("@abstract"), true}, {TEXT("/run/X"), false},    {TEXT("/run/x/"), false},
        {TEXT("/run/"), false},     {TEXT("@abstrac"), false}, {TEXT("@abstract\0"), false}, {TEXT("abstract"), false},
        {TEXT("/run/x\0"), false},  {TEXT("api.test"), false}, {TEXT(""), false},          {TEXT("@"), false},
    };
    eg_state *state = state_with(mixed);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ROW(eg_allowlist_covers_unix(&state->allowlist, rows[i].key, rows[i].length) == rows[i].covered, "%s",
            rows[i].key);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

static void an_empty_list_covers_nothing(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH(NULL);
    eg_allowlist *list = &state->allowlist;
    eg_name name = name_of("api.test");
    eg_address address = address_of("192.0.2.1");
    eg_entry entry = entry_of("api.test:1");
    eg_name_match match;
    eg_allowlist_cursor cursor = {0, 0};
    uint32_t records[EG_NAMES_FOR_PORT_MAX];

    assert_int_equal(eg_allowlist_match_name(list, &name, EG_ANY_PORT, &match), EG_MATCH_NONE);
    assert_false(eg_allowlist_covers_address(list, &address, EG_ANY_PORT, false));
    assert_false(eg_allowlist_covers_unix(list, "/a", 2));
    assert_false(eg_allowlist_record_covers(list, 0, EG_ANY_PORT));
    assert_false(eg_allowlist_next_entry(list, &cursor, &entry));
    assert_int_equal(eg_allowlist_names_for_port(list, 443, records), 0);
    assert_int_equal(eg_allowlist_add(list, &entry), -ENOSPC);
    eg_state_destroy(state);
}

static void more_than_was_announced_is_not_taken(void **unused)
{
    (void)unused;
    eg_state *state = eg_state_create(2, 4);
    eg_entry first = entry_of("a:1"), second = entry_of("b:1"), third = entry_of("c:1"), wide = entry_of("*.abc:1");
    assert_int_equal(eg_allowlist_add(&state->allowlist, &first), 0);
    assert_int_equal(eg_allowlist_add(&state->allowlist, &second), 0);
    assert_int_equal(eg_allowlist_add(&state->allowlist, &third), -ENOSPC);
    eg_name name = name_of("c");
    eg_name_match match;
    assert_int_equal(eg_allowlist_match_name(&state->allowlist, &name, 1, &match), EG_MATCH_NONE);
    eg_state_destroy(state);

    state = eg_state_create(3, 3); /* room for 7 bytes, closing NULs included */
    assert_int_equal(eg_allowlist_add(&state->allowlist, &wide), 0);
    assert_int_equal(eg_allowlist_add(&state->allowlist, &first), 0);
    assert_int_equal(eg_allowlist_add(&state->allowlist, &second), -ENOSPC);
    eg_state_destroy(state);

    state = eg_state_create(3, 3);
    second = entry_of("bc:1"); /* fills it to the last byte */
    assert_int_equal(eg_allowlist_add(&state->allowlist, &wide), 0);
    assert_int_equal(eg_allowlist_add(&state->allowlist, &second), 0);
    eg_entry address = entry_of("192.0.2.1:1"); /* has no text */
    assert_int_equal(eg_allowlist_add(&state->allowlist, &address), 0);
    eg_state_destroy(state);
}

static void the_numbers_of_records_end(void **unused)
{
    (void)unused;
    eg_state *state = STATE_WITH("a.test:1", "192.0.2.1:1");
    const eg_allowlist *list = &state->allowlist;
    assert_true(eg_allowlist_record_covers(list, 1, 1));
    assert_false(eg_allowlist_record_covers(list, 2, 1));
    assert_false(eg_allowlist_record_covers(list, UINT32_MAX, 1));
    assert_string_equal(eg_allowlist_record_text(list, 0), "a.test");
    assert_string_equal(eg_allowlist_record_text(list, 1), ""); /* an address */
    assert_string_equal(eg_allowlist_record_text(list, 2), "");
    assert_int_equal(list->entry_count, 2);
    eg_state_destroy(state);
}

/* ---- large lists ---- */

static void every_entry_of_a_large_list_is_found_again(void **unused)
{
    (void)unused;
    enum { count = 3000 };
    eg_state *state = eg_state_create(2 * count, 2 * count * 32);
    char text[64];
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "host%d.test:%d", i, 1 + i);
        eg_entry entry = entry_of(text);
        assert_int_equal(eg_allowlist_add(&state->allowlist, &entry), 0);
        snprintf(text, sizeof text, "10.0.%d.%d:%d", i / 256, i % 256, 1 + i);
        entry = entry_of(text);
        assert_int_equal(eg_allowlist_add(&state->allowlist, &entry), 0);
    }
    for (int i = 0; i < count; i++) {
        eg_name_match match;
        snprintf(text, sizeof text, "host%d.test", i);
        eg_name name = name_of(text);
        ROW(eg_allowlist_match_name(&state->allowlist, &name, 1 + i, &match) == EG_MATCH_LISTED, "%s", text);
        ROW(eg_allowlist_match_name(&state->allowlist, &name, 2 + i, &match) == EG_MATCH_OTHER_PORT, "%s", text);
        snprintf(text, sizeof text, "10.0.%d.%d", i / 256, i % 256);
        eg_address address = address_of(text);
        ROW(eg_allowlist_covers_address(&state->allowlist, &address, 1 + i, true), "%s", text);
        ROW(!eg_allowlist_covers_address(&state->allowlist, &address, 2 + i, true), "%s", text);
    }
    eg_state_destroy(state);
    FINISH_ROWS();
}

/* The tables must lie behind one another, whatever the size: nothing that is added may
 * write into the next one, and all of it into the size that was asked for. */
static void tables_stay_inside_their_size(void **unused)
{
    (void)unused;
    for (size_t count = 0; count <= 40; count++) {
        size_t text_bytes = 9 * count, size = eg_allowlist_size(count, text_bytes);
        unsigned char *block = calloc(1, size + 64);
        eg_allowlist *list = (eg_allowlist *)block;
        memset(block + size, 0x5a, 64);
        eg_allowlist_init(list, count, text_bytes, 99);
        for (size_t i = 0; i < count; i++) {
            char text[32];
            snprintf(text, sizeof text, "n%02zu.test:65535", i);
            eg_entry entry = entry_of(text);
            assert_int_equal(eg_allowlist_add(list, &entry), 0);
        }
        for (size_t i = 0; i < count; i++) {
            char text[32];
            eg_name_match match;
            snprintf(text, sizeof text, "n%02zu.test", i);
            eg_name name = name_of(text);
            ROW(eg_allowlist_match_name(list, &name, 65535, &match) == EG_MATCH_LISTED, "%zu: %s", count, text);
            ROW(strcmp(eg_allowlist_record_text(list, (uint32_t)i), text) == 0, "%zu: text of %zu", count, i);
        }
        for (size_t i = size; i < size + 64; i++) {
            ROW(block[i] == 0x5a, "%zu: byte %zu behind the end is written", count, i - size);
        }
        free(block);
    }
    FINISH_ROWS();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_covered_as_the_entries_say),
        cmocka_unit_test(names_match_their_own_entry_and_every_wildcard_above),
        cmocka_unit_test(a_match_names_the_records),
        cmocka_unit_test(the_longest_name_has_room_for_all_its_wildcards),
        cmocka_unit_test(unix_paths_match_to_the_byte),
        cmocka_unit_test(an_empty_list_covers_nothing),
        cmocka_unit_test(more_than_was_announced_is_not_taken),
        cmocka_unit_test(the_numbers_of_records_end),
        cmocka_unit_test(every_entry_of_a_large_list_is_found_again),
        cmocka_unit_test(tables_stay_inside_their_size),
    };
    return cmocka_run_group_tests_name("allowlist", tests, NULL, NULL);
}
