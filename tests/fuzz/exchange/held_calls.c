/* What waits here goes on by the same calls as in the supervisor. */
#include "exchange/held_calls.h"

#include "exchange/world.h"
#include "linux/hold.h"
#include "linux/look_again.h"
#include "linux/question.h"

#define HELD 140 /* more than the stub takes questions on their own sockets */
#define LOOK_UP_MS 1500
#define DIAL_MS 1000
#define DIAL_NON_BLOCKING_MS 50

typedef enum held_kind { HELD_FREE, HELD_LOOK_UP, HELD_OWN, HELD_DIAL } held_kind;

typedef struct held_call {
    held_kind kind;
    eg_work work;
    int question;
    eg_endpoint dialled;
    bool is_blocking;
    int64_t since_ms;
} held_call;

static held_call calls[HELD];
static uint64_t next_id;

void held_reset(void)
{
    memset(calls, 0, sizeof calls);
    next_id = 1;
}

size_t held_own_questions(void)
{
    size_t count = 0;
    for (size_t i = 0; i < HELD; i++) {
        count += calls[i].kind == HELD_OWN;
    }
    return count;
}

static held_call *take_place(void)
{
    for (size_t i = 0; i < HELD; i++) {
        if (calls[i].kind == HELD_FREE) {
            calls[i] = (held_call){.work = {.id = next_id++, .tid = 100, .socket = -1, .path = -1}, .since_ms = clock_ms};
            return &calls[i];
        }
    }
    return NULL;
}

/* The n-th, counted around, of a kind; HELD_FREE stands for any that is held. NULL where there is none. */
static held_call *find(held_kind kind, unsigned n)
{
    held_call *found[HELD];
    unsigned count = 0;
    for (size_t i = 0; i < HELD; i++) {
        if (calls[i].kind != HELD_FREE && (kind == HELD_FREE || calls[i].kind == kind)) {
            found[count++] = &calls[i];
        }
    }
    return count == 0 ? NULL : found[n % count];
}

/* A copy of exactly this size, so that whoever reads behind it is found. */
static uint8_t *copy_of(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    CHECK(copy != NULL, "memory for a test");
    memcpy(copy, bytes, length);
    return copy;
}

static void drop(held_call *call)
{
    rules_begin();
    eg_question_end(&supervisor, &call->work);
    CHECK(call->work.question == 0, "its question ends with it");
    if (call->kind == HELD_OWN) {
        close(call->work.socket);
    }
    rules_over(ASKED_BY_WORK, (int)call->work.id);
    call->kind = HELD_FREE;
}

/* ---- a lookup for a call in another network ---- */

void held_look_up(fuzz_bytes *bytes)
{
    uint8_t how = take_byte(bytes), message[DNS_QUESTION_ROOM];
    eg_endpoint to = world_nameserver((how & 1) != 0, how >> 1);
    size_t length = make_question(bytes, 0x2000, message);
    held_call *call = take_place();
    int number = call == NULL ? NOBODY : rules_note(ASKED_BY_WORK, (int)call->work.id, &to, message, length);

    if (number == NOBODY) {
        return;
    }
    uint8_t *query = copy_of(message, length);
    rules_begin();
    now.question = number;
    if (eg_stub_look_up(&supervisor, &call->work, &to, query, length)) {
        CHECK(rules_question(number)->sent, "its question is asked");
        CHECK(call->work.looked_up_ms == clock_ms + LOOK_UP_MS, "and it waits for a while");
        call->kind = HELD_LOOK_UP;
    } else {
        rules_over(ASKED_BY_WORK, (int)call->work.id);
    }
    free(query);
}

void eg_hold_resume(eg_supervisor *self, uint64_t id)
{
    (void)self;
    CHECK(id > 0 && id < next_id, "a call that was held");
    CHECK(now.exchange != NOBODY, "something came");
    rules_check_told();
    for (size_t i = 0; i < HELD; i++) {
        if (calls[i].kind != HELD_FREE && calls[i].work.id == id) {
            CHECK(calls[i].kind == HELD_LOOK_UP, "and waited for its lookup");
            calls[i].kind = HELD_FREE;
        }
    }
}

/* ---- a question by the caller's own socket ---- */

void held_ask_own(fuzz_bytes *bytes)
{
    uint8_t how = take_byte(bytes), message[DNS_QUESTION_ROOM];
    bool six = (how & 1) != 0;
    eg_endpoint to = world_nameserver(six, how >> 1), own = world_loopback(six, 3000);
    size_t length = make_question(bytes, 0x3000, message);
    held_call *call = take_place();
    int number = call == NULL ? NOBODY : rules_note(ASKED_BY_WORK, (int)call->work.id, &to, message, length);
    int socket = number == NOBODY ? -1 : pretend_open(PRETEND_CALLER, six ? AF_INET6 : AF_INET, SOCK_DGRAM, &own);

    if (socket < 0) {
        return;
    }
    uint8_t *query = copy_of(message, length);
    bool elsewhere = (how & 4) != 0;
    pretend_at(socket)->network = elsewhere ? 2 : 1;
    call->work.socket = socket;
    call->work.bytes_sent = length;
    call->question = number;
    rules_begin();
    if (eg_question_sent(&supervisor, &call->work, &to, query, length)) {
        eg_dns_question asked;
        CHECK(!elsewhere, "what cannot be seen is not waited for");
        CHECK(eg_dns_read_query(query, length, &asked) && world_is_listed(&asked.name), "nobody waits but for a name of the list");
        CHECK(call->work.question > 0 && call->work.looked_up_ms == clock_ms + LOOK_UP_MS, "for a while");
        call->kind = HELD_OWN;
    } else {
        rules_over(ASKED_BY_WORK, (int)call->work.id);
        close(socket);
    }
    free(query);
}

static void go_on(held_call *call)
{
    bool in_time = call->work.looked_up_ms != 0;

    rules_begin();
    now.own = (int)(call - calls);
    now.question = call->question;
    eg_outcome outcome = eg_question_go_on(&supervisor, &call->work);
    CHECK(in_time || !outcome.waits, "nobody waits when the time is over");
    CHECK(pretend_at(call->work.socket)->peek_offset == -1, "the socket is as it was");
    if (!outcome.waits) {
        CHECK(outcome.error == 0 && outcome.value == (int64_t)call->work.bytes_sent, "the message was sent");
        CHECK(!in_time || rules_check_told(), "who goes on early has the answer");
        drop(call);
    }
}

void held_own_answer(fuzz_bytes *bytes)
{
    static uint8_t message[DNS_ANSWER_ROOM];
    uint8_t which = take_byte(bytes), how = take_byte(bytes);
    held_call *call = find(HELD_OWN, which);

    if (call == NULL) {
        return;
    }
    const asked_question *question = rules_question(call->question);
    eg_endpoint from = question->nameserver;
    if ((how & 1) != 0) {
        from.address.bytes[14] ^= 1; /* somebody else */
    }
    from.port = (uint16_t)(from.port + ((how & 2) != 0));
    size_t length = make_answer(bytes, question->bytes, question->length, message);
    for (unsigned i = 0; i <= (unsigned)(how >> 2); i++) {
        pretend_arrive(call->work.socket, &from, message, length, 0, 0);
    }
    go_on(call);
}

/* ---- a dial of what nothing covers ---- */

static void look(held_call *call)
{
    rules_begin();
    now.is_looking = true;
    now.dialled = call->dialled;
    if (!eg_look_again(&supervisor, &call->work, &call->dialled, call->is_blocking)) {
        call->kind = HELD_FREE;
    }
    CHECK(call->kind == HELD_FREE || clock_ms - call->since_ms < (call->is_blocking ? DIAL_MS : DIAL_NON_BLOCKING_MS),
          "a dial waits a second at most");
}

void held_dial(fuzz_bytes *bytes)
{
    static const uint16_t ports[4] = {443, 8443, 443 + 32, 80};
    uint8_t how = take_byte(bytes);
    held_call *call = take_place();

    if (call != NULL) {
        call->kind = HELD_DIAL;
        call->is_blocking = (how & 8) != 0;
        call->dialled = world_nameserver((how & 4) != 0, 1); /* any address */
        call->dialled.port = ports[how & 3];
        look(call);
    }
}

/* ---- the end ---- */

void held_gone(fuzz_bytes *bytes)
{
    held_call *call = find(HELD_FREE, take_byte(bytes));
    if (call != NULL) {
        drop(call);
    }
}

void held_tick(void)
{
    for (size_t i = 0; i < HELD; i++) {
        held_call *call = &calls[i];
        if (call->kind == HELD_DIAL) {
            look(call);
        } else if (call->kind != HELD_FREE && clock_ms >= call->work.looked_up_ms) {
            call->work.looked_up_ms = 0; /* as hold.c does */
            if (call->kind == HELD_OWN) {
                go_on(call);
            } else {
                call->kind = HELD_FREE;
            }
        }
    }
}
