/* Is a second copy of CPython's socket module loaded? No route leads to its methods. */
#ifndef EG_PYTHON_COPIES_H
#define EG_PYTHON_COPIES_H

typedef enum eg_copies {
    EG_COPIES_UNKNOWN = 0, /* for want of memory, or of an end to the list of objects */
    EG_COPIES_NONE,
    EG_COPIES_LOADED,
} eg_copies;

/* `genuine` is any address inside the object that holds the module the routes lead to. */
eg_copies eg_copies_look(const void *genuine);

#endif
