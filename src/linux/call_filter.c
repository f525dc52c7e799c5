/* The filter. A call that names a peer goes to the supervisor, and so does what is refused
 * whatever it names, for the journal. What would take the supervisor's place is refused here:
 * it must stay refused when the supervisor is gone. Each block ends in a return, so a block
 * can be read alone. */
#include "linux/call_filter.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include <linux/audit.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u
#define X32_CALLS 0x1000u /* more than there are */
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#else
#define NATIVE 0 /* no table of numbers for this machine: eg_filter_build says so */
#endif

#define ALLOW SECCOMP_RET_ALLOW
#define NOTIFY 0x7fc00000u
#define REFUSE(error) (SECCOMP_RET_ERRNO | (unsigned)(error))
#define PROTOCOL_MPTCP 262
#define SECCOMP_IOCTL_TYPE 0x2100u /* '!' in bits 8 to 15: nothing but seccomp uses it */

static void emit(eg_filter *filter, unsigned code, unsigned operand, size_t if_true, size_t if_false)
{
    if (filter->length < EG_FILTER_MAX && if_true < 256 && if_false < 256) {
        filter->code[filter->length] =
            (struct sock_filter){(__u16)code, (__u8)if_true, (__u8)if_false, (__u32)operand};
        filter->length++;
    } else {
        filter->length = EG_FILTER_MAX + 1;
    }
}

static void give(eg_filter *filter, unsigned answer)
{
    emit(filter, BPF_RET | BPF_K, answer, 0, 0);
}

static void load(eg_filter *filter, size_t offset)
{
    emit(filter, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

static size_t low_word(int argument)
{
    return offsetof(struct seccomp_data, args) + 8 * (size_t)argument;
}

static void when_equal(eg_filter *filter, unsigned value, size_t if_true, size_t if_false)
{
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, value, if_true, if_false);
}

/* Start a block for a value in the accumulator; end_block sets where the others go on. */
static size_t begin_block(eg_filter *filter, unsigned value)
{
    when_equal(filter, value, 0, 0);
    return filter->length - 1;
}

static void end_block(eg_filter *filter, size_t at)
{
    if (filter->length <= EG_FILTER_MAX && filter->length - at - 1 < 256) {
        filter->code[at].jf = (__u8)(filter->length - at - 1);
    } else {
        filter->length = EG_FILTER_MAX + 1;
    }
}

/* `with` where the last three arguments are the secret, else `without`. */
static void by_secret(eg_filter *filter, const eg_exempt *exempt, unsigned with, unsigned without)
{
    for (size_t word = 0; exempt != NULL && word < 6; word++) {
        load(filter, low_word(3) + 4 * word);
        when_equal(filter, (unsigned)(exempt->cookie[word / 2] >> (word % 2 == 0 ? 0 : 32)), 0, (5 - word) * 2 + 1);
    }
    if (exempt != NULL) {
        give(filter, with);
    }
    give(filter, without);
}

static void simple_block(eg_filter *filter, long number, unsigned answer)
{
    when_equal(filter, (unsigned)number, 0, 1);
    give(filter, answer);
}

/* Without a destination the message stays on a connection that was judged. */
static void sendto_block(eg_filter *filter)
{
    size_t block = begin_block(filter, SYS_sendto);
    load(filter, low_word(4));
    when_equal(filter, 0, 0, 5);
    load(filter, low_word(4) + 4);
    when_equal(filter, 0, 0, 3);
    load(filter, low_word(3));
    emit(filter, BPF_JMP | BPF_JSET | BPF_K, EG_MSG_FASTOPEN, 2, 0);
    give(filter, ALLOW);
    give(filter, NOTIFY);
    give(filter, REFUSE(EOPNOTSUPP));
    end_block(filter, block);
}

/* The call matters where this pointer is given. */
static void where_given_block(eg_filter *filter, long number, int pointer)
{
    size_t block = begin_block(filter, (unsigned)number);
    load(filter, low_word(pointer));
    when_equal(filter, 0, 0, 3);
    load(filter, low_word(pointer) + 4);
    when_equal(filter, 0, 0, 1);
    give(filter, ALLOW);
    give(filter, NOTIFY);
    end_block(filter, block);
}

/* Families and types that have no verdict get no socket; the supervisor writes them down. */
static void socket_block(eg_filter *filter)
{
    size_t block = begin_block(filter, SYS_socket);
    load(filter, low_word(0));
    when_equal(filter, AF_UNIX, 19, 0);
    when_equal(filter, AF_NETLINK, 18, 0);
    when_equal(filter, AF_ALG, 17, 0);
    when_equal(filter, AF_INET, 1, 0);
    when_equal(filter, AF_INET6, 0, 14);
    load(filter, low_word(1));
    emit(filter, BPF_ALU | BPF_AND | BPF_K, 0xf, 0, 0);
    when_equal(filter, SOCK_STREAM, 0, 4);
    load(filter, low_word(2));
    when_equal(filter, 0, 10, 0);
    when_equal(filter, IPPROTO_TCP, 9, 0);
    when_equal(filter, PROTOCOL_MPTCP, 8, 6);
    when_equal(filter, SOCK_DGRAM, 0, 5);
    load(filter, low_word(2));
    when_equal(filter, 0, 5, 0);
    when_equal(filter, IPPROTO_UDP, 4, 0);
    when_equal(filter, IPPROTO_UDPLITE, 3, 0);
    give(filter, NOTIFY); /* ping */
    give(filter, NOTIFY); /* raw, SCTP */
    give(filter, NOTIFY); /* another family */
    give(filter, ALLOW);
    end_block(filter, block);
}

/* The options of eg_verdict_for_option, as a filter says them; tests/kernel asks for each of both.
 * And UDP_CORK: with it another thread could add to a question that was judged. */
static void setsockopt_block(eg_filter *filter)
{
    size_t block = begin_block(filter, SYS_setsockopt);
    load(filter, low_word(1));
    when_equal(filter, IPPROTO_UDP, 1, 0);
    when_equal(filter, IPPROTO_UDPLITE, 0, 3); /* either level sets it on either kind of socket */
    load(filter, low_word(2));
    when_equal(filter, UDP_CORK, 0, 21);
    give(filter, REFUSE(EACCES));
    when_equal(filter, IPPROTO_IP, 0, 8);
    load(filter, low_word(2));
    when_equal(filter, 4, 18, 0);  /* IP_OPTIONS */
    when_equal(filter, 35, 17, 0); /* IP_ADD_MEMBERSHIP */
    when_equal(filter, 39, 16, 0); /* IP_ADD_SOURCE_MEMBERSHIP */
    when_equal(filter, 41, 15, 0); /* IP_MSFILTER */
    when_equal(filter, 42, 14, 0); /* MCAST_JOIN_GROUP */
    when_equal(filter, 46, 13, 0); /* MCAST_JOIN_SOURCE_GROUP */
    when_equal(filter, 48, 12, 11); /* MCAST_MSFILTER */
    when_equal(filter, IPPROTO_IPV6, 0, 10);
    load(filter, low_word(2));
    when_equal(filter, 5, 9, 0);  /* IPV6_2292RTHDR */
    when_equal(filter, 6, 8, 0);  /* IPV6_2292PKTOPTIONS */
    when_equal(filter, 20, 7, 0); /* IPV6_JOIN_GROUP */
    when_equal(filter, 27, 6, 0); /* IPV6_JOIN_ANYCAST */
    when_equal(filter, 32, 5, 0); /* IPV6_FLOWLABEL_MGR */
    when_equal(filter, 42, 4, 0);
    when_equal(filter, 46, 3, 0);
    when_equal(filter, 48, 2, 0);
    when_equal(filter, 57, 1, 0); /* IPV6_RTHDR */
    give(filter, ALLOW);
    give(filter, NOTIFY);
    end_block(filter, block);
}

/* Nobody but the supervisor answers for calls. And nobody types into the terminal: the shell
 * outside, which reads it next, would dial for whoever did. TIOCLINUX pastes a selection; its
 * harmless requests are told apart by memory alone, which no filter reads.
 *
 * EPERM is what the kernel says of a terminal that is not the caller's own, and what other
 * sandboxes say; with dev.tty.legacy_tiocsti at 0 it is EIO, which callers take for a terminal
 * that has gone. The kernel reads 32 bits of a request, and so does this. isatty() is an ioctl
 * as well: two comparisons are all that it costs. */
static void ioctl_block(eg_filter *filter, unsigned number, const eg_exempt *exempt)
{
    size_t block = begin_block(filter, number);
    load(filter, low_word(1));
    when_equal(filter, TIOCSTI, 4, 0);
    when_equal(filter, TIOCLINUX, 3, 0);
    emit(filter, BPF_ALU | BPF_AND | BPF_K, 0xff00, 0, 0);
    when_equal(filter, SECCOMP_IOCTL_TYPE, 2, 0);
    give(filter, ALLOW);
    give(filter, REFUSE(EPERM));
    by_secret(filter, exempt, ALLOW, REFUSE(EPERM));
    end_block(filter, block);
}

/* Nobody gets at the supervisor's descriptors, or takes its place. */
static void supervisor_blocks(eg_filter *filter, const eg_exempt *exempt)
{
    size_t block = begin_block(filter, (unsigned)SYS_pidfd_getfd);
    by_secret(filter, exempt, ALLOW, REFUSE(EPERM));
    end_block(filter, block);

    /* A guarded child that killed its supervisor must not become one (measured: it could). */
    block = begin_block(filter, SYS_seccomp);
    load(filter, low_word(0));
    when_equal(filter, SECCOMP_SET_MODE_FILTER, 0, 2);
    load(filter, low_word(1));
    emit(filter, BPF_JMP | BPF_JSET | BPF_K, EG_FLAG_NEW_LISTENER, 1, 0);
    give(filter, ALLOW);
    give(filter, REFUSE(EPERM));
    end_block(filter, block);
}

static void native_blocks(eg_filter *filter, const eg_exempt *exempt)
{
    sendto_block(filter); /* these first: they are on the way of every send and recv */
    where_given_block(filter, SYS_recvfrom, 4); /* who asks for the source may be a resolver (receive.c) */
    size_t block = begin_block(filter, SYS_sendmsg);
    by_secret(filter, exempt, ALLOW, NOTIFY);
    end_block(filter, block);
    simple_block(filter, SYS_sendmmsg, NOTIFY);
    block = begin_block(filter, SYS_connect);
    by_secret(filter, exempt, ALLOW, NOTIFY);
    end_block(filter, block);
    socket_block(filter);
    setsockopt_block(filter);
    ioctl_block(filter, SYS_ioctl, exempt);
    supervisor_blocks(filter, exempt);
    /* With a callout the kernel starts a program outside, which can look names up (request-key(8), dns_resolver). */
    where_given_block(filter, SYS_request_key, 2);
    simple_block(filter, SYS_io_uring_setup, NOTIFY);
    simple_block(filter, SYS_io_uring_enter, NOTIFY);
    simple_block(filter, SYS_io_uring_register, NOTIFY);
    give(filter, ALLOW);
}

#if defined(__x86_64__)
/* 32-bit calls (int 0x80): a 32-bit program runs, but has no network. */
static void i386_blocks(eg_filter *filter)
{
    enum { socketcall = 102, ioctl_ = 54, request_key = 287, sendmmsg_ = 345, seccomp_ = 354, socket_ = 359 };
    enum { connect_ = 362, setsockopt_ = 366, sendto_ = 369, sendmsg_ = 370 };
    static const int refused[] = {socketcall, request_key, sendmmsg_,  socket_,
                                  connect_,   setsockopt_, sendto_,    sendmsg_};

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        simple_block(filter, refused[i], NOTIFY);
    }
    simple_block(filter, seccomp_, REFUSE(EPERM));
    simple_block(filter, SYS_pidfd_getfd, REFUSE(EPERM));
    simple_block(filter, SYS_io_uring_setup, REFUSE(ENOSYS));
    simple_block(filter, SYS_io_uring_enter, REFUSE(ENOSYS));
    simple_block(filter, SYS_io_uring_register, REFUSE(ENOSYS));
    ioctl_block(filter, ioctl_, NULL);
    give(filter, ALLOW);
}
#endif

int eg_filter_build(eg_filter *filter, const eg_exempt *exempt)
{
    memset(filter, 0, sizeof *filter);
    if (NATIVE == 0) {
        return -ENOSYS;
    }
    load(filter, offsetof(struct seccomp_data, arch));
    when_equal(filter, NATIVE, 1, 0);
#if defined(__x86_64__)
    size_t jump = filter->length;
    emit(filter, BPF_JMP | BPF_JA, 0, 0, 0); /* to the other architectures: set below */
    load(filter, offsetof(struct seccomp_data, nr));
    emit(filter, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 3);
    emit(filter, BPF_JMP | BPF_JGE | BPF_K, X32_BIT + X32_CALLS, 1, 0);
    give(filter, NOTIFY);         /* x32 */
    give(filter, REFUSE(ENOSYS)); /* no call at all, such as syscall(-1) */
    native_blocks(filter, exempt);
    filter->code[jump].k = (__u32)(filter->length - jump - 1);
    when_equal(filter, AUDIT_ARCH_I386, 1, 0);
    give(filter, REFUSE(ENOSYS));
    load(filter, offsetof(struct seccomp_data, nr));
    i386_blocks(filter);
#else
    give(filter, REFUSE(ENOSYS)); /* 32-bit programs do not run */
    load(filter, offsetof(struct seccomp_data, nr));
    native_blocks(filter, exempt);
#endif
    return filter->length <= EG_FILTER_MAX ? 0 : -E2BIG;
}

int eg_filter_enforce(const eg_filter *filter, int every_thread)
{
    struct sock_fprog program = {(unsigned short)filter->length, (struct sock_filter *)(uintptr_t)filter->code};
    unsigned flags = EG_FLAG_NEW_LISTENER | EG_FLAG_WAIT_KILLABLE_RECV | EG_FLAG_SPEC_ALLOW;

    if (every_thread) {
        flags |= EG_FLAG_TSYNC | EG_FLAG_TSYNC_ESRCH;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -errno;
    }
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    return listener < 0 ? -errno : listener;
}
