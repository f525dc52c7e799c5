/* One try to reach a host by one route, without any library between: `dial ROUTE ADDRESS PORT`.
 * Prints "through" (0) or the call and its errno (1). "absent" (77): this machine has no such route. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/io_uring.h>

static struct sockaddr_in to; /* static: below 4 GiB in a program that is not PIE, for int 0x80 */

static int tell(const char *what, int failed)
{
    if (failed) {
        printf("%s: %s\n", what, strerrorname_np(errno));
        return 1;
    }
    puts("through");
    return 0;
}

static int absent(const char *why)
{
    printf("absent: %s %s\n", why, strerrorname_np(errno));
    return 77;
}

static int open_socket(int type)
{
    int fd = socket(AF_INET, type, 0);
    if (fd < 0) {
        perror("socket");
        exit(3);
    }
    return fd;
}

static int by_connect(void)
{
    return tell("connect", connect(open_socket(SOCK_STREAM), (struct sockaddr *)&to, sizeof to));
}

static int by_nonblocking(void)
{
    int fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK), error = 0;
    socklen_t size = sizeof error;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno != EINPROGRESS) {
        return tell("connect", 1);
    }
    struct pollfd one = {.fd = fd, .events = POLLOUT};
    poll(&one, 1, 5000);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    return tell("connect", error != 0);
}

static int by_sendto(void)
{
    return tell("sendto", sendto(open_socket(SOCK_DGRAM), "sendto", 6, 0, (struct sockaddr *)&to, sizeof to) != 6);
}

static int by_udp_connect(void)
{
    int fd = open_socket(SOCK_DGRAM);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        return tell("connect", 1);
    }
    return tell("send", send(fd, "connected", 9, 0) != 9);
}

static int by_udplite(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    if (fd < 0) {
        return errno == EPROTONOSUPPORT ? absent("UDP-Lite") : tell("socket", 1);
    }
    return tell("sendto", sendto(fd, "lite", 4, 0, (struct sockaddr *)&to, sizeof to) != 4);
}

static struct msghdr message(struct iovec *vector)
{
    *vector = (struct iovec){"sendmsg", 7};
    return (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = vector, .msg_iovlen = 1};
}

static int by_sendmsg(void)
{
    struct iovec vector;
    struct msghdr one = message(&vector);
    return tell("sendmsg", sendmsg(open_socket(SOCK_DGRAM), &one, 0) != 7);
}

static int by_sendmmsg(void)
{
    struct iovec vector;
    struct mmsghdr two[2] = {{.msg_hdr = message(&vector)}, {.msg_hdr = message(&vector)}};
    int sent = sendmmsg(open_socket(SOCK_DGRAM), two, 2, 0);
    if (sent == 2 && (two[0].msg_len != 7 || two[1].msg_len != 7)) {
        errno = EPROTO; /* not what sendmmsg(2) says */
        sent = -1;
    }
    return tell("sendmmsg", sent != 2);
}

static int by_fastopen(void)
{
    return tell("sendto", sendto(open_socket(SOCK_STREAM), "fast", 4, MSG_FASTOPEN, (struct sockaddr *)&to,
                                 sizeof to) < 0);
}

static int by_fastopen_connect(void)
{
    int fd = open_socket(SOCK_STREAM), on = 1;
    if (setsockopt(fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &on, sizeof on) != 0) {
        return absent("TCP_FASTOPEN_CONNECT");
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        return tell("connect", 1);
    }
    return tell("send", send(fd, "fast", 4, 0) != 4);
}

static int by_unspec(void)
{
    struct sockaddr_in other = to;
    other.sin_family = AF_UNSPEC; /* dialled as IPv4 */
    return tell("sendto", sendto(open_socket(SOCK_DGRAM), "unspec", 6, 0, (struct sockaddr *)&other, sizeof other) != 6);
}

static int by_mapped(void)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = to.sin_port};
    in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(in6.sin6_addr.s6_addr + 12, &to.sin_addr, 4);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    return fd < 0 ? absent("AF_INET6") : tell("connect", connect(fd, (struct sockaddr *)&in6, sizeof in6));
}

static int by_raw(void)
{
    int fd = socket(AF_INET, SOCK_RAW, 253);
    if (fd < 0) {
        return tell("socket", 1);
    }
    return tell("sendto", sendto(fd, "raw", 3, 0, (struct sockaddr *)&to, sizeof to) != 3);
}

static int by_ping(void)
{
    static const unsigned char echo[8] = {8, 0, 0xf7, 0xff};
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    if (fd < 0) {
        return tell("socket", 1);
    }
    return tell("sendto", sendto(fd, echo, sizeof echo, 0, (struct sockaddr *)&to, sizeof to) != sizeof echo);
}

static int by_packet(void)
{
    int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
    return tell("socket", fd < 0);
}

static int by_options(void)
{
    unsigned char route[8] = {131, 7, 4}; /* loose source route */
    memcpy(route + 3, &to.sin_addr, 4);
    return tell("setsockopt", setsockopt(open_socket(SOCK_DGRAM), IPPROTO_IP, IP_OPTIONS, route, sizeof route));
}

static int by_control(void)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(8)];
    } control = {.header = {.cmsg_len = CMSG_LEN(8), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_RETOPTS}};
    unsigned char *route = CMSG_DATA(&control.header);
    struct iovec vector;
    struct msghdr one = message(&vector);
    route[0] = 131;
    route[1] = 7;
    route[2] = 4;
    memcpy(route + 3, &to.sin_addr, 4);
    one.msg_control = &control;
    one.msg_controllen = sizeof control;
    return tell("sendmsg", sendmsg(open_socket(SOCK_DGRAM), &one, 0) != 7);
}

#if defined(__x86_64__)
static long call32(long number, long one, long two, long three)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(one), "c"(two), "d"(three) : "memory", "r8", "r9", "r10", "r11");
    if ((int)result < 0 && (int)result > -4096) {
        errno = -(int)result;
        return -1;
    }
    return (int)result;
}

static int by_int80(void)
{
    return tell("connect", call32(362, open_socket(SOCK_STREAM), (long)&to, sizeof to) != 0);
}

static int by_socketcall(void)
{
    static uint32_t arguments[3];
    arguments[0] = (uint32_t)open_socket(SOCK_STREAM);
    arguments[1] = (uint32_t)(uintptr_t)&to;
    arguments[2] = sizeof to;
    return tell("socketcall", call32(102, 3, (long)arguments, 0) != 0);
}

static int by_x32(void)
{
    int fd = open_socket(SOCK_STREAM);
    return tell("connect", syscall(0x40000000 + SYS_connect, fd, &to, sizeof to) != 0);
}
#else
static int by_int80(void) { return absent("int 0x80"); }
static int by_socketcall(void) { return absent("socketcall"); }
static int by_x32(void) { return absent("x32"); }
#endif

static int by_io_uring(void)
{
    struct io_uring_params parameters = {0};
    int fd = open_socket(SOCK_STREAM), ring = (int)syscall(SYS_io_uring_setup, 1, &parameters);
    if (ring < 0) {
        return tell("io_uring_setup", 1);
    }
    size_t size = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
    char *rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry = mmap(NULL, sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (rings == MAP_FAILED || entry == MAP_FAILED) {
        return absent("io_uring mmap");
    }
    *entry = (struct io_uring_sqe){.opcode = IORING_OP_CONNECT, .fd = fd, .addr = (uint64_t)(uintptr_t)&to, .off = sizeof to};
    *(unsigned *)(rings + parameters.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(rings + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) {
        return tell("io_uring_enter", 1);
    }
    struct io_uring_cqe *done = (struct io_uring_cqe *)(rings + parameters.cq_off.cqes);
    errno = -done->res;
    return tell("io_uring connect", done->res != 0);
}

static const struct {
    const char *name;
    int (*run)(void);
} routes[] = {
    {"connect", by_connect},   {"nonblocking", by_nonblocking}, {"sendto", by_sendto},
    {"udp-connect", by_udp_connect}, {"udplite", by_udplite},   {"sendmsg", by_sendmsg},   {"sendmmsg", by_sendmmsg},
    {"fastopen", by_fastopen}, {"fastopen-connect", by_fastopen_connect}, {"unspec", by_unspec},
    {"mapped", by_mapped},     {"raw", by_raw},                 {"ping", by_ping},
    {"packet", by_packet},     {"options", by_options},         {"control", by_control},
    {"int80", by_int80},       {"socketcall", by_socketcall},   {"x32", by_x32},
    {"io_uring", by_io_uring},
};

int main(int count, char **words)
{
    if (count != 4) {
        return 2;
    }
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)atoi(words[3]));
    inet_pton(AF_INET, words[2], &to.sin_addr);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(words[1], routes[i].name) == 0) {
            return routes[i].run();
        }
    }
    return 2;
}
