/* Threads of the guard's own. */
#ifndef EG_CORE_DETACHED_H
#define EG_CORE_DETACHED_H

#include <pthread.h>
#include <stddef.h>

/* Start a thread with every signal blocked: the program's handlers run in the program's threads.
 * `stack_size` in bytes, 0 for the system's own. 0, or an errno. */
int eg_thread_start(pthread_t *thread, void *(*run)(void *), void *argument, size_t stack_size);

/* The same on a stack of the caller's, which stays the caller's when the thread has been joined. */
int eg_thread_start_on(pthread_t *thread, void *(*run)(void *), void *argument, void *stack, size_t stack_size);

/* The same for one that nobody joins. */
int eg_detached_start(void *(*run)(void *), void *argument, size_t stack_size);

#endif
