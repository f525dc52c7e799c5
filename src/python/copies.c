/* Looking for copies of `_socket` among the loaded objects, not among Python's types: a copy
 * that nobody has used yet has no type to find. */
#include "python/copies.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define OBJECTS_MAX 4096u

typedef struct object_names {
    size_t count;
    bool lost;
    char *names[OBJECTS_MAX];
} object_names;

static int collect(struct dl_phdr_info *info, size_t size, void *data)
{
    object_names *objects = data;

    (void)size;
    if (objects->count == OBJECTS_MAX) {
        objects->lost = true;
        return 1;
    }
    char *name = strdup(info->dlpi_name == NULL ? "" : info->dlpi_name);
    objects->lost = objects->lost || name == NULL;
    if (name != NULL) {
        objects->names[objects->count++] = name;
    }
    return 0;
}

/* Does the object itself, not one that it depends on, bring the module, and is it another
 * object than the genuine one? */
static eg_copies look_at(const char *name, const void *genuine_base)
{
    Dl_info info;
    eg_copies found = EG_COPIES_NONE;

    errno = 0;
    /* Nothing is loaded by this; the main program is the one without a name. */
    void *handle = dlopen(name[0] == '\0' ? NULL : name, RTLD_NOLOAD | RTLD_LAZY);
    if (handle == NULL) { /* the kernel's own object has no file; anything else is there */
        return errno == ENOMEM ? EG_COPIES_UNKNOWN : EG_COPIES_NONE;
    }
    void *init = dlsym(handle, "PyInit__socket");
    if (init != NULL && dladdr(init, &info) != 0 && info.dli_fbase != genuine_base) {
        found = EG_COPIES_LOADED;
    }
    dlclose(handle);
    return found;
}

eg_copies eg_copies_look(const void *genuine)
{
    object_names *objects = calloc(1, sizeof *objects);
    Dl_info info;

    if (objects == NULL || dladdr(genuine, &info) == 0) {
        free(objects);
        return EG_COPIES_UNKNOWN;
    }
    dl_iterate_phdr(collect, objects);
    eg_copies found = objects->lost ? EG_COPIES_UNKNOWN : EG_COPIES_NONE;
    for (size_t i = 0; i < objects->count; i++) {
        if (found == EG_COPIES_NONE) {
            found = look_at(objects->names[i], info.dli_fbase);
        }
        free(objects->names[i]);
    }
    free(objects);
    dlerror(); /* what was not found is no error of anybody else */
    return found;
}
