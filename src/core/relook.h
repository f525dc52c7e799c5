/* The second look: a client with a resolver of its own dials an address that the guard never
 * saw. Where few names open that port, the guard looks these names up itself. */
#ifndef EG_CORE_RELOOK_H
#define EG_CORE_RELOOK_H

#include "core/state.h"

/* When a name is asked for again: a second after the last time, twice as long after each failure. */
typedef struct eg_pace {
    int64_t last_ms; /* when it was asked for, or when the answer came */
    unsigned failures;
} eg_pace;

#define EG_PACE_MS 1000

/* A lookup of the name ended. */
void eg_pace_ended(eg_pace *pace, bool granted, int64_t now_ms);

int64_t eg_pace_due_ms(const eg_pace *pace);

/* May it be forgotten, so that another name has its place? Not while the name could then be asked for again within
 * a second. */
bool eg_pace_is_over(const eg_pace *pace, int64_t now_ms);

/* Could a second look help for this port at all? Constant time. */
bool eg_relook_may_help(const eg_state *state, int port);

typedef enum eg_relook_result {
    EG_RELOOK_NOTHING = 0, /* nothing is due and nothing under way: the verdict stands */
    EG_RELOOK_ENDED,       /* a lookup ended meanwhile: judging again can help */
    EG_RELOOK_UNDER_WAY,   /* the time to wait is over, the lookup is not */
} eg_relook_result;

/* Look the exact names that open `port` up again, each at most once a second and less often
 * while it fails (unless more names are wanted in that time than there are places to remember
 * it), one lookup at a time for each name whoever asks; wait at most `wait_ms` for what is
 * under way. Call without the GIL. */
eg_relook_result eg_relook(eg_state *state, int port, int wait_ms);

#endif
