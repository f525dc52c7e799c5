/* A notification of the kernel, read: a call to judge, or one that is refused whatever its
 * arguments point to. A pure function of the bytes. */
#ifndef EG_LINUX_NOTICE_H
#define EG_LINUX_NOTICE_H

#include "linux/supervisor.h"

typedef enum eg_notice_kind {
    EG_NOTICE_REFUSE = 0, /* `error`, and a line in the journal */
    EG_NOTICE_COUNT,      /* `error`, and counted: it names no peer, and programs try it unasked */
    EG_NOTICE_JUDGE,      /* `work` is filled */
    EG_NOTICE_RECEIVE,    /* the same, and nothing to judge */
} eg_notice_kind;

typedef struct eg_notice {
    eg_notice_kind kind;
    int error; /* positive errno */
    eg_route route;
    eg_reason reason;
    char what[48]; /* in the place of a host */
} eg_notice;

/* Read a notification; `work` is the caller and the call in every case. */
void eg_notice_read(const struct seccomp_notif *heard, eg_notice *notice, eg_work *work);

#endif
