/* Answers of lookups become grants here, for every layer; and the guard's own lookups. */
#ifndef EG_CORE_LOOKUP_H
#define EG_CORE_LOOKUP_H

#include "core/verdict.h"

/* An answer for a listed name: true and granted where it may be dialled, false where it has
 * to be dropped (or could not be granted: then the dial would be refused anyway). */
bool eg_lookup_accept(eg_state *state, const eg_name_match *match, const eg_address *answer);

/* The absolute form, "name.": no search domain and no resolver variable of the environment
 * changes what is asked. Writes into `text` (EG_NAME_MAX + 2 bytes). */
void eg_lookup_absolute(const eg_name *name, char *text);

/* Ask for a listed name, /etc/hosts first, then libc, and grant the good answers. Returns
 * how many were granted, or -1 where the lookup failed. Blocks as long as libc does. */
int eg_lookup_grant(eg_state *state, const eg_name *name, const eg_name_match *match);

/* The addresses of this machine's own names (localhost, the host name), without DNS. */
size_t eg_lookup_this_machine(const eg_name *name, eg_address *out, size_t most);

/* The names of a local address without DNS: the canonical one, then aliases. */
size_t eg_lookup_local_names(const eg_state *state, const eg_address *address, eg_name *out, size_t most);

#endif
