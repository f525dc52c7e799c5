/* sendto, sendmsg and sendmmsg on the caller's behalf. */
#ifndef EG_LINUX_SEND_H
#define EG_LINUX_SEND_H

#include "linux/judge.h"

/* Judge and send, or go on with what waited. */
eg_outcome eg_send_run(eg_supervisor *supervisor, eg_work *work);

/* The answer where waiting ends early: what was sent so far, else `error`. */
eg_outcome eg_send_cut_short(const eg_work *work, int error);

/* Control messages, copied into supervisor->control. Descriptors that are passed on are
 * exchanged for duplicates of ours, which eg_control_release closes. */
typedef struct eg_control {
    size_t length;
    size_t end; /* of what the kernel reads as control messages */
    size_t descriptor_count;
    int descriptors[256];
    eg_reason reason; /* EG_ALLOWED, or why a message is refused */
    bool told;          /* the caller's credentials were added unasked, and it can do without */
    size_t untold_length; /* without them */
} eg_control;
int eg_control_read(eg_supervisor *supervisor, const eg_work *work, const eg_socket_facts *facts, uint64_t from,
                    size_t length, eg_control *out);
void eg_control_release(eg_control *control);

/* Add what keeps a question whole (core/dns.h): 0, or a negative errno. */
int eg_control_keep_whole(eg_supervisor *supervisor, eg_control *control);

#endif
