/* An allocator between the shim and libc that aligns no block to 16, but each to 8; and one, of a
 * size of its own, to 4 only. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t size);
extern void __libc_free(void *block);

#define ODD_SIZE 123456u

static size_t shift_of(const void *block)
{
    return (uintptr_t)block % 8 == 0 ? 8 : 12;
}

static char *start_of(const void *block)
{
    return (char *)(uintptr_t)block - shift_of(block);
}

void *malloc(size_t size)
{
    char *start = __libc_malloc(size + 16);
    if (start == NULL)
        return NULL;
    return start + (size == ODD_SIZE ? 12 : 8);
}

void free(void *block)
{
    __libc_free(block != NULL ? start_of(block) : NULL);
}

void *calloc(size_t count, size_t size)
{
    void *block = malloc(count * size);
    return block != NULL ? memset(block, 0, count * size) : NULL;
}

size_t malloc_usable_size(void *block)
{
    /* libc's word in front of its block. */
    return block == NULL ? 0
                         : (((size_t *)start_of(block))[-1] & ~(size_t)7) - 16 - shift_of(block);
}

void *realloc(void *block, size_t size)
{
    void *fresh = malloc(size);
    if (fresh == NULL || block == NULL)
        return fresh;
    size_t old = malloc_usable_size(block);
    memcpy(fresh, block, old < size ? old : size);
    free(block);
    return fresh;
}
