/* The ids of the calling process and thread, without a system call each time: a refusal needs
 * both, and two calls of the kernel are a tenth of it. */
#ifndef EG_CORE_OWN_IDS_H
#define EG_CORE_OWN_IDS_H

#include <stdint.h>

typedef struct eg_own_ids {
    int32_t pid;
    int32_t tid;
} eg_own_ids;

/* Once, before others ask. Without it, or where the kernel cannot do it, each question is two
 * system calls. */
void eg_own_ids_prepare(void);

/* True in every child as well, however it was forked. */
eg_own_ids eg_own_ids_get(void);

#endif
