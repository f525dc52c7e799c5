/* Entries: the only thing done here and not in the core is IDNA, which Python has. */
#include "python/entries.h"

#include <string.h>

/* An entry whose host is not ASCII, as its A-labels: new str. */
static PyObject *entry_to_ascii(PyObject *entry)
{
    Py_ssize_t size = PyUnicode_GET_LENGTH(entry);
    Py_ssize_t colon = PyUnicode_FindChar(entry, ':', 0, size, -1);
    PyObject *host = NULL, *port = NULL, *encoded = NULL, *ascii = NULL;
    bool wildcard = size > 2 && PyUnicode_READ_CHAR(entry, 0) == '*' && PyUnicode_READ_CHAR(entry, 1) == '.';

    if (colon < 0) {
        return Py_NewRef(entry);
    }
    host = PyUnicode_Substring(entry, wildcard ? 2 : 0, colon);
    port = PyUnicode_Substring(entry, colon, size);
    if (host != NULL && port != NULL) {
        encoded = PyUnicode_AsEncodedString(host, "idna", NULL);
    }
    if (encoded != NULL) {
        ascii = PyUnicode_FromFormat("%s%s%U", wildcard ? "*." : "", PyBytes_AS_STRING(encoded), port);
    } else if (PyErr_ExceptionMatches(PyExc_UnicodeError)) {
        PyErr_Clear(); /* told as a bad entry, like every other one */
        PyErr_Format(PyExc_ValueError, "allowlist entry %R: the host cannot be written in ASCII (IDNA)", entry);
    }
    Py_XDECREF(host);
    Py_XDECREF(port);
    Py_XDECREF(encoded);
    return ascii;
}

static int add_entry(eg_state *state, PyObject *entry)
{
    eg_entry parsed;
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(entry, &length);

    if (text == NULL) {
        return -1;
    }
    const char *wrong = eg_entry_parse(text, (size_t)length, &parsed);
    if (wrong != NULL) {
        PyErr_Format(PyExc_ValueError, "allowlist entry %R: %s", entry, wrong);
        return -1;
    }
    if (eg_allowlist_add(&state->allowlist, &parsed) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* New reference: a tuple of exact ASCII str, or NULL with an exception. */
static PyObject *exact_entries(PyObject *allow, size_t *text_bytes)
{
    PyObject *given, *exact;

    if (PyUnicode_Check(allow) || PyBytes_Check(allow)) {
        PyErr_Format(PyExc_TypeError, "allow must be an iterable of str, such as (%R,), not a single %s", allow,
                     Py_TYPE(allow)->tp_name);
        return NULL;
    }
    given = PySequence_Tuple(allow);
    if (given == NULL) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(given);
    exact = PyTuple_New(count);
    for (Py_ssize_t i = 0; exact != NULL && i < count; i++) {
        PyObject *entry = PyTuple_GET_ITEM(given, i), *ascii;
        if (!PyUnicode_Check(entry)) {
            PyErr_Format(PyExc_TypeError, "allowlist entry %R: must be str, not %s", entry, Py_TYPE(entry)->tp_name);
            Py_CLEAR(exact);
            break;
        }
        ascii = PyUnicode_IS_ASCII(entry) ? Py_NewRef(entry) : entry_to_ascii(entry);
        if (ascii == NULL) {
            Py_CLEAR(exact);
            break;
        }
        *text_bytes += (size_t)PyUnicode_GET_LENGTH(ascii);
        PyTuple_SET_ITEM(exact, i, ascii);
    }
    Py_DECREF(given);
    return exact;
}

static eg_state *parse_default(void)
{
    eg_entry entry;
    eg_state *state = eg_state_create(1, sizeof EG_DEFAULT_ALLOWLIST);

    if (state == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (eg_entry_parse(EG_DEFAULT_ALLOWLIST, sizeof EG_DEFAULT_ALLOWLIST - 1, &entry) != NULL ||
        eg_allowlist_add(&state->allowlist, &entry) < 0) {
        PyErr_SetString(PyExc_SystemError, "egressguard: the default allowlist is broken");
        eg_state_destroy(state);
        return NULL;
    }
    return state;
}

eg_state *eg_entries_parse(PyObject *allow)
{
    size_t text_bytes = 0;
    PyObject *entries;
    eg_state *state;

    if (allow == Py_None) {
        return parse_default();
    }
    entries = exact_entries(allow, &text_bytes);
    if (entries == NULL) {
        return NULL;
    }
    state = eg_state_create((size_t)PyTuple_GET_SIZE(entries), text_bytes);
    if (state == NULL) {
        PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; state != NULL && i < PyTuple_GET_SIZE(entries); i++) {
        if (add_entry(state, PyTuple_GET_ITEM(entries, i)) < 0) {
            eg_state_destroy(state);
            state = NULL;
        }
    }
    Py_DECREF(entries);
    return state;
}

PyObject *eg_entries_of(const eg_state *state)
{
    eg_allowlist_cursor cursor = {0};
    eg_entry entry;
    char text[EG_ENTRY_TEXT_SIZE];
    PyObject *list = PyList_New(0), *item, *tuple;

    while (list != NULL && eg_allowlist_next_entry(&state->allowlist, &cursor, &entry)) {
        size_t length = eg_entry_text(&entry, text);
        item = PyUnicode_DecodeFSDefaultAndSize(text, (Py_ssize_t)length);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    if (list == NULL) {
        return NULL;
    }
    tuple = PyList_AsTuple(list);
    Py_DECREF(list);
    return tuple;
}
