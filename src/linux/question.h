/* Questions on the caller's own socket: sent for it, and their answer is read and granted
 * while the caller still waits, so that it can dial what it was told. */
#ifndef EG_LINUX_QUESTION_H
#define EG_LINUX_QUESTION_H

#include "linux/stub.h"

/* A judged question was sent on `work->socket`, unconnected: wait for its answer. False where
 * that cannot be seen (another network, no room); then nothing waits. */
bool eg_question_sent(eg_supervisor *supervisor, eg_work *work, const eg_endpoint *nameserver, const uint8_t *query,
                      size_t length);

/* The socket may have the answer, or the time is over (`work->looked_up_ms` is 0). */
eg_outcome eg_question_go_on(eg_supervisor *supervisor, eg_work *work);

/* The call ends, in whatever way. */
void eg_question_end(eg_supervisor *supervisor, eg_work *work);

#endif
