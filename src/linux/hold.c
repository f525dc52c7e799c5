/* Held calls. A caller waits killable only, so its signals are looked for here. */
#include "linux/hold.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "linux/dial.h"
#include "linux/judge.h"
#include "linux/notice.h"
#include "linux/patience.h"
#include "linux/question.h"
#include "linux/receive.h"
#include "linux/send.h"

/* Of a tick: a thousand held calls must not stall the rest, who wait until it ends. */
#define STATUS_READS_MAX 64
#define TICK_US 2000

static void answer(const eg_supervisor *supervisor, uint64_t id, eg_outcome outcome)
{
    struct seccomp_notif_resp response = {.id = id, .val = outcome.value, .error = -outcome.error};
    if (outcome.error != 0) {
        response.val = 0;
    } else if (outcome.proceeds) {
        response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
    /* ENOENT: the caller was killed meanwhile. */
    eg_exempt_ioctl(supervisor->exempt, supervisor->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static eg_outcome run(eg_supervisor *supervisor, eg_work *work)
{
    switch (work->number) {
    case SYS_connect:
        return eg_dial_run(supervisor, work);
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
        return eg_send_run(supervisor, work);
    default:
        return eg_failure(ENOSYS);
    }
}

static void release(eg_supervisor *supervisor, eg_work *work)
{
    eg_question_end(supervisor, work);
    if (work->socket >= 0) {
        if (work->in_use) {
            /* The caller still has the socket, so closing ours would not end the watch. */
            epoll_ctl(supervisor->epoll, EPOLL_CTL_DEL, work->socket, NULL);
        }
        eg_patience_close(work->socket); /* the last one, where the caller is gone */
        work->socket = -1;
    }
    eg_unix_way_drop(supervisor, work);
    if (work->in_use) {
        work->in_use = false;
        supervisor->held_count--;
    }
}

/* SO_SNDTIMEO as a moment; 0 for none. */
static int64_t deadline_of(int socket)
{
    struct timeval limit = {0};
    socklen_t size = sizeof limit;

    if (getsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, &size) != 0 || (limit.tv_sec == 0 && limit.tv_usec == 0)) {
        return 0;
    }
    return eg_now_ms() + (int64_t)limit.tv_sec * 1000 + (limit.tv_usec + 999) / 1000;
}

/* Waiting ends without the socket: what the kernel would say. */
static eg_outcome ended(const eg_work *work, int error)
{
    if (work->number != SYS_connect) {
        return eg_send_cut_short(work, error);
    }
    return eg_failure(error == EAGAIN && work->started ? EINPROGRESS : error);
}

/* The answer comes last: a caller that has it may close its socket, which must be closed then.
 * And what is left to do here would be the next caller's to wait for. */
static void end(eg_supervisor *supervisor, eg_work *work, eg_outcome outcome)
{
    uint64_t id = work->id;

    release(supervisor, work);
    answer(supervisor, id, outcome);
}

static void end_early(eg_supervisor *supervisor, eg_work *work, int error)
{
    end(supervisor, work, ended(work, error));
}

/* By edges: what is ready and still has to wait must not spin. */
static uint32_t events_of(const eg_work *work)
{
    return (work->question != 0 ? EPOLLIN : EPOLLOUT) | EPOLLET;
}

static void hold(eg_supervisor *supervisor, eg_work *work)
{
    size_t index = 0;

    while (index < EG_HELD_MAX && supervisor->held[index].in_use) {
        index++;
    }
    if (index == EG_HELD_MAX) {
        end_early(supervisor, work, EAGAIN);
        return;
    }
    work->deadline_ms = deadline_of(work->socket);
    work->in_use = true;
    work->watched = events_of(work);
    supervisor->held[index] = *work;
    supervisor->held_count++;
    work->socket = work->path = -1;
    work->question = 0;
    if (eg_supervisor_watch(supervisor, supervisor->held[index].socket, EG_EVENT_HELD, (uint32_t)index,
                            supervisor->held[index].watched) != 0) {
        end_early(supervisor, &supervisor->held[index], EAGAIN);
    }
}

static void watch_again(eg_supervisor *supervisor, eg_work *work)
{
    struct epoll_event event = {.events = events_of(work)};
    /* A stream that took a piece may be ready already, without another edge. */
    bool anew = work->number != SYS_connect && !work->by_timer && work->looked_up_ms == 0;

    if (anew || event.events != work->watched) {
        event.data.u64 = (uint64_t)EG_EVENT_HELD << 32 | (uint64_t)(work - supervisor->held);
        epoll_ctl(supervisor->epoll, EPOLL_CTL_MOD, work->socket, &event);
        work->watched = event.events;
    }
}

/* Run a call: answer it, or hold it. Takes `work->socket` over. */
static void run_to_answer(eg_supervisor *supervisor, eg_work *work)
{
    eg_outcome outcome = run(supervisor, work);

    if (outcome.waits) {
        if (!work->in_use) {
            hold(supervisor, work);
        } else {
            watch_again(supervisor, work);
        }
        return;
    }
    end(supervisor, work, outcome);
}

void eg_hold_hear(eg_supervisor *supervisor, const struct seccomp_notif *heard)
{
    eg_notice notice;
    eg_work work;

    eg_notice_read(heard, &notice, &work);
    if (notice.kind != EG_NOTICE_RECEIVE) {
        atomic_fetch_add_explicit(&supervisor->counts->judged, 1, memory_order_relaxed);
    }
    switch (notice.kind) {
    case EG_NOTICE_RECEIVE:
        end(supervisor, &work, eg_receive(supervisor, &work));
        break;
    case EG_NOTICE_JUDGE:
        run_to_answer(supervisor, &work);
        break;
    case EG_NOTICE_COUNT:
        atomic_fetch_add_explicit(&supervisor->counts->rings, 1, memory_order_relaxed);
        answer(supervisor, work.id, eg_failure(notice.error));
        break;
    default:
        eg_judge_refuse_call(supervisor, work.tid, notice.route, notice.reason, notice.what);
        answer(supervisor, work.id, eg_failure(notice.error));
    }
}

void eg_hold_try_later(eg_work *work)
{
    work->by_timer = true;
    work->pause_ms = work->pause_ms == 0 ? EG_RETRY_MS : work->pause_ms * 2;
    work->pause_ms = work->pause_ms > EG_RETRY_MAX_MS ? EG_RETRY_MAX_MS : work->pause_ms;
    work->again_ms = eg_now_ms() + work->pause_ms;
}

void eg_hold_yield(eg_supervisor *supervisor, eg_work *work)
{
    work->by_timer = true; /* not by the socket, which may be full: the rest is for others perhaps */
    work->again_ms = eg_now_ms();
    supervisor->moving = true;
}

void eg_hold_ready(eg_supervisor *supervisor, uint32_t index)
{
    eg_work *work = &supervisor->held[index % EG_HELD_MAX];
    /* Its own socket, which is ready at once, says nothing of the peer; and looking for the owner of a UNIX name takes
     * milliseconds, for each of the sockets that are ready. A tick has its limit. */
    bool by_tick = work->by_timer && work->path < 0 && work->address_length > 0;

    if (work->in_use && !by_tick && (work->looked_up_ms == 0 || work->question != 0)) {
        run_to_answer(supervisor, work);
    }
}

void eg_hold_resume(eg_supervisor *supervisor, uint64_t id)
{
    for (size_t index = 0; index < EG_HELD_MAX; index++) {
        eg_work *work = &supervisor->held[index];
        if (work->in_use && work->id == id) {
            work->looked_up_ms = 0;
            run_to_answer(supervisor, work);
            return;
        }
    }
}

static void tick_one(eg_supervisor *supervisor, eg_work *work, int64_t now, int *reads)
{
    eg_target_status status;

    if (!eg_judge_still_waits(supervisor, work)) {
        release(supervisor, work);
    } else if ((*reads)-- > 0 && eg_target_status_read(work->tid, &status) && status.interrupted) {
        end_early(supervisor, work, EINTR);
    } else if (work->looked_up_ms != 0) {
        if (now >= work->looked_up_ms) {
            work->looked_up_ms = 0; /* no answer: the caller may ask for itself */
            run_to_answer(supervisor, work);
        }
    } else if (work->deadline_ms != 0 && now >= work->deadline_ms) {
        end_early(supervisor, work, EAGAIN);
    } else if (work->by_timer && now >= work->again_ms) {
        run_to_answer(supervisor, work);
        supervisor->moving = supervisor->moving || !work->in_use;
    }
}

void eg_hold_tick(eg_supervisor *supervisor)
{
    static size_t first; /* where the next tick starts; one supervisor a process */
    int64_t started = eg_now_us(), now = started / 1000;
    int reads = STATUS_READS_MAX;
    size_t seen = 0, total = supervisor->held_count, start = first;

    supervisor->moving = false;
    /* Out of time, the next tick goes on behind the last caller whose signals were looked for. */
    for (size_t i = 0; i < EG_HELD_MAX && seen < total && eg_now_us() - started < TICK_US; i++) {
        size_t index = (start + i) % EG_HELD_MAX;
        eg_work *work = &supervisor->held[index];
        if (work->in_use) {
            seen++;
            first = reads > 0 ? index + 1 : first;
            tick_one(supervisor, work, now, &reads);
        }
    }
}
