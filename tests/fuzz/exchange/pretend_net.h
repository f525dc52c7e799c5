/* Sockets that are none: what the stub opens, watches, reads and sends stays in memory, so a target sees every byte and
 * nothing is dialled. System calls are wrapped (tools/fuzz.py); whatever descriptor is not from here goes to the kernel. */
#ifndef EG_TESTS_PRETEND_NET_H
#define EG_TESTS_PRETEND_NET_H

#include <sys/socket.h>

#include "fuzz.h"
#include "linux/supervisor.h"

#define PRETEND_FIRST 4096 /* the number of the first, above whatever libFuzzer has open */
#define PRETEND_MAX 1024
#define PRETEND_PORT 50000 /* of the first that is bound */

typedef enum pretend_kind {
    PRETEND_FREE = 0,
    PRETEND_NEW,      /* from socket(), neither bound nor connected */
    PRETEND_STUB,     /* bound: one of the stub's own */
    PRETEND_UPSTREAM, /* connected: to a nameserver */
    PRETEND_WAITING,  /* a TCP client in a backlog */
    PRETEND_STREAM,   /* a TCP client that was accepted */
    PRETEND_CALLER,   /* a held caller's own */
    PRETEND_KINDS,
} pretend_kind;

/* What waits to be received. */
typedef struct pretend_chunk {
    struct pretend_chunk *next;
    size_t length, taken;
    int error; /* in place of bytes: an errno */
    int tag;   /* the target's; at a listener the client that waits */
    bool peeked;
    struct sockaddr_storage from;
    uint8_t bytes[];
} pretend_chunk;

typedef struct pretend_socket {
    pretend_kind kind;
    int family, type;
    eg_endpoint own, peer;
    bool watched, ended; /* in the epoll set; the other end closed */
    uint32_t events;
    uint64_t data;
    int peek_offset;
    size_t waiting; /* bytes */
    uint64_t network;
    pretend_chunk *first, *last;
} pretend_socket;

/* The next call of a kind fails with this errno, once. */
typedef enum pretend_call {
    PRETEND_CALL_SOCKET,
    PRETEND_CALL_CONNECT,
    PRETEND_CALL_SEND,
    PRETEND_CALL_WATCH,
    PRETEND_CALL_ACCEPT,
    PRETEND_CALL_RANDOM,
    PRETEND_CALLS,
} pretend_call;
extern int pretend_failing[PRETEND_CALLS];
extern uint16_t pretend_last_random; /* what getrandom gave last, as the id of a message */

/* Close everything, and start the random numbers anew. */
void pretend_reset(void);

/* -1 where all are taken. */
int pretend_open(pretend_kind kind, int family, int type, const eg_endpoint *own);
pretend_socket *pretend_at(int descriptor);
size_t pretend_count(pretend_kind kind);
int pretend_end(void); /* behind the last that was ever open */

/* Bytes arrive; or, with an errno, the news that there are none. */
void pretend_arrive(int descriptor, const eg_endpoint *from, const void *bytes, size_t length, int error, int tag);

/* Would epoll report it? */
bool pretend_is_ready(const pretend_socket *one);

/* After each call of the code under test: what lay behind received bytes may be used again. */
void pretend_called(void);

/* ---- the target's: what is to be made of it ---- */

void pretend_received(int descriptor, const pretend_chunk *chunk);
void pretend_sent(int descriptor, const eg_endpoint *to, const uint8_t *bytes, size_t length);
void pretend_send_failed(int descriptor);
void pretend_dialled(int descriptor, const eg_endpoint *to);
void pretend_closed(int descriptor);

#endif
