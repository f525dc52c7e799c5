/* gethostbyaddr, getnameinfo: reverse lookups of local addresses are answered without DNS,
 * of listed and granted ones by libc, all others are refused before anything leaves. */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "core/lookup.h"
#include "python/address.h"
#include "python/floor.h"
#include "python/interpose.h"
#include "python/lookup_args.h"
#include "python/refuse.h"
#include "python/resolve.h"
#include "python/routes.h"

#define ALIASES_MAX 16

static int refuse_host(eg_route route, eg_reason reason, const char *host, int port)
{
    eg_attempt attempt = {.route = route, .reason = reason, .host = host, .port = port};
    return eg_refuse(&attempt);
}

/* (canonical, aliases, [address]) of a local address, without DNS: new tuple. */
static PyObject *local_names(eg_state *state, const eg_address *address)
{
    eg_name names[ALIASES_MAX];
    char text[EG_ENDPOINT_TEXT_SIZE];
    size_t count = eg_lookup_local_names(state, address, names, ALIASES_MAX);
    PyObject *aliases = PyList_New(0), *alias;

    for (size_t i = 1; aliases != NULL && i < count; i++) {
        alias = PyUnicode_FromString(names[i].text);
        if (alias == NULL || PyList_Append(aliases, alias) < 0) {
            Py_CLEAR(aliases);
        }
        Py_XDECREF(alias);
    }
    if (aliases == NULL) {
        return NULL;
    }
    eg_address_text(address, text);
    return Py_BuildValue("(sN[s])", names[0].text, aliases, text);
}

/* The original on one host: new reference. */
static PyObject *ask_name(PyObject *self, const char *text)
{
    PyObject *host, *args, *result = NULL;

    host = PyBytes_FromString(text); /* no str: the codec is Python code that anybody can change */
    args = host == NULL ? NULL : PyTuple_Pack(1, host);
    if (args != NULL) {
        eg_floor_expect(host);
        result = eg_original(EG_ROUTE_GETHOSTBYADDR)(self, args);
        eg_floor_forget();
    }
    Py_XDECREF(args);
    Py_XDECREF(host);
    return result;
}

static PyObject *ask_number(PyObject *self, const eg_address *address)
{
    char text[EG_ENDPOINT_TEXT_SIZE];
    eg_address_text(address, text);
    return ask_name(self, text);
}

static PyObject *reverse_of(eg_state *state, PyObject *self, const eg_address *address, const char *host)
{
    switch (eg_verdict_for_reverse(state, address)) {
    case EG_REVERSE_LOCAL:
        return local_names(state, address);
    case EG_REVERSE_LISTED:
        return ask_number(self, address);
    case EG_REVERSE_REFUSED:
    default:
        return refuse_host(EG_ROUTE_GETHOSTBYADDR, EG_REFUSED_NOT_LISTED, host, EG_NO_PORT) < 0
                   ? NULL
                   : ask_number(self, address);
    }
}

static PyObject *reverse_of_name(eg_state *state, PyObject *self, const char *name, size_t length)
{
    eg_name_decision decision;
    eg_endpoint address = {0};

    if (eg_verdict_for_name(state, name, length, EG_ANY_PORT, &decision) != EG_ALLOWED) {
        return refuse_host(EG_ROUTE_GETHOSTBYADDR, decision.reason, name, EG_NO_PORT) < 0 ? NULL
                                                                                        : ask_name(self, name);
    }
    if (decision.kind == EG_NAME_NUMBER) {
        /* '' is the unspecified address */
        if (length > 0 && !eg_endpoint_from_number(name, length, &address)) {
            PyErr_SetString(PyExc_SystemError, "egressguard: a number that is none");
            return NULL;
        }
        return reverse_of(state, self, &address.address, name);
    }
    eg_resolve_question question = {.route = EG_ROUTE_GETHOSTBYADDR,
                                    .module = self,
                                    .decision = &decision,
                                    .asked_port = EG_NO_PORT,
                                    .family = AF_UNSPEC,
                                    .type = SOCK_DGRAM};
    if (eg_resolve_first(state, &question, &address) < 0) {
        return NULL;
    }
    return reverse_of(state, self, &address.address, name);
}

PyObject *eg_route_gethostbyaddr(PyObject *self, PyObject *args)
{
    eg_state *state = eg_guard_get();
    PyObject *encoded, *result;

    if (state == NULL) {
        return eg_original(EG_ROUTE_GETHOSTBYADDR)(self, args);
    }
    encoded = eg_lookup_args_one_host(args);
    if (encoded == NULL || strlen(PyBytes_AS_STRING(encoded)) != (size_t)PyBytes_GET_SIZE(encoded)) {
        result = PyErr_Occurred() ? NULL : eg_original(EG_ROUTE_GETHOSTBYADDR)(self, args); /* its own error */
    } else {
        result = reverse_of_name(state, self, PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded));
    }
    Py_XDECREF(encoded);
    return result;
}

/* ---- getnameinfo ---- */

static PyObject *ask_getnameinfo(PyObject *self, PyObject *address, int flags)
{
    PyObject *args = Py_BuildValue("(Oi)", address, flags), *result;
    if (args == NULL) {
        return NULL;
    }
    eg_floor_expect(address);
    result = eg_original(EG_ROUTE_GETNAMEINFO)(self, args);
    eg_floor_forget();
    Py_DECREF(args);
    return result;
}

/* (host, service) of a local address: the service from libc, the host without DNS. */
static PyObject *local_name_and_service(eg_state *state, PyObject *self, PyObject *address,
                                        const eg_address *number, int flags)
{
    eg_name names[ALIASES_MAX];
    /* libc refuses NI_NAMEREQD beside NI_NUMERICHOST; there is a name, as asked for. */
    PyObject *numeric = ask_getnameinfo(self, address, (flags & ~NI_NAMEREQD) | NI_NUMERICHOST), *result = NULL;

    if (numeric == NULL) {
        return NULL;
    }
    if (eg_lookup_local_names(state, number, names, ALIASES_MAX) > 0) {
        PyObject *service = PyTuple_GetItem(numeric, 1); /* borrowed */
        result = service == NULL ? NULL : Py_BuildValue("(sO)", names[0].text, service);
    }
    Py_DECREF(numeric);
    return result;
}

PyObject *eg_route_getnameinfo(PyObject *self, PyObject *args)
{
    eg_state *state = eg_guard_get();
    PyObject *address, *exact = NULL, *result = NULL;
    eg_endpoint number;
    int flags;

    if (state == NULL || PyTuple_GET_SIZE(args) != 2 || !PyTuple_Check(PyTuple_GET_ITEM(args, 0))) {
        return eg_original(EG_ROUTE_GETNAMEINFO)(self, args);
    }
    if (!PyArg_ParseTuple(args, "Oi:getnameinfo", &address, &flags)) {
        return NULL;
    }
    const char *text;
    exact = eg_lookup_args_sockaddr(address, &text);
    if (exact == NULL) {
        return NULL;
    }
    if (text == NULL || (flags & NI_NUMERICHOST) != 0 || !eg_endpoint_from_number(text, strlen(text), &number)) {
        /* Malformed, or a host that is no number: the original asks with AI_NUMERICHOST and
         * raises without a packet. A numeric answer needs none either. */
        result = ask_getnameinfo(self, exact, flags);
        goto done;
    }
    switch (eg_verdict_for_reverse(state, &number.address)) {
    case EG_REVERSE_LOCAL:
        result = local_name_and_service(state, self, exact, &number.address, flags);
        break;
    case EG_REVERSE_LISTED:
        result = ask_getnameinfo(self, exact, flags);
        break;
    case EG_REVERSE_REFUSED:
    default:
        if (refuse_host(EG_ROUTE_GETNAMEINFO, EG_REFUSED_NOT_LISTED, text, EG_NO_PORT) == 0) {
            result = ask_getnameinfo(self, exact, flags);
        }
        break;
    }
done:
    Py_DECREF(exact);
    return result;
}
