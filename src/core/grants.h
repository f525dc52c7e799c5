/* Which addresses an allowed name resolved to: bounded, thread-safe, a child has a copy. */
#ifndef EG_CORE_GRANTS_H
#define EG_CORE_GRANTS_H

#include <stdatomic.h>

#include "core/allowlist.h"

#define EG_GRANT_BUCKETS 8192u
#define EG_GRANT_WAYS 16u

/* A slot is written under an odd sequence number; a reader that meets one, or sees it
 * change, takes the slot for empty. So a writer killed in the middle costs one slot and
 * never opens anything. */
typedef struct eg_grant {
    _Atomic uint32_t sequence;
    _Atomic uint32_t record;
    _Atomic uint64_t address_high;
    _Atomic uint64_t address_low;
    _Atomic uint64_t stamp; /* order of last use, not time: a grant does not expire, the oldest goes */
} eg_grant;

typedef struct eg_grants {
    uint64_t hash_seed;
    _Atomic uint64_t clock;
    eg_grant slots[EG_GRANT_BUCKETS][EG_GRANT_WAYS];
} eg_grants;

/* Stands for no name of the list: the address was looked up while observing only. */
#define EG_RECORD_OBSERVED UINT32_MAX

/* Remember that `address` answers for the name of `record`. 0, or -EAGAIN where no slot
 * could be had. Any thread, any process that maps the block. */
int eg_grants_add(eg_grants *grants, const eg_address *address, uint32_t record);

/* Was this very pair remembered? */
bool eg_grants_has(const eg_grants *grants, const eg_address *address, uint32_t record);

/* Is there a grant for this address whose name opens `port` (or EG_ANY_PORT)? */
bool eg_grants_cover(const eg_grants *grants, const eg_allowlist *allowlist, const eg_address *address, int port);

#endif
