/* The second look (core/relook) with the GIL released. */
#ifndef EG_PYTHON_SECOND_LOOK_H
#define EG_PYTHON_SECOND_LOOK_H

#include "python/guard.h"

/* True where the dial should be judged again. `timeout` is the socket's: seconds, 0 where
 * it does not block, negative where it waits for ever. */
bool eg_second_look(eg_state *state, int port, double timeout);

#endif
