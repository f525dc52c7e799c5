/* Calls that are held: what src/linux/hold.c, send.c and dial.c do with the stub, step by step. */
#ifndef EG_TESTS_EXCHANGE_HELD_CALLS_H
#define EG_TESTS_EXCHANGE_HELD_CALLS_H

#include "exchange/dns_bytes.h"
#include "exchange/rules.h"

void held_reset(void);
size_t held_own_questions(void);

/* Steps, each with what it takes. */
void held_look_up(fuzz_bytes *bytes);
void held_ask_own(fuzz_bytes *bytes);
void held_own_answer(fuzz_bytes *bytes);
void held_dial(fuzz_bytes *bytes);
void held_gone(fuzz_bytes *bytes);

/* Time has passed. */
void held_tick(void);

#endif
