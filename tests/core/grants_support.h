/* Grants of names whose port tells which of them it was. */
#ifndef EG_TESTS_GRANTS_SUPPORT_H
#define EG_TESTS_GRANTS_SUPPORT_H

#include "support.h"

/* A list whose record number i opens port i + 1 alone. */
HELPER eg_state *state_of_ports(int count)
{
    eg_state *state = eg_state_create((size_t)count, (size_t)count * 16);
    assert_non_null(state);
    for (int i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "n%d:%d", i, i + 1);
        eg_entry entry = entry_of(text);
        assert_int_equal(eg_allowlist_add(&state->allowlist, &entry), 0);
    }
    return state;
}

HELPER bool covers(const eg_state *state, const eg_address *address, int port)
{
    return eg_grants_cover(&state->grants, &state->allowlist, address, port);
}

HELPER eg_address numbered(uint32_t number)
{
    eg_address address = address_of("2001:db8::");
    memcpy(address.bytes + 12, &number, sizeof number);
    return address;
}

#endif
