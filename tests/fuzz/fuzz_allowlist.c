/* A list, beside the plainest way to ask it: every line of the input is an entry, the last
 * one is the host that is asked for, with every port that some entry begins or ends at. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "core/allowlist.h"

#define ENTRIES_MAX 64

static eg_entry entries[ENTRIES_MAX];
static size_t count;

static bool covers_bits(const eg_entry *entry, const eg_address *address)
{
    for (unsigned bit = 0; bit < entry->prefix_length; bit++) {
        if (((entry->address.bytes[bit / 8] ^ address->bytes[bit / 8]) & (0x80 >> bit % 8)) != 0) {
            return false;
        }
    }
    return true;
}

static bool is_below(const eg_name *name, const char *suffix)
{
    size_t length = strlen(suffix);
    return name->length > length + 1 && name->text[name->length - length - 1] == '.' &&
           strcmp(name->text + name->length - length, suffix) == 0;
}

static bool covers_port(const eg_entry *entry, int port)
{
    return port == EG_ANY_PORT || (port >= entry->port_low && port <= entry->port_high);
}

static void check_name(const eg_allowlist *list, const eg_name *name, int port)
{
    eg_match wanted = EG_MATCH_NONE;
    eg_name_match match;
    for (size_t i = 0; i < count; i++) {
        bool hit = (entries[i].kind == EG_ENTRY_NAME && eg_name_equal(name, entries[i].text)) ||
                   (entries[i].kind == EG_ENTRY_WILDCARD && is_below(name, entries[i].text));
        if (hit && covers_port(&entries[i], port)) {
            wanted = EG_MATCH_LISTED;
        } else if (hit && wanted == EG_MATCH_NONE) {
            wanted = EG_MATCH_OTHER_PORT;
        }
    }
    CHECK(eg_allowlist_match_name(list, name, port, &match) == wanted, "a name is matched as its entries say");
}

static void check_address(const eg_allowlist *list, const eg_address *address, int port)
{
    bool any = false, exact = false;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].kind == EG_ENTRY_ADDRESS && covers_port(&entries[i], port) && covers_bits(&entries[i], address)) {
            any = true;
            exact = exact || entries[i].prefix_length == 128;
        }
    }
    CHECK(eg_allowlist_covers_address(list, address, port, false) == any, "an address is covered as the entries say");
    CHECK(eg_allowlist_covers_address(list, address, port, true) == exact, "an address is covered exactly as the entries say");
}

static void check_candidates(const eg_allowlist *list, int port)
{
    size_t wanted = 0;
    uint32_t records[EG_NAMES_FOR_PORT_MAX];
    for (size_t i = 0; i < count; i++) {
        bool first = entries[i].kind == EG_ENTRY_NAME && covers_port(&entries[i], port);
        for (size_t j = 0; j < i && first; j++) {
            first = entries[j].kind != EG_ENTRY_NAME || !covers_port(&entries[j], port) || strcmp(entries[i].text, entries[j].text) != 0;
        }
        wanted += first;
    }
    size_t found = eg_allowlist_names_for_port(list, port, records);
    CHECK(found == wanted || found == 0, "the names for a port are all of them, or none");
    CHECK(found == wanted || eg_allowlist_count_names_for_port(list, port) > EG_NAMES_FOR_PORT_MAX, "none only where they are counted as many");
}

static void check_canonical(const eg_allowlist *list)
{
    eg_allowlist_cursor cursor = {0, 0};
    eg_entry one;
    size_t given = 0;
    while (eg_allowlist_next_entry(list, &cursor, &one)) {
        char text[EG_ENTRY_TEXT_SIZE];
        eg_entry again;
        size_t length = eg_entry_text(&one, text);
        CHECK(eg_entry_parse(text, length, &again) == NULL, "a canonical entry is an entry");
        CHECK(++given <= count, "not more canonical entries than were given");
    }
    CHECK(given > 0 || count == 0, "an entry that was given comes back");
}

static void check_host(const eg_allowlist *list, const char *host, size_t length)
{
    eg_name name;
    eg_endpoint number;
    bool is_number = eg_endpoint_from_number(host, length, &number), is_name = eg_name_normalise(host, length, &name);
    for (size_t i = 0; i <= count; i++) {
        int ports[4] = {EG_ANY_PORT, 443, 0, 65535};
        if (i < count) {
            int around[4] = {entries[i].port_low - 1, entries[i].port_low, entries[i].port_high, entries[i].port_high + 1};
            memcpy(ports, around, sizeof ports);
        }
        for (size_t j = 0; j < 4; j++) {
            if (ports[j] > 65535) {
                continue;
            }
            if (is_name) {
                check_name(list, &name, ports[j]);
            }
            if (is_number) {
                check_address(list, &number.address, ports[j]);
            }
            if (ports[j] >= 0) {
                check_candidates(list, ports[j]);
            }
        }
        if (i < count && entries[i].kind == EG_ENTRY_ADDRESS) {
            check_address(list, &entries[i].address, EG_ANY_PORT);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    size_t text = 0;

    count = 0;
    for (const char *line; (line = memchr(at, '\n', (size_t)(end - at))) != NULL; at = line + 1) {
        if (count < ENTRIES_MAX && eg_entry_parse(at, (size_t)(line - at), &entries[count]) == NULL) {
            text += entries[count++].text_length;
        }
    }
    eg_allowlist *list = calloc(1, eg_allowlist_size(count, text));
    CHECK(list != NULL, "memory for a test");
    eg_allowlist_init(list, count, text, 7);
    for (size_t i = 0; i < count; i++) {
        CHECK(eg_allowlist_add(list, &entries[i]) == 0, "what was announced is added");
    }
    check_host(list, at, (size_t)(end - at));
    check_canonical(list);
    free(list);
    return 0;
}
