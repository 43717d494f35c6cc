/* next.c - src/next.h for the shim: looked up when first needed, which may be before any
 * constructor ran. Several threads may look one up at once; they find the same. */
#include "next.h"

#include "bitmap.h"
#include "lookup.h"
#include "module.h"
#include "os.h"
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* The first version that each architecture's libc had, and has to this day. */
#if defined __x86_64__
#define FIRST_VERSION "GLIBC_2.2.5"
#elif defined __aarch64__
#define FIRST_VERSION "GLIBC_2.17"
#else
#error "which version has dlsym() here?"
#endif

shim_dlsym_fn *shim_dlsym(void)
{
    static void *_Atomic found;
    void *function = atomic_load_explicit(&found, memory_order_relaxed);
    if (mm_unlikely(function == NULL)) {
        function = dlvsym(RTLD_NEXT, "dlsym", FIRST_VERSION);
        if (function == NULL) /* libc comes before us, as LD_PRELOAD may have it */
            function = dlvsym(RTLD_DEFAULT, "dlsym", FIRST_VERSION);
        atomic_store_explicit(&found, function, memory_order_relaxed);
    }
    return (shim_dlsym_fn *)function;
}

void *shim_next(const char *name)
{
    return shim_dlsym()(RTLD_NEXT, name);
}

static const char *const names[SHIM_FUNCTIONS] = {
    "malloc",
    "calloc",
    "realloc",
    "memalign",
    "free",
    "malloc_usable_size",
    "dlopen",
    "dlmopen",
    "mallopt",
    "mallinfo2",
    "malloc_stats",
    "malloc_trim",
    "_exit",
    "setrlimit",
    "prlimit",
    "mlockall",
    "__libc_malloc",
    "__libc_free",
    "__libc_calloc",
    "__libc_realloc",
    "__libc_memalign",
    "__register_atfork",
    "pthread_setname_np",
    "prctl",
};
void *_Atomic shim_found[SHIM_FUNCTIONS];
static _Atomic bool knows_sizes;

void shim_find_libc(void)
{
    for (unsigned i = 0; i < SHIM_FUNCTIONS; i++)
        atomic_store_explicit(&shim_found[i], shim_next(names[i]), memory_order_relaxed);
    bool is_one =
        mm_module_of(shim_found[SHIM_MALLOC]) == mm_module_of(shim_found[SHIM_USABLE_SIZE]);
    atomic_store_explicit(&knows_sizes, is_one, memory_order_relaxed);
}

/* glibc's malloc sets itself up at its first call, and not for several threads at once: without us
 * pthread_create() has called it before there are any. A parameter that is none changes nothing. */
void shim_set_up_libc(void)
{
    int (*set)(int, int) = (int (*)(int, int))shim_libc(SHIM_MALLOPT);
    if (set != NULL)
        set(0, 0);
}

/* --- libc's limits --- */

/* A process of one thread has one heap, whose end is where all goes that is freed. Threads make
 * libc spread over several, and what each keeps adds up: then the limits are those that libc begins
 * with. */
struct limits {
    size_t mmap_threshold; /* from this size on a block is mapped by itself */
    size_t trim_threshold; /* so much at the heap's end, at least, goes back to the system */
};
static const struct limits undecided;
static const struct limits one_thread = {(size_t)4 << 20, (size_t)16 << 20};
static const struct limits threads = {(size_t)128 << 10, (size_t)256 << 10};
#define THRESHOLD_LAST ((size_t)32 << 20) /* the most that glibc takes */

/* NULL: libc is as its user set it. Decided when libc is first asked for a block: most short
 * programs never do. */
static const struct limits *_Atomic limits = &undecided;
static _Atomic size_t mmap_threshold;

static void set_limits(size_t threshold, size_t trim)
{
    int (*set)(int, int) = (int (*)(int, int))shim_libc(SHIM_MALLOPT);
    atomic_store_explicit(&mmap_threshold, threshold, memory_order_relaxed);
    set(M_MMAP_THRESHOLD, (int)threshold);
    set(M_TRIM_THRESHOLD, (int)trim);
}

static void begin_with(const struct limits *wanted)
{
    atomic_store_explicit(&limits, wanted, memory_order_relaxed);
    set_limits(wanted->mmap_threshold, wanted->trim_threshold);
}

static bool set_by_user(void)
{
    static const char *const names_of_limits[] = {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_",
                                                  "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"};
    for (size_t i = 0; i < sizeof names_of_limits / sizeof names_of_limits[0]; i++) {
        if (getenv(names_of_limits[i]) != NULL)
            return true;
    }
    return false;
}

/* libc's heap gets the large blocks only, and by default would give its end back and take it again
 * around every few of them: the small ones that used to lie in between are gone. With threads, the
 * environment may be changing at this moment, and libc's own limits are right; and without sizes we
 * could not follow its rule of adapting them. */
MM_COLD static void decide(void)
{
    if (mm_os_single_threaded() && !set_by_user() && shim_libc(SHIM_MALLOPT) != NULL &&
        mm_next_knows_sizes())
        begin_with(&one_thread);
    else
        shim_leave_libc_alone();
}

void shim_leave_libc_alone(void)
{
    atomic_store_explicit(&limits, NULL, memory_order_relaxed);
}

static void adapt_to_threads(void)
{
    const struct limits *now = atomic_load_explicit(&limits, memory_order_relaxed);
    if (mm_unlikely(now == &undecided))
        decide();
    else if (mm_unlikely(!mm_os_single_threaded() && now == &one_thread))
        begin_with(&threads);
}

/* glibc's own rule, which a threshold once set turns off: what was mapped by itself and is freed is
 * likely to come again. */
static void adapt_to_free(size_t size)
{
    const struct limits *least = atomic_load_explicit(&limits, memory_order_relaxed);
    if (mm_likely(least == NULL || size > THRESHOLD_LAST ||
                  size <= atomic_load_explicit(&mmap_threshold, memory_order_relaxed)))
        return;
    set_limits(size, 2 * size > least->trim_threshold ? 2 * size : least->trim_threshold);
}

/* Where there is no such function the answer is that memory ran out: nothing calls dlsym() before
 * libc is there, and it asks for no more than a slot itself. */
#define CALL_OR(nothing, which, type, ...)                                                         \
    (shim_libc(SHIM_##which) != NULL ? ((type)shim_libc(SHIM_##which))(__VA_ARGS__)                \
                                     : (errno = ENOMEM, nothing))

void *mm_next_malloc(size_t size)
{
    adapt_to_threads();
    return CALL_OR(NULL, MALLOC, void *(*)(size_t), size);
}

void *mm_next_calloc(size_t count, size_t size)
{
    adapt_to_threads();
    return CALL_OR(NULL, CALLOC, void *(*)(size_t, size_t), count, size);
}

void *mm_next_realloc(void *block, size_t size)
{
    return CALL_OR(NULL, REALLOC, void *(*)(void *, size_t), block, size);
}

void *mm_next_memalign(size_t alignment, size_t size)
{
    adapt_to_threads();
    return CALL_OR(NULL, MEMALIGN, void *(*)(size_t, size_t), alignment, size);
}

void mm_next_free(void *block, size_t size)
{
    adapt_to_free(size);
    CALL_OR((void)0, FREE, void (*)(void *), block);
}

size_t mm_next_usable_size(void *block)
{
    return CALL_OR((size_t)0, USABLE_SIZE, size_t(*)(void *), block);
}

/* A wrapper that puts something before each block often has no malloc_usable_size(): libc's would
 * take that for its own. */
bool mm_next_knows_sizes(void)
{
    return atomic_load_explicit(&knows_sizes, memory_order_relaxed);
}
