/* Judging a dial. The core decides; this file only carries the question to it and, for a
 * name, asks the guard's own lookup first. */
#include "python/judge.h"

#include <errno.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "core/dns.h"
#include "python/interpose.h"
#include "python/loopback.h"
#include "python/refuse.h"
#include "python/resolve.h"
#include "python/second_look.h"
#include "python/socket_object.h"
#include "python/unix_dial.h"

int eg_judge_resolve(eg_state *state, eg_route route, PyObject *socket, eg_parsed *parsed)
{
    eg_name_decision decision;
    eg_endpoint answer;
    const char *name = PyBytes_AS_STRING(parsed->host);
    eg_reason reason = eg_verdict_for_name(state, name, (size_t)PyBytes_GET_SIZE(parsed->host), parsed->endpoint.port,
                                           &decision);

    if (reason != EG_ALLOWED) {
        eg_attempt attempt = {.route = route, .reason = reason, .host = name, .port = parsed->endpoint.port};
        return eg_refuse(&attempt) < 0 ? -1 : 1;
    }
    eg_resolve_question question = {.route = route,
                                    .module = eg_interpose_module_of(socket),
                                    .decision = &decision,
                                    .asked_port = parsed->endpoint.port,
                                    .family = parsed->endpoint.family,
                                    .type = SOCK_DGRAM};
    if (eg_resolve_first(state, &question, &answer) < 0) {
        return -1;
    }
    answer.port = parsed->endpoint.port;
    answer.flow_info = parsed->endpoint.flow_info;
    answer.scope_id = parsed->endpoint.scope_id;
    parsed->endpoint = answer;
    Py_SETREF(parsed->exact, eg_address_build(&answer));
    return parsed->exact == NULL ? -1 : 0;
}

static int refuse_dial(const eg_judged_dial *dial, eg_reason reason, const eg_parsed *parsed)
{
    if (parsed->host == NULL) {
        return eg_refuse_endpoint(dial->route, reason, &parsed->endpoint);
    }
    char address[EG_ENDPOINT_TEXT_SIZE];
    eg_address_text(&parsed->endpoint.address, address);
    eg_attempt attempt = {.route = dial->route,
                          .reason = reason,
                          .host = PyBytes_AS_STRING(parsed->host),
                          .port = parsed->endpoint.port,
                          .address = address};
    return eg_refuse(&attempt);
}

int eg_judge(eg_state *state, eg_judged_dial *judged, eg_parsed *parsed)
{
    if (parsed->kind == EG_PARSED_NAME) {
        int resolved = eg_judge_resolve(state, judged->route, judged->socket, parsed);
        if (resolved != 0) {
            return resolved < 0 ? -1 : 0;
        }
    }
    eg_dial dial = {.endpoint = &parsed->endpoint,
                    .action = judged->action,
                    .socket = eg_socket_object_kind(judged->socket),
                    .loopback_open = eg_loopback_is_open(),
                    .more_to_come = judged->more_to_come,
                    .payload = judged->payload,
                    .payload_length = judged->payload_length};
    if (dial.socket == EG_SOCKET_OTHER && eg_socket_object_descriptor(judged->socket) < 0) {
        judged->is_closed = true; /* the original would say so too, but another thread could open it meanwhile */
        errno = EBADF;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    if (eg_unix_dial_is_for(state, &dial)) {
        judged->kind = dial.socket;
        judged->by_file = true;
        return 0;
    }
    eg_reason reason = eg_verdict_for_dial(state, &dial);
    if (reason == EG_REFUSED_NOT_LISTED && parsed->host == NULL) {
        int again = eg_second_look(state, parsed->endpoint.port, eg_socket_object_timeout(judged->socket));
        if (again < 0) {
            return -1;
        }
        if (again > 0) {
            dial.socket = eg_socket_object_kind(judged->socket); /* others ran while this thread waited */
            reason = eg_verdict_for_dial(state, &dial);
        }
    }
    if (reason == EG_ALLOWED) {
        judged->kind = dial.socket;
        return 0;
    }
    if (state->observing && reason == EG_REFUSED_NOT_LISTED &&
        eg_grants_has(&state->grants, &parsed->endpoint.address, EG_RECORD_OBSERVED)) {
        return 0; /* told already, by the name that was looked up for it */
    }
    return refuse_dial(judged, reason, parsed);
}

bool eg_judge_needs_payload(const eg_parsed *parsed, PyObject *socket)
{
    if (parsed->kind != EG_PARSED_ENDPOINT || parsed->endpoint.port != EG_DNS_PORT) {
        return false; /* spares the common message a question to the kernel */
    }
    eg_dial dial = {.endpoint = &parsed->endpoint, .action = EG_ACTION_SEND, .socket = eg_socket_object_kind(socket)};
    return eg_verdict_needs_payload(&dial);
}

bool eg_judge_more_to_come(int descriptor, int flags)
{
#ifdef __linux__
    enum { zero_copy = 0x4000000 }; /* MSG_ZEROCOPY, linux/socket.h */
    int corked = 0;
    socklen_t size = sizeof corked;

    return (flags & (MSG_MORE | zero_copy)) != 0 ||
           getsockopt(descriptor, IPPROTO_UDP, UDP_CORK, &corked, &size) != 0 || corked != 0;
#else
    (void)descriptor;
    (void)flags;
    return false;
#endif
}
