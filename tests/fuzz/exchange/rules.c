/* The rules, each in the words of its CHECK. */
#include "exchange/rules.h"

#include <netinet/in.h>

#include "core/verdict.h"
#include "exchange/world.h"

#define INTERVAL_MS 1000 /* between two second looks at one name */

WITHOUT_COVERAGE

eg_supervisor supervisor;
doing now;
int64_t clock_ms;
eg_endpoint client_nameserver[2][CLIENTS];

static eg_endpoint stream_nameserver[PRETEND_MAX]; /* of the client when it was accepted */
static asked_question questions[ASKED_MAX];
static int question_count;
static bool granted; /* anything, by this input */
/* What each place of the stub's table asked last, and what came back. */
static struct {
    int question;
    bool by_tcp;
    size_t length, heard;
    uint8_t query[EG_DNS_QUERY_MAX], answer[EG_ANSWER_MAX + 2];
} places[EG_EXCHANGES];
static int64_t looked_ms[LISTED][2];

void rules_reset(void)
{
    if (granted) {
        world_forget_grants(supervisor.state);
    }
    granted = false;
    question_count = 0;
    clock_ms = 1000000;
    memset(client_nameserver, 0, sizeof client_nameserver);
    memset(looked_ms, 0, sizeof looked_ms);
    for (size_t i = 0; i < EG_EXCHANGES; i++) {
        places[i].question = NOBODY;
    }
}

void rules_begin(void)
{
    pretend_called();
    now = (doing){.question = NOBODY, .stream = NOBODY, .exchange = NOBODY, .own = NOBODY};
}

/* ---- who asked what ---- */

eg_endpoint rules_client_address(int client)
{
    return world_loopback((client & 1) != 0, CLIENT_PORT + client / 2);
}

int rules_note(asked_by by, int who, const eg_endpoint *nameserver, const uint8_t *bytes, size_t length)
{
    if (question_count >= ASKED_MAX - (by == ASKED_BY_STREAM ? 0 : ASKED_BY_STREAM_MAX)) {
        return NOBODY;
    }
    asked_question *one = &questions[question_count];
    *one = (asked_question){.by = by, .who = who, .nameserver = *nameserver, .length = length};
    memcpy(one->bytes, bytes, length < sizeof one->bytes ? length : sizeof one->bytes);
    return question_count++;
}

const asked_question *rules_question(int number)
{
    return &questions[number];
}

void rules_over(asked_by by, int who)
{
    for (int i = 0; i < question_count; i++) {
        questions[i].over = questions[i].over || (questions[i].by == by && questions[i].who == who);
    }
}

const uint8_t *rules_query_of(int exchange, size_t *length)
{
    *length = places[exchange].length;
    return places[exchange].query;
}

/* A connection has one question at a time: its oldest. */
static asked_question *oldest_of(int stream)
{
    for (int i = 0; i < question_count; i++) {
        if (questions[i].by == ASKED_BY_STREAM && questions[i].who == stream && !questions[i].over) {
            return &questions[i];
        }
    }
    return NULL;
}

bool rules_is_stream_at_rest(int stream)
{
    return oldest_of(stream) == NULL;
}

/* ---- what is granted ---- */

/* The message that can be taken for an answer now, and the question that it must be the answer to. NULL where there is none. */
static const uint8_t *message_now(size_t *length, const uint8_t **query, size_t *query_length)
{
    if (now.exchange != NOBODY) {
        const uint8_t *answer = places[now.exchange].answer;
        *query = places[now.exchange].query;
        *query_length = places[now.exchange].length;
        *length = places[now.exchange].heard;
        if (!places[now.exchange].by_tcp) {
            return *length > 0 ? answer : NULL;
        }
        size_t whole = *length < 2 ? 0 : (size_t)(answer[0] << 8 | answer[1]);
        bool is_whole = *length >= whole + 2;
        *length = whole;
        return is_whole ? answer + 2 : NULL;
    }
    if (now.own == NOBODY || now.seen == NULL) {
        return NULL;
    }
    *query = questions[now.question].bytes;
    *query_length = questions[now.question].length;
    *length = now.seen->length;
    return now.seen->bytes;
}

static bool is_from_nameserver(void)
{
    const eg_endpoint *nameserver = now.own == NOBODY ? NULL : &questions[now.question].nameserver;
    eg_endpoint from;
    return nameserver == NULL || (eg_endpoint_from_sockaddr(&from, &now.seen->from, sizeof now.seen->from) == 0 &&
                                  from.port == EG_DNS_PORT && eg_address_equal(&from.address, &nameserver->address));
}

static bool parse(const uint8_t *message, size_t length, const uint8_t *query, size_t query_length, eg_dns_question *asked,
                  eg_dns_answer *answer)
{
    CHECK(eg_dns_read_query(query, query_length, asked), "what was asked is a question");
    return length > 2 && memcmp(message, query, 2) == 0 && eg_dns_read_answer(message, length, asked, answer);
}

int __real_eg_grants_add(eg_grants *grants, const eg_address *address, uint32_t record);
int __wrap_eg_grants_add(eg_grants *grants, const eg_address *address, uint32_t record);
int __wrap_eg_grants_add(eg_grants *grants, const eg_address *address, uint32_t record)
{
    size_t length, query_length;
    const uint8_t *query, *message = message_now(&length, &query, &query_length);
    eg_dns_question asked;
    eg_dns_answer answer;
    bool is_there = false;

    CHECK(message != NULL && is_from_nameserver(), "nothing is granted but from an answer of the nameserver that was asked");
    CHECK(parse(message, length, query, query_length, &asked, &answer), "and it answers that question, with its id");
    for (size_t i = 0; i < answer.count; i++) {
        is_there = is_there || eg_address_equal(&answer.addresses[i], address);
    }
    CHECK(is_there, "what is granted stands in the answer");
    CHECK(!world_is_forbidden(address), "no name leads to this machine, its link or its cloud's metadata");
    CHECK(world_opens(record, &asked.name), "a grant is for an entry that names who was asked for");
    granted = true;
    return __real_eg_grants_add(grants, address, record);
}

/* Whoever is told of an address can dial it. Returns how many there are. */
static size_t check_granted(const eg_dns_question *asked, const eg_dns_answer *answer)
{
    const eg_state *state = supervisor.state;
    size_t good = 0;
    for (size_t i = 0; world_is_listed(&asked->name) && i < answer->count; i++) {
        bool is_good = eg_verdict_answer_is_good(&answer->addresses[i]);
        good += is_good;
        CHECK(!is_good || eg_grants_cover(&state->grants, &state->allowlist, &answer->addresses[i], EG_ANY_PORT),
              "an address is granted before anybody is told of it");
    }
    return good;
}

bool rules_check_told(void)
{
    size_t length, query_length;
    const uint8_t *query, *message = message_now(&length, &query, &query_length);
    eg_dns_question asked;
    eg_dns_answer answer;
    if (message != NULL && is_from_nameserver() && parse(message, length, query, query_length, &asked, &answer)) {
        check_granted(&asked, &answer);
        return true;
    }
    return false;
}

/* ---- what is sent ---- */

static bool may_be_asked(const eg_dns_question *asked)
{
    return world_may_be_asked(supervisor.state, &asked->name);
}

static bool is_plain(const asked_question *question, eg_dns_question *asked)
{
    return question->length <= EG_DNS_QUERY_MAX && eg_dns_read_query(question->bytes, question->length, asked);
}

void pretend_dialled(int descriptor, const eg_endpoint *to)
{
    (void)descriptor;
    CHECK(world_is_nameserver(to), "nobody is dialled but a nameserver");
}

static asked_question *note_look(const eg_endpoint *to, const uint8_t *bytes, size_t length)
{
    eg_dns_question asked;
    size_t record = 0;

    CHECK(eg_dns_read_query(bytes, length, &asked), "a second look asks a question");
    while (record < LISTED && (world_port_of(record) == EG_ANY_PORT || !world_opens(record, &asked.name))) {
        record++;
    }
    bool six = !eg_address_is_ipv4(&now.dialled.address);
    CHECK(record < LISTED && world_port_of(record) == now.dialled.port, "a second look asks for names that open the port");
    CHECK(asked.type == (six ? EG_DNS_TYPE_AAAA : EG_DNS_TYPE_A), "and for the kind of address that is dialled");
    CHECK(looked_ms[record][six] == 0 || clock_ms - looked_ms[record][six] >= INTERVAL_MS, "and not twice in a second");
    looked_ms[record][six] = clock_ms;
    int number = rules_note(ASKED_BY_LOOK, 0, to, bytes, length);
    static asked_question no_room = {.by = ASKED_BY_LOOK};
    return number == NOBODY ? &no_room : &questions[number];
}

static asked_question *asked_now(const eg_endpoint *to, const uint8_t *bytes, size_t length)
{
    if (now.is_looking) {
        return note_look(to, bytes, length);
    }
    if (now.stream != NOBODY) {
        asked_question *oldest = oldest_of(now.stream);
        if (oldest != NULL) {
            oldest->nameserver = stream_nameserver[now.stream - PRETEND_FIRST];
        }
        return oldest;
    }
    return now.question == NOBODY ? NULL : &questions[now.question];
}

static void sent_upstream(const pretend_socket *one, const uint8_t *bytes, size_t length)
{
    uint64_t index = one->data - ((uint64_t)EG_EVENT_STUB << 32 | EG_STUB_EXCHANGE);
    eg_dns_question asked;

    CHECK(one->watched && index < EG_EXCHANGES, "what waits for an answer is watched");
    if (one->type == SOCK_STREAM) {
        size_t before = places[index].length;
        CHECK(length == before + 2 && (size_t)(bytes[0] << 8 | bytes[1]) == before, "a message behind its length");
        CHECK(memcmp(bytes + 2, places[index].query, before) == 0, "the same question goes by TCP");
        CHECK(!places[index].by_tcp, "once");
        places[index].by_tcp = true;
        places[index].heard = 0;
        return;
    }
    asked_question *question = asked_now(&one->peer, bytes, length);
    CHECK(question != NULL && !question->sent && !question->over, "a question is asked once");
    CHECK(question->by == ASKED_BY_LOOK || (length == question->length && memcmp(bytes + 2, question->bytes + 2, length - 2) == 0),
          "as it was put");
    CHECK((bytes[0] << 8 | bytes[1]) == pretend_last_random, "with an id of our own");
    CHECK(eg_address_equal(&one->peer.address, question->by == ASKED_BY_LOOK ? &one->peer.address : &question->nameserver.address),
          "of the nameserver that was meant");
    CHECK(eg_dns_read_query(bytes, length, &asked) && may_be_asked(&asked), "nothing leaves for a name off the list");
    question->sent = question->by != ASKED_BY_LOOK;
    places[index].question = question->by == ASKED_BY_LOOK ? NOBODY : (int)(question - questions);
    places[index].by_tcp = false;
    places[index].heard = 0;
    places[index].length = length;
    now.heard = now.heard && (int)index != now.exchange; /* its place is used again */
    memcpy(places[index].query, bytes, length);
}

/* Are these bytes the refusal of `question`? */
static bool is_refusal(const asked_question *question, const eg_dns_question *asked, const uint8_t *bytes, size_t length)
{
    static const uint8_t nothing[6];
    return length == asked->end && bytes[2] == (0x80 | (question->bytes[2] & 1)) && (bytes[3] & 0xf0) == 0x80 && bytes[4] == 0 &&
           bytes[5] == 1 && memcmp(bytes + 6, nothing, 6) == 0 && memcmp(bytes + 12, question->bytes + 12, length - 12) == 0;
}

static void check_answer(asked_question *question, const uint8_t *bytes, size_t length)
{
    eg_dns_question asked, sent;
    eg_dns_answer answer;

    CHECK(question != NULL && !question->over, "nobody is answered but who asked, and once");
    question->over = true;
    CHECK(question->by != ASKED_BY_DATAGRAM || client_nameserver[0][question->who].port != 0, "a stranger is not answered");
    CHECK(is_plain(question, &asked), "what is no plain question is not answered");
    CHECK(length >= 12 && memcmp(bytes, question->bytes, 2) == 0, "an answer has its client's id");
    bool is_next = now.exchange != NOBODY && places[now.exchange].question == (int)(question - questions);
    CHECK(!question->sent || is_next, "what a nameserver was asked is answered when that ended");
    size_t heard, query_length;
    const uint8_t *query, *message = is_next ? message_now(&heard, &query, &query_length) : NULL;
    if (message != NULL && heard == length && memcmp(message + 2, bytes + 2, length - 2) == 0) {
        CHECK(parse(message, heard, query, query_length, &sent, &answer), "what is handed on is the answer");
        CHECK(check_granted(&sent, &answer) > 0 || answer.count == 0 || !world_is_listed(&sent.name),
              "a name that leads only inside is not told");
        return;
    }
    CHECK(is_refusal(question, &asked, bytes, length), "what is no nameserver's answer is a refusal");
    unsigned code = bytes[3] & 15;
    CHECK(code == EG_DNS_NXDOMAIN || code == EG_DNS_SERVFAIL, "one of two");
    CHECK(code == EG_DNS_NXDOMAIN || may_be_asked(&asked), "a name off the list does not exist");
    bool leads_inside = is_next && now.refused > 0;
    CHECK(code == EG_DNS_SERVFAIL || !may_be_asked(&asked) || leads_inside, "and one on it does, unless it leads inside");
}

/* ---- what comes ---- */

void pretend_received(int descriptor, const pretend_chunk *chunk)
{
    const pretend_socket *one = pretend_at(descriptor);

    if (one->kind == PRETEND_CALLER) {
        now.seen = chunk;
    } else if (one->kind == PRETEND_UPSTREAM) {
        CHECK(now.exchange != NOBODY, "a nameserver is heard when it answers");
        size_t at = places[now.exchange].by_tcp ? places[now.exchange].heard : 0, more = chunk->length - chunk->taken;
        more = more < sizeof places[0].answer - at ? more : sizeof places[0].answer - at;
        memcpy(places[now.exchange].answer + at, chunk->bytes + chunk->taken, more);
        places[now.exchange].heard = at + more;
        now.heard = true;
    } else if (one->kind == PRETEND_STUB && one->type == SOCK_DGRAM) {
        now.question = chunk->tag;
        questions[chunk->tag].nameserver = client_nameserver[0][questions[chunk->tag].who];
    } else if (one->kind == PRETEND_STUB) {
        const eg_endpoint *from = &pretend_at(chunk->tag)->peer;
        int client = (from->port - CLIENT_PORT) * 2 + (from->family == AF_INET6);
        stream_nameserver[chunk->tag - PRETEND_FIRST] = client_nameserver[1][client];
    }
}

void pretend_closed(int descriptor)
{
    if (pretend_at(descriptor)->kind == PRETEND_STREAM) {
        rules_over(ASKED_BY_STREAM, descriptor);
    }
}

void pretend_send_failed(int descriptor)
{
    (void)descriptor;
    now.send_failed = true;
}

/* Nobody waits for an answer that has come. */
static void check_taken(void)
{
    size_t length, query_length;
    const uint8_t *query, *message = now.heard ? message_now(&length, &query, &query_length) : NULL;
    eg_dns_question asked;
    eg_dns_answer answer;

    if (message != NULL && parse(message, length, query, query_length, &asked, &answer)) {
        eg_exchange_step step = supervisor.stub->exchanges[now.exchange].step;
        CHECK(step == EG_EXCHANGE_FREE || (answer.truncated && step == EG_EXCHANGE_TCP_CONNECT), "an answer ends its exchange");
    }
}

void rules_check_handled(void)
{
    check_taken();
    const asked_question *one = now.question == NOBODY ? NULL : &questions[now.question];
    eg_dns_question asked;

    if (one != NULL && one->by == ASKED_BY_DATAGRAM && client_nameserver[0][one->who].port != 0 && !now.send_failed) {
        bool plain = is_plain(one, &asked);
        CHECK((one->over || one->sent) == plain, "a plain question is answered or sent on, and nothing else is");
        bool silently = plain && (may_be_asked(&asked) || !world_is_reported(&asked.name)); /* SERVFAIL; no such name */
        CHECK(one->sent || now.refused > 0 || silently, "a refusal is reported");
    }
}

void pretend_sent(int descriptor, const eg_endpoint *to, const uint8_t *bytes, size_t length)
{
    const pretend_socket *one = pretend_at(descriptor);
    if (one->kind == PRETEND_UPSTREAM) {
        CHECK(to == NULL, "connected, so without a destination");
        sent_upstream(one, bytes, length);
    } else if (one->kind == PRETEND_STREAM) {
        CHECK(length >= 2 && (size_t)(bytes[0] << 8 | bytes[1]) == length - 2, "a message behind its length");
        check_answer(oldest_of(descriptor), bytes + 2, length - 2);
    } else {
        CHECK(one->kind == PRETEND_STUB && one->type == SOCK_DGRAM && to != NULL, "the rest are datagrams of the stub's");
        int number = now.exchange != NOBODY ? places[now.exchange].question : now.question;
        CHECK(number != NOBODY && questions[number].by == ASKED_BY_DATAGRAM, "a datagram is answered by one");
        eg_endpoint client = rules_client_address(questions[number].who);
        CHECK(to->port == client.port && eg_address_equal(&to->address, &client.address), "it goes to the client that asked");
        check_answer(&questions[number], bytes, length);
    }
}

WITH_COVERAGE
