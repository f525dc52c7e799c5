/* The floor of a refusal: `empty_notifier COMMAND...` puts a seccomp notifier under the command that answers each connect
 * with EACCES and looks at nothing. What a guard takes beyond this is its own. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

/* In the headers since Linux 6.6. */
#define SET_FLAGS SECCOMP_IOW(4, __u64)
#define SYNC_WAKE_UP 1UL

static int put_filter(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof steps / sizeof steps[0], steps};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void serve(int listener)
{
    struct pollfd ready = {.fd = listener, .events = POLLIN};

    while (poll(&ready, 1, -1) == 1 && (ready.revents & POLLIN) != 0) {
        struct seccomp_notif heard;
        memset(&heard, 0, sizeof heard);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &heard) != 0) {
            continue;
        }
        struct seccomp_notif_resp answer = {.id = heard.id, .error = -EACCES};
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

int main(int count, char **words)
{
    int pair[2], listener = -1, status = 0;

    if (count < 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
        return 2;
    }
    pid_t child = fork();
    if (child == 0) {
        listener = put_filter();
        char byte;
        if (listener < 0 || write(pair[0], &listener, sizeof listener) != sizeof listener || read(pair[0], &byte, 1) != 1) {
            return 2;
        }
        close(listener);
        execvp(words[1], words + 1);
        return 127;
    }
    int process = (int)syscall(SYS_pidfd_open, child, 0);
    if (read(pair[1], &listener, sizeof listener) != sizeof listener) {
        return 2;
    }
    listener = (int)syscall(SYS_pidfd_getfd, process, listener, 0);
    if (listener < 0 || ioctl(listener, SET_FLAGS, SYNC_WAKE_UP) != 0 || write(pair[1], "", 1) != 1) {
        perror("empty_notifier");
        kill(child, SIGKILL);
        return 2;
    }
    serve(listener);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
