/* The second look, in threads of its own, so that a slow name server delays nobody longer
 * than the caller chose. The mutex is held for a few instructions only, never over a lookup. */
#include "core/relook.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "core/detached.h"
#include "core/lookup.h"

#define SETS 32u
#define WAYS 8u /* as many names as may open one port: those of a port never push each other out */
#define BACK_OFF_MAX 6 /* a name that keeps failing is asked every 64 s */

typedef struct tracked_name {
    bool used;
    bool under_way;
    uint32_t record;
    eg_pace pace;
    eg_state *state;
} tracked_name;

/* Process-wide: what is under way belongs to the process, not to the shared block. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended;
static uint64_t ended_count;
static tracked_name tracked[SETS * WAYS];
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static void make_condition(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#ifdef __linux__
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(&ended, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* The threads did not come along into the child, and the mutex may have. */
static void forked_child(void)
{
    pthread_mutex_init(&lock, NULL);
    make_condition();
    memset(tracked, 0, sizeof tracked);
}

static void prepare(void)
{
    make_condition();
    pthread_atfork(NULL, NULL, forked_child);
}

static struct timespec now(void)
{
    struct timespec time;
#ifdef __linux__
    clock_gettime(CLOCK_MONOTONIC, &time);
#else
    clock_gettime(CLOCK_REALTIME, &time);
#endif
    return time;
}

static int64_t milliseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void eg_pace_ended(eg_pace *pace, bool granted, int64_t now_ms)
{
    pace->failures = granted ? 0 : pace->failures + (pace->failures < BACK_OFF_MAX);
    pace->last_ms = now_ms;
}

int64_t eg_pace_due_ms(const eg_pace *pace)
{
    return pace->last_ms + ((int64_t)EG_PACE_MS << pace->failures);
}

bool eg_pace_is_over(const eg_pace *pace, int64_t now_ms)
{
    return now_ms >= pace->last_ms + EG_PACE_MS;
}

static void *look_up(void *argument)
{
    tracked_name *name_tracked = argument;
    eg_name name;
    eg_name_match match;
    int granted = -1;

    /* `record` and `state` do not change while the lookup is under way. */
    const char *text = eg_allowlist_record_text(&name_tracked->state->allowlist, name_tracked->record);
    if (eg_name_normalise(text, strlen(text), &name) &&
        eg_allowlist_match_name(&name_tracked->state->allowlist, &name, EG_ANY_PORT, &match) == EG_MATCH_LISTED) {
        granted = eg_lookup_grant(name_tracked->state, &name, &match);
    }
    pthread_mutex_lock(&lock);
    eg_pace_ended(&name_tracked->pace, granted > 0, milliseconds(now()));
    name_tracked->under_way = false;
    ended_count++;
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Whose slot another name may rather have: one that is over, and of two such the one that is due first. */
static bool gives_way_before(const tracked_name *name, const tracked_name *other, int64_t at_ms)
{
    bool is_over = eg_pace_is_over(&name->pace, at_ms), other_is_over = eg_pace_is_over(&other->pace, at_ms);
    return is_over != other_is_over ? is_over : eg_pace_due_ms(&name->pace) < eg_pace_due_ms(&other->pace);
}

/* The slot that follows this record: its own, else another's; NULL where all are under way. Where more names than a set
 * holds are needed within a second, one is asked for too often: a dial that is allowed matters more. */
static tracked_name *track(eg_state *state, uint32_t record, int64_t at_ms)
{
    tracked_name *set = &tracked[record % SETS * WAYS], *place = NULL;

    for (size_t way = 0; way < WAYS; way++) {
        tracked_name *name = &set[way];
        if (name->used && name->record == record && name->state == state) {
            return name;
        }
        if (!name->under_way && (place == NULL || gives_way_before(name, place, at_ms))) {
            place = name;
        }
    }
    if (place != NULL) {
        *place = (tracked_name){.used = true, .record = record, .state = state};
    }
    return place;
}

bool eg_relook_may_help(const eg_state *state, int port)
{
    size_t count = eg_allowlist_count_names_for_port(&state->allowlist, port);
    return count > 0 && count <= EG_NAMES_FOR_PORT_MAX;
}

eg_relook_result eg_relook(eg_state *state, int port, int wait_ms)
{
    uint32_t records[EG_NAMES_FOR_PORT_MAX] = {0};
    tracked_name *waiting[EG_NAMES_FOR_PORT_MAX] = {NULL};
    size_t waiting_count = 0;
    size_t count = eg_allowlist_names_for_port(&state->allowlist, port, records);
    struct timespec until = now();
    int64_t at_ms = milliseconds(until);
    eg_relook_result result = EG_RELOOK_NOTHING;

    pthread_once(&prepared, prepare);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&lock);
    uint64_t before = ended_count;
    for (size_t i = 0; i < count; i++) {
        tracked_name *name = track(state, records[i], at_ms);
        if (name == NULL) {
            continue;
        }
        if (!name->under_way && at_ms >= eg_pace_due_ms(&name->pace)) {
            name->under_way = true;
            if (eg_detached_start(look_up, name, 0) != 0) {
                name->under_way = false;
                name->pace.last_ms = at_ms;
            }
        }
        if (name->under_way) {
            waiting[waiting_count++] = name;
        }
    }
    for (int error = 0; waiting_count > 0 && error == 0;) {
        size_t still = 0;
        for (size_t i = 0; i < waiting_count; i++) {
            /* cppcheck-suppress uninitvar ; waiting[] is filled up to waiting_count */
            still += waiting[i]->under_way;
        }
        if (still == 0) {
            break;
        }
        error = pthread_cond_timedwait(&ended, &lock, &until);
    }
    if (ended_count != before) {
        result = EG_RELOOK_ENDED;
    } else if (waiting_count > 0) {
        result = EG_RELOOK_UNDER_WAY;
    }
    pthread_mutex_unlock(&lock);
    return result;
}
