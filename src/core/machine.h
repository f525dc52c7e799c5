/* What this machine is: its own addresses, its nameservers, its hosts file. Read when
 * asked, never from the environment; allocates nothing. */
#ifndef EG_CORE_MACHINE_H
#define EG_CORE_MACHINE_H

#include "core/endpoint.h"
#include "core/name.h"

typedef enum eg_locality {
    EG_LOCALITY_UNKNOWN = 0, /* the kernel did not say: the caller refuses */
    EG_LOCALITY_OWN,         /* an interface address, or what a local route delivers here */
    EG_LOCALITY_ELSEWHERE,
} eg_locality;

/* Ask the routing table where an address is delivered. An answer is kept for
 * EG_LOCALITY_KEPT_MS, so an address that was added becomes "own" within that time. */
#define EG_LOCALITY_KEPT_MS 250
eg_locality eg_machine_locality(const eg_address *address);

/* The same without the memory: tests, and whoever has time. */
eg_locality eg_machine_ask_locality(const eg_address *address);

/* Is this a nameserver of /etc/resolv.conf? The file is read each time. */
typedef enum eg_nameserver {
    EG_NAMESERVER_UNKNOWN = 0, /* the file is there and cannot be read: the caller refuses */
    EG_NAMESERVER_YES,
    EG_NAMESERVER_NO,
} eg_nameserver;
eg_nameserver eg_machine_is_nameserver(const eg_address *address);

/* The nameserver that libc asks first (resolv.conf(5)). False where the file cannot be read. */
bool eg_machine_first_nameserver(eg_address *out);

/* The addresses that /etc/hosts gives for a name, in the file's order; at most `most`. */
size_t eg_machine_hosts_addresses(const eg_name *name, eg_address *out, size_t most);

/* The names that the first line of /etc/hosts with this address gives: the canonical one,
 * then its aliases; at most `most`. */
size_t eg_machine_hosts_names(const eg_address *address, eg_name *out, size_t most);

/* This machine's own addresses that are neither loopback nor link-local; at most `most`. */
size_t eg_machine_own_addresses(eg_address *out, size_t most);

#endif
