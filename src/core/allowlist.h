/* The frozen allowlist: which entries cover a name or an address with a port. */
#ifndef EG_CORE_ALLOWLIST_H
#define EG_CORE_ALLOWLIST_H

#include "core/entry.h"

/* A port that the caller did not name: any port of an entry matches. */
#define EG_ANY_PORT (-1)

/* One host of the allowlist with all its ports. Records are numbered from 0 and live,
 * like everything here, at offsets from the allowlist's own start: the block that holds
 * it can be mapped anywhere. */
typedef struct eg_record {
    uint8_t kind;
    uint8_t prefix_length;
    uint16_t text_length;
    uint32_t text_offset;
    uint32_t first_range;   /* index + 1, 0 ends the list */
    eg_address address;
} eg_record;

typedef struct eg_port_range {
    uint16_t low;
    uint16_t high;
    uint32_t next;          /* index + 1, 0 ends the list */
} eg_port_range;

typedef struct eg_allowlist {
    uint64_t hash_seed;
    uint32_t slot_mask;
    uint32_t record_capacity;
    uint32_t record_count;
    uint32_t range_count;
    uint32_t text_used;
    uint32_t text_capacity;
    uint32_t entry_count;   /* as given, duplicates included */
    uint32_t names_for_every_port;
    uint64_t prefixes[3];   /* which prefix lengths occur, bit 0 to 128 */
    uint64_t slots_offset, records_offset, ranges_offset, name_ports_offset, text_offset;
} eg_allowlist;

/* Bytes that a list of so many entries with so much text needs at most. */
size_t eg_allowlist_size(size_t entries, size_t text_bytes);

/* Lay an empty allowlist out in `size` zeroed bytes. */
void eg_allowlist_init(eg_allowlist *allowlist, size_t entries, size_t text_bytes, uint64_t hash_seed);

/* 0, or -ENOSPC where more is added than was announced. */
int eg_allowlist_add(eg_allowlist *allowlist, const eg_entry *entry);

/* Does an entry cover this address with this port? `exact_only` leaves CIDRs out. */
bool eg_allowlist_covers_address(const eg_allowlist *allowlist, const eg_address *address, int port,
                                 bool exact_only);

/* `key` is a path, or '@' and an abstract name. */
bool eg_allowlist_covers_unix(const eg_allowlist *allowlist, const char *key, size_t length);

/* The records that a name matches: its own and every wildcard above it. */
typedef struct eg_name_match {
    size_t count;
    uint32_t records[(EG_NAME_MAX + 1) / 2 + 1];
} eg_name_match;

typedef enum eg_match {
    EG_MATCH_NONE = 0,
    EG_MATCH_OTHER_PORT, /* the name has entries, none of them for this port */
    EG_MATCH_LISTED,
} eg_match;

/* `match` is filled where the answer is EG_MATCH_LISTED, with every record of the name
 * (a grant serves all ports of the name's entries). */
eg_match eg_allowlist_match_name(const eg_allowlist *allowlist, const eg_name *name, int port,
                                 eg_name_match *match);

/* Does record number `record` open this port? */
bool eg_allowlist_record_covers(const eg_allowlist *allowlist, uint32_t record, int port);

/* How many exact names open a port (a name with both "*" and a number counts twice); a count
 * above EG_NAMES_FOR_PORT_MAX means "more than that". Constant time. */
#define EG_NAMES_FOR_PORT_MAX 8
size_t eg_allowlist_count_names_for_port(const eg_allowlist *allowlist, int port);

/* The records of these names; returns how many, 0 where there are more than
 * EG_NAMES_FOR_PORT_MAX. Walks the list: not for every dial. */
size_t eg_allowlist_names_for_port(const eg_allowlist *allowlist, int port, uint32_t out[EG_NAMES_FOR_PORT_MAX]);

const char *eg_allowlist_record_text(const eg_allowlist *allowlist, uint32_t record);

/* Canonical entries, one call each: `cursor` starts at zero; false at the end. Ports of a
 * host are merged and sorted, so that equal lists give equal entries. */
typedef struct eg_allowlist_cursor {
    uint32_t record;
    uint32_t next_port;
} eg_allowlist_cursor;
bool eg_allowlist_next_entry(const eg_allowlist *allowlist, eg_allowlist_cursor *cursor, eg_entry *out);

#endif
