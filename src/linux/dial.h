/* connect on the caller's behalf. */
#ifndef EG_LINUX_DIAL_H
#define EG_LINUX_DIAL_H

#include "linux/supervisor.h"

/* Judge and start, or go on with what waited. */
eg_outcome eg_dial_run(eg_supervisor *supervisor, eg_work *work);

/* A UNIX address as it has to be dialled from here. `path_descriptor` is to be closed
 * afterwards (-1 where there is none). 0, or -errno for the caller. */
typedef struct eg_unix_way {
    struct sockaddr_storage address;
    socklen_t length;
    int path_descriptor;
} eg_unix_way;
int eg_unix_way_find(eg_supervisor *supervisor, const eg_endpoint *endpoint, const eg_work *work, eg_unix_way *out);

/* A dial or a message that has to wait: `work` keeps the file that was judged, which cannot be
 * exchanged, and is tried again without another verdict. (The listener can be handed on while
 * it waits, as it can while a connection waits in the backlog.) Where many are kept already it
 * is judged again each time: descriptors are few. */
void eg_unix_way_keep(eg_supervisor *supervisor, eg_work *work, eg_unix_way *way);
void eg_unix_way_drop(eg_supervisor *supervisor, eg_work *work);

/* Judge a UNIX endpoint by its spelling and, where no entry names it, by its owner; the
 * `way` names the very socket file that is judged. */
eg_reason eg_unix_way_judge(eg_supervisor *supervisor, const eg_work *work, const eg_dial *dial,
                            const eg_unix_way *way);

#endif
