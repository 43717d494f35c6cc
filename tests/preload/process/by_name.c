/* Allocators for between the shim and libc whose functions call one another by their exported
 * names: those then are the shim's, and must come back to these. BY is how they are built up:
 *
 *   1  all on memalign(), realloc() on malloc() and free(), as Electric Fence does it
 *   2  all on realloc(), with an alignment on posix_memalign()
 *   3  each on itself, with a header in front of the block and a flag that tells the inner call */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NEXT(name) ((__typeof__(&(name)))next(#name))

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL)
        abort();
    return function;
}

#if BY == 1

void *memalign(size_t alignment, size_t size)
{
    static __typeof__(&memalign) libc;
    if (libc == NULL)
        libc = NEXT(memalign);
    return libc(alignment, size);
}

void free(void *block)
{
    static __typeof__(&free) libc;
    if (libc == NULL)
        libc = NEXT(free);
    libc(block);
}

size_t malloc_usable_size(void *block)
{
    static __typeof__(&malloc_usable_size) libc;
    if (libc == NULL)
        libc = NEXT(malloc_usable_size);
    return libc(block);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    void *made = memalign(alignment, size);
    *block = made != NULL ? made : *block;
    return made != NULL ? 0 : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

void *valloc(size_t size)
{
    return memalign(4096, size);
}

void *malloc(size_t size)
{
    return memalign(8, size);
}

#elif BY == 2

void *realloc(void *block, size_t size)
{
    static __typeof__(&realloc) libc;
    if (libc == NULL)
        libc = NEXT(realloc);
    return libc(block, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    static __typeof__(&posix_memalign) libc;
    if (libc == NULL)
        libc = NEXT(posix_memalign);
    return libc(block, alignment, size);
}

void *malloc(size_t size)
{
    return realloc(NULL, size);
}

void free(void *block)
{
    int saved_errno = errno;
    if (block != NULL && realloc(block, 0) != NULL)
        abort();
    errno = saved_errno;
}

void *calloc(size_t count, size_t size)
{
    void *block = reallocarray(NULL, count, size);
    return block != NULL ? memset(block, 0, count * size) : NULL;
}

void *memalign(size_t alignment, size_t size)
{
    void *block = NULL;
    int error = posix_memalign(&block, alignment < 8 ? 8 : alignment, size);
    if (error != 0)
        errno = error;
    return block;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

#else

struct header {
    size_t size;
    void *start;
};

static _Thread_local int inside;

static void *take(size_t alignment, size_t size)
{
    char *start = malloc(sizeof(struct header) + alignment + size);
    if (start == NULL)
        return NULL;
    uintptr_t block = ((uintptr_t)start + sizeof(struct header) + alignment - 1) & ~(alignment - 1);
    ((struct header *)block)[-1] = (struct header){size, start};
    return (void *)block;
}

void *malloc(size_t size)
{
    static __typeof__(&malloc) libc;
    if (libc == NULL)
        libc = NEXT(malloc);
    if (inside)
        return libc(size);
    inside = 1;
    void *block = take(sizeof(struct header), size);
    inside = 0;
    return block;
}

void free(void *block)
{
    static __typeof__(&free) libc;
    if (libc == NULL)
        libc = NEXT(free);
    if (inside || block == NULL) {
        libc(block);
        return;
    }
    inside = 1;
    free(((struct header *)block)[-1].start);
    inside = 0;
}

size_t malloc_usable_size(void *block)
{
    return block != NULL ? ((struct header *)block)[-1].size : 0;
}

void *memalign(size_t alignment, size_t size)
{
    inside = 1;
    void *block = take(alignment < 16 ? 16 : alignment, size);
    inside = 0;
    return block;
}

#endif

#if BY != 2

void *calloc(size_t count, size_t size)
{
    void *block = malloc(count * size);
    return block != NULL ? memset(block, 0, count * size) : NULL;
}

void *realloc(void *block, size_t size)
{
    void *fresh = malloc(size);
    if (block == NULL || fresh == NULL)
        return fresh;
    size_t old = malloc_usable_size(block);
    memcpy(fresh, block, old < size ? old : size);
    free(block);
    return fresh;
}

#endif
