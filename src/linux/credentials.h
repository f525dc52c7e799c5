/* Who a caller is to its UNIX peers. The kernel would tell them who performs the call, which
 * is the supervisor: so a message carries the caller's credentials, where we may give them. */
#ifndef EG_LINUX_CREDENTIALS_H
#define EG_LINUX_CREDENTIALS_H

#include "linux/supervisor.h"

typedef struct eg_identity {
    int32_t pid;
    uint32_t uids[3], gids[3]; /* real, effective, saved */
} eg_identity;

/* Who the caller is, in the numbers of our namespaces. False where that cannot be told. */
bool eg_identity_read(eg_supervisor *supervisor, int32_t tid, eg_identity *out);

/* Has the caller the rights that we have? What we do for another kind of caller is done with
 * more rights, or less, than it has. */
bool eg_identity_is_ours(const eg_identity *identity);

/* May we say who somebody else is (CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID; unix(7))? */
bool eg_identity_may_be_told(void);

/* Judge SCM_CREDENTIALS as the kernel would for the caller: 0 and what to send in their place,
 * or -EPERM. */
struct ucred;
int eg_credentials_judge(eg_supervisor *supervisor, int32_t tid, const struct ucred *claimed, struct ucred *out);

#endif
