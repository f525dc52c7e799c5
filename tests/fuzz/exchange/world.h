/* The list, the machine and the nameservers that the stub is told of; and what may be asked and granted there, decided anew. */
#ifndef EG_TESTS_EXCHANGE_WORLD_H
#define EG_TESTS_EXCHANGE_WORLD_H

#include "core/state.h"
#include "fuzz.h"

/* Entries, whose records have their numbers. The last is as far from the first as the stub's table of second looks is long. */
#define LISTED 33

/* A state with that list; it lives as long as the program. */
eg_state *world_create(void);
/* Forget all grants. */
void world_forget_grants(eg_state *state);

eg_endpoint world_loopback(bool six, int port);
eg_endpoint world_nameserver(bool six, uint8_t which);
bool world_is_nameserver(const eg_endpoint *endpoint);

/* Does entry number `record` name this host? */
bool world_opens(size_t record, const eg_name *name);
/* EG_ANY_PORT for what no second look asks for. */
int world_port_of(size_t record);
bool world_is_listed(const eg_name *name);
/* May a question for it leave: listed, or in reverse for an address that is listed or granted? */
bool world_may_be_asked(const eg_state *state, const eg_name *name);
/* Is its refusal a violation? Not for a number or a name of this machine, which are no questions for a nameserver. */
bool world_is_reported(const eg_name *name);
/* No name may lead to this address. */
bool world_is_forbidden(const eg_address *address);

#endif
