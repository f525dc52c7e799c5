/* The stub nameserver among hostile clients and hostile nameservers: src/linux/{stub,connection,exchange,question,look_again}.c
 * as they are, on sockets that are none (exchange/pretend_net.c). What must hold stands in exchange/rules.c and tables.c.
 *
 * An input is steps: a byte that says which (bit 7: what it makes ready is left waiting), and what the step takes. */
#include <errno.h>
#include <sys/epoll.h>

#include "exchange/held_calls.h"
#include "exchange/world.h"

#define REDIRECTS_MAX 1000 /* the stub remembers so many */
#define WAITING_MAX 256
#define CALLS_MAX 20000 /* of one wait: more is a loop that serves nobody */
#define SAID_MAX 8192
#define LEAVE_WAITING 0x80

typedef enum step {
    STEP_REDIRECT,   /* a client's socket is connected to the stub: client, how, which nameserver */
    STEP_DATAGRAM,   /* a question by UDP: client, question */
    STEP_CROWD,      /* the same, many times: client, count, question */
    STEP_CONNECT,    /* clients connect by TCP: client, count */
    STEP_SAY,        /* a TCP client has something to say: which, question, how many bytes of it come now (0: all) */
    STEP_HANG_UP,    /* a TCP client: which, how */
    STEP_REPLY,      /* a nameserver: to which exchange, how, answer */
    STEP_TIME,       /* passes: the square of a byte, in milliseconds */
    STEP_LOOK_UP,    /* a held call in another network asks: nameserver, question */
    STEP_ASK_OWN,    /* a held call asks by its own socket: how, question */
    STEP_OWN_ANSWER, /* something comes there: which, from where, answer */
    STEP_DIAL,       /* a held call dials what nothing covers: how */
    STEP_GONE,       /* a held caller is killed: which */
    STEP_FAIL,       /* the next call of a kind fails: which, how */
    STEP_STALE,      /* an event comes that is none: two bytes, its number */
    STEPS,
} step;

static int redirects, sayings;

typedef struct speech {
    size_t made, sent, read; /* bytes: of what a TCP client has to say, what it said, what of that was looked at */
    bool is_over;            /* what comes then is not asked */
    uint8_t bytes[SAID_MAX];
} speech;
static speech said[PRETEND_MAX];

/* ---- the rest of the supervisor ---- */

int64_t eg_now_ms(void)
{
    return clock_ms;
}

uint64_t eg_network_of(int socket)
{
    return pretend_at(socket)->network;
}

int eg_socket_family(int socket)
{
    return pretend_at(socket)->family;
}

int eg_socket_facts_read(int socket, bool likely_tcp, eg_socket_facts *out)
{
    (void)likely_tcp;
    const pretend_socket *one = pretend_at(socket);
    *out = (eg_socket_facts){.family = one->family, .type = one->type, .kind = eg_socket_kind_of(one->family, one->type, 0)};
    return 0;
}

int eg_supervisor_watch(eg_supervisor *self, int descriptor, uint32_t kind, uint32_t index, uint32_t events)
{
    struct epoll_event event = {.events = events};
    event.data.u64 = (uint64_t)kind << 32 | index;
    return epoll_ctl(self->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : -errno;
}

void eg_judge_refuse_name(eg_supervisor *self, int32_t tid, eg_reason reason, const char *name)
{
    (void)self, (void)tid;
    CHECK(reason != EG_ALLOWED && strlen(name) <= EG_NAME_MAX, "a refusal has a reason and a name");
    now.refused++;
}

/* ---- events ---- */

WITHOUT_COVERAGE

static void ready(uint32_t index)
{
    const eg_stub *stub = supervisor.stub;
    uint32_t exchange = index - EG_STUB_EXCHANGE, connection = index - EG_STUB_CONNECTION;

    rules_begin();
    if (index >= EG_STUB_EXCHANGE && exchange < EG_EXCHANGES && stub->exchanges[exchange].step != EG_EXCHANGE_FREE) {
        const eg_stub_connection *of = stub->exchanges[exchange].connection;
        now.exchange = (int)exchange;
        now.stream = of != NULL ? of->socket : NOBODY;
    } else if (index >= EG_STUB_CONNECTION && connection < EG_CONNECTIONS && stub->connections[connection].socket >= 0) {
        now.stream = stub->connections[connection].socket;
    }
    if (index >= EG_STUB_SOCKETS || stub->sockets[index] >= 0) { /* those of the stub's own are never closed */
        eg_stub_ready(&supervisor, index);
    }
    rules_check_handled();
}

/* All that is ready, by levels, until nothing is. */
static void wait_for_events(void)
{
    bool any = true;
    for (int calls = 0; any;) {
        any = false;
        for (int i = PRETEND_FIRST; i < pretend_end(); i++) {
            const pretend_socket *one = pretend_at(i);
            if (one != NULL && pretend_is_ready(one)) {
                ready((uint32_t)one->data);
                any = true;
                CHECK(++calls < CALLS_MAX, "what is ready is served");
            }
        }
    }
    for (size_t i = 0; i < EG_CONNECTIONS; i++) {
        const eg_stub_connection *connection = &supervisor.stub->connections[i];
        CHECK(connection->socket < 0 || connection->busy || rules_is_stream_at_rest(connection->socket),
              "every whole message was asked");
    }
}

WITH_COVERAGE

static void pass_time(int64_t by_ms)
{
    clock_ms += by_ms;
    held_tick();
    rules_begin();
    eg_stub_tick(&supervisor);
}

/* ---- clients ---- */

static void redirect(fuzz_bytes *bytes)
{
    uint8_t client = take_byte(bytes) % CLIENTS, how = take_byte(bytes);
    bool tcp = (how & 1) != 0, six = (client & 1) != 0, elsewhere = (how & 4) != 0;
    eg_endpoint own = rules_client_address(client), to = world_nameserver(six, how >> 1), stub;
    int caller = redirects == REDIRECTS_MAX ? -1 : pretend_open(PRETEND_CALLER, own.family, tcp ? SOCK_STREAM : SOCK_DGRAM, &own);
    eg_work work = {.socket = caller, .tid = client + 1};
    eg_socket_facts facts;

    if (caller < 0) {
        return;
    }
    redirects++;
    pretend_at(caller)->network += elsewhere;
    rules_begin();
    eg_socket_facts_read(caller, false, &facts);
    if (eg_stub_redirect(&supervisor, &work, &facts, &to) == 0) {
        CHECK(!elsewhere, "nobody in another network is led to this one");
        CHECK(tcp || eg_stub_has_datagrams(supervisor.stub), "it is known that there are such");
        CHECK(eg_endpoint_from_sockaddr(&stub, &work.address, work.address_length) == 0, "it is led to an address");
        CHECK(eg_address_is_test_loopback(&stub.address) && stub.port >= PRETEND_PORT, "which is the stub's");
        pretend_at(caller)->peer = stub;
        eg_stub_note_client(&supervisor, &work, &to);
        client_nameserver[tcp][client] = to;
        const eg_endpoint *for_whom = eg_stub_stands_for(&supervisor, caller);
        CHECK(tcp ? for_whom == NULL : for_whom != NULL && eg_address_equal(&for_whom->address, &to.address),
              "it stands for the nameserver that was dialled");
    }
    close(caller);
}

static void ask_by_datagram(fuzz_bytes *bytes, uint8_t client, unsigned count)
{
    uint8_t message[DNS_QUESTION_ROOM] = {0};
    eg_endpoint from = rules_client_address(client);
    int stub = supervisor.stub->sockets[from.family == AF_INET6 ? EG_STUB_UDP6 : EG_STUB_UDP4];
    size_t length = make_question(bytes, 0x1000, message);

    for (unsigned i = 0; i < count && stub >= 0; i++) {
        message[1] = (uint8_t)(message[1] + (i > 0)); /* each has an id of its own */
        int number = rules_note(ASKED_BY_DATAGRAM, client, &from, message, length);
        if (number != NOBODY) {
            pretend_arrive(stub, &from, message, length, 0, number);
        }
    }
}

static void connect_by_tcp(uint8_t client, unsigned count)
{
    eg_endpoint from = rules_client_address(client), own = world_loopback(from.family == AF_INET6, EG_DNS_PORT);
    int listener = supervisor.stub->sockets[from.family == AF_INET6 ? EG_STUB_TCP6 : EG_STUB_TCP4];

    for (unsigned i = 0; i < count && listener >= 0 && pretend_count(PRETEND_WAITING) < WAITING_MAX; i++) {
        int stream = pretend_open(PRETEND_WAITING, from.family, SOCK_STREAM, &own);
        if (stream >= 0) {
            pretend_at(stream)->peer = from;
            memset(&said[stream - PRETEND_FIRST], 0, offsetof(speech, bytes));
            pretend_arrive(listener, &from, NULL, 0, 0, stream);
        }
    }
}

/* A TCP client, accepted or not; -1 where there is none. */
static int find_stream(uint8_t n)
{
    size_t count = pretend_count(PRETEND_WAITING) + pretend_count(PRETEND_STREAM);
    size_t left = count == 0 ? 0 : n % count;

    for (int i = PRETEND_FIRST; i < pretend_end(); i++) {
        const pretend_socket *one = pretend_at(i);
        if (one != NULL && (one->kind == PRETEND_WAITING || one->kind == PRETEND_STREAM) && left-- == 0) {
            return i;
        }
    }
    return -1;
}

/* Note the questions that have come whole; behind one that is none the stub hangs up. */
static void note_what_was_said(int stream)
{
    speech *one = &said[stream - PRETEND_FIRST];
    eg_endpoint unknown = {0}; /* the stub knows it when it accepts */

    while (!one->is_over && one->sent - one->read >= 2) {
        const uint8_t *at = one->bytes + one->read;
        size_t length = (size_t)(at[0] << 8 | at[1]);
        eg_dns_question asked;
        if (length <= EG_DNS_QUERY_MAX && one->sent - one->read < length + 2) {
            return;
        }
        one->is_over = length > EG_DNS_QUERY_MAX || !eg_dns_read_query(at + 2, length, &asked);
        CHECK(one->is_over || rules_note(ASKED_BY_STREAM, stream, &unknown, at + 2, length) != NOBODY, "room for a question");
        one->read += length + 2;
    }
}

static void say(fuzz_bytes *bytes)
{
    int stream = find_stream(take_byte(bytes));
    uint8_t message[DNS_QUESTION_ROOM];
    size_t length = make_question(bytes, 0x4000, message), cut = take_byte(bytes);

    if (stream < 0 || pretend_at(stream)->ended) {
        return;
    }
    speech *one = &said[stream - PRETEND_FIRST];
    if (one->is_over || one->made + length + 2 > SAID_MAX || ++sayings > ASKED_BY_STREAM_MAX) {
        return;
    }
    one->bytes[one->made] = (uint8_t)(length >> 8);
    one->bytes[one->made + 1] = (uint8_t)length;
    memcpy(one->bytes + one->made + 2, message, length);
    one->made += length + 2;
    size_t more = one->made - one->sent;
    more = cut == 0 || cut > more ? more : cut;
    pretend_arrive(stream, &pretend_at(stream)->peer, one->bytes + one->sent, more, 0, 0);
    one->sent += more;
    note_what_was_said(stream);
}

static void hang_up(fuzz_bytes *bytes)
{
    int stream = find_stream(take_byte(bytes));
    bool by_reset = (take_byte(bytes) & 1) != 0;

    if (stream >= 0 && !pretend_at(stream)->ended) {
        if (by_reset) {
            pretend_arrive(stream, &pretend_at(stream)->peer, NULL, 0, ECONNRESET, 0);
        }
        pretend_at(stream)->ended = true;
    }
}

/* ---- nameservers ---- */

static void reply(fuzz_bytes *bytes)
{
    static uint8_t message[DNS_ANSWER_ROOM + 2];
    enum { NO_ANSWER = 1, IN_PIECES = 2, OTHER_LENGTH = 4 };
    uint8_t which = take_byte(bytes), how = take_byte(bytes);
    const eg_stub *stub = supervisor.stub;
    size_t left = stub->asking == 0 ? 0 : which % stub->asking, query_length;

    for (int i = 0; i < (int)EG_EXCHANGES; i++) {
        const eg_exchange *exchange = &stub->exchanges[i];
        if (exchange->step == EG_EXCHANGE_FREE || left-- > 0) {
            continue;
        }
        const uint8_t *query = rules_query_of(i, &query_length);
        pretend_socket *one = pretend_at(exchange->socket);
        bool tcp = one->type == SOCK_STREAM;
        if ((how & NO_ANSWER) != 0) {
            one->ended = tcp;
            pretend_arrive(exchange->socket, &one->peer, NULL, 0, tcp ? ECONNRESET : ECONNREFUSED, 0);
            return;
        }
        size_t length = make_answer(bytes, query, query_length, message + 2);
        message[0] = (uint8_t)(length >> 8);
        message[1] = (uint8_t)(length + ((how & OTHER_LENGTH) != 0));
        const uint8_t *at = tcp ? message : message + 2;
        length += tcp ? 2 : 0;
        size_t first = tcp && (how & IN_PIECES) != 0 ? (how >> 3) % length : 0;
        if (first > 0) {
            pretend_arrive(exchange->socket, &one->peer, at, first, 0, 0);
        }
        pretend_arrive(exchange->socket, &one->peer, at + first, length - first, 0, 0);
        return;
    }
}

static void fail(fuzz_bytes *bytes)
{
    static const int errors[4] = {EMFILE, EINTR, ENETUNREACH, ENOMEM};
    uint8_t which = take_byte(bytes) % PRETEND_CALLS;
    pretend_failing[which] = errors[take_byte(bytes) & 3];
}

static void take_step(fuzz_bytes *bytes, step which)
{
    uint8_t client;

    switch (which) {
    case STEP_REDIRECT:
        redirect(bytes);
        break;
    case STEP_DATAGRAM:
        client = take_byte(bytes) % CLIENTS;
        ask_by_datagram(bytes, client, 1);
        break;
    case STEP_CROWD:
        client = take_byte(bytes) % CLIENTS;
        ask_by_datagram(bytes, client, take_byte(bytes));
        break;
    case STEP_CONNECT:
        client = take_byte(bytes) % CLIENTS;
        connect_by_tcp(client, take_byte(bytes) + 1u);
        break;
    case STEP_SAY:
        say(bytes);
        break;
    case STEP_HANG_UP:
        hang_up(bytes);
        break;
    case STEP_REPLY:
        reply(bytes);
        break;
    case STEP_TIME:
        client = take_byte(bytes);
        pass_time((int64_t)client * client);
        break;
    case STEP_LOOK_UP:
        held_look_up(bytes);
        break;
    case STEP_ASK_OWN:
        held_ask_own(bytes);
        break;
    case STEP_OWN_ANSWER:
        held_own_answer(bytes);
        break;
    case STEP_DIAL:
        held_dial(bytes);
        break;
    case STEP_GONE:
        held_gone(bytes);
        break;
    case STEP_FAIL:
        fail(bytes);
        break;
    case STEP_STALE:
        client = take_byte(bytes);
        ready((uint32_t)(client << 8 | take_byte(bytes)));
        break;
    case STEPS:
    default:
        break;
    }
}

/* When every client hung up and nobody answered, nothing is left. */
static void come_to_an_end(void)
{
    memset(pretend_failing, 0, sizeof pretend_failing);
    for (int i = PRETEND_FIRST; i < pretend_end(); i++) {
        pretend_socket *one = pretend_at(i);
        if (one != NULL && (one->kind == PRETEND_WAITING || one->kind == PRETEND_STREAM)) {
            one->ended = true;
        }
    }
    for (int round = 0; round == 0 || (round < 16 && eg_stub_is_busy(supervisor.stub)); round++) {
        pass_time(EG_EXCHANGE_MS);
        wait_for_events();
        rules_check_tables(held_own_questions());
    }
    CHECK(!eg_stub_is_busy(supervisor.stub) && supervisor.stub->looks_under_way == 0, "all has ended");
    CHECK(held_own_questions() == 0, "and nobody is held");
}

/* As eg_stub_create leaves it; a new one each time would take most of the time, in page faults. What an exchange read stays. */
static void empty_stub(void)
{
    if (supervisor.stub == NULL) {
        supervisor.stub = eg_stub_create();
        CHECK(supervisor.stub != NULL, "memory");
        return;
    }
    eg_stub *stub = supervisor.stub;
    memset(stub, 0, offsetof(eg_stub, exchanges));
    memset(stub->questions, 0, sizeof *stub - offsetof(eg_stub, questions));
    for (size_t i = 0; i < EG_EXCHANGES; i++) {
        memset(&stub->exchanges[i], 0, offsetof(eg_exchange, query));
    }
    for (size_t i = 0; i < EG_STUB_SOCKETS; i++) {
        stub->sockets[i] = -1;
    }
    for (size_t i = 0; i < EG_CONNECTIONS; i++) {
        stub->connections[i].socket = -1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = {data, size};

    if (supervisor.state == NULL) {
        static eg_exempt exempt;
        supervisor.state = world_create();
        supervisor.exempt = &exempt;
        supervisor.epoll = -1;
    }
    pretend_reset();
    empty_stub();
    rules_reset();
    held_reset();
    redirects = sayings = 0;
    while (bytes.left > 0) {
        uint8_t what = take_byte(&bytes);
        take_step(&bytes, (what & ~LEAVE_WAITING) % STEPS);
        if ((what & LEAVE_WAITING) == 0) {
            wait_for_events();
        }
        pretend_called();
        rules_check_tables(held_own_questions());
    }
    come_to_an_end();
    return 0;
}
