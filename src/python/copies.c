/* Looking for copies of `_socket` among the loaded objects, not among Python's types: a copy
 * that nobody has used yet has no type to find. */
#include "python/copies.h"

#include <dlfcn.h>
#include <link.h>
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
static bool is_copy(const char *name, const void *genuine_base)
{
    Dl_info info;
    bool copy = false;
    /* Nothing is loaded by this; the main program is the one without a name. */
    void *handle = dlopen(name[0] == '\0' ? NULL : name, RTLD_NOLOAD | RTLD_LAZY);

    if (handle == NULL) {
        return false;
    }
    void *init = dlsym(handle, "PyInit__socket");
    if (init != NULL && dladdr(init, &info) != 0) {
        copy = info.dli_fbase != genuine_base;
    }
    dlclose(handle);
    return copy;
}

bool eg_copies_are_loaded(const void *genuine)
{
    object_names *objects = calloc(1, sizeof *objects);
    Dl_info info;
    bool copies = true;

    if (objects == NULL || dladdr(genuine, &info) == 0) {
        free(objects);
        return true;
    }
    dl_iterate_phdr(collect, objects);
    copies = objects->lost;
    for (size_t i = 0; i < objects->count; i++) {
        copies = copies || is_copy(objects->names[i], info.dli_fbase);
        free(objects->names[i]);
    }
    free(objects);
    dlerror(); /* what was not found is no error of anybody else */
    return copies;
}
