/* next.c - src/forwarded/next.h for the shim: looked up when first needed, which may be before any
 * constructor ran. Several threads may look one up at once; they find the same. No lock of ours is
 * held then: a late look-up takes the dynamic linker's. */
#include "forwarded/next.h"

#include "lookup.h"
#include "slots/heap.h"
#include "stacks/module.h"
#include "system/bitmap.h"
#include "system/libc.h"
#include "system/os.h"
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>

static const char *const names[SHIM_FUNCTIONS] = {
    "malloc",
    "calloc",
    "realloc",
    "memalign",
    "free",
    "malloc_usable_size",
    "dlopen",
    "dlmopen",
    "dlclose",
    "mallopt",
    "mallinfo2",
    "mallinfo",
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
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "reallocarray",
    "pthread_setname_np",
    "prctl",
    "mprotect",
};
void *_Atomic shim_found[SHIM_FUNCTIONS];
static _Atomic bool has_looked, knows_sizes, may_call_back;

/* libc's own have a second name each. */
static bool some_are_not_libcs(void)
{
    static const enum shim_function pairs[][2] = {
        {SHIM_MALLOC, SHIM_LIBC_MALLOC},     {SHIM_CALLOC, SHIM_LIBC_CALLOC},
        {SHIM_REALLOC, SHIM_LIBC_REALLOC},   {SHIM_FREE, SHIM_LIBC_FREE},
        {SHIM_MEMALIGN, SHIM_LIBC_MEMALIGN},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (shim_found[pairs[i][0]] != shim_found[pairs[i][1]])
            return true;
    }
    return false;
}

/* All that is there at the start is loaded before any code of it runs. */
void shim_find_libc(void)
{
    if (atomic_load_explicit(&has_looked, memory_order_acquire))
        return;
    mm_libc_find_all(MM_LIBC_NEXT, names, shim_found, SHIM_FUNCTIONS);
    atomic_store_explicit(&may_call_back, some_are_not_libcs(), memory_order_relaxed);
    bool is_one =
        mm_module_of(shim_found[SHIM_MALLOC]) == mm_module_of(shim_found[SHIM_USABLE_SIZE]);
    atomic_store_explicit(&knows_sizes, is_one, memory_order_relaxed);
    atomic_store_explicit(&has_looked, true, memory_order_release);
}

/* --- what was in libdl and libpthread before glibc 2.34: a program may load these late --- */

void *shim_libdl(enum shim_function function)
{
    void *there = shim_libc(function);
    if (mm_unlikely(there == NULL)) {
        there = mm_libc_find_late(MM_LIBC_NEXT, names[function]);
        atomic_store_explicit(&shim_found[function], there, memory_order_relaxed);
    }
    return there;
}

shim_dlsym_fn *shim_dlsym(void)
{
    static void *_Atomic found;
    void *function = atomic_load_explicit(&found, memory_order_relaxed);
    if (mm_unlikely(function == NULL)) {
        function = mm_libc_find_late(MM_LIBC_OWN, "dlsym");
        atomic_store_explicit(&found, function, memory_order_relaxed);
    }
    return (shim_dlsym_fn *)function;
}

void *shim_next(const char *name)
{
    shim_dlsym_fn *find = shim_dlsym();
    return find != NULL ? find(RTLD_NEXT, name) : mm_libc_find_late(MM_LIBC_NEXT, name);
}

static void *_Atomic key_create, *_Atomic key_set;

bool mm_next_has_keys(void)
{
    static _Atomic bool looked_at_start;
    void *create = atomic_load_explicit(&key_create, memory_order_acquire);
    if (create != NULL)
        return true;
    bool is_start = !atomic_exchange(&looked_at_start, true);
    void *(*find)(enum mm_libc_place, const char *) = is_start ? mm_libc_find : mm_libc_find_late;
    create = find(MM_LIBC_OWN, "pthread_key_create");
    if (create == NULL)
        return false;
    atomic_store_explicit(&key_set, find(MM_LIBC_OWN, "pthread_setspecific"), memory_order_relaxed);
    atomic_store_explicit(&key_create, create, memory_order_release);
    return true;
}

bool mm_next_key_create(pthread_key_t *key, void (*at_end)(void *))
{
    return ((__typeof__(pthread_key_create) *)key_create)(key, at_end) == 0;
}

void mm_next_key_set(pthread_key_t key, const void *value)
{
    ((__typeof__(pthread_setspecific) *)key_set)(key, value);
}

/* --- libc's limits --- */

/* libc's heap gets the large blocks only, and by default would give its end back and take it again
 * around every few of them: the small ones that used to lie in between are gone. Each thread makes
 * libc begin one more, and what all keep at their ends adds up: so they share. */
#define MMAP_LEAST ((size_t)128 << 10) /* mapped by itself at first, as without us */
#define MMAP_LAST  ((size_t)32 << 20)  /* the most that glibc takes */
#define CHUNK_MORE 32u                 /* that a chunk has beside its block, at most */
#define KEPT       ((size_t)32 << 20)  /* by all together */
#define KEPT_LEAST ((size_t)128 << 10)

/* Heaps of ours when the limits were set last, and thus about as many of libc's; 0: undecided.
 * That is done when libc is first asked for a block: most short programs never do. */
static _Atomic uint32_t sharing;
static _Atomic bool is_left_alone; /* libc is as its user set it */
/* As frees want it, which only note that: to set it takes libc's lock, as a request does. */
static _Atomic size_t wanted_threshold = MMAP_LEAST;
static _Atomic size_t threshold_set;
static bool is_set_by_user; /* as the process began: later on the environment may be changing */

static void set_limits(size_t threshold, uint32_t heaps)
{
    int (*set)(int, int) = (int (*)(int, int))shim_libc(SHIM_MALLOPT);
    size_t kept = KEPT / heaps > KEPT_LEAST ? KEPT / heaps : KEPT_LEAST;
    /* glibc's own rule, for one that has grown. */
    if (threshold > MMAP_LEAST && kept < 2 * threshold)
        kept = 2 * threshold;
    set(M_MMAP_THRESHOLD, (int)threshold);
    set(M_TRIM_THRESHOLD, (int)kept);
}

static bool set_by_user(void)
{
    static const char *const names_of_limits[] = {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_",
                                                  "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"};
    for (size_t i = 0; i < sizeof names_of_limits / sizeof names_of_limits[0]; i++) {
        if (shim_variable(names_of_limits[i]) != NULL)
            return true;
    }
    return false;
}

/* glibc's malloc sets itself up at its first call, and not for several threads at once: without us
 * pthread_create() has called it before there are any. A parameter that is none changes nothing. */
void shim_set_up_libc(void)
{
    int (*set)(int, int) = (int (*)(int, int))shim_libc(SHIM_MALLOPT);
    is_set_by_user = set_by_user();
    if (set != NULL)
        set(0, 0);
}

void shim_leave_libc_alone(void)
{
    atomic_store_explicit(&is_left_alone, true, memory_order_relaxed);
}

/* Without sizes we could not follow libc's rule of adapting its limits. Whoever set them last has
 * looked afterwards whether they are still those that are wanted. */
MM_COLD static void adapt(uint32_t heaps)
{
    size_t threshold;
    bool is_first = atomic_exchange(&sharing, heaps) == 0;
    if (is_first && (is_set_by_user || shim_libc(SHIM_MALLOPT) == NULL || !mm_next_knows_sizes()))
        shim_leave_libc_alone();
    do {
        threshold = atomic_load(&wanted_threshold);
        heaps = atomic_load(&sharing);
        if (!atomic_load_explicit(&is_left_alone, memory_order_relaxed))
            set_limits(threshold, heaps);
    } while (threshold != atomic_load(&wanted_threshold) || heaps != atomic_load(&sharing));
    atomic_store_explicit(&threshold_set, threshold, memory_order_relaxed);
}

static void adapt_to_threads_and_frees(void)
{
    uint32_t heaps = mm_heap_count() + !mm_heap_count();
    size_t wanted = atomic_load_explicit(&wanted_threshold, memory_order_relaxed);
    if (mm_unlikely(heaps != atomic_load_explicit(&sharing, memory_order_relaxed) ||
                    wanted > atomic_load_explicit(&threshold_set, memory_order_relaxed)))
        adapt(heaps);
}

/* The size of its chunk, or a page more. */
MM_COLD static void want_threshold(size_t size)
{
    size_t mask = mm_os_page_size() - 1, threshold = (size + CHUNK_MORE + mask) & ~mask;
    size_t now = atomic_load(&wanted_threshold);
    threshold = threshold < MMAP_LAST ? threshold : MMAP_LAST;
    while (now < threshold && !atomic_compare_exchange_weak(&wanted_threshold, &now, threshold))
        continue;
}

/* glibc's own rule, which a threshold once set turns off: what was mapped by itself and is freed is
 * likely to come again. */
static void adapt_to_free(size_t size)
{
    size_t now = atomic_load_explicit(&wanted_threshold, memory_order_relaxed);
    if (mm_unlikely(size + CHUNK_MORE > now && size <= MMAP_LAST))
        want_threshold(size);
}

/* Where there is no such function the answer is that memory ran out: nothing calls dlsym() before
 * libc is there, and it asks for no more than a slot itself. */
#define CALL_OR(nothing, which, type, ...)                                                         \
    (shim_libc(SHIM_##which) != NULL ? ((type)shim_libc(SHIM_##which))(__VA_ARGS__)                \
                                     : (errno = ENOMEM, nothing))

typedef void *one_size(size_t size);
typedef void *two_sizes(size_t first, size_t second);
typedef void *resizing(void *block, size_t size);
typedef void freeing(void *block);

static void *by_posix_memalign(size_t alignment, size_t size)
{
    void *block = NULL;
    int error =
        CALL_OR(ENOMEM, POSIX_MEMALIGN, int (*)(void **, size_t, size_t), &block, alignment, size);
    return error == 0 ? block : (errno = error, NULL);
}

void *mm_next_allocate(enum mm_next_name name, size_t alignment, size_t size)
{
    adapt_to_threads_and_frees();
    switch (name) {
    case MM_NEXT_MALLOC:
        return CALL_OR(NULL, MALLOC, one_size *, size);
    case MM_NEXT_CALLOC:
        return CALL_OR(NULL, CALLOC, two_sizes *, 1, size);
    case MM_NEXT_REALLOC:
    case MM_NEXT_REALLOCARRAY:
    case MM_NEXT_LIBC_REALLOC:
        return mm_next_realloc(name, NULL, size);
    case MM_NEXT_MEMALIGN:
        return CALL_OR(NULL, MEMALIGN, two_sizes *, alignment, size);
    case MM_NEXT_ALIGNED_ALLOC:
        return CALL_OR(NULL, ALIGNED_ALLOC, two_sizes *, alignment, size);
    case MM_NEXT_POSIX_MEMALIGN:
        return by_posix_memalign(alignment, size);
    case MM_NEXT_VALLOC:
        return CALL_OR(NULL, VALLOC, one_size *, size);
    case MM_NEXT_PVALLOC:
        return CALL_OR(NULL, PVALLOC, one_size *, size);
    case MM_NEXT_LIBC_MALLOC:
        return CALL_OR(NULL, LIBC_MALLOC, one_size *, size);
    case MM_NEXT_LIBC_CALLOC:
        return CALL_OR(NULL, LIBC_CALLOC, two_sizes *, 1, size);
    case MM_NEXT_LIBC_MEMALIGN:
        return CALL_OR(NULL, LIBC_MEMALIGN, two_sizes *, alignment, size);
    }
    return NULL;
}

void *mm_next_realloc(enum mm_next_name name, void *block, size_t size)
{
    switch (name) {
    case MM_NEXT_REALLOCARRAY:
        return CALL_OR(NULL, REALLOCARRAY, void *(*)(void *, size_t, size_t), block, 1, size);
    case MM_NEXT_LIBC_REALLOC:
        return CALL_OR(NULL, LIBC_REALLOC, resizing *, block, size);
    default:
        return CALL_OR(NULL, REALLOC, resizing *, block, size);
    }
}

void mm_next_free(enum mm_next_whose whose, void *block, size_t size)
{
    adapt_to_free(size);
    if (whose == MM_NEXT_LIBCS)
        CALL_OR((void)0, LIBC_FREE, freeing *, block);
    else
        CALL_OR((void)0, FREE, freeing *, block);
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

bool mm_next_may_call_back(void)
{
    return atomic_load_explicit(&may_call_back, memory_order_relaxed);
}
