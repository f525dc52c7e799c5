/* Process ids that are used again while a call is on its way: `reuse LISTED EVIL PORT TRIES`, in a process namespace of
 * its own. Each child is killed in the middle of its dials, and the next one has its id. Prints "reused=N ok=N evil=N
 * unasked=N": how many had the wanted id, whom the sockets reached, and how many were connected without a call. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct counts {
    _Atomic long ok, evil, unasked;
} counts;

static struct sockaddr_in good, evil;
static counts *seen;

static int peer_is(int fd, const struct sockaddr_in *whom)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_addr.s_addr == whom->sin_addr.s_addr;
}

/* Every child has its socket under the same number. */
static int open_socket(void)
{
    struct linger abort_ = {1, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_, sizeof abort_);
    return fd;
}

static _Noreturn void child(int kind)
{
    for (;;) {
        int fd = open_socket();
        if (kind == 2) { /* asks for nothing */
            for (int i = 0; i < 50; i++) {
                seen->unasked += peer_is(fd, &good) || peer_is(fd, &evil);
            }
        } else {
            const struct sockaddr_in *to = kind == 0 ? &good : &evil;
            seen->ok += connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 && kind == 0;
            seen->evil += peer_is(fd, &evil);
            seen->unasked += kind == 1 && peer_is(fd, &good);
        }
        close(fd);
    }
}

int main(int count, char **words)
{
    int tries = count == 5 ? atoi(words[4]) : 0, last = open("/proc/sys/kernel/ns_last_pid", O_WRONLY), reused = 0;
    unsigned random_ = 1;
    pid_t wanted = 20000;

    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tries == 0 || last < 0 || seen == MAP_FAILED) {
        return 2;
    }
    good.sin_family = evil.sin_family = AF_INET;
    good.sin_port = evil.sin_port = htons((unsigned short)atoi(words[3]));
    inet_pton(AF_INET, words[1], &good.sin_addr);
    inet_pton(AF_INET, words[2], &evil.sin_addr);
    for (int i = 0; i < tries; i++) {
        struct timespec moment = {0, 0};
        dprintf(last, "%d", wanted - 1);
        lseek(last, 0, SEEK_SET);
        pid_t pid = fork();
        if (pid == 0) {
            child(i % 3);
        }
        reused += pid == wanted;
        random_ = random_ * 1103515245u + 12345u;
        moment.tv_nsec = 50000 + random_ / 65536 % 200000;
        nanosleep(&moment, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    printf("reused=%d ok=%ld evil=%ld unasked=%ld\n", reused, seen->ok, seen->evil, seen->unasked);
    return 0;
}
