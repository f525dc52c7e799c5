/* Peeking. Only the nameserver can send from its address, and the id, the port and the name
 * are the caller's; an answer to another question, or from elsewhere, is passed over. */
#include "core/peek.h"

#include <errno.h>
#include <sys/socket.h>

#include "core/lookup.h"

#define WAITING_MAX 32 /* datagrams that may lie before the answer */

static bool is_the_answer(int socket, const eg_endpoint *nameserver, const eg_dns_question *asked, uint8_t *buffer,
                          size_t size, eg_dns_answer *out, bool *more)
{
    struct sockaddr_storage from;
    struct iovec vector = {buffer, size};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &vector, .msg_iovlen = 1};
    eg_endpoint source;

    /* Not recvfrom, which the kernel layer's filter stops for the supervisor's thread as well. */
    ssize_t length = recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT);
    *more = length >= 0;
    return *more && eg_endpoint_from_sockaddr(&source, &from, message.msg_namelen) == 0 && source.port == nameserver->port &&
           eg_address_equal(&source.address, &nameserver->address) &&
           eg_dns_read_answer(buffer, (size_t)length, asked, out);
}

bool eg_peek_answer(int socket, const eg_endpoint *nameserver, const eg_dns_question *asked, uint8_t *buffer,
                    size_t size, eg_dns_answer *out)
{
    bool found = false, more = true;
    int saved = errno;

#ifdef SO_PEEK_OFF
    /* With an offset each peek goes on behind the one before (socket(7)). */
    int start = 0, before = -1;
    socklen_t before_size = sizeof before;
    more = getsockopt(socket, SOL_SOCKET, SO_PEEK_OFF, &before, &before_size) == 0 &&
           setsockopt(socket, SOL_SOCKET, SO_PEEK_OFF, &start, sizeof start) == 0;
    bool changed = more;
    for (int i = 0; !found && more && i < WAITING_MAX; i++) {
        found = is_the_answer(socket, nameserver, asked, buffer, size, out, &more);
    }
    if (changed) {
        setsockopt(socket, SOL_SOCKET, SO_PEEK_OFF, &before, sizeof before);
    }
#else
    found = is_the_answer(socket, nameserver, asked, buffer, size, out, &more);
#endif
    errno = saved;
    return found;
}

bool eg_peek_grant(eg_state *state, const eg_name_match *match, const eg_dns_answer *answer)
{
    size_t granted = 0;

    for (size_t i = 0; i < answer->count; i++) {
        granted += eg_lookup_accept(state, match, &answer->addresses[i]);
    }
    return match->count == 0 || answer->count == 0 || granted > 0;
}
