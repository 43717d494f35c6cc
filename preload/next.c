/* next.c - src/next.h for the shim: looked up when first needed, which may be before any
 * constructor ran. Several threads may look one up at once; they find the same. */
#include "next.h"

#include "bitmap.h"
#include "lookup.h"
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

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

/* --- libc's limits --- */

#define THRESHOLD_FIRST ((size_t)4 << 20)
#define THRESHOLD_LAST  ((size_t)32 << 20) /* the most that glibc takes */
#define TRIM_LEAST      ((size_t)16 << 20)
#define TOP_PAD         ((size_t)256 << 10)

/* From this size on libc maps a block by itself. 0: libc is as its user set it. */
static _Atomic size_t mmap_threshold;

static void set_threshold(int (*set)(int, int), size_t threshold)
{
    size_t trim = 2 * threshold > TRIM_LEAST ? 2 * threshold : TRIM_LEAST;
    atomic_store_explicit(&mmap_threshold, threshold, memory_order_relaxed);
    set(M_MMAP_THRESHOLD, (int)threshold);
    set(M_TRIM_THRESHOLD, (int)trim);
}

void shim_tune_libc(void)
{
    static const char *const set_by_user[] = {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_",
                                              "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_",
                                              "MALLOC_ARENA_MAX"};
    int (*set)(int, int) = (int (*)(int, int))shim_libc(SHIM_MALLOPT);
    for (size_t i = 0; i < sizeof set_by_user / sizeof set_by_user[0]; i++) {
        if (getenv(set_by_user[i]) != NULL)
            return;
    }
    if (set == NULL)
        return;
    set_threshold(set, THRESHOLD_FIRST);
    set(M_TOP_PAD, (int)TOP_PAD);
    /* The heaps of further arenas shrink only after a look at /proc, which with these limits would
     * come late: perhaps when the program has locked itself in already. */
    set(M_ARENA_MAX, 1);
}

void shim_leave_libc_alone(void)
{
    atomic_store_explicit(&mmap_threshold, 0, memory_order_relaxed);
}

/* glibc's own rule, which a threshold once set turns off: what was mapped by itself and is freed is
 * likely to come again. */
static void adapt_to_free(size_t size)
{
    size_t threshold = atomic_load_explicit(&mmap_threshold, memory_order_relaxed);
    if (mm_unlikely(threshold != 0 && size > threshold && size <= THRESHOLD_LAST))
        set_threshold((int (*)(int, int))shim_libc(SHIM_MALLOPT), size);
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
    adapt_to_free(mm_next_usable_size(block));
    CALL_OR((void)0, FREE, void (*)(void *), block);
}

size_t mm_next_usable_size(void *block)
{
    return CALL_OR((size_t)0, USABLE_SIZE, size_t(*)(void *), block);
}
