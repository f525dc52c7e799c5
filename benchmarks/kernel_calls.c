/* The calls whose price the kernel layer changes, timed one by one: `kernel_calls WHAT ADDRESS PORT COUNT`, or
 * measure() of the shared object. Prints, or returns, the median in nanoseconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static int compare(const void *left, const void *right)
{
    long one = *(const long *)left, other = *(const long *)right;
    return (one > other) - (one < other);
}

typedef struct subject {
    struct sockaddr_in to;
    int fd, other;
} subject;

/* A call that is refused, or succeeds where nobody refuses it. */
static int is_answered(int failed, int refusal)
{
    return !failed || (refusal && (errno == EACCES || errno == ECONNREFUSED)); /* sandlock answers the latter */
}

static long time_one(subject *self, int refusal)
{
    struct linger abort_ = {1, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_, sizeof abort_);
    long start = now();
    int failed = connect(fd, (struct sockaddr *)&self->to, sizeof self->to);
    long took = now() - start;
    int error = is_answered(failed, refusal) ? 0 : errno;
    close(fd);
    return error != 0 ? -error : took;
}

static long time_connect(subject *self)
{
    return time_one(self, 0);
}

static long time_refusal(subject *self)
{
    return time_one(self, 1);
}

static long time_send_recv(subject *self)
{
    char byte = 1;
    long start = now();
    if (send(self->fd, &byte, 1, 0) != 1 || recv(self->other, &byte, 1, 0) != 1) {
        return -errno;
    }
    return now() - start;
}

/* As libpq, libcurl and Rust's standard library send. */
static long time_send_nosignal(subject *self)
{
    char bytes[20] = {1};
    long start = now();
    if (send(self->fd, bytes, sizeof bytes, MSG_NOSIGNAL) != sizeof bytes ||
        recv(self->other, bytes, sizeof bytes, 0) != sizeof bytes) {
        return -errno;
    }
    return now() - start;
}

static long time_recvfrom(subject *self)
{
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    char byte = 1;

    if (sendto(self->fd, "x", 1, 0, (struct sockaddr *)&self->to, sizeof self->to) != 1) {
        return -errno;
    }
    long start = now();
    ssize_t got = recvfrom(self->other, &byte, 1, 0, (struct sockaddr *)&from, &size);
    return got != 1 ? -errno : now() - start;
}

static long time_sendto(subject *self)
{
    long start = now();
    if (sendto(self->fd, "x", 1, 0, (struct sockaddr *)&self->to, sizeof self->to) != 1) {
        return -errno;
    }
    return now() - start;
}

static long time_sendmsg(subject *self)
{
    char byte = 1;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    long start = now();
    long sent = sendmsg(self->fd, &message, 0);
    long took = now() - start;
    return sent != 1 || recv(self->other, &byte, 1, 0) != 1 ? -errno : took;
}

static long time_getppid(subject *self)
{
    (void)self;
    long start = now();
    syscall(SYS_getppid);
    return now() - start;
}

static int prepare(subject *self, const char *what)
{
    self->fd = self->other = -1;
    if (strcmp(what, "send_recv") == 0 || strcmp(what, "sendmsg") == 0 ||
        strcmp(what, "send_nosignal") == 0) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
            return -1;
        }
        self->fd = pair[0];
        self->other = pair[1];
        return 0;
    }
    if (strcmp(what, "getppid") == 0) {
        return 0;
    }
    /* A peer of our own that never accepts: nothing but the call itself is on the clock. */
    int udp = strcmp(what, "sendto") == 0 || strcmp(what, "recvfrom") == 0, on = 1;
    self->fd = udp ? socket(AF_INET, SOCK_DGRAM, 0) : -1;
    self->other = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    setsockopt(self->other, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(self->other, (struct sockaddr *)&self->to, sizeof self->to) != 0) {
        return -1;
    }
    return udp ? 0 : listen(self->other, 4096);
}

long measure(const char *what, const char *address, int port, int count)
{
    static const struct {
        const char *name;
        long (*time)(subject *self);
    } all[] = {{"connect", time_connect}, {"refusal", time_refusal}, {"send_recv", time_send_recv}, {"sendto", time_sendto},
               {"sendmsg", time_sendmsg}, {"getppid", time_getppid}, {"send_nosignal", time_send_nosignal},
               {"recvfrom", time_recvfrom}};
    subject self = {.to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)}};
    long *times = calloc((size_t)count, sizeof *times), median = -EINVAL;

    inet_pton(AF_INET, address, &self.to.sin_addr);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(what, all[i].name) == 0 && prepare(&self, what) == 0) {
            median = 0;
            for (int j = -count / 10; j < count && median >= 0; j++) {
                long took = all[i].time(&self);
                median = took < 0 ? took : 0;
                if (j >= 0) {
                    times[j] = took;
                }
            }
        }
    }
    if (median == 0) {
        qsort(times, (size_t)count, sizeof *times, compare);
        median = times[count / 2];
    }
    free(times);
    if (self.fd >= 0) {
        close(self.fd);
    }
    if (self.other >= 0) {
        close(self.other);
    }
    return median;
}

int main(int count, char **words)
{
    if (count != 5) {
        return 2;
    }
    printf("%ld\n", measure(words[1], words[2], atoi(words[3]), atoi(words[4])));
    return 0;
}
