/* One dial in one line, for the tests of the verdict. */
#ifndef EG_TESTS_VERDICT_SUPPORT_H
#define EG_TESTS_VERDICT_SUPPORT_H

#include "sandbox.h"

#include "core/verdict.h"

/* A list whose every kind of entry the tables of dials meet. */
HELPER eg_state *state_of_dials(void)
{
    return STATE_WITH("api.test:443",                       /* record 0 */
                      "*.wild.test:8000-8010",              /* record 1 */
                      "203.0.113.0/24:443",                 /* a CIDR elsewhere */
                      "203.0.113.53:53",                    /* a nameserver of the sandbox, also as an entry */
                      "203.0.113.9:*",                      /* one address, every port */
                      "[2001:db8:99::/48]:443",
                      "[64:ff9b::808:808]:443",
                      "[2001:db8:99::5efe:808:808]:8443",
                      "198.51.100.0/24:443",                /* a CIDR around the sandbox's own address */
                      SANDBOX_IPV4 ":22",                   /* and the address itself */
                      "[2001:db8:77::/64]:443",
                      "[" SANDBOX_IPV6 "]:22",
                      "192.0.2.0/28:53",                    /* without a route there */
                      "169.254.169.254:80",
                      "224.0.0.251:5353",
                      "255.255.255.255:9",
                      "unix:/run/listed",
                      "unix:@listed");
}

HELPER eg_dial dial_of(const eg_endpoint *endpoint, eg_socket_kind socket)
{
    return (eg_dial){.endpoint = endpoint, .action = EG_ACTION_CONNECT, .socket = socket};
}

HELPER eg_reason judged(const eg_state *state, const char *address, uint16_t port, eg_socket_kind socket)
{
    eg_endpoint endpoint = endpoint_of(address, port);
    eg_dial dial = dial_of(&endpoint, socket);
    return eg_verdict_for_dial(state, &dial);
}

#endif
