/* Questions: judged by the core, refused at once, or asked for the caller with an id and a
 * port of our own. What comes back is granted before the caller sees it. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "core/dns.h"
#include "core/lookup.h"
#include "linux/hold.h"
#include "linux/look_again.h"
#include "linux/stub_inside.h"

void eg_exchange_end(eg_supervisor *supervisor, eg_exchange *exchange)
{
    close(exchange->socket);
    exchange->socket = -1;
    exchange->step = EG_EXCHANGE_FREE;
    supervisor->stub->busy--;
    supervisor->stub->asking--;
    eg_stub_make_room(supervisor);
    if (exchange->look != 0) {
        eg_look_again_ended(supervisor, exchange->look, exchange->granted);
    }
}

static int open_upstream(eg_supervisor *supervisor, eg_exchange *exchange, int type)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(EG_DNS_PORT)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(EG_DNS_PORT)};
    const eg_endpoint *to = &exchange->nameserver;
    bool ipv4 = eg_address_is_ipv4(&to->address);
    uint32_t index = EG_STUB_EXCHANGE + (uint32_t)(exchange - supervisor->stub->exchanges);

    memcpy(&in.sin_addr, to->address.bytes + 12, 4);
    memcpy(&in6.sin6_addr, to->address.bytes, 16);
    in6.sin6_scope_id = to->scope_id;
    int upstream = socket(ipv4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (upstream < 0) {
        return -errno;
    }
    const void *address = ipv4 ? (const void *)&in : (const void *)&in6;
    socklen_t length = ipv4 ? (socklen_t)sizeof in : (socklen_t)sizeof in6;
    uint32_t events = type == SOCK_STREAM ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if ((eg_exempt_connect(supervisor->exempt, upstream, address, length) != 0 && errno != EINPROGRESS) ||
        eg_supervisor_watch(supervisor, upstream, EG_EVENT_STUB, index, events) != 0) {
        int error = -errno;
        close(upstream);
        return error;
    }
    return upstream;
}

/* The asker of an exchange, for the answer. */
static eg_asker asker_of(const eg_exchange *exchange)
{
    return (eg_asker){.tid = exchange->tid,
                      .connection = exchange->connection,
                      .stub_socket = exchange->stub_socket,
                      .address = &exchange->client,
                      .address_length = exchange->client_length};
}

static eg_exchange *take_exchange(eg_stub *stub)
{
    for (size_t i = 0; i < EG_EXCHANGES; i++) {
        if (stub->exchanges[i].step == EG_EXCHANGE_FREE) {
            memset(&stub->exchanges[i], 0, offsetof(eg_exchange, query));
            stub->exchanges[i].answer_length = 0;
            return &stub->exchanges[i];
        }
    }
    return NULL;
}

static bool send_all(const eg_supervisor *supervisor, const eg_exchange *exchange, const uint8_t *bytes, size_t length)
{
    struct iovec vector = {(void *)(uintptr_t)bytes, length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    return eg_exempt_sendmsg(supervisor->exempt, exchange->socket, &message, MSG_NOSIGNAL) == (ssize_t)length;
}

/* Start the question at the nameserver. NULL where that cannot be. */
static eg_exchange *begin(eg_supervisor *supervisor, const eg_endpoint *nameserver, const eg_dns_question *asked,
                          const uint8_t *query, size_t length)
{
    eg_exchange *exchange = take_exchange(supervisor->stub);

    if (exchange == NULL || length > EG_DNS_QUERY_MAX) {
        return NULL;
    }
    exchange->nameserver = *nameserver;
    exchange->nameserver.path = NULL;
    exchange->asked = *asked;
    exchange->client_id = asked->id;
    exchange->query_length = length;
    exchange->deadline_ms = eg_now_ms() + EG_EXCHANGE_MS;
    memcpy(exchange->query + 2, query, length);
    if (getrandom(exchange->query + 2, 2, 0) != 2) {
        return NULL;
    }
    exchange->query[0] = (uint8_t)(length >> 8);
    exchange->query[1] = (uint8_t)length;
    exchange->asked.id = (uint16_t)(exchange->query[2] << 8 | exchange->query[3]);
    exchange->socket = open_upstream(supervisor, exchange, SOCK_DGRAM);
    if (exchange->socket < 0) {
        return NULL;
    }
    exchange->step = EG_EXCHANGE_UDP;
    supervisor->stub->busy++;
    supervisor->stub->asking++;
    if (!send_all(supervisor, exchange, exchange->query + 2, length)) {
        eg_exchange_end(supervisor, exchange);
        return NULL;
    }
    return exchange;
}

eg_reason eg_stub_judge_question(const eg_state *state, const eg_dns_question *asked, eg_name_decision *decision)
{
    eg_address address;

    if (eg_dns_reverse_address(&asked->name, &address)) {
        decision->kind = EG_NAME_REFUSED; /* allowed or not: no grants from it */
        return eg_verdict_for_reverse(state, &address) == EG_REVERSE_LISTED ? EG_ALLOWED : EG_REFUSED_NOT_LISTED;
    }
    eg_reason reason = eg_verdict_for_name(state, asked->name.text, asked->name.length, EG_ANY_PORT, decision);
    if (reason == EG_ALLOWED && decision->kind != EG_NAME_LISTED) {
        return EG_REFUSED_NAME; /* a number, this machine's name: no question for a nameserver */
    }
    return reason;
}

static void refuse(eg_supervisor *supervisor, const eg_asker *asker, const uint8_t *query,
                   const eg_dns_question *asked, unsigned code)
{
    uint8_t answer[EG_DNS_QUERY_MAX];
    size_t length = eg_dns_make_refusal(query, asked, code, answer);
    eg_stub_answer(supervisor, asker, answer, length);
}

void eg_stub_ask(eg_supervisor *supervisor, const eg_asker *asker, const uint8_t *query, size_t length)
{
    eg_dns_question asked;
    eg_name_decision decision;

    if (!eg_dns_read_query(query, length, &asked) || asked.end > EG_DNS_QUERY_MAX) {
        eg_judge_refuse_name(supervisor, asker->tid, EG_REFUSED_NAMESERVER, "(a message that is no plain question)");
        if (asker->connection != NULL) {
            eg_connection_close(supervisor, asker->connection);
        }
        return;
    }
    eg_reason reason = eg_stub_judge_question(supervisor->state, &asked, &decision);
    if (reason != EG_ALLOWED) {
        if (reason != EG_REFUSED_NAME) {
            eg_judge_refuse_name(supervisor, asker->tid, reason, asked.name.text);
        }
        refuse(supervisor, asker, query, &asked, EG_DNS_NXDOMAIN);
        return;
    }
    eg_exchange *exchange = begin(supervisor, asker->nameserver, &asked, query, length);
    if (exchange == NULL) {
        refuse(supervisor, asker, query, &asked, EG_DNS_SERVFAIL);
        return;
    }
    exchange->tid = asker->tid;
    exchange->listed = decision.kind == EG_NAME_LISTED;
    exchange->match = decision.match;
    exchange->connection = asker->connection;
    exchange->stub_socket = asker->stub_socket;
    exchange->client_length = asker->address_length;
    if (asker->address != NULL) {
        exchange->client = *asker->address;
    }
}

bool eg_stub_look_up(eg_supervisor *supervisor, eg_work *work, const eg_endpoint *nameserver, const uint8_t *query,
                     size_t length)
{
    eg_dns_question asked;
    eg_name_decision decision;

    if (!eg_dns_read_query(query, length, &asked) ||
        eg_stub_judge_question(supervisor->state, &asked, &decision) != EG_ALLOWED || decision.kind != EG_NAME_LISTED) {
        return false;
    }
    eg_exchange *exchange = begin(supervisor, nameserver, &asked, query, length);
    if (exchange == NULL) {
        return false;
    }
    exchange->listed = true;
    exchange->match = decision.match;
    exchange->work_id = work->id;
    exchange->tid = work->tid;
    work->looked_up_ms = eg_now_ms() + EG_LOOK_UP_MS;
    return true;
}

bool eg_exchange_look_up(eg_supervisor *supervisor, const eg_endpoint *nameserver, const eg_name *name, uint16_t type,
                         const eg_name_match *match, uint16_t look)
{
    uint8_t query[EG_DNS_QUESTION_MAX];
    eg_dns_question asked;
    size_t length = eg_dns_make_query(name, type, query);
    eg_exchange *exchange =
        eg_dns_read_query(query, length, &asked) ? begin(supervisor, nameserver, &asked, query, length) : NULL;

    if (exchange == NULL) {
        return false;
    }
    exchange->listed = true;
    exchange->match = *match;
    exchange->look = look;
    return true;
}

/* Grant what may be dialled. False where the name leads only to what may not. */
static bool grant(eg_supervisor *supervisor, eg_exchange *exchange, const eg_dns_answer *answer)
{
    size_t granted = 0;
    for (size_t i = 0; exchange->listed && i < answer->count; i++) {
        granted += eg_lookup_accept(supervisor->state, &exchange->match, &answer->addresses[i]);
    }
    exchange->granted = granted > 0;
    return !exchange->listed || answer->count == 0 || granted > 0;
}

static void finish(eg_supervisor *supervisor, eg_exchange *exchange, uint8_t *message, size_t length, unsigned code)
{
    eg_asker asker = asker_of(exchange);
    uint64_t work_id = exchange->work_id;
    uint16_t look = exchange->look;

    eg_exchange_end(supervisor, exchange); /* what follows may begin another */
    if (look != 0) {
        return; /* who waits for it is judged again soon */
    }
    if (work_id != 0) {
        eg_hold_resume(supervisor, work_id);
        return;
    }
    eg_dns_question asked = exchange->asked;
    exchange->query[2] = (uint8_t)(exchange->client_id >> 8);
    exchange->query[3] = (uint8_t)exchange->client_id;
    if (code != 0) {
        refuse(supervisor, &asker, exchange->query + 2, &asked, code);
        return;
    }
    message[0] = exchange->query[2];
    message[1] = exchange->query[3];
    eg_stub_answer(supervisor, &asker, message, length);
}

static void take_answer(eg_supervisor *supervisor, eg_exchange *exchange, uint8_t *message, size_t length)
{
    eg_dns_answer answer;

    if (!eg_dns_read_answer(message, length, &exchange->asked, &answer)) {
        if (exchange->step == EG_EXCHANGE_UDP) {
            return; /* not for us: the true one may still come */
        }
        finish(supervisor, exchange, NULL, 0, EG_DNS_SERVFAIL);
        return;
    }
    if (answer.truncated && exchange->step == EG_EXCHANGE_UDP && 
        (exchange->connection != NULL || exchange->work_id != 0 || exchange->look != 0)) {
        close(exchange->socket);
        exchange->socket = open_upstream(supervisor, exchange, SOCK_STREAM);
        exchange->step = EG_EXCHANGE_TCP_CONNECT;
        if (exchange->socket < 0) {
            finish(supervisor, exchange, NULL, 0, EG_DNS_SERVFAIL);
        }
        return;
    }
    if (!grant(supervisor, exchange, &answer)) {
        eg_judge_refuse_name(supervisor, exchange->tid, EG_REFUSED_RESOLVED, exchange->asked.name.text);
        finish(supervisor, exchange, NULL, 0, EG_DNS_NXDOMAIN);
        return;
    }
    finish(supervisor, exchange, message, length, 0);
}

static void read_stream(eg_supervisor *supervisor, eg_exchange *exchange)
{
    ssize_t more = recv(exchange->socket, exchange->answer + exchange->answer_length,
                        sizeof exchange->answer - exchange->answer_length, 0);
    if (more < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (more <= 0) {
        finish(supervisor, exchange, NULL, 0, EG_DNS_SERVFAIL);
        return;
    }
    exchange->answer_length += (size_t)more;
    if (exchange->answer_length < 2) {
        return;
    }
    size_t length = (size_t)(exchange->answer[0] << 8 | exchange->answer[1]);
    if (exchange->answer_length >= length + 2) {
        take_answer(supervisor, exchange, exchange->answer + 2, length);
    }
}

void eg_exchange_ready(eg_supervisor *supervisor, eg_exchange *exchange)
{
    struct epoll_event reading = {.events = EPOLLIN};
    ssize_t length;

    switch (exchange->step) {
    case EG_EXCHANGE_UDP:
        length = recv(exchange->socket, exchange->answer + 2, EG_ANSWER_MAX, 0);
        if (length >= 0) {
            take_answer(supervisor, exchange, exchange->answer + 2, (size_t)length);
        } else if (errno != EAGAIN && errno != EINTR) {
            finish(supervisor, exchange, NULL, 0, EG_DNS_SERVFAIL); /* nobody listens there */
        }
        return;
    case EG_EXCHANGE_TCP_CONNECT:
        if (!send_all(supervisor, exchange, exchange->query, exchange->query_length + 2)) {
            finish(supervisor, exchange, NULL, 0, EG_DNS_SERVFAIL);
            return;
        }
        reading.data.u64 = (uint64_t)EG_EVENT_STUB << 32 |
                           (EG_STUB_EXCHANGE + (uint64_t)(exchange - supervisor->stub->exchanges));
        epoll_ctl(supervisor->epoll, EPOLL_CTL_MOD, exchange->socket, &reading);
        exchange->step = EG_EXCHANGE_TCP_READ;
        exchange->answer_length = 0;
        return;
    case EG_EXCHANGE_TCP_READ:
        read_stream(supervisor, exchange);
        return;
    case EG_EXCHANGE_FREE:
    default:
        return;
    }
}
