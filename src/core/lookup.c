/* Lookups by the guard itself, and what becomes of answers. */
#include "core/lookup.h"

#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "core/machine.h"

#define HOSTS_MAX 32

bool eg_lookup_accept(eg_state *state, const eg_name_match *match, const eg_address *answer)
{
    if (!eg_verdict_answer_is_good(answer)) {
        return false;
    }
    bool granted = false;
    for (size_t i = 0; i < match->count; i++) {
        granted = eg_grants_add(&state->grants, answer, match->records[i]) == 0 || granted;
    }
    return granted;
}

void eg_lookup_absolute(const eg_name *name, char *text)
{
    memcpy(text, name->text, name->length);
    text[name->length] = '.';
    text[name->length + 1] = '\0';
}

int eg_lookup_grant(eg_state *state, const eg_name *name, const eg_name_match *match)
{
    eg_address addresses[HOSTS_MAX];
    char absolute[EG_NAME_MAX + 2];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int granted = 0;

    size_t count = eg_machine_hosts_addresses(name, addresses, HOSTS_MAX);
    for (size_t i = 0; i < count; i++) {
        granted += eg_lookup_accept(state, match, &addresses[i]);
    }
    if (count > 0) {
        return granted;
    }
    eg_lookup_absolute(name, absolute);
    if (getaddrinfo(absolute, NULL, &hints, &found) != 0) {
        return -1;
    }
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        eg_endpoint endpoint;
        if (eg_endpoint_from_sockaddr(&endpoint, at->ai_addr, at->ai_addrlen) == 0 &&
            (endpoint.family == AF_INET || endpoint.family == AF_INET6)) {
            granted += eg_lookup_accept(state, match, &endpoint.address);
        }
    }
    freeaddrinfo(found);
    return granted;
}

size_t eg_lookup_this_machine(const eg_name *name, eg_address *out, size_t most)
{
    static const uint8_t ipv4_loopback[4] = {127, 0, 0, 1};
    size_t count = eg_machine_hosts_addresses(name, out, most);

    if (count > 0 || most < 2) {
        return count;
    }
    if (!eg_name_equal(name, "localhost")) {
        count = eg_machine_own_addresses(out, most);
    }
    if (count == 0) {
        memset(&out[0], 0, sizeof out[0]);
        out[0].bytes[15] = 1; /* ::1 first, as RFC 6724 sorts */
        out[1] = eg_address_from_ipv4(ipv4_loopback);
        count = 2;
    }
    return count;
}

size_t eg_lookup_local_names(const eg_state *state, const eg_address *address, eg_name *out, size_t most)
{
    size_t count = eg_machine_hosts_names(address, out, most);

    if (count > 0 || most == 0) {
        return count;
    }
    if (eg_address_class(address) == EG_CLASS_LOOPBACK || state->own_name.length == 0) {
        eg_name_normalise("localhost", 9, &out[0]);
    } else {
        out[0] = state->own_name;
    }
    return 1;
}
