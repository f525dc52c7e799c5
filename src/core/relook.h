/* The second look: a client with a resolver of its own dials an address that the guard never
 * saw. Where few names open that port, the guard looks these names up itself. */
#ifndef EG_CORE_RELOOK_H
#define EG_CORE_RELOOK_H

#include "core/state.h"

/* Could a second look help for this port at all? Constant time. */
bool eg_relook_may_help(const eg_state *state, int port);

/* Look the exact names that open `port` up again, each at most once a second and less often
 * while it fails, one lookup at a time for each name whoever asks; wait at most `wait_ms` for
 * what is under way. True where a lookup ended meanwhile, so that judging again can help.
 * Call without the GIL. */
bool eg_relook(eg_state *state, int port, int wait_ms);

#endif
