/* Calls on what a caller shares that can wait although they were made not to: they are cut
 * short after 10 ms, as everybody else waits meanwhile. */
#ifndef EG_LINUX_PATIENCE_H
#define EG_LINUX_PATIENCE_H

/* Of this thread, which is the supervisor's; one supervisor a process. Where it cannot be had
 * (the program handles SIGURG itself) nothing is cut short. */
void eg_patience_start(void);
void eg_patience_stop(void);

/* Between the two a call that waits ends with EINTR. They cost no system call, but for the
 * first one in 10 ms. */
void eg_patience_begin(void);
void eg_patience_end(void);

/* Close a descriptor that was a caller's: where the caller is gone it is the last one, and waits
 * for the peer where SO_LINGER says so. Cut short, the kernel goes on without us. */
void eg_patience_close(int descriptor);

#endif
