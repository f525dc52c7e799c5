/* Spellings of numbers, beside the C library: what it would dial without asking anybody, and
 * above all what it would dial as loopback, is never judged otherwise. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/verdict.h"

/* Longer texts are no host to anybody else; the guard refuses them as no name. */
#define LONGEST 1000

/* What the C library says, as 16 bytes; independent of the core's own reading. */
static bool libc_reads(const char *text, uint8_t bytes[16], uint32_t *scope)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM}, *found = NULL;

    if (getaddrinfo(text, NULL, &hints, &found) != 0) {
        return false;
    }
    memset(bytes, 0, 16);
    *scope = 0;
    if (found->ai_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)found->ai_addr;
        bytes[10] = bytes[11] = 0xff;
        memcpy(bytes + 12, &in->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)found->ai_addr;
        memcpy(bytes, &in6->sin6_addr, 16);
        *scope = in6->sin6_scope_id;
    }
    freeaddrinfo(found);
    return true;
}

/* What Linux dials as this machine's loopback, by the words of ip(7) and ipv6(7). */
static bool is_loopback(const uint8_t bytes[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, zero[16];
    if (memcmp(bytes, mapped, 12) == 0) {
        return bytes[12] == 127 || memcmp(bytes + 12, zero, 4) == 0;
    }
    return memcmp(bytes, zero, 15) == 0 && bytes[15] <= 1;
}

static void check_entry(const char *host)
{
    char *text = malloc(strlen(host) + 8);
    eg_entry entry;
    CHECK(text != NULL, "memory for a test");
    sprintf(text, "%s:443", host);
    CHECK(eg_entry_parse(text, strlen(text), &entry) != NULL, "what libc dials as loopback is no entry");
    sprintf(text, "[%s]:443", host);
    CHECK(eg_entry_parse(text, strlen(text), &entry) != NULL, "what libc dials as loopback is no entry in brackets");
    free(text);
}

static void check_verdict(const eg_state *state, eg_endpoint *endpoint)
{
    for (int port = 0; port <= 65535; port += 443) {
        endpoint->port = (uint16_t)port;
        eg_dial dial = {.endpoint = endpoint, .action = EG_ACTION_CONNECT, .socket = EG_SOCKET_TCP};
        eg_reason reason = eg_verdict_for_dial(state, &dial);
        CHECK(reason == EG_REFUSED_LOOPBACK || reason == EG_REFUSED_UNSPECIFIED, "what libc dials as loopback is refused as loopback");
        dial.loopback_open = true;
        reason = eg_verdict_for_dial(state, &dial);
        CHECK(reason != EG_ALLOWED || eg_address_is_test_loopback(&endpoint->address), "the flag opens two addresses alone");
    }
}

static eg_state *make_state(void)
{
    static const char *const entries[] = {"*.test:*", "128.0.0.0/1:*", "1.0.0.0/8:*", "[2400::/6]:*", "203.0.113.9:*"};
    eg_state *state = eg_state_create(5, 100);
    CHECK(state != NULL, "memory for a test");
    for (size_t i = 0; i < 5; i++) {
        eg_entry entry;
        CHECK(eg_entry_parse(entries[i], strlen(entries[i]), &entry) == NULL && eg_allowlist_add(&state->allowlist, &entry) == 0,
              "the target knows entries");
    }
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static eg_state *state;
    eg_endpoint endpoint;
    eg_name_decision decision;
    eg_address strict;
    uint8_t bytes[16], ipv4[4];
    uint32_t scope;

    if (size > LONGEST) {
        return 0;
    }
    state = state == NULL ? make_state() : state;
    char *text = text_of(data, size);
    bool whole = strlen(text) == size; /* a NUL inside: libc would not see the rest */
    bool number = eg_endpoint_from_number((const char *)data, size, &endpoint);
    bool expected = whole && size > 0 && libc_reads(text, bytes, &scope);

    CHECK(number == expected, "the guard and libc agree on what is a number");
    CHECK(!number || memcmp(endpoint.address.bytes, bytes, 16) == 0, "the guard and libc agree on the address");
    CHECK(!number || endpoint.scope_id == scope, "the guard and libc agree on the scope");
    CHECK(eg_address_parse_ipv4((const char *)data, size, &strict) == (whole && inet_pton(AF_INET, text, ipv4) == 1),
          "the guard and inet_pton agree on four decimal numbers");
    eg_reason reason = eg_verdict_for_name(state, (const char *)data, size, 443, &decision);
    CHECK((decision.kind == EG_NAME_NUMBER) == (number || size == 0), "a number passes as a number, and nothing else does");
    CHECK((reason == EG_ALLOWED) == (decision.kind != EG_NAME_REFUSED), "kind and reason say the same");
    if (number && is_loopback(bytes)) {
        check_entry(text);
        check_verdict(state, &endpoint);
        CHECK(!eg_verdict_answer_is_good(&endpoint.address), "loopback is no good answer");
    }
    free(text);
    return 0;
}
