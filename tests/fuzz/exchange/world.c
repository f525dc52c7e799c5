/* Names and addresses, decided without the code that is tested. */
#include "exchange/world.h"

#include <netinet/in.h>
#include <sys/mman.h>

#include "core/dns_answer.h"
#include "core/machine.h"

#define PAGE 4096u

WITHOUT_COVERAGE

static struct {
    const char *entry, *name;
    int port;
    char filler_entry[32], filler_name[16];
} listed[LISTED] = {
    [0] = {.entry = "a.example:443", .name = "a.example", .port = 443},
    [1] = {.entry = "b.example:443", .name = "b.example", .port = 443},
    [2] = {.entry = "six.example:8443", .name = "six.example", .port = 8443},
    [3] = {.entry = "*.w.example:443", .name = ".w.example", .port = EG_ANY_PORT},
    [4] = {.entry = "203.0.113.64/28:*", .port = EG_ANY_PORT},
    [LISTED - 1] = {.entry = "late.example:475", .name = "late.example", .port = 443 + 32},
};

static const uint8_t own_ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 0x77};
static const uint8_t own_ipv4[4] = {203, 0, 113, 77}, unknown_ipv4[4] = {203, 0, 113, 99};

eg_state *world_create(void)
{
    eg_state *state = eg_state_create(LISTED, 1024);

    CHECK(state != NULL, "a list");
    for (size_t i = 0; i < LISTED; i++) {
        eg_entry entry;
        if (listed[i].entry == NULL) {
            snprintf(listed[i].filler_name, sizeof listed[i].filler_name, "n%zu.example", i);
            snprintf(listed[i].filler_entry, sizeof listed[i].filler_entry, "n%zu.example:%zu", i, 20000 + i);
            listed[i].name = listed[i].filler_name;
            listed[i].entry = listed[i].filler_entry;
            listed[i].port = (int)(20000 + i);
        }
        CHECK(eg_entry_parse(listed[i].entry, strlen(listed[i].entry), &entry) == NULL, "the entry is one");
        CHECK(eg_allowlist_add(&state->allowlist, &entry) == 0, "and has room");
    }
    CHECK(eg_name_normalise("this-machine", 12, &state->own_name), "a name of its own");
    state->grants.hash_seed = 1; /* the same every time */
    return state;
}

void world_forget_grants(eg_state *state)
{
    uint8_t *slots = (uint8_t *)state->grants.slots, *behind = slots + sizeof state->grants.slots;
    uint8_t *start = slots + (PAGE - (uintptr_t)slots % PAGE) % PAGE, *end = behind - (uintptr_t)behind % PAGE;

    memset(slots, 0, (size_t)(start - slots));
    memset(end, 0, (size_t)(behind - end));
    if (madvise(start, (size_t)(end - start), MADV_REMOVE) != 0) { /* quicker than clearing 5 MB */
        memset(start, 0, (size_t)(end - start));
    }
    state->grants.clock = 0;
}

/* ---- what the machine says ---- */

eg_locality __wrap_eg_machine_locality(const eg_address *address);
eg_locality __wrap_eg_machine_locality(const eg_address *address)
{
    bool ipv4 = eg_address_is_ipv4(address);
    if (ipv4 && memcmp(address->bytes + 12, unknown_ipv4, 4) == 0) {
        return EG_LOCALITY_UNKNOWN;
    }
    bool own = (ipv4 && memcmp(address->bytes + 12, own_ipv4, 4) == 0) || memcmp(address->bytes, own_ipv6, 16) == 0;
    return own ? EG_LOCALITY_OWN : EG_LOCALITY_ELSEWHERE;
}

bool __wrap_eg_machine_first_nameserver(eg_address *out);
bool __wrap_eg_machine_first_nameserver(eg_address *out)
{
    *out = world_nameserver(false, 0).address;
    return true;
}

eg_endpoint world_loopback(bool six, int port)
{
    static const uint8_t ipv4[4] = {127, 0, 0, 1};
    eg_endpoint out = {.family = six ? AF_INET6 : AF_INET, .port = (uint16_t)port, .address = eg_address_from_ipv4(ipv4)};
    if (six) {
        out.address = (eg_address){{[15] = 1}};
    }
    return out;
}

eg_endpoint world_nameserver(bool six, uint8_t which)
{
    const uint8_t ipv4[4] = {198, 51, (uint8_t)(100 + (which & 1)), EG_DNS_PORT};
    eg_endpoint out = {.family = six ? AF_INET6 : AF_INET, .port = EG_DNS_PORT, .address = eg_address_from_ipv4(ipv4)};
    if (six) {
        out.address = (eg_address){{0x20, 0x01, 0x0d, 0xb8, which & 1, [15] = EG_DNS_PORT}};
    }
    return out;
}

bool world_is_nameserver(const eg_endpoint *endpoint)
{
    bool is_one = false;
    for (uint8_t which = 0; which < 2; which++) {
        eg_endpoint one = world_nameserver(endpoint->family == AF_INET6, which);
        is_one = is_one || (endpoint->port == one.port && eg_address_equal(&endpoint->address, &one.address));
    }
    return is_one;
}

/* ---- names ---- */

static bool ends_with(const eg_name *name, const char *end)
{
    size_t length = strlen(end);
    return name->length > length && strcmp(name->text + name->length - length, end) == 0;
}

bool world_opens(size_t record, const eg_name *name)
{
    const char *host = record < LISTED ? listed[record].name : NULL;
    return host != NULL && (host[0] == '.' ? ends_with(name, host) : strcmp(name->text, host) == 0);
}

int world_port_of(size_t record)
{
    return listed[record].port;
}

bool world_is_listed(const eg_name *name)
{
    for (size_t i = 0; i < LISTED; i++) {
        if (world_opens(i, name)) {
            return true;
        }
    }
    return false;
}

bool world_may_be_asked(const eg_state *state, const eg_name *name)
{
    eg_address address;
    if (!eg_dns_reverse_address(name, &address)) {
        return world_is_listed(name);
    }
    const uint8_t *ipv4 = address.bytes + 12;
    bool in_range = eg_address_is_ipv4(&address) && memcmp(ipv4, own_ipv4, 3) == 0 && ipv4[3] >> 4 == 4;
    bool own = in_range && ipv4[3] == own_ipv4[3]; /* answered without a nameserver */
    return !own && (in_range || eg_grants_cover(&state->grants, &state->allowlist, &address, EG_ANY_PORT));
}

bool world_is_reported(const eg_name *name)
{
    return name->length > 0 && strcmp(name->text, "localhost") != 0 && strcmp(name->text, "this-machine") != 0 &&
           !eg_endpoint_from_number(name->text, name->length, NULL);
}

/* ---- addresses ---- */

static bool is_inside(const uint8_t *ipv4)
{
    static const uint8_t nothing[4], all[4] = {255, 255, 255, 255};
    return ipv4[0] == 127 || memcmp(ipv4, nothing, 4) == 0 || (ipv4[0] == 169 && ipv4[1] == 254) || ipv4[0] >> 4 == 14 ||
           memcmp(ipv4, all, 4) == 0 || memcmp(ipv4, own_ipv4, 4) == 0 || memcmp(ipv4, unknown_ipv4, 4) == 0;
}

/* The core knows more of them; these are the plain ones. */
bool world_is_forbidden(const eg_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, 0xff}, nat64[12] = {0, 0x64, 0xff, 0x9b}, zero[12], one[4] = {0, 0, 0, 1};
    const uint8_t *bytes = address->bytes;

    if (memcmp(bytes, mapped, 12) == 0 || memcmp(bytes, nat64, 12) == 0) {
        return is_inside(bytes + 12);
    }
    if (memcmp(bytes, zero, 12) == 0) { /* ::, ::1 and what is compatible with IPv4 */
        return is_inside(bytes + 12) || memcmp(bytes + 12, one, 4) == 0;
    }
    return (bytes[0] == 0xfe && bytes[1] >> 6 == 2) || bytes[0] == 0xff || memcmp(bytes, own_ipv6, 16) == 0 ||
           (bytes[0] == 0x20 && bytes[1] == 0x02 && is_inside(bytes + 2));
}

WITH_COVERAGE
