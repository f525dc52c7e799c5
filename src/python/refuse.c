/* The funnel. Everything a refusal does happens here, in this order: count and keep it,
 * tell the listener, raise. The first cannot fail, so nothing is lost to the others. */
#include "python/refuse.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/dns.h"
#include "python/callsite.h"

/* A listener that itself dials is refused like anybody, but not told again. */
static _Thread_local bool listener_runs;
static const char listener_name[] = "egressguard.listener";

static PyObject *interpreter_dict(void)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    if (dict == NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError, "egressguard: the interpreter is shutting down");
    }
    return dict;
}

/* What the interpreter's dict keeps under a name: borrowed, NULL without an exception where
 * there is nothing. PyDict_GetItemString() takes an allocation that fails for that, and what
 * is there would be made a second time and replaced. */
static PyObject *kept_in(PyObject *dict, const char *name)
{
    PyObject *key = PyUnicode_FromString(name), *found = NULL;

    if (key != NULL) {
        found = PyDict_GetItemWithError(dict, key);
        Py_DECREF(key);
    }
    return found;
}

/* Keep it under a name unless something is there already, whatever another thread did while
 * this one made it: what is kept now, borrowed. */
static PyObject *keep_in(PyObject *dict, const char *name, PyObject *value)
{
    PyObject *key = PyUnicode_FromString(name), *kept = NULL;

    if (key != NULL) {
        kept = PyDict_SetDefault(dict, key, value);
        Py_DECREF(key);
    }
    return kept;
}

PyDoc_STRVAR(violation_doc,
             "A dial or a lookup that the guard refused.\n\n"
             "host: str, what was asked for\n"
             "port: int, or None where the attempt named none\n"
             "address: str, what the host resolved to, or None\n"
             "route: str, the call that was refused, such as 'connect'\n"
             "reason: str, one word of a closed set, such as 'not-listed'\n"
             "number: int, its number in the journal\n\n"
             "Not an OSError: clients retry or swallow those (docs/architecture.md).");

PyObject *eg_refuse_exception_type(void)
{
    static const char key[] = "egressguard.EgressViolation";
    PyObject *dict = interpreter_dict(), *members = NULL, *type = NULL;

    if (dict == NULL) {
        return NULL;
    }
    type = kept_in(dict, key);
    if (type != NULL || PyErr_Occurred()) {
        return type;
    }
    members = Py_BuildValue("{sOsOsOsOsOsO}", "host", Py_None, "port", Py_None, "address", Py_None, "route", Py_None,
                            "reason", Py_None, "number", Py_None);
    if (members == NULL) {
        return NULL;
    }
    type = PyErr_NewExceptionWithDoc(key, violation_doc, PyExc_RuntimeError, members);
    Py_DECREF(members);
    if (type == NULL) {
        return NULL;
    }
    PyObject *kept = keep_in(dict, key, type);
    Py_DECREF(type); /* the dict keeps it as long as the interpreter lives */
    return kept;
}

int eg_refuse_set_listener(PyObject *callable)
{
    PyObject *dict = interpreter_dict();
    if (dict == NULL) {
        return -1;
    }
    /* The first one stays: a second execution of the package (a sandbox's, a reload's) would
     * silence the journal files and the log of the first. */
    return keep_in(dict, listener_name, callable) == NULL ? -1 : 0;
}

/* By TCP, or by UDP to whom /etc/resolv.conf does not name: an entry would open every question,
 * and the questions of listed names need none. */
static bool dials_a_nameserver(const eg_attempt *attempt)
{
    unsigned char address[16];
    return attempt->port == EG_DNS_PORT &&
           (inet_pton(AF_INET, attempt->host, address) == 1 || inet_pton(AF_INET6, attempt->host, address) == 1);
}

static const char *next_step(const eg_attempt *attempt)
{
    switch (attempt->reason) {
    case EG_REFUSED_NOT_LISTED:
    case EG_REFUSED_PORT:
        if (dials_a_nameserver(attempt)) {
            return "Lookups of listed names need no entry. \"%s\" in install(allow=...) would open every DNS question, "
                   "a way out for any data.";
        }
        return "Add \"%s\" to install(allow=...) if this process should reach it.";
    case EG_REFUSED_OWN_ADDRESS:
        return "Add exactly \"%s\" to install(allow=...) if this process should reach it: a name or a CIDR never "
               "opens this machine's own addresses.";
    case EG_REFUSED_LOOPBACK:
    case EG_REFUSED_UNSPECIFIED:
        return "No entry opens loopback. A test that needs it requests the fixture egress_test_loopback "
               "(127.0.0.1 and ::1, in its own thread).";
    case EG_REFUSED_UNIX:
        return "Add \"%s\" to install(allow=...) if this process should reach it.";
    case EG_REFUSED_RESOLVED:
        return "Look at the name's DNS answers and /etc/hosts: only addresses elsewhere are dialled.";
    case EG_REFUSED_NAMESERVER:
        return "Only a plain question for a listed name may go to a nameserver.";
    case EG_REFUSED_NAME:
    case EG_REFUSED_SHAPE:
        return "Use a host name or an address.";
    default:
        return "There is no entry that opens this.";
    }
}

/* "host:port", "[::1]:80", "unix:/path": what was dialled, and the entry that would open it. */
static void endpoint_text(const eg_attempt *attempt, char *text, size_t size)
{
    bool ipv6 = strchr(attempt->host, ':') != NULL && strncmp(attempt->host, "unix:", 5) != 0;
    if (attempt->port == EG_NO_PORT) {
        snprintf(text, size, "%s", attempt->host);
    } else {
        snprintf(text, size, ipv6 ? "[%s]:%d" : "%s:%d", attempt->host, attempt->port);
    }
}

static PyObject *message_of(const eg_attempt *attempt)
{
    char what[512], entry[528], step[800], resolved[96] = "";

    endpoint_text(attempt, what, sizeof what);
    if (attempt->port == EG_NO_PORT && strncmp(what, "unix:", 5) != 0) {
        snprintf(entry, sizeof entry, "%s:PORT", what);
    } else {
        snprintf(entry, sizeof entry, "%s", what);
    }
    if (attempt->address != NULL && attempt->address[0] != '\0') {
        snprintf(resolved, sizeof resolved, " [%s]", attempt->address);
    }
    const char *form = next_step(attempt);
    const char *place = strstr(form, "%s");
    if (place == NULL) {
        snprintf(step, sizeof step, "%s", form);
    } else {
        snprintf(step, sizeof step, "%.*s%s%s", (int)(place - form), form, entry, place + 2);
    }
    return PyUnicode_FromFormat("refused %s%s (%s): %s.\n  %s", what, resolved, eg_route_name(attempt->route),
                                eg_reason_text(attempt->reason), step);
}

/* True where the attempt is to be let through. */
static bool keep(const eg_attempt *attempt, eg_violation *violation)
{
    eg_state *state = eg_guard_get();
    bool observing = state != NULL && state->observing;

    memset(violation, 0, offsetof(eg_violation, host));
    violation->address[0] = violation->file[0] = violation->program[0] = violation->caller_file[0] =
        violation->library_file[0] = '\0';
    violation->port = attempt->port;
    violation->route = (uint16_t)attempt->route;
    violation->reason = (uint16_t)attempt->reason;
    snprintf(violation->host, sizeof violation->host, "%s", attempt->host);
    if (attempt->address != NULL) {
        snprintf(violation->address, sizeof violation->address, "%s", attempt->address);
    }
    violation->flags = observing ? EG_VIOLATION_OBSERVED : 0;
    eg_callsite_fill(violation);
    if (state != NULL) {
        eg_journal_add(state->journal, violation);
    }
    return observing;
}

void eg_refuse_tell(uint64_t number)
{
    PyObject *dict, *listener, *record = NULL, *answer = NULL;

    if (listener_runs) {
        return;
    }
    dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    listener = dict == NULL ? NULL : kept_in(dict, listener_name);
    if (listener == NULL && PyErr_Occurred()) {
        PyErr_WriteUnraisable(NULL); /* no memory to look for it: the refusal goes on */
    }
    if (listener == NULL || listener == Py_None) {
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

/* The names of a violation's members, made once for each interpreter: borrowed tuple. */
static PyObject *member_names(void)
{
    static const char key[] = "egressguard.members";
    PyObject *dict = interpreter_dict(), *names = dict == NULL ? NULL : kept_in(dict, key);

    if (names != NULL || PyErr_Occurred()) {
        return names;
    }
    names = Py_BuildValue("(ssssss)", "host", "port", "address", "route", "reason", "number");
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyUnicode_InternInPlace(&((PyTupleObject *)names)->ob_item[i]);
    }
    if (names == NULL) {
        return NULL;
    }
    PyObject *kept = keep_in(dict, key, names);
    Py_DECREF(names); /* the dict keeps it */
    return kept;
}

static int set_member(PyObject *violation, PyObject *names, Py_ssize_t at, PyObject *value)
{
    if (value == NULL) {
        return -1;
    }
    int done = PyObject_SetAttr(violation, PyTuple_GET_ITEM(names, at), value);
    Py_DECREF(value);
    return done;
}

static PyObject *text_of(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "backslashreplace");
}

static PyObject *text_or_none(const char *text)
{
    return text == NULL || text[0] == '\0' ? Py_NewRef(Py_None) : text_of(text);
}

static PyObject *port_or_none(int port)
{
    return port == EG_NO_PORT ? Py_NewRef(Py_None) : PyLong_FromLong(port);
}

static void raise_violation(const eg_attempt *attempt, uint64_t number)
{
    PyObject *message = NULL, *violation = NULL, *type = eg_refuse_exception_type();
    PyObject *names = type == NULL ? NULL : member_names();

    if (names == NULL) {
        return;
    }
    message = message_of(attempt);
    if (message == NULL) {
        return;
    }
    violation = PyObject_CallOneArg(type, message);
    Py_DECREF(message);
    if (violation == NULL) {
        return;
    }
    if (set_member(violation, names, 0, text_of(attempt->host)) == 0 &&
        set_member(violation, names, 1, port_or_none(attempt->port)) == 0 &&
        set_member(violation, names, 2, text_or_none(attempt->address)) == 0 &&
        set_member(violation, names, 3, text_of(eg_route_name(attempt->route))) == 0 &&
        set_member(violation, names, 4, text_of(eg_reason_word(attempt->reason))) == 0 &&
        set_member(violation, names, 5, PyLong_FromUnsignedLongLong(number)) == 0) {
        PyErr_SetObject(type, violation);
    }
    Py_DECREF(violation);
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
    eg_attempt shown = *given;
    const eg_attempt *attempt = &shown;

    printable(given->host, host, sizeof host);
    shown.host = host;
    bool let_through = keep(attempt, &violation);
    eg_refuse_tell(violation.number);
    if (let_through) {
        return 0;
    }
    raise_violation(attempt, violation.number);
    return -1;
}

int eg_refuse_endpoint(eg_route route, eg_reason reason, const eg_endpoint *endpoint)
{
    char host[EG_ENDPOINT_TEXT_SIZE];
    bool ip = endpoint->family == AF_INET || endpoint->family == AF_INET6;

    eg_endpoint_host_text(endpoint, host);
    eg_attempt attempt = {.route = route, .reason = reason, .host = host, .port = ip ? endpoint->port : EG_NO_PORT};
    return eg_refuse(&attempt);
}

PyObject *eg_refuse_record(const eg_violation *violation)
{
    return Py_BuildValue("{sK sL sL si si sN sN sN ss ss sN si sN sO sO sN si sN}", "number",
                         (unsigned long long)violation->number, "monotonic_ns", (long long)violation->monotonic_ns,
                         "wall_ns", (long long)violation->wall_ns, "pid", violation->pid, "thread", violation->tid,
                         "host", text_of(violation->host), "port", port_or_none(violation->port), "address",
                         text_or_none(violation->address), "route", eg_route_name((eg_route)violation->route), "reason",
                         eg_reason_word((eg_reason)violation->reason), "file", text_or_none(violation->file), "line",
                         violation->line, "program", text_of(violation->program), "observed",
                         (violation->flags & EG_VIOLATION_OBSERVED) != 0 ? Py_True : Py_False, "kernel",
                         (violation->flags & EG_VIOLATION_KERNEL) != 0 ? Py_True : Py_False, "caller_file",
                         text_or_none(violation->caller_file), "caller_line", violation->caller_line, "library_file",
                         text_or_none(violation->library_file));
}
