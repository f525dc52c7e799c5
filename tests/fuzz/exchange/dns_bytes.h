/* Questions and answers of DNS made from a fuzzer's bytes: mostly whole, so that an input gets behind the reading of
 * messages, and damaged in the ways that count. */
#ifndef EG_TESTS_DNS_BYTES_H
#define EG_TESTS_DNS_BYTES_H

#include "fuzz.h"

#define DNS_QUESTION_ROOM 1024
#define DNS_ANSWER_ROOM 65535

/* An input that is being read; behind its end come zeros. */
typedef struct fuzz_bytes {
    const uint8_t *at;
    size_t left;
} fuzz_bytes;

uint8_t take_byte(fuzz_bytes *bytes);

/* A byte that names the host (4 bits) and the type (4 bits), and one of DNS_Q_* flags with what they take:
 * RAW a length and the message; DAMAGE a place and a value. Returns the length. */
enum { DNS_Q_OPT = 1, DNS_Q_COOKIE = 2, DNS_Q_UPPER = 4, DNS_Q_RAW = 8, DNS_Q_DAMAGE = 16, DNS_Q_LONG = 32 };
size_t make_question(fuzz_bytes *bytes, uint16_t id, uint8_t out[DNS_QUESTION_ROOM]);

/* The answer to `query`. A byte of DNS_A_* flags; RAW takes a length and the message behind the id; else a byte says how many
 * records there are, and one each what: an address (4 bits, 15: 16 bytes follow) and whose (4 bits). DAMAGE as above. */
enum {
    DNS_A_OTHER_ID = 1,
    DNS_A_TRUNCATED = 2,
    DNS_A_OTHER_NAME = 4,
    DNS_A_RAW = 8,
    DNS_A_CODE = 16,
    DNS_A_DAMAGE = 32,
    DNS_A_LONG = 64, /* as long as a message can be */
};
enum { DNS_OF_NAME = 0, DNS_OF_CNAME, DNS_CNAME, DNS_OF_OTHER };
size_t make_answer(fuzz_bytes *bytes, const uint8_t *query, size_t length, uint8_t *out);

#endif
