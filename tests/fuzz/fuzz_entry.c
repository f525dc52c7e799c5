/* Entries: whatever is taken has one canonical text, and opens nothing of this machine. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "core/allowlist.h"

static const char *const this_machine[] = {
    "127.0.0.1",          "127.0.0.0",           "127.255.255.255",     "0.0.0.0",
    "::",                 "::1",                 "::127.0.0.1",         "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::",           "64:ff9b:1::127.0.0.1", "2002:7f00:1::1",
    "2002::1",            "2001:0:7f00:1::1",    "2001::80ff:fffe",
};

static eg_address address_of(const char *text)
{
    eg_address address;
    uint8_t ipv4[4];
    if (inet_pton(AF_INET, text, ipv4) == 1) {
        return eg_address_from_ipv4(ipv4);
    }
    CHECK(inet_pton(AF_INET6, text, address.bytes) == 1, "the target knows addresses");
    return address;
}

static void check_that_it_opens_nothing_of_this_machine(const eg_entry *entry)
{
    static const char *const names[] = {"localhost", "a.localhost", "localhost.localdomain"};
    size_t size = eg_allowlist_size(1, sizeof entry->text);
    eg_allowlist *list = calloc(1, size);
    eg_name_match match;

    CHECK(list != NULL, "memory for a test");
    eg_allowlist_init(list, 1, sizeof entry->text, 7);
    CHECK(eg_allowlist_add(list, entry) == 0, "an entry that was announced is added");
    for (size_t i = 0; i < sizeof this_machine / sizeof this_machine[0]; i++) {
        eg_address address = address_of(this_machine[i]);
        CHECK(!eg_allowlist_covers_address(list, &address, EG_ANY_PORT, false), "no entry covers an address of this machine");
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        eg_name name;
        CHECK(eg_name_normalise(names[i], strlen(names[i]), &name), "the target knows names");
        CHECK(eg_allowlist_match_name(list, &name, EG_ANY_PORT, &match) == EG_MATCH_NONE, "no entry matches a name of this machine");
    }
    free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    eg_entry entry, again;
    char text[EG_ENTRY_TEXT_SIZE], text_again[EG_ENTRY_TEXT_SIZE];
    const char *complaint = eg_entry_parse((const char *)data, size, &entry);

    if (complaint != NULL) {
        CHECK(complaint[0] != '\0', "a complaint says something");
        return 0;
    }
    size_t length = eg_entry_text(&entry, text);
    CHECK(length > 0 && length < sizeof text && strlen(text) == length, "the canonical text fits");
    CHECK(eg_entry_parse(text, length, &again) == NULL, "the canonical text is an entry");
    CHECK(eg_entry_text(&again, text_again) == length && strcmp(text, text_again) == 0, "the canonical text is its own");
    CHECK(again.kind == entry.kind && again.prefix_length == entry.prefix_length && again.port_low == entry.port_low &&
              again.port_high == entry.port_high && again.text_length == entry.text_length &&
              memcmp(again.text, entry.text, entry.text_length) == 0 && eg_address_equal(&again.address, &entry.address),
          "the canonical text is the same entry");
    CHECK(entry.port_low <= entry.port_high, "a port range does not end before it begins");
    CHECK(entry.port_low > 0 || entry.port_high == 65535, "port 0 is opened by * alone");
    check_that_it_opens_nothing_of_this_machine(&entry);
    return 0;
}
