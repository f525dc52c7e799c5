/* The second look (core/relook) with the GIL released. */
#ifndef EG_PYTHON_SECOND_LOOK_H
#define EG_PYTHON_SECOND_LOOK_H

#include "python/guard.h"

/* 1 where the dial should be judged again, 0 where not, -1 with an exception of a signal
 * handler. `timeout` is the socket's: seconds, 0 where
 * it does not block, negative where it waits for ever. */
int eg_second_look(eg_state *state, int port, double timeout);

/* Milliseconds that a call on a socket with this timeout (seconds, negative for none) may wait. */
int eg_time_to_wait(double timeout);

#endif
