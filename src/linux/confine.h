/* The Landlock domain of a command under `run`: what is inside cannot take over what is outside. */
#ifndef EG_LINUX_CONFINE_H
#define EG_LINUX_CONFINE_H

/* Put the calling thread, and all that it starts, into a domain of its own, for good. It needs
 * PR_SET_NO_NEW_PRIVS, and is async-signal-safe. 0; -errno where the kernel has no such domain
 * (before Linux 6.12), or a container forbids it: nothing has changed then. */
int eg_confine(void);

#endif
