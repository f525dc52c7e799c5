/* The stub nameserver. Code that asks a nameserver over a connected socket is connected to
 * this instead: its question is read, refused at once or sent on, and the answer granted. */
#ifndef EG_LINUX_STUB_H
#define EG_LINUX_STUB_H

#include "linux/judge.h"

struct eg_stub *eg_stub_create(void);

/* Unmap one that never served. */
void eg_stub_destroy(struct eg_stub *stub);

/* Put the stub's address in place of a nameserver's in `work`. 0, or -errno where the stub
 * cannot be had (another network namespace, no loopback): the connect is then refused. */
int eg_stub_redirect(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts,
                     const eg_endpoint *nameserver);

/* Remember who will ask from where. */
void eg_stub_note_client(eg_supervisor *supervisor, const eg_work *work, const eg_endpoint *nameserver);

/* Ask the question of a judged message ourselves and grant the answers; `work` goes on when
 * that ended. False where it could not be started. */
bool eg_stub_look_up(eg_supervisor *supervisor, eg_work *work, const eg_endpoint *nameserver, const uint8_t *query,
                     size_t length);

/* Is the socket in the network that the supervisor dials from? */
bool eg_stub_reaches(eg_supervisor *supervisor, int socket);

/* The nameserver in whose place the stub stands for this datagram socket; NULL where it is not
 * connected to the stub. */
const eg_endpoint *eg_stub_stands_for(const eg_supervisor *supervisor, int socket);

/* Was any datagram socket ever redirected? */
bool eg_stub_has_datagrams(const struct eg_stub *stub);

void eg_stub_ready(eg_supervisor *supervisor, uint32_t index);
void eg_stub_tick(eg_supervisor *supervisor);
bool eg_stub_is_busy(const struct eg_stub *stub);

#endif
