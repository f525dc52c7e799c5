/* System calls of the supervisor. Where it is a thread of the process that it guards, the
 * filter covers it too: its own dials carry a secret in arguments that the kernel ignores,
 * and the filter lets exactly those pass. */
#ifndef EG_LINUX_CALLS_H
#define EG_LINUX_CALLS_H

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/seccomp.h>

/* Numbers that every architecture shares, for kernel headers older than the kernel. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#define SYS_io_uring_register 427
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

#define EG_PIDFD_THREAD 0x80u          /* Linux 6.9 */
#define EG_CLOSE_RANGE_UNSHARE 2u      /* Linux 5.9 */
#define EG_MSG_FASTOPEN 0x20000000u
#define EG_MSG_ZEROCOPY 0x4000000u
#define EG_SO_NETNS_COOKIE 71          /* Linux 5.14 */
#define EG_NOTIF_SET_FLAGS 0x40082104u /* Linux 6.6; takes its argument by value */
#define EG_SYNC_WAKE_UP 1ul
#define EG_FLAG_TSYNC (1u << 0)
#define EG_FLAG_SPEC_ALLOW (1u << 2)
#define EG_FLAG_NEW_LISTENER (1u << 3)
#define EG_FLAG_TSYNC_ESRCH (1u << 4)
#define EG_FLAG_WAIT_KILLABLE_RECV (1u << 5) /* Linux 5.19 */

/* Three words of secret; all zero where the supervisor is a process of its own and stands
 * under no filter. A forked child reads zeros (MADV_WIPEONFORK). */
typedef struct eg_exempt {
    uint64_t cookie[3];
} eg_exempt;

static inline int eg_exempt_connect(const eg_exempt *exempt, int socket, const void *address, socklen_t length)
{
    return (int)syscall(SYS_connect, socket, address, length, exempt->cookie[0], exempt->cookie[1],
                        exempt->cookie[2]);
}

static inline ssize_t eg_exempt_sendmsg(const eg_exempt *exempt, int socket, const struct msghdr *message, int flags)
{
    return (ssize_t)syscall(SYS_sendmsg, socket, message, flags, exempt->cookie[0], exempt->cookie[1],
                            exempt->cookie[2]);
}

static inline int eg_exempt_getfd(const eg_exempt *exempt, int pidfd, int descriptor)
{
    return (int)syscall(SYS_pidfd_getfd, pidfd, descriptor, 0, exempt->cookie[0], exempt->cookie[1],
                        exempt->cookie[2]);
}

static inline int eg_exempt_ioctl(const eg_exempt *exempt, int descriptor, unsigned long request, void *argument)
{
    int done;
    do { /* a signal before the kernel had its lock; an answer that is lost leaves its caller waiting */
        done = (int)syscall(SYS_ioctl, descriptor, request, argument, exempt->cookie[0], exempt->cookie[1],
                            exempt->cookie[2]);
    } while (done < 0 && errno == EINTR);
    return done;
}

#endif
