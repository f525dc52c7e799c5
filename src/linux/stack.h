/* The supervisor's stack. */
#ifndef EG_LINUX_STACK_H
#define EG_LINUX_STACK_H

#include <stddef.h>

/* Map one, with a page below it that nothing may touch. Not the C library's, which hands a
 * thread's stack on to others, in a forked child as well. NULL with errno. */
void *eg_stack_create(size_t size);

void eg_stack_destroy(void *stack, size_t size);

/* A forked child has a copy of the stack, where the filter with the secret lies and the
 * arguments of calls. From now on what is below `from` reads as zeros there, like the secret
 * itself; above is the thread's own record, which the C library of the child needs. */
void eg_stack_hide(void *stack, const char *from);

#endif
