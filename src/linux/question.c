/* Questions on the caller's own socket. Nobody but the nameserver can send from its address,
 * and some resolvers take an answer from nowhere else (c-ares, dnspython, hickory). So their
 * question is sent from their socket, and they are held until its answer lies there: it is
 * read without being taken, and what it grants is granted before the caller can read it. */
#include "linux/question.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "core/peek.h"
#include "linux/stub_inside.h"

#define PAYLOAD_OF_GLIBC 1200 /* RESOLV_EDNS_BUFFER_SIZE of glibc's resolver */

static eg_question *question_of(const eg_supervisor *supervisor, const eg_work *work)
{
    return &supervisor->stub->questions[work->question - 1];
}

/* Note what is waited for; NULL where there is no room. */
static eg_question *take(eg_supervisor *supervisor, eg_work *work, const eg_endpoint *nameserver,
                         const eg_dns_question *asked, const eg_name_match *match)
{
    for (uint16_t i = 0; i < EG_QUESTIONS; i++) {
        eg_question *question = &supervisor->stub->questions[i];
        if (!question->in_use) {
            *question = (eg_question){.in_use = true, .nameserver = *nameserver, .asked = *asked, .match = *match};
            question->nameserver.path = NULL;
            work->question = (uint16_t)(i + 1);
            work->looked_up_ms = eg_now_ms() + EG_LOOK_UP_MS;
            return question;
        }
    }
    return NULL;
}

bool eg_question_sent(eg_supervisor *supervisor, eg_work *work, const eg_endpoint *nameserver, const uint8_t *query,
                      size_t length)
{
    eg_dns_question asked;
    eg_name_decision decision;

    return eg_dns_read_query(query, length, &asked) &&
           eg_stub_judge_question(supervisor->state, &asked, &decision) == EG_ALLOWED &&
           decision.kind == EG_NAME_LISTED && eg_stub_reaches(supervisor, work->socket) &&
           take(supervisor, work, nameserver, &asked, &decision.match) != NULL;
}

/* ---- a socket that was connected to the stub ---- */

/* Unconnected for as long as its question is under way: what another thread sends on it
 * meanwhile has no destination. */
static int ask_unconnected(eg_supervisor *supervisor, const eg_work *work, const eg_endpoint *nameserver,
                           const uint8_t *query, size_t length)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    struct sockaddr_storage address;
    struct iovec vector = {(void *)(uintptr_t)query, length};
    _Alignas(struct cmsghdr) char whole[EG_UNCUT_SIZE];
    struct msghdr message = {.msg_name = &address,
                             .msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = whole,
                             .msg_controllen = sizeof whole};

    eg_dns_uncut(whole);

    message.msg_namelen = (socklen_t)eg_endpoint_to_sockaddr(nameserver, &address);
    if (eg_exempt_connect(supervisor->exempt, work->socket, &nobody, sizeof nobody) != 0) {
        return -errno;
    }
    ssize_t sent =
        eg_exempt_sendmsg(supervisor->exempt, work->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : 0;
}

/* Back to the stub, which answers whatever comes by a way that is not judged. */
static void reconnect(eg_supervisor *supervisor, const eg_work *work, const eg_endpoint *nameserver)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int ours = supervisor->stub->sockets[nameserver->family == AF_INET ? EG_STUB_UDP4 : EG_STUB_UDP6];

    if (getsockname(ours, (struct sockaddr *)&address, &length) == 0 &&
        eg_exempt_connect(supervisor->exempt, work->socket, &address, length) == 0) {
        eg_stub_note_client(supervisor, work, nameserver);
    }
}

static bool is_corked(const eg_work *work)
{
    int corked = 0;
    socklen_t size = sizeof corked;
    return (work->arguments[3] & MSG_MORE) != 0 ||
           (getsockopt(work->socket, IPPROTO_UDP, UDP_CORK, &corked, &size) == 0 && corked != 0);
}

/* glibc takes the stub's NXDOMAIN. Others would wait for one from the nameserver, so they get
 * an error at once; they are told by the payload size that they offer. */
static bool is_not_glibc(const eg_dns_question *asked)
{
    return asked->payload_size != 0 && asked->payload_size != PAYLOAD_OF_GLIBC;
}

static eg_outcome ask_for(eg_supervisor *supervisor, eg_work *work, const eg_stub_client *client, const uint8_t *query,
                          size_t length)
{
    eg_endpoint nameserver = client->nameserver;
    eg_dns_question asked;
    eg_name_decision decision;

    if (is_corked(work) || !eg_dns_read_query(query, length, &asked)) {
        return eg_proceed();
    }
    eg_reason reason = eg_stub_judge_question(supervisor->state, &asked, &decision);
    if (reason != EG_ALLOWED) {
        if (!is_not_glibc(&asked)) {
            return eg_proceed();
        }
        if (reason != EG_REFUSED_NAME) {
            eg_judge_refuse_name(supervisor, work->tid, reason, asked.name.text);
        }
        return eg_failure(EACCES);
    }
    if (decision.kind != EG_NAME_LISTED) {
        decision.match.count = 0; /* a reverse lookup: nothing to grant */
    }
    eg_question *question = take(supervisor, work, &nameserver, &asked, &decision.match);
    if (question == NULL) {
        return eg_proceed();
    }
    question->from_stub = true;
    int error = ask_unconnected(supervisor, work, &nameserver, query, length);
    if (error != 0) {
        return eg_failure(error); /* eg_question_end connects it to the stub again */
    }
    work->bytes_sent = length;
    return eg_wait();
}

eg_outcome eg_question_connected(eg_supervisor *supervisor, eg_work *work)
{
    uint8_t query[EG_DNS_QUERY_MAX];
    size_t length = work->arguments[2];

    if (!eg_stub_has_datagrams(supervisor->stub) || length > sizeof query) {
        return eg_proceed();
    }
    work->socket = eg_target_descriptor(&supervisor->targets, work->tid, work->id, (int)work->arguments[0]);
    const eg_stub_client *client = work->socket < 0 ? NULL : eg_stub_client_of(supervisor, work->socket);
    if (client == NULL || eg_target_read(work->tid, work->arguments[1], query, length) != 0) {
        return eg_proceed();
    }
    return ask_for(supervisor, work, client, query, length);
}

/* ---- the answer ---- */

static bool answer_is_here(eg_supervisor *supervisor, const eg_work *work, const eg_question *question)
{
    eg_dns_answer answer;

    if (!eg_peek_answer(work->socket, &question->nameserver, &question->asked, supervisor->payload, EG_ANSWER_MAX,
                        &answer)) {
        return false;
    }
    if (!eg_peek_grant(supervisor->state, &question->match, &answer)) {
        eg_judge_refuse_name(supervisor, work->tid, EG_REFUSED_RESOLVED, question->asked.name.text);
    }
    return true;
}

eg_outcome eg_question_go_on(eg_supervisor *supervisor, eg_work *work)
{
    if (work->looked_up_ms != 0 && !answer_is_here(supervisor, work, question_of(supervisor, work))) {
        return eg_wait();
    }
    eg_question_end(supervisor, work);
    return eg_result((int64_t)work->bytes_sent);
}

void eg_question_end(eg_supervisor *supervisor, eg_work *work)
{
    if (work->question == 0) {
        return;
    }
    eg_question *question = question_of(supervisor, work);
    if (question->from_stub) {
        reconnect(supervisor, work, &question->nameserver);
    }
    question->in_use = false;
    work->question = 0;
    work->looked_up_ms = 0;
}
