/* Calls that have to wait: held here, so that one slow peer stalls nobody else. */
#ifndef EG_LINUX_HOLD_H
#define EG_LINUX_HOLD_H

#include "linux/supervisor.h"

/* Read a notification, and answer or hold its call. */
void eg_hold_hear(eg_supervisor *supervisor, const struct seccomp_notif *heard);

/* The socket of a held call is ready. */
void eg_hold_ready(eg_supervisor *supervisor, uint32_t index);

/* The lookup that the held call `id` waited for has ended. */
void eg_hold_resume(eg_supervisor *supervisor, uint64_t id);

/* Poll cannot tell when to try the call again: soon, and the longer it waits the more rarely. */
void eg_hold_try_later(eg_work *work);

/* Not waiting for anything, but the others have their turn first: in a millisecond at most. */
void eg_hold_yield(eg_supervisor *supervisor, eg_work *work);

/* Time passed: signals, time limits, callers that are gone, what only time can tell. */
void eg_hold_tick(eg_supervisor *supervisor);

#endif
