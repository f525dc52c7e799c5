/* Sockets that one thread makes blocking again and again while others connect them: `stall unix PATH`, where a backlog is
 * full, or `stall tcp ADDRESS`, port 80. Prints "ready" and goes on until it is killed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static _Atomic int dialled; /* the newest */
static union {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
} to;
static socklen_t size;

static void *dial(void *unused)
{
    if (connect(dialled, &to.any, size) != 0 && errno == EACCES) {
        perror("stall"); /* nobody waits then */
    }
    return unused;
}

static void *make_blocking(void *unused)
{
    while (fcntl(dialled, F_SETFL, O_RDWR) == 0) {
    }
    return unused;
}

int main(int count, char **words)
{
    alarm(60); /* whoever started it may be gone */
    pthread_t thread;

    if (count != 3) {
        return 2;
    }
    if (strcmp(words[1], "unix") == 0) {
        to.un.sun_family = AF_UNIX;
        strncpy(to.un.sun_path, words[2], sizeof to.un.sun_path - 1);
        size = sizeof to.un;
    } else {
        to.in.sin_family = AF_INET;
        to.in.sin_port = htons(80);
        inet_pton(AF_INET, words[2], &to.in.sin_addr);
        size = sizeof to.in;
    }
    dialled = socket(to.any.sa_family, SOCK_STREAM, 0);
    pthread_create(&thread, NULL, make_blocking, NULL);
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < 200; i++) {
        pthread_create(&thread, NULL, dial, NULL);
        usleep(10000);
        dialled = socket(to.any.sa_family, SOCK_STREAM, 0);
    }
    for (;;) {
        pause();
    }
}
