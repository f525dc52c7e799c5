/* What dnspython and the like dial they were told by an answer that no route sees. So the
 * route that sent the question looks at the answer before its caller can, without taking it. */
#include "python/await_answer.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/dns.h"
#include "core/peek.h"
#include "python/second_look.h"
#include "python/socket_object.h"

#define SLICE_MS 50       /* how late Ctrl-C may come */
#define PAUSE_MS 2        /* between looks, while something else lies in the socket */
#define ANSWER_SIZE 4096u /* what resolvers offer by EDNS, at most (RFC 6891, 6.2.5) */

typedef struct awaited {
    int descriptor; /* a duplicate: the caller's can be closed and its number used again */
    const eg_endpoint *nameserver;
    const eg_dns_question *asked;
    eg_dns_answer answer;
} awaited;

/* Without the GIL. True where the answer is there. */
static bool wait_for(awaited *waiting, int slice_ms)
{
    uint8_t buffer[ANSWER_SIZE];

    for (int left = slice_ms; left > 0; left -= PAUSE_MS) {
        struct pollfd ready = {.fd = waiting->descriptor, .events = POLLIN};
        if (poll(&ready, 1, left) <= 0) {
            return false;
        }
        if (eg_peek_answer(waiting->descriptor, waiting->nameserver, waiting->asked, buffer, sizeof buffer,
                           &waiting->answer)) {
            return true;
        }
        poll(NULL, 0, PAUSE_MS);
    }
    return false;
}

static int wait_in_slices(eg_state *state, awaited *waiting, const eg_name_match *match, int left)
{
    for (; left > 0; left -= SLICE_MS) {
        bool found;
        Py_BEGIN_ALLOW_THREADS
        found = wait_for(waiting, left < SLICE_MS ? left : SLICE_MS);
        Py_END_ALLOW_THREADS
        if (found) {
            eg_peek_grant(state, match, &waiting->answer); /* what may not be dialled is refused at the dial */
            return 0;
        }
        if (PyErr_CheckSignals() < 0) {
            return -1;
        }
    }
    return 0;
}

int eg_await_answer(eg_state *state, const eg_judged_dial *sent, const eg_endpoint *nameserver)
{
    eg_dns_question asked;
    eg_name_match match;

    if (sent->payload == NULL || !eg_dns_read_query(sent->payload, sent->payload_length, &asked) ||
        eg_allowlist_match_name(&state->allowlist, &asked.name, EG_ANY_PORT, &match) != EG_MATCH_LISTED) {
        return 0;
    }
    int descriptor = eg_socket_object_descriptor(sent->socket);
    descriptor = descriptor < 0 ? -1 : fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (descriptor < 0) {
        return 0;
    }
    awaited waiting = {.descriptor = descriptor, .nameserver = nameserver, .asked = &asked};
    int result = wait_in_slices(state, &waiting, &match, eg_time_to_wait(eg_socket_object_timeout(sent->socket)));
    close(descriptor);
    return result;
}
