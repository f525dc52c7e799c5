/* How long a dial may wait for the second look: never longer than its own timeout. */
#include "python/second_look.h"

#include "core/relook.h"

#define WAIT_MS 1000
#define WAIT_NON_BLOCKING_MS 50

bool eg_second_look(eg_state *state, int port, double timeout)
{
    int wait_ms = WAIT_MS;
    bool again;

    if (!eg_relook_may_help(state, port)) {
        return false;
    }
    if (timeout == 0) {
        wait_ms = WAIT_NON_BLOCKING_MS;
    } else if (timeout > 0 && timeout * 1000 < WAIT_MS) {
        wait_ms = (int)(timeout * 1000);
    }
    Py_BEGIN_ALLOW_THREADS
    again = eg_relook(state, port, wait_ms);
    Py_END_ALLOW_THREADS
    return again;
}
