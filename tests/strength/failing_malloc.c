/* LD_PRELOAD for test_allocations.py: once armed, allocations fail, in the arming thread only. The C library's own and
 * those of the guard's core pass here, which _testcapi.set_nomemory does not reach. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

static __thread long until = -1; /* how many may pass; -1: not armed */
static __thread int every;       /* all from then on, or one */
static __thread long failed;

/* What the interpreter and dlsym use before the real functions are known. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

__attribute__((visibility("default"))) void fail_after(long count, int all)
{
    failed = 0;
    every = all;
    until = count;
}

__attribute__((visibility("default"))) long fail_stop(void)
{
    until = -1;
    return failed;
}

static int fails(void)
{
    if (until < 0) {
        return 0;
    }
    if (until > 0) {
        until--;
        return 0;
    }
    failed++;
    if (!every) {
        until = -1;
    }
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return fails() ? NULL : __libc_realloc(block, size);
}

void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (real == NULL) {
        real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
    }
    return fails() ? MAP_FAILED : real(address, length, protection, flags, descriptor, offset);
}
