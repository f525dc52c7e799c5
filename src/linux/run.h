/* `egressguard run`: a command, supervised by the process that started it. */
#ifndef EG_LINUX_RUN_H
#define EG_LINUX_RUN_H

#include "linux/kernel_thread.h"

typedef struct eg_run {
    char *const *command; /* ends with NULL */
    bool wait_for_all;    /* stay until the last process that it left behind has ended */
    void (*on_refusal)(void *context, const eg_violation *violation);
    void *context;
    eg_kernel_counts counts;
    int status;           /* as waitpid(2) gives it */
    int exec_error;       /* errno where the command could not be started */
    char why[EG_WHY_SIZE];
} eg_run;

/* Run it to its end. 0; -1 with `why` where this machine cannot supervise: then nothing was
 * started. Blocks signals while it runs and forwards them. */
int eg_run_supervised(eg_state *state, eg_run *run);

#endif
