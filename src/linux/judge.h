/* From a caller's socket address to a verdict, and the record of a refusal. */
#ifndef EG_LINUX_JUDGE_H
#define EG_LINUX_JUDGE_H

#include "linux/supervisor.h"

/* What a duplicate of the caller's socket is. */
typedef struct eg_socket_facts {
    int family; /* of a TCP socket AF_INET, be it that or AF_INET6: eg_socket_family tells them apart */
    int type, protocol; /* of an MPTCP socket perhaps TCP's */
    eg_socket_kind kind;
} eg_socket_facts;

/* AF_UNSPEC where it is no socket. */
int eg_socket_family(int socket);

/* 0; -ENOTSOCK and the like where it is no socket. Sooner done for TCP where that is likely,
 * and a little later for the others. */
int eg_socket_facts_read(int socket, bool likely_tcp, eg_socket_facts *out);

/* Does a call on it wait, as long as no flag of the call says otherwise? */
bool eg_socket_blocks(int socket);

/* Ask the core. The thread's loopback flag is looked up only where it could matter. */
eg_reason eg_judge_dial(eg_supervisor *supervisor, const eg_work *work, const eg_dial *dial);

/* Did looking for the owners of UNIX addresses take so long that others come first? A call
 * that finds it so is tried later. */
bool eg_judge_must_rest(const eg_supervisor *supervisor, const eg_endpoint *endpoint);

/* Put a refusal in the journal, and return EACCES for the caller. */
eg_outcome eg_judge_refuse(eg_supervisor *supervisor, const eg_work *work, eg_route route, eg_reason reason,
                           const eg_endpoint *endpoint);

/* The same for a call without an endpoint. */
void eg_judge_refuse_call(eg_supervisor *supervisor, int32_t tid, eg_route route, eg_reason reason, const char *what);

/* The same for a caller whose memory or descriptors are closed to the supervisor. */
eg_outcome eg_judge_refuse_caller(eg_supervisor *supervisor, const eg_work *work, eg_route route);

/* The same for a name; `tid` may be 0 where it is not known who asked. */
void eg_judge_refuse_name(eg_supervisor *supervisor, int32_t tid, eg_reason reason, const char *name);

/* Is this a nameserver's port 53? */
bool eg_judge_is_nameserver(const eg_endpoint *endpoint);

/* Does the caller still wait for this answer? */
bool eg_judge_still_waits(const eg_supervisor *supervisor, const eg_work *work);

#endif
