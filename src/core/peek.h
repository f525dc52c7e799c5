/* Answers that lie in a caller's own socket, read without being taken. */
#ifndef EG_CORE_PEEK_H
#define EG_CORE_PEEK_H

#include "core/dns_answer.h"
#include "core/state.h"

/* Look for the answer to `asked` among the datagrams that wait in the socket. True where one
 * from the nameserver's own address is there; every datagram stays where it is. `buffer` is
 * scratch: a longer answer is not read. */
bool eg_peek_answer(int socket, const eg_endpoint *nameserver, const eg_dns_question *asked, uint8_t *buffer,
                    size_t size, eg_dns_answer *out);

/* Grant what of an answer may be dialled. False where there are addresses and none may be. */
bool eg_peek_grant(eg_state *state, const eg_name_match *match, const eg_dns_answer *answer);

#endif
