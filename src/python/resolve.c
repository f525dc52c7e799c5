/* Lookups. A listed name is asked once, absolute; a name of this machine is answered from
 * /etc/hosts or by the guard. Either way the original getaddrinfo makes the tuples, so
 * order, shape and errors are CPython's own. */
#include "python/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/lookup.h"
#include "core/machine.h"
#include "python/floor.h"
#include "python/interpose.h"
#include "python/refuse.h"

#define ADDRESSES_MAX 32

PyObject *eg_resolve_ask(const eg_resolve_question *question, PyObject *host, int flags)
{
    PyObject *args, *list;
    PyCFunctionWithKeywords original = (PyCFunctionWithKeywords)(void (*)(void))eg_original(EG_ROUTE_GETADDRINFO);

    if (question->module == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "egressguard: this socket's module is gone");
        return NULL;
    }
    args = Py_BuildValue("(OOiiii)", host, question->port == NULL ? Py_None : question->port, question->family,
                         question->type, question->protocol, flags);
    if (args == NULL) {
        return NULL;
    }
    eg_floor_expect(host);
    list = original(question->module, args, NULL);
    eg_floor_forget();
    Py_DECREF(args);
    return list;
}

bool eg_resolve_read_answer(PyObject *answer, eg_endpoint *out)
{
    PyObject *address, *host;
    const char *text;

    if (!PyTuple_Check(answer) || PyTuple_GET_SIZE(answer) != 5) {
        return false;
    }
    address = PyTuple_GET_ITEM(answer, 4);
    if (!PyTuple_Check(address) || PyTuple_GET_SIZE(address) < 2) {
        return false;
    }
    host = PyTuple_GET_ITEM(address, 0);
    text = PyUnicode_Check(host) ? PyUnicode_AsUTF8(host) : NULL;
    if (text == NULL) {
        PyErr_Clear(); /* what cannot be read is dropped */
        return false;
    }
    return eg_endpoint_from_number(text, strlen(text), out);
}

/* Does this machine have a route to the address? A UDP connect sends nothing; port 0 names no
 * service, so the kernel layer lets it pass. */
static bool is_reachable(const eg_address *address)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    int probe = socket(AF_INET6, SOCK_DGRAM, 0);
    if (probe < 0) {
        return false;
    }
    memcpy(&in6.sin6_addr, address->bytes, sizeof in6.sin6_addr);
    bool reachable = connect(probe, (struct sockaddr *)&in6, sizeof in6) == 0;
    close(probe);
    return reachable;
}

/* libc would put reachable IPv6 addresses first (RFC 6724); within a family the order of
 * the file stays. */
static void sort_addresses(eg_address *addresses, size_t count)
{
    eg_address sorted[ADDRESSES_MAX] = {{{0}}};
    size_t used = 0;

    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < count; i++) {
            int rank = eg_address_is_ipv4(&addresses[i]) ? 1 : is_reachable(&addresses[i]) ? 0 : 2;
            if (rank == pass) {
                sorted[used++] = addresses[i];
            }
        }
    }
    memcpy(addresses, sorted, used * sizeof addresses[0]);
}

/* getaddrinfo's list for addresses that are known already: new list. */
static PyObject *list_for_addresses(const eg_resolve_question *question, const eg_address *addresses, size_t count)
{
    PyObject *all = PyList_New(0), *host, *some;
    char text[EG_ENDPOINT_TEXT_SIZE];
    bool any = false;

    for (size_t i = 0; all != NULL && i < count; i++) {
        int family = eg_address_is_ipv4(&addresses[i]) ? AF_INET : AF_INET6;
        bool wanted = question->family == AF_UNSPEC || question->family == family;
        if (!wanted && (any || i + 1 < count)) {
            continue; /* the last one, when no other fits, lets libc say that the family does not */
        }
        any = true;
        eg_address_text(&addresses[i], text);
        host = PyBytes_FromString(text); /* no str: the codec is Python code that anybody can change */
        some = host == NULL ? NULL : eg_resolve_ask(question, host, question->flags | AI_NUMERICHOST);
        Py_XDECREF(host);
        if (some == NULL || PyList_SetSlice(all, PyList_GET_SIZE(all), PyList_GET_SIZE(all), some) < 0) {
            Py_CLEAR(all);
        }
        Py_XDECREF(some);
    }
    return all;
}

static PyObject *ask_libc(const eg_resolve_question *question)
{
    char absolute[EG_NAME_MAX + 2];
    PyObject *host, *list;

    eg_lookup_absolute(&question->decision->name, absolute);
    host = PyBytes_FromString(absolute);
    if (host == NULL) {
        return NULL;
    }
    list = eg_resolve_ask(question, host, question->flags);
    Py_DECREF(host);
    return list;
}

static int refuse_answers(const eg_resolve_question *question, const eg_endpoint *dropped)
{
    char address[EG_ENDPOINT_TEXT_SIZE] = "";
    if (dropped->family != AF_UNSPEC) {
        eg_address_text(&dropped->address, address);
    }
    eg_attempt attempt = {.route = question->route,
                          .reason = EG_REFUSED_RESOLVED,
                          .host = question->decision->name.text,
                          .port = question->asked_port,
                          .address = address};
    return eg_refuse(&attempt);
}

/* The answers that may be dialled, granted: new list. */
static PyObject *prune(eg_state *state, const eg_resolve_question *question, PyObject *list)
{
    PyObject *kept = PyList_New(0);
    eg_endpoint answer, dropped = {0};

    for (Py_ssize_t i = 0; kept != NULL && i < PyList_GET_SIZE(list); i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        if (!eg_resolve_read_answer(item, &answer)) {
            continue;
        }
        if (!eg_lookup_accept(state, &question->decision->match, &answer.address)) {
            dropped = answer;
        } else if (PyList_Append(kept, item) < 0) {
            Py_CLEAR(kept);
        }
    }
    if (kept != NULL && PyList_GET_SIZE(kept) == 0) {
        Py_CLEAR(kept);
        if (refuse_answers(question, &dropped) == 0) {
            kept = Py_NewRef(list);
        }
    }
    return kept;
}

PyObject *eg_resolve_list(eg_state *state, const eg_resolve_question *question)
{
    eg_address addresses[ADDRESSES_MAX];
    const eg_name *name = &question->decision->name;
    PyObject *list = NULL, *kept = NULL;
    size_t count;

    if ((question->flags & AI_NUMERICHOST) != 0) {
        return ask_libc(question); /* a name is no number: libc says so, and asks nobody */
    }
    if (question->decision->kind == EG_NAME_THIS_MACHINE) {
        count = eg_lookup_this_machine(name, addresses, ADDRESSES_MAX);
        sort_addresses(addresses, count);
        return list_for_addresses(question, addresses, count);
    }
    if (question->decision->kind != EG_NAME_LISTED) {
        PyErr_SetString(PyExc_SystemError, "egressguard: a lookup that was not decided");
        return NULL;
    }
    count = eg_machine_hosts_addresses(name, addresses, ADDRESSES_MAX);
    if (count > 0) {
        sort_addresses(addresses, count);
        list = list_for_addresses(question, addresses, count);
    } else {
        list = ask_libc(question);
    }
    if (list != NULL) {
        kept = prune(state, question, list);
    }
    Py_XDECREF(list);
    return kept;
}

int eg_resolve_first(eg_state *state, const eg_resolve_question *question, eg_endpoint *out)
{
    PyObject *list = eg_resolve_list(state, question);
    int done = -1;

    if (list == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; done < 0 && i < PyList_GET_SIZE(list); i++) {
        /* A mapped answer on an IPv6 socket stays IPv6: the socket's family is what counts. */
        if (eg_resolve_read_answer(PyList_GET_ITEM(list, i), out)) {
            if (question->family != AF_UNSPEC) {
                out->family = (uint16_t)question->family;
            }
            done = 0;
        }
    }
    if (done < 0) {
        PyErr_SetString(PyExc_OSError, "egressguard: the lookup returned no IP address");
    }
    Py_DECREF(list);
    return done;
}
