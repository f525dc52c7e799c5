/* DNS messages (RFC 1035), as far as a verdict needs them. Hostile input: bounded. */
#ifndef EG_CORE_DNS_H
#define EG_CORE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/endpoint.h"
#include "core/name.h"

#define EG_DNS_PORT 53 /* RFC 1035, 4.2 */

#define EG_DNS_TYPE_A 1
#define EG_DNS_TYPE_AAAA 28

typedef struct eg_dns_question {
    uint16_t id;
    uint16_t type;
    size_t end;     /* where the question section ends in the message */
    eg_name name;   /* normalised */
} eg_dns_question;

/* Read a message that is exactly one standard query with exactly one question of class
 * IN, and nothing behind it but at most one OPT record without unknown options. False
 * for anything else: UPDATE, two questions, trailing bytes, options that carry data. */
bool eg_dns_read_query(const uint8_t *message, size_t length, eg_dns_question *out);

/* Write the question for a name: returns its length. `out` holds EG_DNS_QUESTION_MAX bytes. */
#define EG_DNS_QUESTION_MAX 272 /* header, 255 bytes of name, type and class */
size_t eg_dns_make_query(const eg_name *name, uint16_t type, uint8_t *out);

#ifdef __linux__
/* A control message that keeps the kernel from cutting one message into several (UDP_SEGMENT, linux/udp.h): what was
 * judged as one question would leave as two. `at` has room for EG_UNCUT_SIZE bytes. The last one of a message counts, and
 * more than the socket's own option. */
#define EG_UNCUT_SIZE CMSG_SPACE(sizeof(uint16_t))
void eg_dns_uncut(void *at);
#endif

#endif
