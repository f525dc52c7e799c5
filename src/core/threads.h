/* The table of threads whose loopback flag is set, for those who cannot ask the thread
 * itself: the posture's count and the kernel layer. */
#ifndef EG_CORE_THREADS_H
#define EG_CORE_THREADS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EG_THREAD_SLOTS 256u

/* A slot is tid << 32 | the low half of what tells the thread from a later one with its id
 * (threads.c), 0 where it is free. */
typedef struct eg_threads {
    _Atomic uint64_t slots[EG_THREAD_SLOTS];
} eg_threads;

/* Put the calling thread in or take it out. 0; -EAGAIN where the table is full, -errno
 * where the thread cannot be told from another: the flag then must not be set. */
int eg_threads_set(eg_threads *threads, bool flagged);

/* Is this live thread in the table, and is it still the same thread? */
bool eg_threads_has(const eg_threads *threads, int32_t tid);

/* How many live threads are in the table. */
size_t eg_threads_count(const eg_threads *threads);

#endif
