/* A client that asks a nameserver itself, over a socket of Python's: its answer is a grant. */
#ifndef EG_PYTHON_AWAIT_ANSWER_H
#define EG_PYTHON_AWAIT_ANSWER_H

#include "python/judge.h"

/* A judged message was sent. Where it was a question for a listed name, wait until its answer
 * lies in the socket and grant it; not longer than the socket's timeout, a second, or 50 ms
 * on a non-blocking socket. 0; -1 where a signal handler raised. */
int eg_await_answer(eg_state *state, const eg_judged_dial *sent, const eg_endpoint *nameserver);

#endif
