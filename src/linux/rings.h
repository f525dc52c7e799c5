/* An io_uring of before can dial without a system call that a filter would see: by a thread of
 * the kernel's that polls it, or when what it was told to wait for happens. */
#ifndef EG_LINUX_RINGS_H
#define EG_LINUX_RINGS_H

#include <stdbool.h>

/* Does one live in this process? One whose descriptor is closed lives on in its mapped memory
 * and in its threads, and one can be open in a thread with a descriptor table of its own.
 * 1, 0, or -errno where /proc does not tell. Costs about 0.1 ms. */
int eg_rings_find(void);

#endif
