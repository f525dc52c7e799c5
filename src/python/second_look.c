/* How long a dial may wait for the second look: never longer than its own timeout. */
#include "python/second_look.h"

#include "core/relook.h"

#define WAIT_MS 1000
#define WAIT_NON_BLOCKING_MS 50
#define SLICE_MS 50 /* how late Ctrl-C may come */

int eg_time_to_wait(double timeout)
{
    if (timeout == 0) {
        return WAIT_NON_BLOCKING_MS;
    }
    return timeout > 0 && timeout * 1000 < WAIT_MS ? (int)(timeout * 1000) : WAIT_MS;
}

int eg_second_look(eg_state *state, int port, double timeout)
{
    if (!eg_relook_may_help(state, port)) {
        return 0;
    }
    for (int left = eg_time_to_wait(timeout);; left -= SLICE_MS) {
        eg_relook_result result;
        Py_BEGIN_ALLOW_THREADS
        result = eg_relook(state, port, left < SLICE_MS ? left : SLICE_MS);
        Py_END_ALLOW_THREADS
        if (result != EG_RELOOK_UNDER_WAY) {
            return result == EG_RELOOK_ENDED;
        }
        if (PyErr_CheckSignals() < 0) {
            return -1;
        }
        if (left <= SLICE_MS) {
            return 0;
        }
    }
}
