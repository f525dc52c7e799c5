/* The second look of the supervisor: native code dials an address whose lookup was not seen
 * (made before the layer stood, or by a way of its own). Where few names open the port, they
 * are asked for once more (core/relook.h does it for the Python layer). */
#ifndef EG_LINUX_LOOK_AGAIN_H
#define EG_LINUX_LOOK_AGAIN_H

#include "linux/judge.h"

/* A dial of an address that nothing covers. True where it should wait and be judged again:
 * lookups are under way; a second at most, 50 ms on a non-blocking socket. Each name is asked
 * for at most once a second, and less often while its answers grant nothing. */
bool eg_look_again(eg_supervisor *supervisor, eg_work *work, const eg_endpoint *endpoint, bool blocking);

/* The lookup `look` (as eg_exchange_look_up was given it) has ended. */
void eg_look_again_ended(eg_supervisor *supervisor, uint16_t look, bool granted);

#endif
