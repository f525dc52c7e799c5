#include "linux/stack.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *eg_stack_create(size_t size)
{
    char *block = mmap(NULL, size + page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    if (block == MAP_FAILED) {
        return NULL;
    }
    if (mprotect(block, page_size(), PROT_NONE) != 0) {
        munmap(block, size + page_size());
        return NULL;
    }
    return block + page_size();
}

void eg_stack_destroy(void *stack, size_t size)
{
    munmap((char *)stack - page_size(), size + page_size());
}

void eg_stack_hide(void *stack, const char *from)
{
    size_t above = (size_t)(from - (char *)stack) / page_size() * page_size();

    if (above > 0) {
        madvise(stack, above, MADV_WIPEONFORK);
    }
}
