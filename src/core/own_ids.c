/* Ids that a thread looked up once. A forked child must not take its parent's for its own, and
 * a fork by a raw system call runs no handler: so what makes them valid lies in a page that the
 * kernel empties in each child (MADV_WIPEONFORK, madvise(2), Linux 4.14). */
#include "core/own_ids.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

typedef _Atomic uint64_t epoch;

static _Atomic(epoch *) present; /* the page: one number for a process, 0 in a child that has not asked yet */
static epoch last_epoch;         /* in ordinary memory: a child goes on counting, and meets no number twice */

static _Thread_local struct {
    uint64_t epoch;
    eg_own_ids ids;
} known;

static eg_own_ids asked(void)
{
    eg_own_ids ids = {.pid = (int32_t)getpid()};
#ifdef __linux__
    ids.tid = (int32_t)syscall(SYS_gettid);
#endif
    return ids;
}

void eg_own_ids_prepare(void)
{
#ifdef MADV_WIPEONFORK
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    if (atomic_load(&present) != NULL) {
        return;
    }
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return;
    }
    epoch *none = NULL;
    if (madvise(page, size, MADV_WIPEONFORK) != 0 || !atomic_compare_exchange_strong(&present, &none, page)) {
        munmap(page, size); /* another thread was first, or there is no such page here */
    }
#endif
}

eg_own_ids eg_own_ids_get(void)
{
    epoch *page = atomic_load_explicit(&present, memory_order_acquire);
    if (page == NULL) {
        return asked();
    }
    uint64_t now = atomic_load_explicit(page, memory_order_relaxed);
    if (now != 0 && known.epoch == now) {
        return known.ids;
    }
    if (now == 0) {
        uint64_t next = atomic_fetch_add(&last_epoch, 1) + 1;
        now = atomic_compare_exchange_strong(page, &now, next) ? next : now;
    }
    known.ids = asked();
    known.epoch = now;
    return known.ids;
}
