/* Which names to ask for, and when. The questions themselves are exchanges of the stub. */
#include "linux/look_again.h"

#include <string.h>

#include "core/dns.h"
#include "core/machine.h"
#include "linux/stub_inside.h"

#define WAIT_MS 1000
#define WAIT_NON_BLOCKING_MS 50

/* The slot of a name and type: its own, else the one that is due first; NULL where all are needed. */
static eg_look *look_of(eg_stub *stub, uint32_t record, uint16_t type, int64_t now)
{
    eg_look *place = NULL;

    for (size_t i = 0; i < EG_LOOKS; i++) {
        eg_look *look = &stub->looks[i];
        if (look->used && look->record == record && look->type == type) {
            return look;
        }
        if (!look->under_way && eg_pace_is_over(&look->pace, now) &&
            (place == NULL || eg_pace_due_ms(&look->pace) < eg_pace_due_ms(&place->pace))) {
            place = look;
        }
    }
    if (place != NULL) {
        *place = (eg_look){.used = true, .record = record, .type = type};
    }
    return place;
}

static void ask(eg_supervisor *supervisor, const eg_endpoint *nameserver, uint32_t record, uint16_t type)
{
    const eg_allowlist *list = &supervisor->state->allowlist;
    int64_t now = eg_now_ms();
    eg_look *look = look_of(supervisor->stub, record, type, now);
    eg_name name;
    eg_name_match match;

    if (look == NULL || look->under_way || now < eg_pace_due_ms(&look->pace)) {
        return;
    }
    look->pace.last_ms = now;
    const char *text = eg_allowlist_record_text(list, record);
    if (eg_name_normalise(text, strlen(text), &name) &&
        eg_allowlist_match_name(list, &name, EG_ANY_PORT, &match) == EG_MATCH_LISTED &&
        eg_exchange_look_up(supervisor, nameserver, &name, type, &match,
                            (uint16_t)(look - supervisor->stub->looks + 1))) {
        look->under_way = true;
        supervisor->stub->looks_under_way++;
    }
}

/* Walking the list is dear where it is long: once in a while for each port. */
static bool is_due(eg_stub *stub, uint16_t port, bool ipv4)
{
    eg_look_port *slot = &stub->look_ports[(port * 2u + ipv4) % EG_LOOK_PORTS];
    int64_t now = eg_now_ms();

    if (slot->port == port && slot->ipv4 == ipv4 && now < slot->next_ms) {
        return false;
    }
    *slot = (eg_look_port){.port = port, .ipv4 = ipv4, .next_ms = now + EG_PACE_MS};
    return true;
}

static void start(eg_supervisor *supervisor, const eg_endpoint *endpoint)
{
    uint32_t records[EG_NAMES_FOR_PORT_MAX];
    bool ipv4 = eg_address_is_ipv4(&endpoint->address);
    eg_endpoint nameserver = {.port = EG_DNS_PORT};

    if (!is_due(supervisor->stub, endpoint->port, ipv4) || !eg_machine_first_nameserver(&nameserver.address)) {
        return;
    }
    nameserver.family = eg_address_is_ipv4(&nameserver.address) ? AF_INET : AF_INET6;
    size_t count = eg_allowlist_names_for_port(&supervisor->state->allowlist, endpoint->port, records);
    for (size_t i = 0; i < count; i++) {
        ask(supervisor, &nameserver, records[i], ipv4 ? EG_DNS_TYPE_A : EG_DNS_TYPE_AAAA);
    }
}

bool eg_look_again(eg_supervisor *supervisor, eg_work *work, const eg_endpoint *endpoint, bool blocking)
{
    if (endpoint->family != AF_INET && endpoint->family != AF_INET6) {
        return false;
    }
    if (work->look_until_ms == 0) {
        if (!eg_relook_may_help(supervisor->state, endpoint->port)) {
            return false;
        }
        start(supervisor, endpoint);
        work->look_until_ms = eg_now_ms() + (blocking ? WAIT_MS : WAIT_NON_BLOCKING_MS);
    }
    return supervisor->stub->looks_under_way > 0 && eg_now_ms() < work->look_until_ms;
}

void eg_look_again_ended(eg_supervisor *supervisor, uint16_t number, bool granted)
{
    eg_look *look = &supervisor->stub->looks[number - 1];

    look->under_way = false;
    eg_pace_ended(&look->pace, granted, eg_now_ms());
    supervisor->stub->looks_under_way--;
}
