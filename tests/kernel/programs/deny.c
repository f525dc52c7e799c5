/* `deny CALLS COMMAND...`: the command under an outer filter that answers EPERM to some calls, as container profiles do.
 * CALLS is "docker" (its default profile without CAP_SYS_PTRACE, on kernels from 4.8 on), "memory" (besides, what that
 * profile forbids on older ones), "getfd" (nothing but pidfd_getfd) or "landlock" (nothing but its first call). */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* The order is that of the sets: each is the beginning of the next, "landlock" apart. */
static const int calls[] = {SYS_pidfd_getfd, /* getfd: 1 */
                            SYS_kcmp,     SYS_unshare, SYS_setns, SYS_mount, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
                            SYS_process_madvise, 425, 426, 427 /* io_uring; docker: 12 */,
                            SYS_ptrace,   SYS_process_vm_readv, SYS_process_vm_writev /* memory: 15 */,
                            444 /* landlock_create_ruleset */};

int main(int count, char **words)
{
    struct sock_filter code[3 + 2 * sizeof calls / sizeof calls[0]];
    size_t length = 0, denied = count < 3                         ? 0
                               : strcmp(words[1], "getfd") == 0  ? 1
                               : strcmp(words[1], "docker") == 0 ? 12
                               : strcmp(words[1], "memory") == 0 ? 15
                               : strcmp(words[1], "landlock") == 0 ? 16
                                                                   : 0;
    size_t first = denied == 16 ? 15 : 0;
    if (denied == 0) {
        return 2;
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = first; i < denied; i++) {
        code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
        code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)length, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
        perror("deny");
        return 3;
    }
    execvp(words[2], words + 2);
    perror(words[2]);
    return 4;
}
