/* One line of the allowlist, parsed. */
#ifndef EG_CORE_ENTRY_H
#define EG_CORE_ENTRY_H

#include "core/endpoint.h"
#include "core/name.h"

typedef enum eg_entry_kind {
    EG_ENTRY_NAME = 1,  /* name:port */
    EG_ENTRY_WILDCARD,  /* *.name:port, one or more labels, never the bare name */
    EG_ENTRY_ADDRESS,   /* an address or a CIDR, IPv4 in mapped form */
    EG_ENTRY_UNIX,      /* unix:/path, unix:@abstract */
} eg_entry_kind;

typedef struct eg_entry {
    eg_entry_kind kind;
    uint8_t prefix_length; /* EG_ENTRY_ADDRESS: 0 to 128, of the mapped form */
    uint16_t port_low;     /* 0 and 65535 stand for "*" */
    uint16_t port_high;
    eg_address address;    /* EG_ENTRY_ADDRESS, host bits zero */
    uint16_t text_length;  /* name, or UNIX path with its '@' */
    char text[EG_NAME_MAX + 3];
} eg_entry;

/* Parse `host:port` or `unix:...`. NULL where it is good, else what is wrong with it: a
 * phrase that follows "allowlist entry '...': ". Every entry that could mean this machine
 * (loopback, unspecified, "localhost", a CIDR that covers or embeds them) is wrong. */
const char *eg_entry_parse(const char *text, size_t length, eg_entry *out);

/* The canonical text of an entry; returns the length. `text` holds EG_ENTRY_TEXT_SIZE. */
#define EG_ENTRY_TEXT_SIZE 320
size_t eg_entry_text(const eg_entry *entry, char *text);

#endif
