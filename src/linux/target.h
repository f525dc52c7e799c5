/* Whoever made a judged call: its memory, its descriptors, what it is. */
#ifndef EG_LINUX_TARGET_H
#define EG_LINUX_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "linux/calls.h"

/* Process descriptors of recent callers. One of a thread that ended gives ESRCH for good, so
 * a thread id that is used again is noticed. */
#define EG_TARGETS 64

struct eg_lender;

typedef struct eg_targets {
    const eg_exempt *exempt;
    bool no_thread_pidfds;    /* before Linux 6.9: nothing is kept */
    struct eg_lender *lender; /* not NULL: this process alone can be acted for, through it */
    int listener;             /* for the lender */
    struct {
        int32_t tid;
        int32_t tgid; /* 0 before it was asked */
        int pidfd;
        int comm; /* /proc/<tgid>/comm, open: reading it again tells of an exec */
        int64_t read_ms; /* when `program` was read; 0 for never */
        char program[32];
    } kept[EG_TARGETS];
} eg_targets;

void eg_targets_init(eg_targets *targets, const eg_exempt *exempt);

/* Close all that is kept. */
void eg_targets_forget(eg_targets *targets);

/* Read memory through a pair of sockets from now on: this process's own, where
 * process_vm_readv is forbidden. One supervisor a process. 0 / -errno. */
int eg_target_memory_by_pair(void);

/* The supervisor did not start, and its descriptors are gone. */
void eg_target_memory_forget(void);

/* Is it a thread of this process? */
bool eg_target_is_own(int32_t tid);

/* Copy the caller's memory. 0; -EFAULT where less could be had, -EACCES where it is closed
 * to us (a process that is not dumpable). */
int eg_target_read(int32_t tid, uint64_t from, void *to, size_t length);
int eg_target_write(int32_t tid, uint64_t to, const void *from, size_t length);

typedef struct eg_piece {
    uint64_t from;
    void *to;
    size_t length; /* 0 for none */
} eg_piece;

/* eg_target_read of one, and if that succeeds of the other, with an error of its own; in one
 * call where that is sooner. */
int eg_target_read_both(int32_t tid, const eg_piece *one, const eg_piece *other, int *other_error);

/* Gather from the caller's vectors: the number of bytes, which may be less; -errno. */
ssize_t eg_target_gather(int32_t tid, const struct iovec *vectors, size_t count, void *to, size_t length);

/* A descriptor of our own for what the caller's descriptor names, while its call `id` waits;
 * -errno, -EACCES where the caller is closed to us. */
int eg_target_descriptor(eg_targets *targets, int32_t tid, uint64_t id, int descriptor);

/* A process descriptor of the caller that is kept; -errno. */
int eg_target_pidfd(eg_targets *targets, int32_t tid);

/* Send the calling thread SIGPIPE, as the kernel would have. */
void eg_target_sigpipe(eg_targets *targets, int32_t tid);

/* The caller's process and its program's name, for the record of a refusal. */
void eg_target_who(eg_targets *targets, int32_t tid, int32_t *tgid, char program[32]);

typedef struct eg_target_status {
    int32_t tgid;
    bool interrupted; /* a signal that it handles is waiting */
    int32_t inner_pid; /* what the process calls itself, in a pid namespace of its own */
    uint32_t uid, gid; /* the ones that file access uses */
    uint32_t uids[3], gids[3]; /* real, effective, saved */
} eg_target_status;

/* What /proc says; false where it does not. */
bool eg_target_status_read(int32_t tid, eg_target_status *out);

/* Does it see the same files as we do: same root, same mounts, same user? */
bool eg_target_shares_files(int32_t tid);

#endif
