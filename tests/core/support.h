/* What every C test of src/core needs: cmocka with its preamble, and helpers for tables
 * of cases that go on to the last row, so that one run shows every row that is wrong. */
#ifndef EG_TESTS_SUPPORT_H
#define EG_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "core/entry.h"
#include "core/state.h"

/* Not every test uses every helper. */
#define HELPER __attribute__((unused)) static

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* A literal with its length, which counts NUL bytes inside. */
#define TEXT(literal) (literal), sizeof(literal) - 1

static int wrong_rows;

/* Note a row that is wrong and go on; FINISH_ROWS fails the test. */
#define ROW(condition, ...)                       \
    do {                                          \
        if (!(condition)) {                       \
            print_error("  wrong: " __VA_ARGS__); \
            print_error("\n");                    \
            wrong_rows++;                         \
        }                                         \
    } while (0)

HELPER int take_wrong_rows(void)
{
    int taken = wrong_rows;
    wrong_rows = 0;
    return taken;
}

#define FINISH_ROWS() assert_int_equal(take_wrong_rows(), 0)

/* A copy that ends where memory ends: whoever reads one byte more, or one byte before an
 * empty text, dies of it also without a sanitizer. Lasts until the next call. */
HELPER const void *fenced(const void *bytes, size_t length)
{
    enum { page = 65536 };
    static char *fence;
    if (fence == NULL) {
        fence = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(fence, MAP_FAILED);
        assert_int_equal(mprotect(fence + page, page, PROT_READ | PROT_WRITE), 0);
    }
    assert_true(length <= page);
    char *copy = length == 0 ? fence + page : fence + 2 * page - length;
    memcpy(copy, bytes, length);
    return copy;
}

/* The address that inet_pton reads; IPv4 in mapped form, as the core keeps it. */
HELPER eg_address address_of(const char *text)
{
    eg_address address;
    uint8_t ipv4[4];
    memset(&address, 0, sizeof address);
    if (inet_pton(AF_INET, text, ipv4) == 1) {
        return eg_address_from_ipv4(ipv4);
    }
    if (inet_pton(AF_INET6, text, address.bytes) != 1) {
        fail_msg("the test itself is wrong: %s is no address", text);
    }
    return address;
}

HELPER eg_endpoint endpoint_of(const char *text, uint16_t port)
{
    eg_endpoint endpoint;
    memset(&endpoint, 0, sizeof endpoint);
    endpoint.family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    endpoint.address = address_of(text);
    endpoint.port = port;
    return endpoint;
}

HELPER eg_name name_of(const char *text)
{
    eg_name name;
    if (!eg_name_normalise(text, strlen(text), &name)) {
        fail_msg("the test itself is wrong: %s is no name", text);
    }
    return name;
}

HELPER eg_entry entry_of(const char *text)
{
    eg_entry entry;
    const char *complaint = eg_entry_parse(text, strlen(text), &entry);
    if (complaint != NULL) {
        fail_msg("the test itself is wrong: entry %s: %s", text, complaint);
    }
    return entry;
}

/* Entries of a test end in NULL. */
HELPER void add_entries(eg_allowlist *list, const char *const *entries)
{
    for (; *entries != NULL; entries++) {
        eg_entry entry = entry_of(*entries);
        assert_int_equal(eg_allowlist_add(list, &entry), 0);
    }
}

HELPER eg_state *state_with(const char *const *entries)
{
    size_t count = 0, text = 0;
    for (; entries[count] != NULL; count++) {
        text += strlen(entries[count]);
    }
    eg_state *state = eg_state_create(count, text);
    assert_non_null(state);
    add_entries(&state->allowlist, entries);
    return state;
}

#define STATE_WITH(...) state_with((const char *const[]){__VA_ARGS__, NULL})

#endif
