/* Any Landlock domain keeps what is inside from everything that asks ptrace(2)'s permission of
 * what is outside: tracing it, writing its memory, taking its descriptors. A process outside
 * stands under no filter, so one that is taken over would dial (ADR-0021). */
#include "linux/confine.h"

#include <errno.h>

#include "linux/calls.h"

/* As linux/landlock.h has it since Linux 6.12; older headers know only its beginning. */
typedef struct ruleset_attributes {
    uint64_t handled_access_fs, handled_access_net, scoped;
} ruleset_attributes;

#define SCOPE_ABSTRACT_UNIX_SOCKET 1u

int eg_confine(void)
{
    /* A domain must restrict something. This is what costs the command nothing: connects to
     * abstract names are performed by the supervisor, which is in no domain. One that handles
     * files would forbid mount(2), one that scopes signals those to the supervisor. */
    ruleset_attributes attributes = {.scoped = SCOPE_ABSTRACT_UNIX_SOCKET};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);

    if (ruleset < 0) {
        return -errno; /* E2BIG: a kernel that does not know `scoped` */
    }
    int done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0 ? 0 : -errno;
    close(ruleset);
    return done;
}
