/* Who dialled: the first frame outside the standard library and the guard. */
#ifndef EG_PYTHON_CALLSITE_H
#define EG_PYTHON_CALLSITE_H

#include "python/guard.h"

/* Remember where this interpreter's standard library is. 0 / -1 with an exception. */
int eg_callsite_init(void);

/* Fill file and line of the violation; leaves them empty where no frame fits. */
void eg_callsite_fill(eg_violation *violation);

#endif
