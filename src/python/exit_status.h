/* The exit status that says that something was refused (egressguard.fail_on_exit). */
#ifndef EG_PYTHON_EXIT_STATUS_H
#define EG_PYTHON_EXIT_STATUS_H

#include "python/guard.h"

/* From now on this process ends with `status` (1 to 255) where more than `since` attempts
 * were refused. 0, or -1 with ValueError or RuntimeError. A forked child sets its own. */
int eg_exit_status_set(int status, unsigned long long since);

#endif
