/* What the files of the stub share. */
#ifndef EG_LINUX_STUB_INSIDE_H
#define EG_LINUX_STUB_INSIDE_H

#include "core/dns_answer.h"
#include "core/relook.h"
#include "linux/stub.h"

#define EG_PORTS 65536u
#define EG_NAMESERVERS 255u /* that were dialled: as many as resolv.conf ever named */
#define EG_CONNECTIONS 128 /* TCP clients at a time; the others wait in the backlog */
#define EG_EXCHANGES 256   /* questions under way, one of them for each connection */
#define EG_LOOKS 64u        /* names that are looked up again */
#define EG_LOOK_PORTS 64u
#define EG_QUESTIONS 128   /* the same, on callers' own sockets */
#define EG_ANSWER_MAX 65535u
#define EG_EXCHANGE_MS 5000
#define EG_LOOK_UP_MS 1500
#define EG_IDLE_MS 30000
#define EG_ASK_MS 1000     /* a client that has not asked by then gives its place to one that waits */

/* Indexes of EG_EVENT_STUB. */
enum { EG_STUB_UDP4, EG_STUB_UDP6, EG_STUB_TCP4, EG_STUB_TCP6, EG_STUB_SOCKETS };
#define EG_STUB_CONNECTION 100u
#define EG_STUB_EXCHANGE 1000u

/* Who asks. */
typedef struct eg_stub_client {
    int32_t tid;
    eg_endpoint nameserver; /* the one it dialled */
} eg_stub_client;

/* The sockets that were redirected here, by the port that each has for as long as it lives: only
 * the next one with that port can take its place, however many come and go meanwhile. Pages
 * that nobody writes take no memory; the 28,000 ports that the kernel chooses from take 140 kB. */
typedef struct eg_stub_places {
    int32_t tid[EG_PORTS];
    uint8_t nameserver[EG_PORTS]; /* of stub->nameservers, from 1; 0: nobody's */
} eg_stub_places;

/* A TCP client: its bytes until they make a question. */
typedef struct eg_stub_connection {
    int socket; /* -1: free */
    bool busy;  /* a question is under way; the next waits in `bytes` */
    bool asking; /* questions are being taken from `bytes` */
    bool answered; /* at least once */
    bool deaf;   /* `bytes` is full: not watched, so that what else was sent stays in the socket */
    eg_stub_client client;
    int64_t heard_ms;
    size_t length;
    uint8_t bytes[2 * (EG_DNS_QUERY_MAX + 2)];
} eg_stub_connection;

typedef enum eg_exchange_step {
    EG_EXCHANGE_FREE = 0,
    EG_EXCHANGE_UDP,
    EG_EXCHANGE_TCP_CONNECT,
    EG_EXCHANGE_TCP_READ,
} eg_exchange_step;

/* One question on its way to the nameserver that was asked. */
typedef struct eg_exchange {
    eg_exchange_step step;
    int socket;
    int32_t tid;
    int64_t deadline_ms;
    eg_endpoint nameserver;
    eg_dns_question asked;  /* with our id */
    uint16_t client_id;
    bool listed;            /* its addresses become grants of `match` */
    eg_name_match match;
    /* Who gets the answer: a held call, a connection, or an address at a UDP socket. */
    uint64_t work_id;
    uint16_t look; /* a second look, from 1: nobody gets the answer */
    bool granted;
    eg_stub_connection *connection;
    int stub_socket;
    struct sockaddr_storage client;
    socklen_t client_length;
    size_t query_length;
    uint8_t query[EG_DNS_QUERY_MAX + 2]; /* behind two bytes of length, for TCP */
    size_t answer_length;
    uint8_t answer[EG_ANSWER_MAX + 2];
} eg_exchange;

/* A second look at a name of the list (look_again.c). */
typedef struct eg_look {
    bool used, under_way;
    uint16_t type;
    uint32_t record;
    eg_pace pace;
} eg_look;

typedef struct eg_look_port {
    uint16_t port;
    bool ipv4;
    int64_t next_ms;
} eg_look_port;

/* A question on its way from the caller's own socket (question.c). */
typedef struct eg_question {
    bool in_use;
    eg_endpoint nameserver;
    eg_dns_question asked;
    eg_name_match match; /* none: its answer grants nothing */
} eg_question;

typedef struct eg_stub {
    int sockets[EG_STUB_SOCKETS];
    bool full[EG_STUB_SOCKETS]; /* not watched before there is a place for what waits in it */
    size_t asking; /* exchanges in use */
    size_t busy; /* exchanges and connections in use */
    size_t next_nameserver;
    eg_endpoint nameservers[EG_NAMESERVERS]; /* each once; the oldest gives way */
    eg_stub_places places[EG_STUB_SOCKETS];
    eg_stub_connection connections[EG_CONNECTIONS];
    eg_exchange exchanges[EG_EXCHANGES];
    eg_question questions[EG_QUESTIONS];
    size_t looks_under_way;
    eg_look looks[EG_LOOKS];
    eg_look_port look_ports[EG_LOOK_PORTS];
} eg_stub;

/* A question as it came: where its answer goes is in `to`, a filled part of an exchange. */
typedef struct eg_asker {
    int32_t tid;
    const eg_endpoint *nameserver;
    eg_stub_connection *connection;
    int stub_socket;
    const struct sockaddr_storage *address;
    socklen_t address_length;
} eg_asker;

/* May this question leave? Fills `decision` for a name of the list. */
eg_reason eg_stub_judge_question(const eg_state *state, const eg_dns_question *asked, eg_name_decision *decision);

/* Judge a question and answer it or send it on. */
void eg_stub_ask(eg_supervisor *supervisor, const eg_asker *asker, const uint8_t *query, size_t length);

/* Ask for a name of the list, for nobody but the grants; eg_look_again_ended is told. */
bool eg_exchange_look_up(eg_supervisor *supervisor, const eg_endpoint *nameserver, const eg_name *name, uint16_t type,
                         const eg_name_match *match, uint16_t look);

void eg_exchange_ready(eg_supervisor *supervisor, eg_exchange *exchange);
void eg_exchange_end(eg_supervisor *supervisor, eg_exchange *exchange);

/* Give an answer to whoever asked. */
void eg_stub_answer(eg_supervisor *supervisor, const eg_asker *asker, const uint8_t *answer, size_t length);

/* The connection's question was answered: read on. */
void eg_connection_go_on(eg_supervisor *supervisor, eg_stub_connection *connection);
/* A client waits at the listener `which`. */
void eg_connection_accept(eg_supervisor *supervisor, uint32_t which);

/* Watch a socket of the stub's, or leave what waits in it alone: events that nobody serves would
 * spin. When a place may be free, all are watched again. */
void eg_stub_set_full(eg_supervisor *supervisor, uint32_t which, bool full);
void eg_stub_make_room(eg_supervisor *supervisor);

void eg_connection_tick(eg_supervisor *supervisor, int64_t now);
void eg_connection_ready(eg_supervisor *supervisor, eg_stub_connection *connection);
void eg_connection_close(eg_supervisor *supervisor, eg_stub_connection *connection);

/* Who was redirected to the stub's socket `which` with this port; false for a stranger. */
bool eg_stub_find_client(const eg_stub *stub, uint32_t which, const struct sockaddr_storage *from,
                         eg_stub_client *client);

#endif
