/* Answers of nameservers (RFC 1035), as far as grants need them. Hostile input: bounded. */
#ifndef EG_CORE_DNS_ANSWER_H
#define EG_CORE_DNS_ANSWER_H

#include "core/dns.h"

#define EG_DNS_ADDRESSES_MAX 64
#define EG_DNS_QUERY_MAX 512 /* header, one name, one OPT with what eg_dns_read_query lets pass */

typedef struct eg_dns_answer {
    bool truncated;
    size_t count;
    eg_address addresses[EG_DNS_ADDRESSES_MAX]; /* of the name asked for, or of what its CNAMEs lead to */
} eg_dns_answer;

/* Read the answer to `asked`: same id, name, type and class. False for anything else, and
 * where a record cannot be read. What is left over beyond EG_DNS_ADDRESSES_MAX is dropped. */
bool eg_dns_read_answer(const uint8_t *message, size_t length, const eg_dns_question *asked, eg_dns_answer *out);

#define EG_DNS_SERVFAIL 2
#define EG_DNS_NXDOMAIN 3

/* The answer that says no, made from the query that eg_dns_read_query took: returns its
 * length. `out` holds EG_DNS_QUERY_MAX bytes. */
size_t eg_dns_make_refusal(const uint8_t *query, const eg_dns_question *asked, unsigned code, uint8_t *out);

/* The address that a name below in-addr.arpa or ip6.arpa asks for (RFC 1035, RFC 3596). */
bool eg_dns_reverse_address(const eg_name *name, eg_address *out);

#endif
