/* An exit function of the C library: it runs after Python's own, so that what those dial
 * counts too, and after Python flushed its streams. */
#include "python/exit_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Process-wide: a process has one exit status. Written with the GIL, read when it is gone. */
static pid_t owner; /* a forked child that did not set its own has none */
static int wanted_status;
static unsigned long long counted_from;
static bool registered;

static void at_exit(void)
{
    const eg_state *state = eg_guard_get();

    if (owner != getpid() || state == NULL || state->observing) {
        return;
    }
    unsigned long long total = eg_journal_total(state->journal);
    if (total <= counted_from) {
        return;
    }
    fprintf(stderr, "egressguard: exit status %d, because %llu attempts were refused\n", wanted_status,
            total - counted_from);
    fflush(NULL);
    _exit(wanted_status); /* exit(3) may not be called again from here */
}

int eg_exit_status_set(int status, unsigned long long since)
{
    if (status < 1 || status > 255) {
        PyErr_Format(PyExc_ValueError, "status must be 1 to 255, not %d", status);
        return -1;
    }
    if (!registered && atexit(at_exit) != 0) {
        PyErr_SetString(PyExc_RuntimeError, "the system takes no more exit functions");
        return -1;
    }
    registered = true;
    wanted_status = status;
    counted_from = since;
    owner = getpid();
    return 0;
}
