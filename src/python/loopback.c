/* The thread's loopback flag. The value in the slot is the generation it was set in: NULL,
 * which every new thread reads, is the restrictive state, and install() advances the
 * generation. tests/adversarial/test_egress_guard_thread_isolation.py proves the claims. */
#include "python/loopback.h"

#include "python/guard.h"

#include <errno.h>
#include <pthread.h>

/* Process-wide: a TSS key is, and the flag must not differ between copies of the module. */
static Py_tss_t flag_key = Py_tss_NEEDS_INIT;
static _Atomic uintptr_t generation = 1;

/* PyThread_tss has no destructor; this key has one, and takes the thread out of the table
 * that the posture and the kernel layer read. */
static pthread_key_t ending_key;
static bool keys_made;

static void thread_ends(void *set_in)
{
    eg_state *state = eg_guard_get();
    (void)set_in;
    if (state != NULL) {
        eg_threads_set(&state->threads, false);
    }
}

static void forked_child(void)
{
    PyThread_tss_set(&flag_key, NULL);
    pthread_setspecific(ending_key, NULL);
}

int eg_loopback_init(void)
{
    if (keys_made) {
        return 0;
    }
    if (PyThread_tss_create(&flag_key) != 0) {
        return -1;
    }
    if (pthread_key_create(&ending_key, thread_ends) != 0) {
        return -1;
    }
    if (pthread_atfork(NULL, NULL, forked_child) != 0) {
        return -1;
    }
    keys_made = true;
    return 0;
}

bool eg_loopback_is_open(void)
{
    uintptr_t set_in = (uintptr_t)PyThread_tss_get(&flag_key);
    return set_in != 0 && set_in == atomic_load_explicit(&generation, memory_order_relaxed) &&
           PyInterpreterState_Get() == PyInterpreterState_Main();
}

int eg_loopback_set(bool open)
{
    eg_state *state = eg_guard_get();
    uintptr_t now = atomic_load(&generation);

    if (PyThread_tss_set(&flag_key, NULL) != 0) {
        return -ENOMEM;
    }
    if (state == NULL) {
        /* Before install() there is nothing to open, and what is set now will be void. */
        return open && PyThread_tss_set(&flag_key, (void *)now) != 0 ? -ENOMEM : 0;
    }
    int error = eg_threads_set(&state->threads, open);
    if (error != 0 || !open) {
        return error;
    }
    if (pthread_setspecific(ending_key, (void *)now) != 0 || PyThread_tss_set(&flag_key, (void *)now) != 0) {
        eg_threads_set(&state->threads, false);
        return -ENOMEM;
    }
    return 0;
}

void eg_loopback_void_all(void)
{
    atomic_fetch_add(&generation, 1);
}
