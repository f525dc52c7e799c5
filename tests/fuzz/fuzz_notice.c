/* Notifications of the kernel with any bytes, from a caller whose memory holds any bytes: read
 * within bounds, each answered once or held, and nothing is performed but what the list allows.
 *
 * An input is a struct seccomp_notif, a byte that chooses the socket, one that says what
 * performing gives, and the caller's memory from MEMORY_AT on. */
#include "fuzz.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/un.h>

#include "core/state.h"
#include "linux/hold.h"
#include "linux/look_again.h"
#include "linux/question.h"
#include "linux/send.h"
#include "linux/stub.h"

#define MEMORY_AT 0x1000u
#define LISTED_ADDRESS 0xcb00710au /* 203.0.113.10 */
#define LISTED_PORT 80
#define WAITING 40 /* bytes that wait in a socket of the stub */
#define LARGEST_WRITE 128

static eg_supervisor supervisor;
static eg_kernel_counts counts;
static eg_exempt exempt;
static struct {
    const uint8_t *memory;
    size_t size;
    uint8_t socket, result;
    uint64_t id;
    bool names_nobody; /* recvfrom */
    int answers;
    int opened; /* descriptors that were handed out */
} now;

/* ---- the caller ---- */

int eg_target_read(int32_t tid, uint64_t from, void *to, size_t length)
{
    (void)tid;
    if (length == 0) {
        return 0;
    }
    if (from < MEMORY_AT || from - MEMORY_AT > now.size || length > now.size - (from - MEMORY_AT)) {
        return -EFAULT;
    }
    memcpy(to, now.memory + (from - MEMORY_AT), length);
    return 0;
}

int eg_target_read_both(int32_t tid, const eg_piece *one, const eg_piece *other, int *other_error)
{
    int error = eg_target_read(tid, one->from, one->to, one->length);

    *other_error = error != 0 ? 0 : eg_target_read(tid, other->from, other->to, other->length);
    return error;
}

int eg_target_write(int32_t tid, uint64_t to, const void *from, size_t length)
{
    static uint8_t bytes[LARGEST_WRITE];
    CHECK(length <= sizeof bytes && from != NULL, "no more is written to a caller than there is");
    memcpy(bytes, from, length);
    return eg_target_read(tid, to, bytes, length);
}

ssize_t eg_target_gather(int32_t tid, const struct iovec *vectors, size_t count, void *to, size_t length)
{
    size_t done = 0;
    for (size_t i = 0; i < count && done < length; i++) {
        size_t piece = vectors[i].iov_len < length - done ? vectors[i].iov_len : length - done;
        int error = eg_target_read(tid, (uint64_t)(uintptr_t)vectors[i].iov_base, (char *)to + done, piece);
        if (error != 0) {
            return done > 0 ? (ssize_t)done : error;
        }
        done += piece;
    }
    return (ssize_t)done;
}

/* In the place of one that is connected to the stub: an answer waits in it. */
static int open_answered(void)
{
    static const char answer[WAITING];
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | ((now.socket & 0x80) != 0 ? SOCK_NONBLOCK : 0), 0, pair) != 0) {
        return -errno;
    }
    CHECK(send(pair[1], answer, sizeof answer, 0) == sizeof answer, "an answer waits");
    close(pair[1]);
    now.opened++;
    return pair[0];
}

int eg_target_descriptor(eg_targets *targets, int32_t tid, uint64_t id, int descriptor)
{
    static const int kinds[][3] = {{AF_INET, SOCK_STREAM, 0},   {AF_INET, SOCK_DGRAM, 0},  {AF_INET6, SOCK_STREAM, 0},
                                   {AF_INET6, SOCK_DGRAM, 0},   {AF_UNIX, SOCK_STREAM, 0}, {AF_UNIX, SOCK_DGRAM, 0},
                                   {AF_NETLINK, SOCK_RAW, 0}};
    const int *kind = kinds[now.socket % (sizeof kinds / sizeof kinds[0])];
    (void)targets, (void)tid, (void)id;

    if (descriptor < 0 || descriptor > 1000 || (now.socket & 0x40) != 0) {
        return (now.socket & 0x40) != 0 ? -EACCES : -EBADF;
    }
    if (kind[0] == AF_UNIX && kind[1] == SOCK_DGRAM) {
        return open_answered();
    }
    int opened = socket(kind[0], kind[1] | ((now.socket & 0x80) != 0 ? SOCK_NONBLOCK : 0), kind[2]);
    now.opened += opened >= 0;
    return opened;
}

void eg_target_sigpipe(eg_targets *targets, int32_t tid)
{
    (void)targets, (void)tid;
}

void eg_target_who(eg_targets *targets, int32_t tid, int32_t *tgid, char program[32])
{
    (void)targets;
    *tgid = tid;
    snprintf(program, 32, "fuzz");
}

bool eg_target_status_read(int32_t tid, eg_target_status *out)
{
    memset(out, 0, sizeof *out);
    out->tgid = out->inner_pid = tid;
    for (int i = 0; i < 3; i++) {
        out->uids[i] = tid % 2 == 0 ? geteuid() : 1;
        out->gids[i] = tid % 2 == 0 ? getegid() : 1;
    }
    return true;
}

int eg_target_pidfd(eg_targets *targets, int32_t tid)
{
    (void)targets, (void)tid;
    return -ESRCH;
}

bool eg_target_shares_files(int32_t tid)
{
    (void)tid;
    return false; /* paths of the caller are not opened here */
}

/* ---- the rest of the supervisor ---- */

int eg_supervisor_watch(eg_supervisor *self, int descriptor, uint32_t kind, uint32_t index, uint32_t events)
{
    (void)self, (void)descriptor, (void)kind, (void)index, (void)events;
    return 0;
}

uint64_t eg_network_of(int socket)
{
    (void)socket;
    return 1;
}

int64_t eg_now_us(void)
{
    return eg_now_ms() * 1000;
}

int64_t eg_now_ms(void)
{
    return 1000;
}

int eg_stub_redirect(eg_supervisor *self, eg_work *work, const eg_socket_facts *facts, const eg_endpoint *nameserver)
{
    (void)self, (void)work, (void)facts, (void)nameserver;
    return -EACCES;
}

void eg_stub_note_client(eg_supervisor *self, const eg_work *work, const eg_endpoint *nameserver)
{
    (void)self, (void)work, (void)nameserver;
}

bool eg_stub_look_up(eg_supervisor *self, eg_work *work, const eg_endpoint *nameserver, const uint8_t *query, size_t length)
{
    (void)self, (void)work, (void)nameserver, (void)query, (void)length;
    return false;
}

bool eg_stub_reaches(eg_supervisor *self, int socket)
{
    (void)self, (void)socket;
    return true;
}

bool eg_look_again(eg_supervisor *self, eg_work *work, const eg_endpoint *endpoint, bool blocking)
{
    (void)self, (void)work, (void)endpoint, (void)blocking;
    return false;
}

bool eg_stub_has_datagrams(const struct eg_stub *stub)
{
    (void)stub;
    return (now.result & 1) != 0;
}

const eg_endpoint *eg_stub_stands_for(const eg_supervisor *self, int socket)
{
    static const eg_endpoint nameserver = {.family = AF_INET, .port = 53};
    int family = 0;
    socklen_t size = sizeof family;
    (void)self;
    return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_UNIX ? &nameserver : NULL;
}

bool eg_question_sent(eg_supervisor *self, eg_work *work, const eg_endpoint *nameserver, const uint8_t *query, size_t length)
{
    (void)self, (void)work, (void)nameserver, (void)query, (void)length;
    return false;
}

eg_outcome eg_question_go_on(eg_supervisor *self, eg_work *work)
{
    (void)self, (void)work;
    CHECK(false, "no question is under way");
    return eg_failure(EINVAL);
}

void eg_question_end(eg_supervisor *self, eg_work *work)
{
    (void)self;
    CHECK(work->question == 0, "no question is under way");
}

/* ---- what is performed ---- */

static bool is_listed(const struct sockaddr *address, socklen_t length)
{
    const struct sockaddr_in *in = (const void *)address;
    const struct sockaddr_in6 *in6 = (const void *)address;
    uint32_t ipv4 = 0;

    if (address->sa_family == AF_INET && length >= sizeof *in) {
        return ntohl(in->sin_addr.s_addr) == LISTED_ADDRESS && ntohs(in->sin_port) == LISTED_PORT;
    }
    if (address->sa_family == AF_INET6 && length >= 24) {
        memcpy(&ipv4, in6->sin6_addr.s6_addr + 12, 4);
        return memcmp(in6->sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0 && ntohl(ipv4) == LISTED_ADDRESS &&
               ntohs(in6->sin6_port) == LISTED_PORT;
    }
    return false;
}

static long perform(void)
{
    static const int errors[] = {EINPROGRESS, EAGAIN, ECONNREFUSED, EPIPE, EALREADY, EISCONN};
    if (now.result < 128) {
        return now.result;
    }
    errno = errors[now.result % (sizeof errors / sizeof errors[0])];
    return -1;
}

static long connect_(int socket, const struct sockaddr *address, socklen_t length)
{
    int type = 0;
    socklen_t size = sizeof type;
    CHECK(length <= sizeof(struct sockaddr_storage), "an address is not longer than the room for it");
    getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size);
    /* What libc sorts addresses with: port 0 of a datagram socket, which is then shut. */
    bool sorts = type == SOCK_DGRAM && ((const struct sockaddr_in *)(const void *)address)->sin_port == 0;
    bool ip = address->sa_family == AF_INET || address->sa_family == AF_INET6;
    CHECK(!ip || sorts || is_listed(address, length), "nothing but the listed address is dialled");
    CHECK(ip || address->sa_family == AF_UNSPEC || address->sa_family == AF_NETLINK || address->sa_family == AF_UNIX,
          "no other family is dialled");
    long result = perform();
    return result < 0 ? result : 0;
}

static long sendmsg_(const struct msghdr *message, int flags)
{
    const struct sockaddr *address = message->msg_name;
    CHECK((flags & EG_MSG_FASTOPEN) == 0, "no message dials");
    CHECK((flags & MSG_DONTWAIT) != 0, "no call of the supervisor waits");
    CHECK(message->msg_iovlen == 1 && message->msg_iov->iov_len <= EG_PAYLOAD_MAX, "the payload fits");
    CHECK(message->msg_controllen <= EG_CONTROL_MAX, "the control messages fit");
    CHECK(address == NULL || is_listed(address, message->msg_namelen) || address->sa_family == AF_NETLINK ||
              address->sa_family == AF_UNIX,
          "nothing is sent but to the listed address");
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL; at = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, at)) {
        CHECK(at->cmsg_level != IPPROTO_IP || at->cmsg_type != IP_RETOPTS, "no control message that routes elsewhere");
    }
    long result = perform();
    return result > (long)message->msg_iov->iov_len ? (long)message->msg_iov->iov_len : result;
}

static void check_answer(const struct seccomp_notif_resp *answer)
{
    now.answers++;
    CHECK(answer->id == now.id, "the answer is for the caller");
    CHECK(answer->flags == 0 || (answer->flags == SECCOMP_USER_NOTIF_FLAG_CONTINUE && now.names_nobody),
          "the kernel goes on with nothing that names an address");
    CHECK(answer->error <= 0 && answer->error > -4096 && (answer->error == 0 || answer->val == 0), "an errno or a value");
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    long a[5]; /* what is in registers, whether it was passed or not; nothing here needs more */
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 5; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    switch (number) {
    case SYS_connect:
        return connect_((int)a[0], (const struct sockaddr *)a[1], (socklen_t)a[2]);
    case SYS_sendmsg:
        return sendmsg_((const struct msghdr *)a[1], (int)a[2]);
    case SYS_ioctl:
        if ((unsigned long)a[1] == SECCOMP_IOCTL_NOTIF_SEND) {
            check_answer((const struct seccomp_notif_resp *)a[2]);
        }
        return 0; /* "still waits", too */
    default:
        return __real_syscall(number, a[0], a[1], a[2], a[3], a[4]);
    }
}

static void prepare(void)
{
    eg_entry entry;
    const char *text = "203.0.113.10:80";
    CHECK(eg_entry_parse(text, strlen(text), &entry) == NULL, "the entry is one");
    supervisor.state = eg_state_create(1, 64);
    CHECK(supervisor.state != NULL && eg_allowlist_add(&supervisor.state->allowlist, &entry) == 0, "a list of one entry");
    supervisor.network = 1;
    supervisor.exempt = &exempt;
    supervisor.counts = &counts;
    supervisor.listener = supervisor.epoll = -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seccomp_notif heard;

    if (supervisor.state == NULL) {
        prepare();
    }
    if (size < sizeof heard + 2) {
        return 0;
    }
    memcpy(&heard, data, sizeof heard);
    memset(&now, 0, sizeof now);
    now.id = heard.id;
    now.names_nobody = heard.data.nr == SYS_recvfrom;
    now.socket = data[sizeof heard];
    now.result = data[sizeof heard + 1];
    now.memory = data + sizeof heard + 2;
    now.size = size - sizeof heard - 2;
    eg_hold_hear(&supervisor, &heard);
    for (int round = 0; supervisor.held_count > 0 && round < 8; round++) {
        CHECK(now.answers == 0, "what is held has no answer yet");
        eg_hold_ready(&supervisor, 0);
    }
    if (supervisor.held_count > 0) { /* still waits: its caller is gone */
        CHECK(now.answers == 0, "what is held has no answer yet");
        close(supervisor.held[0].socket);
        memset(&supervisor.held[0], 0, sizeof supervisor.held[0]);
        supervisor.held_count = 0;
        return 0;
    }
    CHECK(now.answers == 1, "one answer for one call");
    return 0;
}
