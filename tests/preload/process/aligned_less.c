/* An allocator between the shim and libc that aligns what is no larger than 8 bytes to 8, as some
 * do. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PLACES (1u << 20)

static _Alignas(16) char places[PLACES][8];
static atomic_uint used;

static int is_place(const void *block)
{
    return (const char *)block >= places[0] && (const char *)block < places[0] + sizeof places;
}

void *malloc(size_t size)
{
    static void *(*next)(size_t);
    if (size <= sizeof places[0])
        return used < PLACES ? places[used++] : NULL;
    if (next == NULL)
        next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    return next(size);
}

void free(void *block)
{
    static void (*next)(void *);
    if (is_place(block))
        return;
    if (next == NULL)
        next = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    next(block);
}

size_t malloc_usable_size(void *block)
{
    static size_t (*next)(void *);
    if (is_place(block))
        return sizeof places[0];
    if (next == NULL)
        next = (size_t(*)(void *))dlsym(RTLD_NEXT, "malloc_usable_size");
    return next(block);
}
