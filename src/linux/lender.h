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

typedef struct eg_lender {
    const eg_exempt *exempt;
    int ours, theirs;         /* the two ends, in the supervisor's table */
    dev_t device;             /* of `theirs`: what the lender must find under the number */
    ino_t inode;
    _Atomic uint32_t asked;   /* counts requests; the lender sleeps on it */
    _Atomic bool stop;
    _Atomic int channel;      /* the number of `theirs` in the process's table */
    _Atomic int descriptor;   /* what is wanted */
} eg_lender;

/* Start the thread; the calling thread must still share the process's table. 0 / -errno. */
int eg_lender_start(eg_lender *lender, const eg_exempt *exempt);

/* Open the supervisor's ends; its table must be private now. 0 / -errno. */
int eg_lender_connect(eg_lender *lender);

/* End the thread: nothing came of it. */
void eg_lender_stop(eg_lender *lender);

/* A descriptor of our own for what `descriptor` names in this process, while a thread of it
 * waits for the answer to notification `id`; -errno. */
int eg_lender_borrow(eg_lender *lender, int listener, uint64_t id, int descriptor);

#endif
