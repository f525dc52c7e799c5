/* recvfrom of a socket whose answers come from the stub. */
#ifndef EG_LINUX_RECEIVE_H
#define EG_LINUX_RECEIVE_H

#include "linux/judge.h"

/* A recvfrom that asks for the source. On a socket that was connected to the stub it is
 * performed, with the nameserver as the source; every other goes on in the kernel. */
eg_outcome eg_receive(eg_supervisor *supervisor, eg_work *work);

#endif
