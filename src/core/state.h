/* The one flat block: policy, grants, table of threads. A thread without the GIL reads the same
 * verdicts. A forked child has a copy: what it writes there is its own. What it shares
 * with its parent stands in eg_shared (ADR-0023). */
#ifndef EG_CORE_STATE_H
#define EG_CORE_STATE_H

#include "core/allowlist.h"
#include "core/grants.h"
#include "core/journal.h"
#include "core/threads.h"

/* Who installed the guard: whose descendants' UNIX listeners count as its own. */
typedef struct eg_installer {
    int32_t pid;
    uint64_t start_time;
    uint64_t program_device;
    _Atomic uint64_t program_inode; /* 0: descendants of any program count */
    /* Under a filter of the kernel layer that came later: relatives from before it are none (clock ticks since boot, as
     * /proc tells start times; and how many filters a process stands under). 0 where there is none. */
    _Atomic uint64_t filtered_since;
    _Atomic uint32_t filters;
} eg_installer;

/* Shared with forked children, in a mapping of its own. */
typedef struct eg_shared {
    /* A socket exists that could hide behind any object (ADR-0007); a child can send it back. */
    _Atomic bool sockets_distrusted;
    eg_journal journal;
} eg_shared;

typedef struct eg_state {
    uint64_t size;
    bool observing;        /* set before the block is published: journal, and let through */
    eg_installer installer;
    eg_name own_name;      /* gethostname(2) at install, normalised; empty where it is no name */
    eg_threads threads;
    eg_shared *shared;
    eg_journal *journal;   /* the shared one */
    eg_grants grants;
    eg_allowlist allowlist; /* last: its tables follow it */
} eg_state;

/* Map a new block for so many entries with so much text. NULL with errno. */
eg_state *eg_state_create(size_t entries, size_t text_bytes);

void eg_state_destroy(eg_state *state);

#endif
