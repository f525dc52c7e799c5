/* Descriptors of this process where pidfd_getfd is forbidden: a thread that shares the
 * process's descriptor table passes them on, over a socket that lies in that table for the
 * time of one call only. The supervisor's own table stays private. */
#ifndef EG_LINUX_LENDER_H
#define EG_LINUX_LENDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "linux/calls.h"

#define EG_LEND_MS 2000 /* a lender that takes longer is stopped by a tracer: the call is refused */
#define EG_LEND_TRIES 3 /* a pair is spoilt only by a child that was forked at that moment */
#define EG_APART 256    /* threads with a table of their own that are remembered */

typedef struct eg_lender {
    const eg_exempt *exempt;
    int ours, theirs;         /* the two ends, in the supervisor's table; -1 where there is none */
    _Atomic uint32_t asked;   /* counts requests; the lender sleeps on it */
    _Atomic uint32_t done;    /* the last one that it did; the supervisor sleeps on it */
    _Atomic uint32_t missed;  /* the last one whose channel did not lie in the process's table */
    _Atomic bool stop;
    _Atomic int channel;      /* the number of `theirs` in the process's table */
    _Atomic dev_t device;     /* of `theirs`: what the lender must find under the number */
    _Atomic ino_t inode;
    _Atomic int descriptor;   /* what is wanted */
    size_t next_apart;
    struct eg_apart {
        int32_t tid;
        int number; /* of what was `theirs` in that thread's table */
        dev_t device;
        ino_t inode;
    } apart[EG_APART];
} eg_lender;

/* A call that waits for the answer to notification `id`, and the descriptor that it names. */
typedef struct eg_borrower {
    int listener;
    uint64_t id;
    int32_t tid;
    int descriptor;
} eg_borrower;

/* Start the thread; the calling thread must still share the process's table. 0 / -errno. */
int eg_lender_start(eg_lender *lender, const eg_exempt *exempt);

/* End the thread: nothing came of it. */
void eg_lender_stop(eg_lender *lender);

/* A descriptor of our own for what the borrower's names in this process; -errno, -EACCES also
 * where its thread has a table of its own. The supervisor's table must be private. */
int eg_lender_borrow(eg_lender *lender, const eg_borrower *borrower);

#endif
