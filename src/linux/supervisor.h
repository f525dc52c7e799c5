/* The supervisor: hears of every judged call, asks the core, and performs what is allowed on
 * a duplicate of the caller's socket, so that what was judged is what is dialled. */
#ifndef EG_LINUX_SUPERVISOR_H
#define EG_LINUX_SUPERVISOR_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "core/verdict.h"
#include "linux/target.h"

#define EG_HELD_MAX 1024
#define EG_KEPT_PATHS_MAX 256   /* of the held calls, whose sockets take a descriptor each as well */
#define EG_TICK_MS 20           /* how soon a held caller's signal is noticed */
#define EG_RETRY_MS 5           /* how soon to try again what poll cannot wait for */
#define EG_MOVING_MS 1          /* while one of them gets through: the next may as well */
#define EG_RETRY_MAX_MS 50      /* and how rarely, where it waits for long */
#define EG_PAYLOAD_MAX 1048576  /* of one message; a stream goes on in pieces */
#define EG_CONTROL_MAX 16384

/* What the supervisor counted; read by others at any time. */
typedef struct eg_kernel_counts {
    _Atomic uint64_t judged;
    _Atomic uint64_t refused;
    /* UDP connects of fresh sockets that were refused. libc sorts addresses with them and
     * sends nothing (RFC 6724), so they are no violations. */
    _Atomic uint64_t probes;
    _Atomic uint64_t probes_elsewhere; /* those of them that were not for loopback */
    _Atomic uint64_t names_refused;
    _Atomic uint64_t last;     /* the number of the last refusal in the journal */
    _Atomic uint32_t news;     /* a futex: changes with `last` */
    _Atomic uint32_t awaited;  /* somebody sleeps on it */
    _Atomic uint64_t rings; /* calls of io_uring: ENOSYS, and callers go on without */
} eg_kernel_counts;

/* A call on its way. Copied into the table of held calls where it has to wait. */
typedef struct eg_work {
    uint64_t id;
    uint64_t arguments[6];
    int64_t deadline_ms;    /* SO_SNDTIMEO; 0 for none */
    int64_t looked_up_ms;   /* until when a lookup of its own is waited for */
    int64_t look_until_ms;  /* until when a second look is waited for; 0 before it was taken */
    size_t bytes_sent;      /* of a stream, in pieces */
    unsigned messages_sent; /* of sendmmsg */
    int32_t tid;
    int number;
    int socket;             /* our duplicate, -1 before it is had */
    int path;               /* of a UNIX path: the judged file, open, which `address` leads to; -1 for none */
    socklen_t address_length;
    bool in_use;
    bool started;           /* connect: under way in the kernel */
    bool by_timer;          /* poll cannot tell when to try again */
    int pause_ms;           /* the last one between two tries */
    int64_t again_ms;       /* when to try again; 0 for each tick */
    bool asked;             /* its DNS question was looked up for the grants */
    uint16_t question;      /* of stub->questions, from 1: its DNS question is under way; 0 for none */
    uint32_t watched;       /* of a held call: the events that its socket is watched for */
    struct sockaddr_storage address;
} eg_work;

/* An answer for a caller: `waits`, or `proceeds`, or a result, or an errno. */
typedef struct eg_outcome {
    bool waits;
    bool proceeds; /* the kernel goes on with the call: only where it names no address */
    int error; /* positive errno, 0 for `value` */
    int64_t value;
} eg_outcome;

struct eg_stub;

typedef struct eg_supervisor {
    eg_state *state;
    eg_exempt *exempt;
    eg_kernel_counts *counts;
    int listener;
    int epoll;
    int both; /* an epoll set of the listener and `epoll`, for when poll will not have them */
    bool capability; /* the flag of the state's table of threads counts: in the same process only */
    bool stop;
    void (*on_refusal)(void *context, const eg_violation *violation); /* NULL, or called after the answer */
    void (*on_event)(void *context);                                  /* EG_EVENT_OTHER is readable */
    void *context;
    uint64_t told;                                                    /* the last that it was called for */
    uint64_t network; /* the namespace that it dials from, as SO_NETNS_COOKIE; 0 where the kernel does not tell */
    int64_t hosts_again_ms;
    int64_t owners_again_ms; /* when the next owner of a UNIX address may be looked for (judge.c) */
    size_t held_count;
    size_t kept_paths;
    bool moving; /* in the last tick a call got through that poll could not wait for */
    eg_targets targets;
    struct eg_stub *stub;
    eg_work held[EG_HELD_MAX];
    unsigned char control[EG_CONTROL_MAX];
    unsigned char payload[EG_PAYLOAD_MAX];
} eg_supervisor;

/* What an event of the epoll set is about: the kind in the upper half, an index below. */
enum { EG_EVENT_HELD = 1, EG_EVENT_STUB, EG_EVENT_OTHER };

/* Map a supervisor; all descriptors -1. NULL with errno. */
eg_supervisor *eg_supervisor_create(eg_state *state, eg_exempt *exempt, eg_kernel_counts *counts);

/* Unmap one that never served, whose descriptors are gone. */
void eg_supervisor_destroy(eg_supervisor *supervisor);

/* Open what it needs before the filter stands. 0 / -errno. */
int eg_supervisor_prepare(eg_supervisor *supervisor);

/* Watch a descriptor. 0 / -errno. */
int eg_supervisor_watch(eg_supervisor *supervisor, int descriptor, uint32_t kind, uint32_t index, uint32_t events);

/* Serve until nobody stands under the filter any more, or `stop` is set. */
void eg_supervisor_serve(eg_supervisor *supervisor);

int64_t eg_now_ms(void);
int64_t eg_now_us(void);

/* The network namespace of a socket, as SO_NETNS_COOKIE; 0 where that is not told. */
uint64_t eg_network_of(int socket);

static inline eg_outcome eg_result(int64_t value)
{
    return (eg_outcome){.value = value};
}

static inline eg_outcome eg_failure(int error)
{
    return (eg_outcome){.error = error < 0 ? -error : error};
}

static inline eg_outcome eg_proceed(void)
{
    return (eg_outcome){.proceeds = true};
}

static inline eg_outcome eg_wait(void)
{
    return (eg_outcome){.waits = true};
}

#endif
