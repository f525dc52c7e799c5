/* The wrapped system calls, as far as the stub makes them. */
#include "exchange/pretend_net.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <sanitizer/asan_interface.h>

#define MESSAGE_MAX (65535 + 2)
#define WAITING_MAX (4u << 20) /* bytes, of datagrams at one socket */

WITHOUT_COVERAGE

int pretend_failing[PRETEND_CALLS];
uint16_t pretend_last_random;

static pretend_socket sockets[PRETEND_MAX];
static int behind_last;
static uint32_t random_state;
static uint16_t next_port;
static struct { /* what was received last: its room behind it */
    const void *at;
    size_t length;
} behind;

pretend_socket *pretend_at(int descriptor)
{
    bool ours = descriptor >= PRETEND_FIRST && descriptor < PRETEND_FIRST + PRETEND_MAX;
    return ours && sockets[descriptor - PRETEND_FIRST].kind != PRETEND_FREE ? &sockets[descriptor - PRETEND_FIRST] : NULL;
}

int pretend_end(void)
{
    return PRETEND_FIRST + behind_last;
}

size_t pretend_count(pretend_kind kind)
{
    size_t count = 0;
    for (int i = 0; i < behind_last; i++) {
        count += sockets[i].kind == kind;
    }
    return count;
}

static void take_first(pretend_socket *one)
{
    pretend_chunk *gone = one->first;
    one->waiting -= gone->length;
    one->first = gone->next;
    one->last = one->first == NULL ? NULL : one->last;
    free(gone);
}

static void forget(pretend_socket *one)
{
    while (one->first != NULL) {
        take_first(one);
    }
    memset(one, 0, sizeof *one);
}

void pretend_reset(void)
{
    for (int i = 0; i < behind_last; i++) {
        forget(&sockets[i]);
    }
    behind_last = 0;
    random_state = 1;
    next_port = PRETEND_PORT;
    memset(pretend_failing, 0, sizeof pretend_failing);
    pretend_called();
}

int pretend_open(pretend_kind kind, int family, int type, const eg_endpoint *own)
{
    for (int i = 0; i < PRETEND_MAX; i++) {
        if (sockets[i].kind == PRETEND_FREE) {
            sockets[i] = (pretend_socket){.kind = kind, .family = family, .type = type, .own = *own, .network = 1};
            sockets[i].peek_offset = -1;
            behind_last = i < behind_last ? behind_last : i + 1;
            return PRETEND_FIRST + i;
        }
    }
    return -1;
}

void pretend_arrive(int descriptor, const eg_endpoint *from, const void *bytes, size_t length, int error, int tag)
{
    pretend_socket *one = pretend_at(descriptor);
    CHECK(one != NULL, "what arrives has a socket");
    if (one->type == SOCK_DGRAM && one->waiting + length > WAITING_MAX) {
        return; /* as the kernel drops it */
    }
    one->waiting += length;
    pretend_chunk *chunk = calloc(1, sizeof *chunk + length);
    CHECK(chunk != NULL, "memory for a test");
    chunk->length = length;
    chunk->error = error;
    chunk->tag = tag;
    eg_endpoint_to_sockaddr(from, &chunk->from);
    if (length > 0) {
        memcpy(chunk->bytes, bytes, length);
    }
    if (one->last != NULL) {
        one->last->next = chunk;
    } else {
        one->first = chunk;
    }
    one->last = chunk;
}

bool pretend_is_ready(const pretend_socket *one)
{
    bool readable = one->first != NULL || one->ended;
    return one->watched && (((one->events & EPOLLIN) != 0 && readable) || (one->events & EPOLLOUT) != 0 || one->ended);
}

static bool fails(pretend_call call)
{
    errno = pretend_failing[call];
    pretend_failing[call] = 0;
    return errno != 0;
}

/* ---- received bytes: whoever reads behind them is found ---- */

void pretend_called(void)
{
    ASAN_UNPOISON_MEMORY_REGION(behind.at, behind.length);
    behind.length = 0;
}

static ssize_t deliver(int descriptor, pretend_chunk *chunk, size_t offset, void *to, size_t room)
{
    size_t length = chunk->length - offset < room ? chunk->length - offset : room;

    pretend_called();
    CHECK(room == 0 || __asan_region_is_poisoned(to, room) == NULL, "the room is there");
    memcpy(to, chunk->bytes + offset, length);
    pretend_received(descriptor, chunk);
    behind.at = (uint8_t *)to + length;
    behind.length = room - length;
    ASAN_POISON_MEMORY_REGION(behind.at, behind.length);
    return (ssize_t)length;
}

/* udp_recvmsg with SO_PEEK_OFF: whole datagrams before the offset are skipped. */
static pretend_chunk *find_peeked(pretend_socket *one, size_t *offset)
{
    pretend_chunk *chunk = one->first;
    *offset = one->peek_offset > 0 ? (size_t)one->peek_offset : 0;
    while (one->peek_offset >= 0 && chunk != NULL && *offset >= chunk->length &&
           (chunk->length > 0 || *offset > 0 || chunk->peeked)) {
        *offset -= chunk->length;
        chunk = chunk->next;
    }
    return chunk;
}

static ssize_t receive(int descriptor, void *to, size_t room, int flags, struct sockaddr_storage *from)
{
    pretend_socket *one = pretend_at(descriptor);
    bool peeks = (flags & MSG_PEEK) != 0;
    size_t offset = 0;

    CHECK(one != NULL, "what is read is open");
    CHECK((one->kind == PRETEND_CALLER) == peeks, "nothing is taken out of a caller's socket");
    pretend_chunk *chunk = peeks ? find_peeked(one, &offset) : one->first;
    if (chunk == NULL) {
        errno = EAGAIN;
        return one->ended ? 0 : -1;
    }
    if (chunk->error != 0) {
        errno = chunk->error;
        take_first(one);
        return -1;
    }
    if (from != NULL) {
        *from = chunk->from;
    }
    ssize_t length = deliver(descriptor, chunk, peeks ? offset : chunk->taken, to, room);
    if (peeks) {
        chunk->peeked = true;
        one->peek_offset += one->peek_offset >= 0 ? (int)length : 0;
        return length;
    }
    chunk->taken += (size_t)length;
    if (one->type == SOCK_DGRAM || chunk->taken == chunk->length) {
        take_first(one);
    }
    return length;
}

ssize_t __real_recv(int descriptor, void *to, size_t room, int flags);
ssize_t __wrap_recv(int descriptor, void *to, size_t room, int flags);
ssize_t __wrap_recv(int descriptor, void *to, size_t room, int flags)
{
    return pretend_at(descriptor) == NULL ? __real_recv(descriptor, to, room, flags) : receive(descriptor, to, room, flags, NULL);
}

ssize_t __wrap_recvmsg(int descriptor, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int descriptor, struct msghdr *message, int flags)
{
    struct sockaddr_storage *from = message->msg_name;
    CHECK(message->msg_iovlen == 1 && from != NULL && message->msg_namelen == sizeof *from, "one buffer, and room for the source");
    ssize_t length = receive(descriptor, message->msg_iov->iov_base, message->msg_iov->iov_len, flags, from);
    if (length >= 0) {
        message->msg_namelen = from->ss_family == AF_INET ? 16 : 28;
    }
    return length;
}

/* ---- a socket's life ---- */

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol)
{
    eg_endpoint nowhere = {.family = (uint16_t)family};
    int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    if (family != AF_INET && family != AF_INET6) {
        return __real_socket(family, type, protocol);
    }
    CHECK((type & flags) == flags, "no socket of the supervisor blocks or is inherited");
    if (fails(PRETEND_CALL_SOCKET)) {
        return -1;
    }
    int opened = pretend_open(PRETEND_NEW, family, type & ~flags, &nowhere);
    errno = EMFILE;
    return opened;
}

int __wrap_bind(int descriptor, const struct sockaddr *address, socklen_t length);
int __wrap_bind(int descriptor, const struct sockaddr *address, socklen_t length)
{
    pretend_socket *one = pretend_at(descriptor);
    CHECK(one != NULL && eg_endpoint_from_sockaddr(&one->own, address, length) == 0, "an address for an open socket");
    CHECK(eg_address_class(&one->own.address) == EG_CLASS_LOOPBACK, "nobody listens but on loopback");
    one->kind = PRETEND_STUB;
    one->own.port = next_port++;
    return 0;
}

int __wrap_listen(int descriptor, int backlog);
int __wrap_listen(int descriptor, int backlog)
{
    (void)backlog;
    CHECK(pretend_at(descriptor) != NULL, "what listens is open");
    return 0;
}

int __wrap_accept4(int listener, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_accept4(int listener, struct sockaddr *address, socklen_t *length, int flags)
{
    pretend_socket *one = pretend_at(listener);
    CHECK(one != NULL && (flags & SOCK_NONBLOCK) != 0 && (flags & SOCK_CLOEXEC) != 0, "clients do not block either");
    if (fails(PRETEND_CALL_ACCEPT)) {
        return -1;
    }
    if (one->first == NULL) {
        errno = EAGAIN;
        return -1;
    }
    int accepted = one->first->tag;
    pretend_received(listener, one->first);
    *length = (socklen_t)eg_endpoint_to_sockaddr(&pretend_at(accepted)->peer, address);
    pretend_at(accepted)->kind = PRETEND_STREAM;
    take_first(one);
    return accepted;
}

int __real_close(int descriptor);
int __wrap_close(int descriptor);
int __wrap_close(int descriptor)
{
    pretend_socket *one = pretend_at(descriptor);
    if (one == NULL) {
        return __real_close(descriptor);
    }
    pretend_closed(descriptor);
    forget(one);
    return 0;
}

/* ---- addresses and options ---- */

static int tell(const eg_endpoint *endpoint, void *address, socklen_t *length)
{
    struct sockaddr_storage whole;
    size_t size = eg_endpoint_to_sockaddr(endpoint, &whole);
    memcpy(address, &whole, size < *length ? size : *length);
    *length = (socklen_t)size;
    return 0;
}

int __wrap_getsockname(int descriptor, struct sockaddr *address, socklen_t *length);
int __wrap_getsockname(int descriptor, struct sockaddr *address, socklen_t *length)
{
    CHECK(pretend_at(descriptor) != NULL, "what is asked for its name is open");
    return tell(&pretend_at(descriptor)->own, address, length);
}

int __wrap_getpeername(int descriptor, struct sockaddr *address, socklen_t *length);
int __wrap_getpeername(int descriptor, struct sockaddr *address, socklen_t *length)
{
    CHECK(pretend_at(descriptor) != NULL, "what is asked for its peer is open");
    return tell(&pretend_at(descriptor)->peer, address, length);
}

int __real_getsockopt(int descriptor, int level, int option, void *value, socklen_t *length);
int __wrap_getsockopt(int descriptor, int level, int option, void *value, socklen_t *length);
int __wrap_getsockopt(int descriptor, int level, int option, void *value, socklen_t *length)
{
    const pretend_socket *one = pretend_at(descriptor);
    if (one == NULL) {
        return __real_getsockopt(descriptor, level, option, value, length);
    }
    CHECK(level == SOL_SOCKET && (option == SO_TYPE || option == SO_PEEK_OFF) && *length == sizeof(int), "an option that is known");
    memcpy(value, option == SO_TYPE ? &one->type : &one->peek_offset, sizeof(int));
    return 0;
}

int __real_setsockopt(int descriptor, int level, int option, const void *value, socklen_t length);
int __wrap_setsockopt(int descriptor, int level, int option, const void *value, socklen_t length);
int __wrap_setsockopt(int descriptor, int level, int option, const void *value, socklen_t length)
{
    pretend_socket *one = pretend_at(descriptor);
    if (one == NULL) {
        return __real_setsockopt(descriptor, level, option, value, length);
    }
    if (level == SOL_SOCKET && option == SO_PEEK_OFF) {
        memcpy(&one->peek_offset, value, sizeof one->peek_offset);
    }
    return 0;
}

int __wrap_epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event)
{
    pretend_socket *one = pretend_at(descriptor);
    (void)epoll;
    CHECK(one != NULL, "what is watched is open");
    CHECK((operation != EPOLL_CTL_ADD) == one->watched, "watched anew, or changed while it is watched");
    if (operation == EPOLL_CTL_ADD && fails(PRETEND_CALL_WATCH)) { /* the others need no memory */
        return -1;
    }
    one->watched = operation != EPOLL_CTL_DEL;
    if (event != NULL) {
        one->events = event->events;
        one->data = event->data.u64;
    }
    return 0;
}

ssize_t __real_getrandom(void *to, size_t length, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t length, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t length, unsigned flags)
{
    uint8_t *bytes = to;
    (void)flags;
    if (fails(PRETEND_CALL_RANDOM)) {
        return -1;
    }
    for (size_t i = 0; i < length; i++) {
        random_state = random_state * 1103515245u + 12345u;
        bytes[i] = (uint8_t)(random_state >> 16);
    }
    pretend_last_random = (uint16_t)(bytes[0] << 8 | bytes[length > 1]);
    return (ssize_t)length;
}

/* ---- what leaves ---- */

static long connect_(int descriptor, const void *address, socklen_t length)
{
    pretend_socket *one = pretend_at(descriptor);
    CHECK(one != NULL && one->kind == PRETEND_NEW, "what is connected is fresh");
    CHECK(eg_endpoint_from_sockaddr(&one->peer, address, length) == 0, "to an address");
    pretend_dialled(descriptor, &one->peer);
    if (fails(PRETEND_CALL_CONNECT)) {
        return -1;
    }
    one->kind = PRETEND_UPSTREAM;
    errno = EINPROGRESS;
    return one->type == SOCK_STREAM ? -1 : 0;
}

static long sendmsg_(int descriptor, const struct msghdr *message)
{
    static uint8_t bytes[MESSAGE_MAX];
    size_t length = 0;
    eg_endpoint to = {0};

    CHECK(pretend_at(descriptor) != NULL, "what is sent on is open");
    CHECK(message->msg_control == NULL, "without control messages");
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        CHECK(message->msg_iov[i].iov_len <= sizeof bytes - length, "no message is longer than its length can say");
        memcpy(bytes + length, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        length += message->msg_iov[i].iov_len;
    }
    if (fails(PRETEND_CALL_SEND)) {
        bool in_part = errno == EINTR; /* one of the two ways in which it is not sent */
        pretend_send_failed(descriptor);
        errno = EAGAIN;
        return in_part && length > 0 ? (long)length - 1 : -1;
    }
    CHECK(message->msg_name == NULL || eg_endpoint_from_sockaddr(&to, message->msg_name, message->msg_namelen) == 0,
          "to an address");
    pretend_sent(descriptor, message->msg_name == NULL ? NULL : &to, bytes, length);
    return (long)length;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    long a[6]; /* what is in registers, whether it was passed or not */
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    if (number == SYS_connect) {
        return connect_((int)a[0], (const void *)a[1], (socklen_t)a[2]);
    }
    if (number == SYS_sendmsg) {
        return sendmsg_((int)a[0], (const struct msghdr *)a[1]);
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

WITH_COVERAGE
