/* Who listens behind a UNIX address: found before connecting, since a connect would
 * already be seen by the peer, and a datagram tells nothing about who gets it. */
#ifndef EG_CORE_UNIX_OWNER_H
#define EG_CORE_UNIX_OWNER_H

#include "core/state.h"

/* Note the calling process as the installer. */
void eg_unix_owner_remember(eg_installer *installer);

/* The calling process has put itself under a filter, which its children inherit: from now on
 * a descendant that does not stand under it is no family. */
void eg_unix_owner_filtered(eg_installer *installer);

/* Is every listening stream or seqpacket socket behind this address held by the installer
 * or by a descendant of it that still runs the same program? The same question about the
 * datagram sockets that are bound to it, where `is_datagram`. False where there is none, and
 * where it cannot be told. */
bool eg_unix_owner_is_family(const eg_installer *installer, const eg_endpoint *endpoint, bool is_datagram);

#endif
