/* Grants: a set-associative table of seqlocks. Readers never wait; writers wait for
 * nobody but try another slot. tests/core/test_grants.c runs 8 writers against readers. */
#include "core/grants.h"

#include <errno.h>
#include <string.h>

#include "core/hash.h"

typedef struct grant_value {
    uint32_t record;
    uint64_t high, low, stamp;
} grant_value;

static void split(const eg_address *address, uint64_t *high, uint64_t *low)
{
    memcpy(high, address->bytes, 8);
    memcpy(low, address->bytes + 8, 8);
}

static size_t bucket_of(const eg_grants *grants, uint64_t high, uint64_t low)
{
    return (size_t)(eg_hash_mix((high + grants->hash_seed) * 0x9e3779b97f4a7c15u ^ low) % EG_GRANT_BUCKETS);
}

/* False where the slot is empty or somebody is writing it. */
static bool read_slot(const eg_grant *slot, grant_value *out)
{
    uint32_t before = atomic_load_explicit(&slot->sequence, memory_order_acquire);
    if (before == 0 || (before & 1) != 0) {
        return false;
    }
    out->record = atomic_load_explicit(&slot->record, memory_order_relaxed);
    out->high = atomic_load_explicit(&slot->address_high, memory_order_relaxed);
    out->low = atomic_load_explicit(&slot->address_low, memory_order_relaxed);
    out->stamp = atomic_load_explicit(&slot->stamp, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&slot->sequence, memory_order_relaxed) == before;
}

/* The slot to write: an empty one, else the oldest that nobody writes. */
static eg_grant *choose(eg_grant *bucket)
{
    eg_grant *oldest = NULL;
    uint64_t oldest_stamp = UINT64_MAX;
    for (size_t way = 0; way < EG_GRANT_WAYS; way++) {
        uint32_t sequence = atomic_load_explicit(&bucket[way].sequence, memory_order_relaxed);
        if (sequence == 0) {
            return &bucket[way];
        }
        uint64_t stamp = atomic_load_explicit(&bucket[way].stamp, memory_order_relaxed);
        if ((sequence & 1) == 0 && stamp < oldest_stamp) {
            oldest_stamp = stamp;
            oldest = &bucket[way];
        }
    }
    return oldest;
}

int eg_grants_add(eg_grants *grants, const eg_address *address, uint32_t record)
{
    uint64_t high, low;
    split(address, &high, &low);
    eg_grant *bucket = grants->slots[bucket_of(grants, high, low)];
    uint64_t stamp = atomic_fetch_add_explicit(&grants->clock, 1, memory_order_relaxed) + 1;

    for (size_t way = 0; way < EG_GRANT_WAYS; way++) {
        grant_value value;
        if (read_slot(&bucket[way], &value) && value.high == high && value.low == low && value.record == record) {
            /* Should another writer take the slot just now, a wrong stamp only makes it
             * look younger: no answer depends on it. */
            atomic_store_explicit(&bucket[way].stamp, stamp, memory_order_relaxed);
            return 0;
        }
    }
    for (int attempt = 0; attempt < 256; attempt++) {
        eg_grant *slot = choose(bucket);
        if (slot == NULL) {
            continue;
        }
        uint32_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
        if ((sequence & 1) != 0 ||
            !atomic_compare_exchange_strong_explicit(&slot->sequence, &sequence, sequence + 1,
                                                     memory_order_acquire, memory_order_relaxed)) {
            continue;
        }
        atomic_thread_fence(memory_order_release);
        atomic_store_explicit(&slot->record, record, memory_order_relaxed);
        atomic_store_explicit(&slot->address_high, high, memory_order_relaxed);
        atomic_store_explicit(&slot->address_low, low, memory_order_relaxed);
        atomic_store_explicit(&slot->stamp, stamp, memory_order_relaxed);
        uint32_t done = sequence + 2 == 0 ? 2 : sequence + 2; /* 0 means empty */
        atomic_store_explicit(&slot->sequence, done, memory_order_release);
        return 0;
    }
    return -EAGAIN;
}

bool eg_grants_has(const eg_grants *grants, const eg_address *address, uint32_t record)
{
    uint64_t high, low;
    split(address, &high, &low);
    const eg_grant *bucket = grants->slots[bucket_of(grants, high, low)];

    for (size_t way = 0; way < EG_GRANT_WAYS; way++) {
        grant_value value;
        if (read_slot(&bucket[way], &value) && value.high == high && value.low == low && value.record == record) {
            return true;
        }
    }
    return false;
}

bool eg_grants_cover(const eg_grants *grants, const eg_allowlist *allowlist, const eg_address *address, int port)
{
    uint64_t high, low;
    split(address, &high, &low);
    const eg_grant *bucket = grants->slots[bucket_of(grants, high, low)];

    for (size_t way = 0; way < EG_GRANT_WAYS; way++) {
        grant_value value;
        if (atomic_load_explicit(&bucket[way].address_low, memory_order_relaxed) == low &&
            read_slot(&bucket[way], &value) && value.high == high && value.low == low &&
            eg_allowlist_record_covers(allowlist, value.record, port)) {
            return true;
        }
    }
    return false;
}
