/* A hostile thread against the verdict: `race KIND LISTED EVIL PORT TRIES`. The first thread dials, the second
 * exchanges what is dialled while the call is on its way. Prints "ok=N evil=N": whom the sockets reached. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in good, evil;
static volatile struct sockaddr_in shared;
static _Atomic int stop;
static int swapped = 200, tcp_fd = 201, unix_fd = 202;

static void *rewrite(void *unused)
{
    (void)unused;
    while (!stop) {
        shared.sin_addr.s_addr = evil.sin_addr.s_addr;
        shared.sin_addr.s_addr = good.sin_addr.s_addr;
    }
    return NULL;
}

static void *exchange(void *unused)
{
    (void)unused;
    while (!stop) {
        dup2(unix_fd, swapped);
        dup2(tcp_fd, swapped);
    }
    return NULL;
}

static int reached_evil(int fd)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_family == AF_INET &&
           peer.sin_addr.s_addr == evil.sin_addr.s_addr;
}

int main(int count, char **words)
{
    pthread_t thread;
    int ok = 0, bad = 0, tries = count == 6 ? atoi(words[5]) : 0;
    int by_name = count == 6 && strcmp(words[1], "dup2") == 0, by_message = count == 6 && strcmp(words[1], "sendmsg") == 0;

    if (tries == 0) {
        return 2;
    }
    good.sin_family = evil.sin_family = AF_INET;
    good.sin_port = evil.sin_port = htons((uint16_t)atoi(words[4]));
    inet_pton(AF_INET, words[2], &good.sin_addr);
    inet_pton(AF_INET, words[3], &evil.sin_addr);
    memcpy((void *)&shared, &good, sizeof good);
    if (by_name) {
        unix_fd = fcntl(socket(AF_UNIX, SOCK_STREAM, 0), F_DUPFD, unix_fd);
    }
    pthread_create(&thread, NULL, by_name ? exchange : rewrite, NULL);
    for (int i = 0; i < tries; i++) {
        int fd = socket(AF_INET, by_message ? SOCK_DGRAM : SOCK_STREAM, 0);
        struct linger abort_ = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_, sizeof abort_); /* no TIME_WAIT, ports stay free */
        if (by_name) {
            /* The call is made on a number that is a UNIX socket in one moment and TCP in the next. */
            dup2(fd, tcp_fd);
            dup2(fd, swapped);
            connect(swapped, (struct sockaddr *)&evil, sizeof evil);
            bad += reached_evil(fd);
        } else if (by_message) {
            struct iovec vector = {"race", 4};
            struct msghdr one = {.msg_name = (void *)&shared, .msg_namelen = sizeof shared, .msg_iov = &vector, .msg_iovlen = 1};
            ok += sendmsg(fd, &one, 0) == 4; /* the wire tells where it went */
        } else if (connect(fd, (struct sockaddr *)&shared, sizeof shared) == 0) {
            ok++;
            bad += reached_evil(fd);
        } else if (errno == EISCONN) {
            puts("twice");
            return 1;
        }
        close(fd);
    }
    stop = 1;
    pthread_join(thread, NULL);
    printf("ok=%d evil=%d\n", ok, bad);
    return 0;
}
