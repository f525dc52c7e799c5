/* The journal: a ring of seqlocks. A writer claims its slot by number; the one that laps
 * a slower one takes the slot over, so a writer that was killed is overwritten one lap
 * later. Readers copy and check. tests/core/test_journal.c runs writers against readers. */
#include "core/journal.h"

#include <string.h>
#include <time.h>

#include "core/own_ids.h"

_Static_assert(sizeof(eg_violation) % sizeof(uint64_t) == 0, "copied word by word");

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        return 0;
    }
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Not keyed: it tells two writers' words apart, not an attacker's. No step waits for another. */
static uint64_t checksum_of(const uint64_t *words, size_t used, uint64_t number)
{
    uint64_t sum = number + used, place = number;

    for (size_t i = 0; i < used; i++) {
        place += 0x9e3779b97f4a7c15u;
        sum += (words[i] ^ place) * 0xd6e8feb86659fd93u;
    }
    return sum;
}

uint64_t eg_journal_add(eg_journal *journal, eg_violation *violation)
{
    uint64_t words[EG_VIOLATION_WORDS];
    size_t used = EG_VIOLATION_WORDS;
    uint64_t number = atomic_fetch_add_explicit(&journal->total, 1, memory_order_relaxed) + 1;
    eg_journal_slot *slot = &journal->slots[number % EG_JOURNAL_SLOTS];

    violation->number = number;
    violation->monotonic_ns = now_ns(CLOCK_MONOTONIC);
    violation->wall_ns = now_ns(CLOCK_REALTIME);
    if (violation->pid == 0) {
        eg_own_ids ids = eg_own_ids_get();
        violation->pid = ids.pid;
        violation->tid = ids.tid;
    }
    uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
    do {
        if (sequence / 2 >= number) {
            return number; /* lapped: a younger record stands here already */
        }
    } while (!atomic_compare_exchange_weak_explicit(&slot->sequence, &sequence, number * 2 + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    atomic_thread_fence(memory_order_release);
    memcpy(words, violation, sizeof words);
    while (words[used - 1] == 0) { /* ends at the number */
        used--;
    }
    for (size_t i = 0; i < used; i++) {
        atomic_store_explicit(&slot->words[i], words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&slot->used, used, memory_order_relaxed);
    atomic_store_explicit(&slot->checksum, checksum_of(words, used, number), memory_order_relaxed);
    /* Published only where nobody lapped this writer meanwhile. */
    uint64_t mine = number * 2 + 1;
    atomic_compare_exchange_strong_explicit(&slot->sequence, &mine, number * 2, memory_order_release,
                                            memory_order_relaxed);
    return number;
}

uint64_t eg_journal_total(const eg_journal *journal)
{
    return atomic_load_explicit(&journal->total, memory_order_relaxed);
}

bool eg_journal_read(const eg_journal *journal, uint64_t number, eg_violation *out)
{
    uint64_t words[EG_VIOLATION_WORDS] = {0};
    const eg_journal_slot *slot = &journal->slots[number % EG_JOURNAL_SLOTS];

    if (number == 0 || atomic_load_explicit(&slot->sequence, memory_order_acquire) != number * 2) {
        return false;
    }
    uint64_t used = atomic_load_explicit(&slot->used, memory_order_relaxed);
    if (used > EG_VIOLATION_WORDS) {
        return false; /* half of it is another writer's */
    }
    for (size_t i = 0; i < used; i++) {
        words[i] = atomic_load_explicit(&slot->words[i], memory_order_relaxed);
    }
    uint64_t checksum = atomic_load_explicit(&slot->checksum, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&slot->sequence, memory_order_relaxed) != number * 2 ||
        checksum != checksum_of(words, used, number)) {
        return false; /* gone, or mixed by two writers a lap apart: lost, and counted all the same */
    }
    memcpy(out, words, sizeof words);
    out->host[sizeof out->host - 1] = '\0';
    out->address[sizeof out->address - 1] = '\0';
    out->file[sizeof out->file - 1] = '\0';
    out->caller_file[sizeof out->caller_file - 1] = '\0';
    out->library_file[sizeof out->library_file - 1] = '\0';
    out->program[sizeof out->program - 1] = '\0';
    return out->number == number;
}
