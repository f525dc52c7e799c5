/* One process that takes over another of the same user.
 *
 *   outside USER victim                        prints its id and an address; dials what is written there
 *   outside USER attach PID                    traces it for a moment
 *   outside USER WAY PID ADDRESS PORT          writes 127.0.0.1 and the port there
 *
 * USER is what root becomes first; 0 stays. WAY is "ptrace", "mem" (/proc/PID/mem) or "writev" (process_vm_writev).
 * Prints "written", "attached", or the call and its errno (1). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile struct sockaddr_in whom;

static int tell(const char *what, int failed)
{
    if (failed) {
        printf("%s: %s\n", what, strerrorname_np(errno));
    }
    return failed;
}

static int victim(void)
{
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* becoming another user took it away */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* where Yama would answer for Landlock */
    printf("%d %#lx\n", getpid(), (unsigned long)&whom);
    fflush(stdout);
    alarm(60);
    while (whom.sin_port == 0) {
        usleep(10000);
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = whom.sin_port, .sin_addr = {whom.sin_addr.s_addr}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (tell("connect", connect(fd, (struct sockaddr *)&to, sizeof to) != 0)) {
        return 1;
    }
    return write(fd, "taken over", 10) != 10;
}

static int attach(pid_t pid)
{
    return tell("attach", ptrace(PTRACE_ATTACH, pid, 0, 0) != 0) || waitpid(pid, NULL, 0) != pid;
}

/* Port and address are the first word of a sockaddr_in, together with the family. */
static int take_over(const char *way, pid_t pid, uintptr_t at, const struct sockaddr_in *to)
{
    char file[64];

    if (strcmp(way, "ptrace") == 0) {
        long word;
        memcpy(&word, to, sizeof word);
        return attach(pid) || tell("poke", ptrace(PTRACE_POKEDATA, pid, at, word) != 0) ||
               tell("detach", ptrace(PTRACE_DETACH, pid, 0, 0) != 0);
    }
    if (strcmp(way, "mem") == 0) {
        snprintf(file, sizeof file, "/proc/%d/mem", pid);
        int fd = open(file, O_RDWR);
        return tell("open", fd < 0) || tell("pwrite", pwrite(fd, to, sizeof *to, (off_t)at) != (ssize_t)sizeof *to);
    }
    struct iovec ours = {(void *)(uintptr_t)to, sizeof *to}, theirs = {(void *)at, sizeof *to};
    return tell("process_vm_writev", process_vm_writev(pid, &ours, 1, &theirs, 1, 0) != (ssize_t)sizeof *to);
}

int main(int count, char **words)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    uid_t user = count > 2 ? (uid_t)atoi(words[1]) : 0;

    if (user != 0 && geteuid() == 0 &&
        (setgroups(0, NULL) != 0 || setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0)) {
        return tell("user", 1);
    }
    if (count == 3) {
        return victim();
    }
    if (count == 4) {
        int failed = attach(atoi(words[3]));
        puts(failed ? "" : "attached");
        return failed;
    }
    if (count != 6) {
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(words[5]));
    int failed = take_over(words[2], atoi(words[3]), (uintptr_t)strtoull(words[4], NULL, 0), &to);
    puts(failed ? "" : "written");
    return failed;
}
