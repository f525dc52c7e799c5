/* Questions on the caller's own socket, which is not connected (musl, dnspython, hickory): it
 * was judged and sent, and the caller is held until its answer lies there. That is read
 * without being taken, and what it grants is granted before the caller can read it. */
#include "linux/question.h"

#include "core/peek.h"
#include "linux/stub_inside.h"

static eg_question *question_of(const eg_supervisor *supervisor, const eg_work *work)
{
    return &supervisor->stub->questions[work->question - 1];
}

/* Note what is waited for; false where there is no room. */
static bool take(eg_supervisor *supervisor, eg_work *work, const eg_endpoint *nameserver,
                 const eg_dns_question *asked, const eg_name_match *match)
{
    for (uint16_t i = 0; i < EG_QUESTIONS; i++) {
        eg_question *question = &supervisor->stub->questions[i];
        if (!question->in_use) {
            *question = (eg_question){.in_use = true, .nameserver = *nameserver, .asked = *asked, .match = *match};
            question->nameserver.path = NULL;
            work->question = (uint16_t)(i + 1);
            work->looked_up_ms = eg_now_ms() + EG_LOOK_UP_MS;
            return true;
        }
    }
    return false;
}

bool eg_question_sent(eg_supervisor *supervisor, eg_work *work, const eg_endpoint *nameserver, const uint8_t *query,
                      size_t length)
{
    eg_dns_question asked;
    eg_name_decision decision;

    return eg_dns_read_query(query, length, &asked) &&
           eg_stub_judge_question(supervisor->state, &asked, &decision) == EG_ALLOWED &&
           decision.kind == EG_NAME_LISTED && eg_stub_reaches(supervisor, work->socket) &&
           take(supervisor, work, nameserver, &asked, &decision.match);
}

static bool answer_is_here(eg_supervisor *supervisor, const eg_work *work, const eg_question *question)
{
    eg_dns_answer answer;

    if (!eg_peek_answer(work->socket, &question->nameserver, &question->asked, supervisor->payload, EG_ANSWER_MAX,
                        &answer)) {
        return false;
    }
    if (!eg_peek_grant(supervisor->state, &question->match, &answer)) {
        eg_judge_refuse_name(supervisor, work->tid, EG_REFUSED_RESOLVED, question->asked.name.text);
    }
    return true;
}

eg_outcome eg_question_go_on(eg_supervisor *supervisor, eg_work *work)
{
    if (work->looked_up_ms != 0 && !answer_is_here(supervisor, work, question_of(supervisor, work))) {
        return eg_wait();
    }
    eg_question_end(supervisor, work);
    return eg_result((int64_t)work->bytes_sent);
}

void eg_question_end(eg_supervisor *supervisor, eg_work *work)
{
    if (work->question == 0) {
        return;
    }
    question_of(supervisor, work)->in_use = false;
    work->question = 0;
    work->looked_up_ms = 0;
}
