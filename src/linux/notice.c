/* Which call is it? The same number means another call to another architecture, so that is
 * looked at first; what nobody expected is refused. */
#include "linux/notice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/audit.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#endif

static void refuse(eg_notice *notice, int error, eg_route route, eg_reason reason)
{
    notice->kind = EG_NOTICE_REFUSE;
    notice->error = error;
    notice->route = route;
    notice->reason = reason;
}

/* Arguments that are int for the kernel: the upper half says nothing. */
static int as_int(const struct seccomp_notif *heard, int argument)
{
    return (int)(uint32_t)heard->data.args[argument];
}

static void read_socket(const struct seccomp_notif *heard, eg_notice *notice)
{
    int family = as_int(heard, 0), type = as_int(heard, 1) & 0xf, protocol = as_int(heard, 2);
    bool ip = family == AF_INET || family == AF_INET6;

    refuse(notice, EACCES, EG_ROUTE_SOCKET, ip ? EG_REFUSED_SOCKET : EG_REFUSED_FAMILY);
    snprintf(notice->what, sizeof notice->what, "family %d type %d protocol %d", family, type, protocol);
}

static void read_option(const struct seccomp_notif *heard, eg_notice *notice)
{
    eg_reason reason = eg_verdict_for_option(as_int(heard, 1), as_int(heard, 2));

    /* The filter sends none that is allowed; were it so, then it is for want of a verdict. */
    refuse(notice, EACCES, EG_ROUTE_SETSOCKOPT, reason == EG_ALLOWED ? EG_REFUSED_INTERNAL : reason);
    snprintf(notice->what, sizeof notice->what, "option %d level %d", as_int(heard, 2), as_int(heard, 1));
}

static void read_native(const struct seccomp_notif *heard, eg_notice *notice)
{
    switch (heard->data.nr) {
    case SYS_connect:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
        notice->kind = EG_NOTICE_JUDGE;
        break;
    case SYS_recvfrom:
        notice->kind = EG_NOTICE_RECEIVE;
        break;
    case SYS_socket:
        read_socket(heard, notice);
        break;
    case SYS_setsockopt:
        read_option(heard, notice);
        break;
    case SYS_request_key:
        refuse(notice, EACCES, EG_ROUTE_SYSTEM_CALL, EG_REFUSED_CALL);
        snprintf(notice->what, sizeof notice->what, "request_key");
        break;
    case SYS_io_uring_setup:
    case SYS_io_uring_enter:
    case SYS_io_uring_register:
        notice->kind = EG_NOTICE_COUNT;
        break;
    default: /* the filter sends no other */
        snprintf(notice->what, sizeof notice->what, "system call %d", heard->data.nr);
        break;
    }
}

void eg_notice_read(const struct seccomp_notif *heard, eg_notice *notice, eg_work *work)
{
    memset(notice, 0, sizeof *notice);
    memset(work, 0, sizeof *work);
    work->id = heard->id;
    work->tid = (int32_t)heard->pid;
    work->number = heard->data.nr;
    work->socket = work->path = -1;
    for (size_t i = 0; i < 6; i++) {
        work->arguments[i] = heard->data.args[i];
    }
    refuse(notice, ENOSYS, EG_ROUTE_SYSTEM_CALL, EG_REFUSED_CALL);
#if defined(__x86_64__)
    if (heard->data.arch == AUDIT_ARCH_I386) {
        notice->error = EACCES;
        snprintf(notice->what, sizeof notice->what, "32-bit system call %d", heard->data.nr);
        return;
    }
    if (heard->data.arch == NATIVE && heard->data.nr >= X32_BIT) {
        snprintf(notice->what, sizeof notice->what, "x32 system call %d", heard->data.nr - X32_BIT);
        return;
    }
#endif
#if defined(NATIVE)
    if (heard->data.arch == NATIVE) {
        read_native(heard, notice);
        return;
    }
#endif
    snprintf(notice->what, sizeof notice->what, "system call %d of architecture %x", heard->data.nr,
             heard->data.arch);
}
