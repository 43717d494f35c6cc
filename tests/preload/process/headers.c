/* A leak tracer for between the shim and libc: before each block it keeps what it knows of it, and
 * like many it has no malloc_usable_size(). The word that libc would take for a size is a pointer.
 */
#include <stdint.h>
#include <string.h>

extern void *__libc_malloc(size_t size);
extern void __libc_free(void *block);

struct header {
    size_t size;
    void *start;
};

static void *take(size_t alignment, size_t size)
{
    char *start = __libc_malloc(sizeof(struct header) + alignment + size);
    if (start == NULL)
        return NULL;
    uintptr_t block = ((uintptr_t)start + sizeof(struct header) + alignment - 1) & ~(alignment - 1);
    ((struct header *)block)[-1] = (struct header){size, start};
    return (void *)block;
}

static void give_back(void *block)
{
    if (block != NULL)
        __libc_free(((struct header *)block)[-1].start);
}

void *malloc(size_t size)
{
    return take(sizeof(struct header), size);
}

void *memalign(size_t alignment, size_t size)
{
    return take(alignment, size);
}

void *calloc(size_t count, size_t size)
{
    void *block = take(sizeof(struct header), count * size);
    return block != NULL ? memset(block, 0, count * size) : NULL;
}

void free(void *block)
{
    give_back(block);
}

void *realloc(void *block, size_t size)
{
    void *moved = take(sizeof(struct header), size);
    if (moved == NULL || block == NULL)
        return moved;
    size_t old_size = ((struct header *)block)[-1].size;
    memcpy(moved, block, old_size < size ? old_size : size);
    give_back(block);
    return moved;
}
