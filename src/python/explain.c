/* Explaining a verdict. The verdict is the core's; the entry behind it is found by asking the
 * core again about each entry alone, so there is no second copy of a rule. */
#include "python/explain.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "python/entries.h"

typedef struct subject {
    const char *kind; /* "name", "address", "unix" */
    eg_name name;
    eg_endpoint endpoint;
    int port;
    char key[128]; /* UNIX: as an entry spells it */
} subject;

static bool read_port(const char *text, int *port)
{
    char *end;
    long number = strtol(text, &end, 10);
    *port = (int)number;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && number <= 65535;
}

static bool read_subject(const char *text, subject *out)
{
    char host[320];
    const char *colon = strrchr(text, ':'), *end = colon;

    memset(out, 0, sizeof *out);
    if (strncmp(text, "unix:", 5) == 0) {
        size_t length = strlen(text + 5);
        out->kind = "unix";
        if (length < 2 || length >= sizeof out->key) {
            return false;
        }
        memcpy(out->key, text + 5, length + 1);
        return true;
    }
    if (colon == NULL || !read_port(colon + 1, &out->port)) {
        return false;
    }
    if (text[0] == '[' && colon[-1] == ']') {
        text++;
        end--;
    }
    size_t length = (size_t)(end - text);
    if (length == 0 || length >= sizeof host) {
        return false;
    }
    memcpy(host, text, length);
    host[length] = '\0';
    if (eg_endpoint_from_number(host, length, &out->endpoint)) {
        out->kind = "address";
        out->endpoint.port = (uint16_t)out->port;
        return true;
    }
    out->kind = "name";
    return eg_name_normalise(host, length, &out->name);
}

static eg_reason decide(const eg_state *state, const subject *about)
{
    eg_name_decision decision;

    if (strcmp(about->kind, "unix") == 0) {
        return eg_allowlist_covers_unix(&state->allowlist, about->key, strlen(about->key)) ? EG_ALLOWED
                                                                                          : EG_REFUSED_UNIX;
    }
    if (strcmp(about->kind, "address") == 0) {
        eg_dial dial = {.endpoint = &about->endpoint, .action = EG_ACTION_CONNECT, .socket = EG_SOCKET_TCP};
        return eg_verdict_for_dial(state, &dial);
    }
    eg_verdict_for_name(state, about->name.text, about->name.length, about->port, &decision);
    /* A name of this machine may be looked up, but what it resolves to is loopback. */
    return decision.kind == EG_NAME_THIS_MACHINE ? EG_REFUSED_LOOPBACK : decision.reason;
}

/* The canonical text of the first entry that alone gives the same answer: new str or None. */
static PyObject *deciding_entry(const eg_state *state, const subject *about)
{
    eg_allowlist_cursor cursor = {0};
    eg_entry entry;
    char text[EG_ENTRY_TEXT_SIZE];

    while (eg_allowlist_next_entry(&state->allowlist, &cursor, &entry)) {
        eg_state *alone = eg_state_create(1, sizeof entry.text);
        bool decides = alone != NULL && eg_allowlist_add(&alone->allowlist, &entry) == 0 &&
                       decide(alone, about) == EG_ALLOWED;
        eg_state_destroy(alone);
        if (decides) {
            eg_entry_text(&entry, text);
            return PyUnicode_FromString(text);
        }
    }
    return Py_NewRef(Py_None);
}

PyObject *eg_explain(PyObject *allow, PyObject *text)
{
    subject about;
    const char *utf8;
    eg_state *state;
    PyObject *entry, *result;

    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "an endpoint must be str, not %s", Py_TYPE(text)->tp_name);
        return NULL;
    }
    utf8 = PyUnicode_AsUTF8(text);
    if (utf8 == NULL) {
        return NULL;
    }
    if (!read_subject(utf8, &about)) {
        PyErr_Format(PyExc_ValueError, "%R is no endpoint: write host:port, [IPv6]:port or unix:/path", text);
        return NULL;
    }
    state = eg_entries_parse(allow);
    if (state == NULL) {
        return NULL;
    }
    eg_reason reason = decide(state, &about);
    entry = reason == EG_ALLOWED ? deciding_entry(state, &about) : Py_NewRef(Py_None);
    eg_state_destroy(state);
    if (entry == NULL) {
        return NULL;
    }
    result = Py_BuildValue("{sOsssssNss}", "allowed", reason == EG_ALLOWED ? Py_True : Py_False, "reason",
                           eg_reason_word(reason), "text", eg_reason_text(reason), "entry", entry, "kind", about.kind);
    return result;
}
