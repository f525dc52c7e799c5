/* From a parsed address to an exact one that may be dialled. */
#ifndef EG_PYTHON_JUDGE_H
#define EG_PYTHON_JUDGE_H

#include "python/address.h"

/* What a route dials, besides the address. */
typedef struct eg_judged_dial {
    eg_route route;
    eg_action action;
    PyObject *socket;
    const uint8_t *payload; /* or NULL */
    size_t payload_length;
    bool more_to_come;
    bool is_closed;      /* set by eg_judge(): the object has no descriptor, and OSError was raised */
    bool by_file;        /* set by eg_judge(): not judged yet, eg_unix_dial() does both */
    eg_socket_kind kind; /* set by eg_judge() where it allows the dial, else EG_SOCKET_OTHER */
} eg_judged_dial;

/* Look a name up where `parsed` holds one, and judge the endpoint. On success
 * `parsed->exact` is what to hand on. 0, or -1 with EgressViolation or the lookup's error. */
int eg_judge(eg_state *state, eg_judged_dial *dial, eg_parsed *parsed);

/* Would the verdict need the payload of a message to this endpoint? */
bool eg_judge_needs_payload(const eg_parsed *parsed, PyObject *socket);

/* Can this message change before it leaves: the kernel adds to it (send(2) MSG_MORE, udp(7) UDP_CORK), or reads
 * the caller's memory later (MSG_ZEROCOPY)? */
bool eg_judge_more_to_come(int descriptor, int flags);

/* A name in an address: decide about it, look it up, and put the first good answer of the
 * socket's family into `parsed`, as CPython would. 0; 1 where the name is refused and the
 * process only observes, so that `parsed->exact` goes on as it is; -1 with an exception. */
int eg_judge_resolve(eg_state *state, eg_route route, PyObject *socket, eg_parsed *parsed);

#endif
