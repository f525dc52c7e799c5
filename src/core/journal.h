/* The ring of violations, and the totals. Plain memory, shared with forked children. */
#ifndef EG_CORE_JOURNAL_H
#define EG_CORE_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/reason.h"

#define EG_JOURNAL_SLOTS 2048u
#define EG_NO_PORT (-1)

/* One refused attempt. Strings are cut to fit and always end in NUL; those that most records
 * leave empty come last. */
typedef struct eg_violation {
    uint64_t number;        /* counts from 1, never repeats */
    int64_t monotonic_ns;   /* CLOCK_MONOTONIC */
    int64_t wall_ns;        /* CLOCK_REALTIME */
    int32_t pid;
    int32_t tid;
    int32_t port;           /* EG_NO_PORT where the attempt named none */
    int32_t line;           /* of the call site, 0 where there is none */
    uint16_t route;
    uint16_t reason;
    uint16_t flags;         /* EG_VIOLATION_* */
    uint16_t unused;
    int32_t caller_line;    /* of the application's own line, 0 where there is none */
    int32_t unused_too;
    char program[32];       /* the kernel layer: who tried */
    char host[256];
    char address[64];       /* what a name resolved to, or "" */
    char file[256];         /* of the call site, its end where it is longer */
    char caller_file[256];  /* the application's own file behind a package's call site */
    char library_file[256]; /* the package's file that this line called */
} eg_violation;

#define EG_VIOLATION_OBSERVED 1u /* let through: the process only observes */
#define EG_VIOLATION_KERNEL 2u   /* refused by the kernel layer */

#define EG_VIOLATION_WORDS (sizeof(eg_violation) / sizeof(uint64_t))

/* `sequence` is 2 x number once the record is whole, 2 x number + 1 while it is written. */
typedef struct eg_journal_slot {
    _Atomic uint64_t sequence;
    _Atomic uint64_t checksum; /* over the words: two writers a lap apart can mix them */
    _Atomic uint64_t used;     /* words; all behind them are 0 and are neither written nor read, which takes time */
    _Atomic uint64_t words[EG_VIOLATION_WORDS];
} eg_journal_slot;

typedef struct eg_journal {
    _Atomic uint64_t total;
    eg_journal_slot slots[EG_JOURNAL_SLOTS];
} eg_journal;

/* Count the violation and keep it: fills number, times, pid and tid, and returns the
 * number. Never waits; the count is exact even where the record is lost to a lap. */
uint64_t eg_journal_add(eg_journal *journal, eg_violation *violation);

uint64_t eg_journal_total(const eg_journal *journal);

/* Copy record `number`; false where it is gone, not yet whole, or never was. */
bool eg_journal_read(const eg_journal *journal, uint64_t number, eg_violation *out);

#endif
