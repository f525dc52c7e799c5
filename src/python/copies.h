/* Is a second copy of CPython's socket module loaded? No route leads to its methods. */
#ifndef EG_PYTHON_COPIES_H
#define EG_PYTHON_COPIES_H

#include <stdbool.h>

/* `genuine` is any address inside the object that holds the module the routes lead to. True
 * also where it cannot be told. */
bool eg_copies_are_loaded(const void *genuine);

#endif
