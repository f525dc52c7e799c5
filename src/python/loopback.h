/* The flag of the test capability (ADR-0006): one PyThread_tss key, and nothing else. */
#ifndef EG_PYTHON_LOOPBACK_H
#define EG_PYTHON_LOOPBACK_H

#include <stdbool.h>

/* Make the key and the fork handler; once. 0, or -1 where the system has no key left. */
int eg_loopback_init(void);

/* Is the calling thread's flag set, and does it run the main interpreter, where alone the
 * capability can be taken? Needs the GIL. */
bool eg_loopback_is_open(void);

/* Set or clear the calling thread's flag. 0 or -errno; on failure the flag is clear. */
int eg_loopback_set(bool open);

/* Everything that was set before is void from now on: install() calls it, so that code
 * which ran earlier and set the flag of some thread holds nothing. */
void eg_loopback_void_all(void);

#endif
