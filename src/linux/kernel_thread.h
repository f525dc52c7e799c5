/* The kernel layer of this process: the supervisor is a thread of it. */
#ifndef EG_LINUX_KERNEL_THREAD_H
#define EG_LINUX_KERNEL_THREAD_H

#include "linux/supervisor.h"

#define EG_WHY_SIZE 320

/* Start the thread and put the filter in force for the whole process, for good. 0, also where
 * that was done before; -1 with the reason in `why`, and then nothing but
 * PR_SET_NO_NEW_PRIVS of a thread that has ended is left behind. */
int eg_kernel_thread_start(eg_state *state, char why[EG_WHY_SIZE]);

/* Is it in force in this process, or was it in the process that this one was forked from? */
bool eg_kernel_is_active(void);

/* Does its supervisor live? Where it does not, each judged call gives ENOSYS. */
bool eg_kernel_is_served(void);

const eg_kernel_counts *eg_kernel_counts_get(void);

/* Sleep until the journal may have a refusal of this layer with a number above `seen`; the
 * number of the last one. Only the process that started the layer may call it. */
uint64_t eg_kernel_wait(uint64_t seen);
uint64_t eg_kernel_last(void);

/* "judged", or "refused: " and why, or "not judged": the dials of this process's children. */
const char *eg_kernel_children(void);

/* Say in words why the filter could not be put in force. */
void eg_kernel_explain(int error, char why[EG_WHY_SIZE]);

/* Can an io_uring that was opened earlier dial past the filter? */
bool eg_kernel_has_io_uring(void);

/* Ask for the listener to hand the processor straight over; older kernels are slower. */
void eg_kernel_speed_up(const eg_exempt *exempt, int listener);

#endif
