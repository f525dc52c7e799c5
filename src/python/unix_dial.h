/* Paths of UNIX sockets that no entry names. What is judged is the socket file that a path leads
 * to, and a path can be exchanged between the verdict and the call: so the file is opened once,
 * judged, and dialled through that descriptor, where no other thread can exchange it. */
#ifndef EG_PYTHON_UNIX_DIAL_H
#define EG_PYTHON_UNIX_DIAL_H

#include "python/judge.h"
#include "python/payload.h"

typedef struct eg_unix_message {
    const eg_payload *payload;
    PyObject *control; /* exact triples, or NULL */
    int flags;
} eg_unix_message;

/* Is this dial such a one? Under install_kernel() it is not: the supervisor does the same. */
bool eg_unix_dial_is_for(const eg_state *state, const eg_dial *dial);

/* Judge and connect, or send `message`. True: done, `*result` is what the route returns (NULL
 * with an exception). False: refused, but the process only observes; let it through. */
bool eg_unix_dial(const eg_judged_dial *judged, const eg_parsed *parsed, const eg_unix_message *message,
                  PyObject **result);

#endif
