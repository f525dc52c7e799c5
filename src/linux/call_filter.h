/* The seccomp filter: which calls the supervisor hears of, and which are refused at once. */
#ifndef EG_LINUX_FILTER_H
#define EG_LINUX_FILTER_H

#include <stddef.h>

#include <linux/filter.h>

#include "linux/calls.h"

#define EG_FILTER_MAX 256

typedef struct eg_filter {
    size_t length;
    struct sock_filter code[EG_FILTER_MAX];
} eg_filter;

/* Build the filter of this architecture; `exempt` is NULL where the supervisor is another
 * process. 0, or -E2BIG where the program outgrew its array (a mistake of ours). */
int eg_filter_build(eg_filter *filter, const eg_exempt *exempt);

/* Put it in force for the calling thread, or with `every_thread` for the whole process, and
 * return the listener. Sets PR_SET_NO_NEW_PRIVS. -errno; nothing but that flag is then set. */
int eg_filter_enforce(const eg_filter *filter, int every_thread);

#endif
