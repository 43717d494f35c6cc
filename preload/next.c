/* next.c - src/next.h for the shim: looked up when first needed, which may be before any
 * constructor ran. Several threads may look one up at once; they find the same. */
#include "next.h"

#include "lookup.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

void *shim_next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static const char *const names[SHIM_FUNCTIONS] = {
    "malloc", "calloc",  "realloc", "memalign",  "free",         "malloc_usable_size",
    "dlopen", "dlmopen", "mallopt", "mallinfo2", "malloc_stats", "malloc_trim",
};
static void *_Atomic found[SHIM_FUNCTIONS];

void shim_find_libc(void)
{
    for (unsigned i = 0; i < SHIM_FUNCTIONS; i++)
        atomic_store_explicit(&found[i], shim_next(names[i]), memory_order_relaxed);
}

void *shim_libc(enum shim_function function)
{
    if (atomic_load_explicit(&found[function], memory_order_relaxed) == NULL)
        shim_find_libc();
    return atomic_load_explicit(&found[function], memory_order_relaxed);
}

/* Where there is no such function the answer is that memory ran out: nothing calls dlsym() before
 * libc is there, and it asks for no more than a slot itself. */
#define CALL_OR(nothing, which, type, ...)                                                         \
    (shim_libc(SHIM_##which) != NULL ? ((type)shim_libc(SHIM_##which))(__VA_ARGS__)                \
                                     : (errno = ENOMEM, nothing))

void *mm_next_malloc(size_t size)
{
    return CALL_OR(NULL, MALLOC, void *(*)(size_t), size);
}

void *mm_next_calloc(size_t count, size_t size)
{
    return CALL_OR(NULL, CALLOC, void *(*)(size_t, size_t), count, size);
}

void *mm_next_realloc(void *block, size_t size)
{
    return CALL_OR(NULL, REALLOC, void *(*)(void *, size_t), block, size);
}

void *mm_next_memalign(size_t alignment, size_t size)
{
    return CALL_OR(NULL, MEMALIGN, void *(*)(size_t, size_t), alignment, size);
}

void mm_next_free(void *block)
{
    CALL_OR((void)0, FREE, void (*)(void *), block);
}

size_t mm_next_usable_size(void *block)
{
    return CALL_OR((size_t)0, USABLE_SIZE, size_t(*)(void *), block);
}
