/* What is raised, and what it says. A client that retries is refused a thousand times, so the
 * text is put together by copying: formatting it by printf took a quarter of a refusal. */
#include "python/violation.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "core/dns.h"

/* By TCP, or by UDP to whom /etc/resolv.conf does not name: an entry would open every question,
 * and the questions of listed names need none. */
static bool dials_a_nameserver(const eg_attempt *attempt)
{
    unsigned char address[16];
    return attempt->port == EG_DNS_PORT &&
           (inet_pton(AF_INET, attempt->host, address) == 1 || inet_pton(AF_INET6, attempt->host, address) == 1);
}

/* What to do about it: the entry that would open it stands between the two, unless `after` is NULL. */
typedef struct step {
    const char *before;
    const char *after;
} step;

static step next_step(const eg_attempt *attempt)
{
    static const step add = {"Add \"", "\" to install(allow=...) if this process should reach it."};

    switch (attempt->reason) {
    case EG_REFUSED_NOT_LISTED:
    case EG_REFUSED_PORT:
        if (dials_a_nameserver(attempt)) {
            return (step){"Lookups of listed names need no entry. \"",
                          "\" in install(allow=...) would open every DNS question, a way out for any data."};
        }
        return add;
    case EG_REFUSED_UNIX:
        return add;
    case EG_REFUSED_OWN_ADDRESS:
        return (step){"Add exactly \"", "\" to install(allow=...) if this process should reach it: a name or a CIDR "
                                        "never opens this machine's own addresses."};
    case EG_REFUSED_LOOPBACK:
    case EG_REFUSED_UNSPECIFIED:
        return (step){"No entry opens loopback. A test that needs it requests the fixture egress_test_loopback "
                      "(127.0.0.1 and ::1, in its own thread).",
                      NULL};
    case EG_REFUSED_RESOLVED:
        return (step){"Look at the name's DNS answers and /etc/hosts: only addresses elsewhere are dialled.", NULL};
    case EG_REFUSED_NAMESERVER:
        return (step){"Only a plain question for a listed name may go to a nameserver.", NULL};
    case EG_REFUSED_NAME:
    case EG_REFUSED_SHAPE:
        return (step){"Use a host name or an address.", NULL};
    default:
        return (step){"There is no entry that opens this.", NULL};
    }
}

/* Text in a buffer that ends where the buffer does. */
typedef struct writer {
    char *at;
    const char *end;
} writer;

static void put(writer *out, const char *text)
{
    size_t length = strnlen(text, (size_t)(out->end - out->at));
    memcpy(out->at, text, length);
    out->at += length;
}

static void put_number(writer *out, unsigned number)
{
    char digits[11], *at = digits + sizeof digits - 1;

    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    put(out, at);
}

static bool is_unix(const eg_attempt *attempt)
{
    return strncmp(attempt->host, "unix:", 5) == 0;
}

/* "host:port", "[::1]:80", "unix:/path": what was dialled. */
static void put_endpoint(writer *out, const eg_attempt *attempt)
{
    if (attempt->port == EG_NO_PORT) {
        put(out, attempt->host);
        return;
    }
    bool bracketed = strchr(attempt->host, ':') != NULL && !is_unix(attempt);
    put(out, bracketed ? "[" : "");
    put(out, attempt->host);
    put(out, bracketed ? "]:" : ":");
    put_number(out, (unsigned)attempt->port);
}

static PyObject *message_of(const eg_attempt *attempt)
{
    char text[1536];
    writer out = {text, text + sizeof text};
    step next = next_step(attempt);

    put(&out, "refused ");
    put_endpoint(&out, attempt);
    if (attempt->address != NULL && attempt->address[0] != '\0') {
        put(&out, " [");
        put(&out, attempt->address);
        put(&out, "]");
    }
    put(&out, " (");
    put(&out, eg_route_name(attempt->route));
    put(&out, "): ");
    put(&out, eg_reason_text(attempt->reason));
    put(&out, ".\n  ");
    put(&out, next.before);
    if (next.after != NULL) {
        put_endpoint(&out, attempt);
        put(&out, attempt->port == EG_NO_PORT && !is_unix(attempt) ? ":PORT" : "");
        put(&out, next.after);
    }
    return PyUnicode_DecodeUTF8(text, out.at - text, "replace");
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

static int put_member(PyObject *members, PyObject *name, PyObject *value)
{
    int done = value == NULL ? -1 : PyDict_SetItem(members, name, value);
    Py_XDECREF(value);
    return done;
}

/* Into the exception's own dict, which spares six searches of its classes. */
static int fill(PyObject *violation, eg_of_interpreter *mine, const eg_attempt *attempt, uint64_t number)
{
    PyObject *const *names = mine->members;
    PyObject *members;
    int done;

    if (!PyExceptionInstance_Check(violation)) {
        PyErr_SetString(PyExc_TypeError, "EgressViolation() made no exception");
        return -1;
    }
    members = PyObject_GenericGetDict(violation, NULL);
    if (members == NULL) {
        return -1;
    }
    done = put_member(members, names[EG_MEMBER_HOST], text_of(attempt->host)) < 0 ||
                   put_member(members, names[EG_MEMBER_PORT], port_or_none(attempt->port)) < 0 ||
                   put_member(members, names[EG_MEMBER_ADDRESS], text_or_none(attempt->address)) < 0 ||
                   put_member(members, names[EG_MEMBER_ROUTE], eg_of_interpreter_route(mine, attempt->route)) < 0 ||
                   put_member(members, names[EG_MEMBER_REASON], eg_of_interpreter_reason(mine, attempt->reason)) < 0 ||
                   put_member(members, names[EG_MEMBER_NUMBER], PyLong_FromUnsignedLongLong(number)) < 0
               ? -1
               : 0;
    Py_DECREF(members);
    return done;
}

void eg_violation_raise(eg_of_interpreter *mine, const eg_attempt *attempt, uint64_t number)
{
    PyObject *message = message_of(attempt);
    PyObject *violation = message == NULL ? NULL : PyObject_CallOneArg(mine->violation_type, message);

    Py_XDECREF(message);
    if (violation != NULL && fill(violation, mine, attempt, number) == 0) {
        PyErr_SetObject(mine->violation_type, violation);
    }
    Py_XDECREF(violation);
}

PyObject *eg_violation_record(const eg_violation *violation)
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
