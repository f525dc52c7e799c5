/* What must hold of the stub, whoever sends what: where questions go, who is answered with what, what is granted, and what its
 * tables say. The steps of an input (fuzz_exchange.c) say here what they do; the rules see what comes of it. */
#ifndef EG_TESTS_EXCHANGE_RULES_H
#define EG_TESTS_EXCHANGE_RULES_H

#include "linux/stub_inside.h"
#include "exchange/pretend_net.h"

#define ASKED_MAX 2048
#define ASKED_BY_STREAM_MAX 512 /* of them, for which there is always room */
#define CLIENTS 8
#define CLIENT_PORT 40000 /* of the first two: the even ones use IPv4, and the next one the same port of IPv6 */
#define NOBODY (-1)

typedef enum asked_by {
    ASKED_BY_DATAGRAM, /* `who` is a client */
    ASKED_BY_STREAM,   /* a descriptor */
    ASKED_BY_WORK,     /* a held call that waits for a lookup */
    ASKED_BY_LOOK,     /* a second look */
} asked_by;

/* A question that somebody has put to the stub. */
typedef struct asked_question {
    asked_by by;
    int who;
    bool sent, over; /* to the nameserver; answered, or whoever asked is gone */
    eg_endpoint nameserver;
    size_t length;
    uint8_t bytes[EG_DNS_QUERY_MAX + 1];
} asked_question;

/* What the code under test is doing. Indexes, or NOBODY. */
typedef struct doing {
    int question;  /* of a datagram that was read, or of a held call */
    int stream;    /* whose bytes are asked: a descriptor */
    int exchange;  /* to which something came */
    int own;       /* the held call that looks at its own socket */
    bool is_looking, send_failed, heard;
    eg_endpoint dialled;       /* what the second look is for */
    const pretend_chunk *seen; /* what `own` saw last */
    size_t refused;            /* names that were reported */
} doing;

extern eg_supervisor supervisor;
extern doing now;
extern int64_t clock_ms;
/* That a client was redirected from, by UDP and by TCP; port 0 where it never was. */
extern eg_endpoint client_nameserver[2][CLIENTS];

/* Forget what an input did. */
void rules_reset(void);
/* The next call of the code under test begins. */
void rules_begin(void);

eg_endpoint rules_client_address(int client);

/* A question was put; returns its number, NOBODY where there is no room. */
int rules_note(asked_by by, int who, const eg_endpoint *nameserver, const uint8_t *bytes, size_t length);
const asked_question *rules_question(int number);
void rules_over(asked_by by, int who);
/* The question that this exchange sent on; NOBODY before it did. */
const uint8_t *rules_query_of(int exchange, size_t *length);
bool rules_is_stream_at_rest(int stream);

/* Whoever goes on now was told of an answer: is it granted? False where there is none. */
bool rules_check_told(void);
/* After each event: is the datagram that was read answered or on its way, and did an answer end its exchange? */
void rules_check_handled(void);
/* After each step: do the counts say what the tables do, does each exchange have a deadline, a socket and a watch? */
void rules_check_tables(size_t own_questions);

#endif
