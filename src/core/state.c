/* The block's life: mapped at install, kept until the process ends. */
#include "core/state.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/random.h>
#endif

#include "core/hash.h"
#include "core/own_ids.h"
#include "core/unix_owner.h"

/* From here on a list is in no cache, and each page of 4 KB would cost a fault at the install and a walk of the
 * page tables at a dial: MADV_HUGEPAGE, madvise(2). */
#define LONG_LIST ((size_t)4 << 20)

static void wish_for_huge_pages(char *list, size_t size)
{
#ifdef MADV_HUGEPAGE
    if (size >= LONG_LIST) {
        uintptr_t inside = (uintptr_t)list % (uintptr_t)sysconf(_SC_PAGESIZE);
        madvise(list - inside, size + inside, MADV_HUGEPAGE); /* where there are none, only time is lost */
    }
#else
    (void)list;
    (void)size;
#endif
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
#ifdef __linux__
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed) {
        return seed;
    }
#endif
    /* Early in a boot: collisions can then be guessed, verdicts stay right. */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return eg_hash_mix((uint64_t)now.tv_nsec ^ (uint64_t)(uintptr_t)&seed ^ (uint64_t)getpid() << 32);
}

eg_state *eg_state_create(size_t entries, size_t text_bytes)
{
    char host[256] = "";

    if (entries >= UINT32_MAX / 4 || text_bytes >= UINT32_MAX / 2) {
        errno = ENOMEM;
        return NULL;
    }
    size_t size = offsetof(eg_state, allowlist) + eg_allowlist_size(entries, text_bytes) + 64;
    void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        return NULL;
    }
    wish_for_huge_pages((char *)block + offsetof(eg_state, allowlist), size - offsetof(eg_state, allowlist));
    void *shared = mmap(NULL, sizeof(eg_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        munmap(block, size);
        return NULL;
    }
    eg_state *state = block;
    state->size = size;
    state->shared = shared;
    state->journal = &state->shared->journal;
    state->grants.hash_seed = random_seed();
    eg_allowlist_init(&state->allowlist, entries, text_bytes, random_seed());
    eg_unix_owner_remember(&state->installer);
    eg_own_ids_prepare();
    if (gethostname(host, sizeof host - 1) != 0 || !eg_name_normalise(host, strlen(host), &state->own_name)) {
        memset(&state->own_name, 0, sizeof state->own_name);
    }
    return state;
}

void eg_state_destroy(eg_state *state)
{
    if (state != NULL) {
        munmap(state->shared, sizeof *state->shared);
        munmap(state, state->size);
    }
}
