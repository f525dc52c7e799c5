/* The funnel. Everything a refusal does happens here, in this order: count and keep it,
 * tell the listener, raise. The first cannot fail, so nothing is lost to the others. */
#include "python/refuse.h"

#include <string.h>
#include <sys/socket.h>

#include "python/callsite.h"
#include "python/of_interpreter.h"
#include "python/violation.h"

/* A listener that itself dials is refused like anybody, but not told again. */
static _Thread_local bool listener_runs;

int eg_refuse_set_listener(PyObject *callable)
{
    eg_of_interpreter *mine;
    PyObject *held = eg_of_interpreter_get(&mine);

    if (held == NULL) {
        return -1;
    }
    /* The first one stays: a second execution of the package (a sandbox's, a reload's) would
     * silence the journal files and the log of the first. */
    if (mine->listener == NULL) {
        mine->listener = Py_NewRef(callable);
    }
    Py_DECREF(held);
    return 0;
}

/* As much of it as fits. */
static void copy(char *out, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    memcpy(out, text, length);
    out[length] = '\0';
}

/* True where the attempt is to be let through. */
static bool keep(const eg_attempt *attempt, eg_violation *violation)
{
    eg_state *state = eg_guard_get();
    bool observing = state != NULL && state->observing;

    memset(violation, 0, sizeof *violation); /* all of it: what the journal keeps must not be what a stack held */
    violation->port = attempt->port;
    violation->route = (uint16_t)attempt->route;
    violation->reason = (uint16_t)attempt->reason;
    copy(violation->host, sizeof violation->host, attempt->host);
    if (attempt->address != NULL) {
        copy(violation->address, sizeof violation->address, attempt->address);
    }
    violation->flags = observing ? EG_VIOLATION_OBSERVED : 0;
    eg_callsite_fill(violation);
    if (state != NULL) {
        eg_journal_add(state->journal, violation);
    }
    return observing;
}

static void tell(PyObject *listener, uint64_t number)
{
    PyObject *record, *answer = NULL;

    if (listener_runs || listener == NULL || listener == Py_None) {
        return;
    }
    listener_runs = true;
    Py_INCREF(listener);
    record = PyLong_FromUnsignedLongLong(number);
    if (record != NULL) {
        answer = PyObject_CallOneArg(listener, record);
    }
    if (answer == NULL && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        PyErr_Clear(); /* Ctrl-C met the handler by chance: it comes again at the next check */
        PyErr_SetInterrupt();
    } else if (answer == NULL) {
        /* A broken log handler must not turn a refusal into another exception, which a
         * client could take for a fault worth a retry. */
        PyErr_WriteUnraisable(listener);
    }
    Py_XDECREF(answer);
    Py_XDECREF(record);
    Py_DECREF(listener);
    listener_runs = false;
}

void eg_refuse_tell(uint64_t number)
{
    eg_of_interpreter *mine;
    PyObject *held = eg_of_interpreter_get(&mine);

    if (held == NULL) {
        PyErr_WriteUnraisable(NULL); /* no memory to look for the listener */
        return;
    }
    tell(mine->listener, number);
    Py_DECREF(held);
}

/* How many bytes at `text` are one character that moves a cursor, begins a line or turns the text around: C0 and
 * DEL; in UTF-8 also C1 (a terminal takes U+009B for ESC [), U+2028 to U+202E and U+2066 to U+2069. */
static size_t unprintable(const unsigned char *text)
{
    if (text[0] < 0x20 || text[0] == 0x7f) {
        return text[0] == '\0' ? 0 : 1;
    }
    if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f) {
        return 2;
    }
    bool turns = text[0] == 0xe2 && ((text[1] == 0x80 && text[2] >= 0xa8 && text[2] <= 0xae) ||
                                     (text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9));
    return turns ? 3 : 0;
}

/* A name that was refused is anybody's text, on its way to terminals and logs. */
static void printable(const char *text, char *out, size_t size)
{
    size_t at = 0;
    while (text[0] != '\0' && at + 1 < size) {
        size_t skip = unprintable((const unsigned char *)text);
        out[at++] = skip > 0 ? '?' : text[0];
        text += skip > 0 ? skip : 1;
    }
    out[at] = '\0';
}

int eg_refuse(const eg_attempt *given)
{
    eg_violation violation;
    char host[sizeof violation.host];
    eg_attempt attempt = *given;
    eg_of_interpreter *mine;

    printable(given->host, host, sizeof host);
    attempt.host = host;
    bool let_through = keep(&attempt, &violation);
    PyObject *held = eg_of_interpreter_get(&mine);
    if (held == NULL) {
        if (!let_through) {
            return -1; /* MemoryError: no call goes on under an exception */
        }
        PyErr_WriteUnraisable(NULL);
        return 0;
    }
    tell(mine->listener, violation.number);
    if (!let_through) {
        eg_violation_raise(mine, &attempt, violation.number);
    }
    Py_DECREF(held);
    return let_through ? 0 : -1;
}

int eg_refuse_endpoint(eg_route route, eg_reason reason, const eg_endpoint *endpoint)
{
    char host[EG_ENDPOINT_TEXT_SIZE];
    bool ip = endpoint->family == AF_INET || endpoint->family == AF_INET6;

    eg_endpoint_host_text(endpoint, host);
    eg_attempt attempt = {.route = route, .reason = reason, .host = host, .port = ip ? endpoint->port : EG_NO_PORT};
    return eg_refuse(&attempt);
}
