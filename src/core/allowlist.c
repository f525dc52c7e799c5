/* The frozen allowlist. Open addressing over records; a lookup is one hash and, for
 * addresses, one probe for each prefix length that occurs: its cost does not depend on
 * how many entries there are. */
#include "core/allowlist.h"

#include <errno.h>
#include <string.h>

#include "core/hash.h"

static uint32_t *slots_of(const eg_allowlist *list)
{
    return (uint32_t *)((uintptr_t)list + list->slots_offset);
}

static eg_record *records_of(const eg_allowlist *list)
{
    return (eg_record *)((uintptr_t)list + list->records_offset);
}

static eg_port_range *ranges_of(const eg_allowlist *list)
{
    return (eg_port_range *)((uintptr_t)list + list->ranges_offset);
}

static char *text_of(const eg_allowlist *list)
{
    return (char *)((uintptr_t)list + list->text_offset);
}

static size_t slot_count_for(size_t entries)
{
    size_t count = 16;
    while (count < entries * 2) {
        count *= 2;
    }
    return count;
}

static size_t aligned(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

size_t eg_allowlist_size(size_t entries, size_t text_bytes)
{
    return aligned(sizeof(eg_allowlist)) + aligned(slot_count_for(entries) * sizeof(uint32_t)) +
           aligned(entries * sizeof(eg_record)) + aligned(entries * sizeof(eg_port_range)) +
           aligned(65536) + aligned(text_bytes + entries + 1);
}

void eg_allowlist_init(eg_allowlist *list, size_t entries, size_t text_bytes, uint64_t hash_seed)
{
    *list = (eg_allowlist){
        .hash_seed = hash_seed,
        .slot_mask = (uint32_t)(slot_count_for(entries) - 1),
        .record_capacity = (uint32_t)entries,
        .text_capacity = (uint32_t)(text_bytes + entries + 1),
    };
    list->slots_offset = aligned(sizeof *list);
    list->records_offset = list->slots_offset + aligned(slot_count_for(entries) * sizeof(uint32_t));
    list->ranges_offset = list->records_offset + aligned(entries * sizeof(eg_record));
    list->name_ports_offset = list->ranges_offset + aligned(entries * sizeof(eg_port_range));
    list->text_offset = list->name_ports_offset + aligned(65536);
}

static uint64_t hash_text(const eg_allowlist *list, unsigned kind, const char *text, size_t length)
{
    return eg_hash_bytes(text, length, list->hash_seed + kind);
}

static uint64_t hash_address(const eg_allowlist *list, const eg_address *address, unsigned prefix_length)
{
    uint64_t high, low;
    memcpy(&high, address->bytes, 8);
    memcpy(&low, address->bytes + 8, 8);
    return eg_hash_mix((high + list->hash_seed) * 0x9e3779b97f4a7c15u ^ (low + prefix_length));
}

static bool record_is_text(const eg_allowlist *list, const eg_record *record, unsigned kind, const char *text,
                           size_t length)
{
    return record->kind == kind && record->text_length == length &&
           memcmp(text_of(list) + record->text_offset, text, length) == 0;
}

static bool record_is_address(const eg_record *record, const eg_address *address, unsigned prefix_length)
{
    return record->kind == EG_ENTRY_ADDRESS && record->prefix_length == prefix_length &&
           eg_address_equal(&record->address, address);
}

/* The slot that holds the record, or the empty one where it belongs. */
static uint32_t *find_text(const eg_allowlist *list, unsigned kind, const char *text, size_t length)
{
    uint32_t *slots = slots_of(list);
    uint64_t at = hash_text(list, kind, text, length);
    for (;; at++) {
        uint32_t *slot = &slots[at & list->slot_mask];
        if (*slot == 0 || record_is_text(list, &records_of(list)[*slot - 1], kind, text, length)) {
            return slot;
        }
    }
}

static uint32_t *find_address(const eg_allowlist *list, const eg_address *address, unsigned prefix_length)
{
    uint32_t *slots = slots_of(list);
    uint64_t at = hash_address(list, address, prefix_length);
    for (;; at++) {
        uint32_t *slot = &slots[at & list->slot_mask];
        if (*slot == 0 || record_is_address(&records_of(list)[*slot - 1], address, prefix_length)) {
            return slot;
        }
    }
}

static uint32_t new_record(eg_allowlist *list, const eg_entry *entry)
{
    uint32_t number = list->record_count++;
    eg_record *record = &records_of(list)[number];

    *record = (eg_record){
        .kind = (uint8_t)entry->kind,
        .prefix_length = entry->prefix_length,
        .text_length = entry->text_length,
        .text_offset = list->text_used,
        .address = entry->address,
    };
    if (entry->kind == EG_ENTRY_ADDRESS) {
        list->prefixes[entry->prefix_length / 64] |= (uint64_t)1 << (entry->prefix_length % 64);
    } else {
        memcpy(text_of(list) + list->text_used, entry->text, entry->text_length);
        list->text_used += entry->text_length + 1u; /* the block was zeroed: a NUL follows */
    }
    return number;
}

bool eg_allowlist_record_covers(const eg_allowlist *list, uint32_t record, int port)
{
    if (record >= list->record_count) {
        return false;
    }
    const eg_port_range *ranges = ranges_of(list);
    uint32_t at = records_of(list)[record].first_range;
    if (port == EG_ANY_PORT) {
        return at != 0;
    }
    while (at != 0) {
        const eg_port_range *range = &ranges[at - 1];
        if (port >= range->low && port <= range->high) {
            return true;
        }
        at = range->next;
    }
    return false;
}

/* Is one range of the record "*"? */
static bool record_opens_all(const eg_allowlist *list, uint32_t record)
{
    for (uint32_t at = records_of(list)[record].first_range; at != 0; at = ranges_of(list)[at - 1].next) {
        if (ranges_of(list)[at - 1].low == 0 && ranges_of(list)[at - 1].high == 65535) {
            return true;
        }
    }
    return false;
}

/* Count, up to EG_NAMES_FOR_PORT_MAX + 1, the exact names that open each port: what a
 * refused dial asks first, so it must not depend on the length of the list. Called before
 * the entry's range is added, so that a port which the name opens already counts once. Names
 * that open every port are counted once for all, so that a long list of them stays cheap. */
static void count_name_ports(eg_allowlist *list, uint32_t record, const eg_entry *entry)
{
    uint8_t *counts = (uint8_t *)list + list->name_ports_offset;
    if (entry->port_low == 0 && entry->port_high == 65535) {
        if (!record_opens_all(list, record)) {
            list->names_for_every_port++;
        }
        return;
    }
    for (uint32_t port = entry->port_low; port <= entry->port_high; port++) {
        if (counts[port] <= EG_NAMES_FOR_PORT_MAX && !eg_allowlist_record_covers(list, record, (int)port)) {
            counts[port]++;
        }
    }
}

int eg_allowlist_add(eg_allowlist *list, const eg_entry *entry)
{
    uint32_t *slot;
    size_t text = entry->kind == EG_ENTRY_ADDRESS ? 0 : entry->text_length + 1u;

    if (list->range_count >= list->record_capacity || list->text_used + text > list->text_capacity) {
        return -ENOSPC;
    }
    slot = entry->kind == EG_ENTRY_ADDRESS
               ? find_address(list, &entry->address, entry->prefix_length)
               : find_text(list, (unsigned)entry->kind, entry->text, entry->text_length);
    if (*slot == 0) {
        *slot = new_record(list, entry) + 1;
    }
    list->entry_count++;
    if (entry->kind == EG_ENTRY_NAME) {
        count_name_ports(list, *slot - 1, entry);
    }
    eg_record *record = &records_of(list)[*slot - 1];
    eg_port_range *ranges = ranges_of(list);
    if (record->first_range != 0) {
        eg_port_range *head = &ranges[record->first_range - 1];
        /* A run of ports given one by one stays one range. */
        if (entry->port_low <= head->high + 1u && head->low <= entry->port_high + 1u) {
            head->low = entry->port_low < head->low ? entry->port_low : head->low;
            head->high = entry->port_high > head->high ? entry->port_high : head->high;
            return 0;
        }
    }
    ranges[list->range_count] =
        (eg_port_range){.low = entry->port_low, .high = entry->port_high, .next = record->first_range};
    record->first_range = ++list->range_count;
    return 0;
}

bool eg_allowlist_covers_address(const eg_allowlist *list, const eg_address *address, int port, bool exact_only)
{
    /* A prefix of fewer than 96 bits stands for IPv6 addresses: entry parsing lets none of
     * them overlap the mapped range. */
    if ((list->prefixes[2] & 1) != 0) {
        uint32_t slot = *find_address(list, address, 128);
        if (slot != 0 && eg_allowlist_record_covers(list, slot - 1, port)) {
            return true;
        }
    }
    if (exact_only) {
        return false;
    }
    for (int word = 1; word >= 0; word--) {
        uint64_t lengths = list->prefixes[word];
        for (; lengths != 0; lengths &= lengths - 1) {
            unsigned length = (unsigned)word * 64 + (unsigned)__builtin_ctzll(lengths);
            eg_address masked = eg_address_masked(address, length);
            uint32_t slot = *find_address(list, &masked, length);
            if (slot != 0 && eg_allowlist_record_covers(list, slot - 1, port)) {
                return true;
            }
        }
    }
    return false;
}

bool eg_allowlist_covers_unix(const eg_allowlist *list, const char *key, size_t length)
{
    return *find_text(list, EG_ENTRY_UNIX, key, length) != 0;
}

eg_match eg_allowlist_match_name(const eg_allowlist *list, const eg_name *name, int port, eg_name_match *match)
{
    bool covered = false;
    uint32_t slot = *find_text(list, EG_ENTRY_NAME, name->text, name->length);

    match->count = 0;
    if (slot != 0) {
        match->records[match->count++] = slot - 1;
        covered = eg_allowlist_record_covers(list, slot - 1, port);
    }
    for (const char *dot = strchr(name->text, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        const char *suffix = dot + 1;
        slot = *find_text(list, EG_ENTRY_WILDCARD, suffix, name->length - (size_t)(suffix - name->text));
        if (slot != 0) {
            match->records[match->count++] = slot - 1;
            covered = covered || eg_allowlist_record_covers(list, slot - 1, port);
        }
    }
    if (match->count == 0) {
        return EG_MATCH_NONE;
    }
    return covered ? EG_MATCH_LISTED : EG_MATCH_OTHER_PORT;
}

size_t eg_allowlist_count_names_for_port(const eg_allowlist *list, int port)
{
    return ((const uint8_t *)list + list->name_ports_offset)[(uint16_t)port] + (size_t)list->names_for_every_port;
}

size_t eg_allowlist_names_for_port(const eg_allowlist *list, int port, uint32_t out[EG_NAMES_FOR_PORT_MAX])
{
    size_t found = 0, expected = eg_allowlist_count_names_for_port(list, port);

    if (expected == 0 || expected > EG_NAMES_FOR_PORT_MAX) {
        return 0;
    }
    for (uint32_t record = 0; record < list->record_count && found < EG_NAMES_FOR_PORT_MAX; record++) {
        if (records_of(list)[record].kind == EG_ENTRY_NAME && eg_allowlist_record_covers(list, record, port)) {
            out[found++] = record;
        }
    }
    return found;
}

const char *eg_allowlist_record_text(const eg_allowlist *list, uint32_t record)
{
    if (record >= list->record_count || records_of(list)[record].kind == EG_ENTRY_ADDRESS) {
        return "";
    }
    return text_of(list) + records_of(list)[record].text_offset;
}

/* The last port of the run that starts at `low`, whichever ranges it is made of. */
static uint32_t end_of_run(const eg_allowlist *list, const eg_record *record, uint32_t low)
{
    uint32_t high = low;
    bool grown = true;
    while (grown) {
        grown = false;
        for (uint32_t at = record->first_range; at != 0; at = ranges_of(list)[at - 1].next) {
            const eg_port_range *range = &ranges_of(list)[at - 1];
            if (range->low <= high + 1 && range->high > high) {
                high = range->high;
                grown = true;
            }
        }
    }
    return high;
}

bool eg_allowlist_next_entry(const eg_allowlist *list, eg_allowlist_cursor *cursor, eg_entry *out)
{
    for (; cursor->record < list->record_count; cursor->record++, cursor->next_port = 0) {
        const eg_record *record = &records_of(list)[cursor->record];
        uint32_t low = UINT32_MAX;
        /* The lowest port from the cursor on that some range opens. */
        for (uint32_t at = record->first_range; at != 0; at = ranges_of(list)[at - 1].next) {
            const eg_port_range *range = &ranges_of(list)[at - 1];
            if (range->high >= cursor->next_port) {
                uint32_t begin = range->low > cursor->next_port ? range->low : cursor->next_port;
                low = begin < low ? begin : low;
            }
        }
        if (low == UINT32_MAX) {
            continue;
        }
        uint32_t high = end_of_run(list, record, low);
        memset(out, 0, sizeof *out);
        out->kind = (eg_entry_kind)record->kind;
        out->prefix_length = record->prefix_length;
        out->port_low = (uint16_t)low;
        out->port_high = (uint16_t)high;
        out->address = record->address;
        out->text_length = record->text_length;
        if (record->kind != EG_ENTRY_ADDRESS) {
            memcpy(out->text, text_of(list) + record->text_offset, record->text_length);
        }
        cursor->next_port = high + 1;
        return true;
    }
    return false;
}
