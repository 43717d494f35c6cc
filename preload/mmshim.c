/* mmshim.c - the functions that the shim takes over from libc: argument rules that are theirs
 * alone, then one forward each. mmshim.map lists all exports. */
#include "lookup.h"
#include "module.h"
#include "options.h"
#include "os.h"
#include "process.h"
#include "registry.h"
#include "route.h"
#include "unwinder.h"
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)
#if __has_attribute(copy)
#define ALIAS(name) EXPORT __attribute__((alias(#name), copy(name)))
#else
#define ALIAS(name) EXPORT __attribute__((alias(#name)))
#endif

EXPORT void *malloc(size_t size)
{
    return mm_alloc(size);
}

/* Reached by a jump, so that the return address is free()'s: asked for there, it would be read
 * before anything else in every call. */
__attribute__((noinline)) static void free_slow(void *ptr)
{
    mm_free_slow(ptr, CALLER);
}

EXPORT void free(void *ptr)
{
    if (mm_unlikely(!mm_free_fast(ptr)))
        free_slow(ptr);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return mm_calloc(count, size);
}

EXPORT void *realloc(void *ptr, size_t size)
{
    return mm_realloc(ptr, size, CALLER);
}

/* Not among the functions that a program with its own malloc has to define, so it must end in that
 * program's realloc; by a jump, as ever. */
EXPORT void *reallocarray(void *ptr, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(ptr, bytes);
}

static bool is_power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static void *refuse(int error)
{
    errno = error;
    return NULL;
}

/* glibc's rule: an alignment that is no power of two is rounded up to one. */
EXPORT void *memalign(size_t alignment, size_t size)
{
    if (alignment > SIZE_MAX / 2 + 1)
        return refuse(EINVAL);
    if (!is_power_of_two(alignment))
        alignment = (size_t)1 << mm_log2_ceil(alignment);
    return mm_aligned_alloc(alignment, size);
}

/* From 2.38 on glibc refuses such alignments here. Programs that were tested with an older one go
 * on. */
EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
        return EINVAL;
    int saved_errno = errno;
    void *made = mm_aligned_alloc(alignment, size);
    errno = saved_errno;
    if (made == NULL)
        return ENOMEM;
    *block = made;
    return 0;
}

EXPORT void *valloc(size_t size)
{
    return mm_aligned_alloc(mm_os_page_size(), size);
}

EXPORT void *pvalloc(size_t size)
{
    size_t page = mm_os_page_size();
    if (size > SIZE_MAX - page)
        return refuse(ENOMEM);
    return mm_aligned_alloc(page, (size + page - 1) & ~(page - 1));
}

EXPORT size_t malloc_usable_size(void *ptr)
{
    return mm_usable_size(ptr);
}

/* What these and delete are told besides the pointer is of no use: the registers that hold it are
 * left alone. */
ALIAS(free) void cfree(void *ptr);
ALIAS(free) void free_sized(void *ptr);
ALIAS(free) void free_aligned_sized(void *ptr);

/* For operators.c: names that no program can replace. */
#define OWN(name) __attribute__((alias(#name), visibility("hidden")))
#if __has_attribute(copy)
extern __typeof__(malloc) own_malloc OWN(malloc) __attribute__((copy(malloc)));
extern __typeof__(free) own_free OWN(free) __attribute__((copy(free)));
#else
extern __typeof__(malloc) own_malloc OWN(malloc);
extern __typeof__(free) own_free OWN(free);
#endif

/* --- glibc's own names: programs that call these must meet the same allocator, and a wrapper that
 *     we have called as the next allocator must not --- */

static void *own_of_libc(enum shim_function function)
{
    return mm_unlikely(mm_registry_is_inside()) ? shim_libc(function) : NULL;
}

EXPORT void *__libc_malloc(size_t size)
{
    void *(*own)(size_t) = (void *(*)(size_t))own_of_libc(SHIM_LIBC_MALLOC);
    return own != NULL ? own(size) : malloc(size);
}

EXPORT void __libc_free(void *ptr)
{
    void (*own)(void *) = (void (*)(void *))own_of_libc(SHIM_LIBC_FREE);
    own != NULL ? own(ptr) : free(ptr);
}

EXPORT void *__libc_calloc(size_t count, size_t size)
{
    void *(*own)(size_t, size_t) = (void *(*)(size_t, size_t))own_of_libc(SHIM_LIBC_CALLOC);
    return own != NULL ? own(count, size) : calloc(count, size);
}

EXPORT void *__libc_realloc(void *ptr, size_t size)
{
    void *(*own)(void *, size_t) = (void *(*)(void *, size_t))own_of_libc(SHIM_LIBC_REALLOC);
    return own != NULL ? own(ptr, size) : realloc(ptr, size);
}

EXPORT void *__libc_memalign(size_t alignment, size_t size)
{
    void *(*own)(size_t, size_t) = (void *(*)(size_t, size_t))own_of_libc(SHIM_LIBC_MEMALIGN);
    return own != NULL ? own(alignment, size) : memalign(alignment, size);
}

ALIAS(reallocarray) void *__libc_reallocarray(void *ptr, size_t count, size_t size);
ALIAS(valloc) void *__libc_valloc(size_t size);
ALIAS(pvalloc) void *__libc_pvalloc(size_t size);

/* --- dlsym(): who asks a handle of libc for free() may have the block from a function of libc that
 *     called our malloc() --- */

static void *own_function(const char *name)
{
    static const struct {
        const char *name;
        void *function;
    } own[] = {
        {"malloc", (void *)malloc},
        {"free", (void *)free},
        {"calloc", (void *)calloc},
        {"realloc", (void *)realloc},
        {"reallocarray", (void *)reallocarray},
        {"memalign", (void *)memalign},
        {"aligned_alloc", (void *)aligned_alloc},
        {"posix_memalign", (void *)posix_memalign},
        {"valloc", (void *)valloc},
        {"pvalloc", (void *)pvalloc},
        {"malloc_usable_size", (void *)malloc_usable_size},
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(name, own[i].name) == 0)
            return own[i].function;
    }
    return NULL;
}

/* Another library may have its own, too. */
static shim_dlsym_fn *_Atomic other_dlsym;
static _Atomic pthread_t trying_thread; /* 0: none */
static bool came_back;                  /* to it */

static shim_dlsym_fn *next_dlsym(void)
{
    shim_dlsym_fn *other = atomic_load_explicit(&other_dlsym, memory_order_relaxed);
    return mm_unlikely(other != NULL) ? other : shim_dlsym();
}

/* Such a one may look for libc's in ways that lead to ours: it would go round for ever. */
void shim_find_dlsym(void)
{
    shim_dlsym_fn *other = (shim_dlsym_fn *)shim_next("dlsym");
    if (other == NULL || other == shim_dlsym())
        return;
    atomic_store_explicit(&trying_thread, pthread_self(), memory_order_relaxed);
    other(RTLD_DEFAULT, "getpid");
    atomic_store_explicit(&trying_thread, 0, memory_order_relaxed);
    if (!came_back)
        atomic_store_explicit(&other_dlsym, other, memory_order_relaxed);
}

/* Only what stands for ours right behind us: a wrapper in between may ask for libc's own. */
MM_COLD static void *in_place_of(void *own, void *handle, const char *name)
{
    void *function = next_dlsym()(handle, name);
    return function != NULL && function == shim_next(name) ? own : function;
}

/* Ends in a jump: what RTLD_NEXT and RTLD_DEFAULT mean, libc takes from the return address. */
EXPORT void *dlsym(void *handle, const char *name)
{
    pthread_t trying = atomic_load_explicit(&trying_thread, memory_order_relaxed);
    if (mm_unlikely(trying != 0) && trying == pthread_self())
        came_back = true;
    void *own = handle != RTLD_NEXT && handle != RTLD_DEFAULT ? own_function(name) : NULL;
    return own != NULL ? in_place_of(own, handle, name) : next_dlsym()(handle, name);
}

/* --- pthread_atfork(): our handlers are registered first, so that they run last before a fork and
 *     first after it, and nobody's run while we hold our locks but those of the allocator behind
 *     us, whose locks a thread that we wait for may need --- */

static bool is_of_next_allocator(const void *handler)
{
    const void *module = handler != NULL ? mm_module_of(handler) : NULL;
    return module != NULL && module == mm_module_of(shim_libc(SHIM_MALLOC)) &&
           module != mm_module_of(shim_libc(SHIM_ATFORK));
}

EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                             void *library)
{
    int (*next)(void (*)(void), void (*)(void), void (*)(void), void *) =
        (int (*)(void (*)(void), void (*)(void), void (*)(void), void *))shim_libc(SHIM_ATFORK);
    struct mm_fork_handlers handlers = {prepare, parent, child};
    mm_process_heap(); /* registers ours, once */
    if (!shim_is_aside() && is_of_next_allocator((const void *)prepare) &&
        mm_process_add_next_fork_handlers(&handlers))
        return 0;
    if (next == NULL)
        return ENOMEM;
    mm_registry_pass(true);
    int error = next(prepare, parent, child, library);
    mm_registry_pass(false);
    return error;
}

/* For libraries of old, which call libc's by this name. */
EXPORT int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return __register_atfork(prepare, parent, child, NULL);
}

/* --- dlopen: RTLD_DEEPBIND would give a library libc's malloc together with our free --- */

static int masked(int flags)
{
    if (!mm_process_started())
        mm_process_heap();
    mm_unwinder_forget();
    if (shim_is_aside())
        return flags;
    return mm_options.deepbind == MM_DEEPBIND_MASK ? flags & ~RTLD_DEEPBIND : flags;
}

/* Both end in a jump: libc takes the caller's search path from the return address. */
EXPORT void *dlopen(const char *path, int flags)
{
    void *(*next)(const char *, int) = (void *(*)(const char *, int))shim_libc(SHIM_DLOPEN);
    return next(path, masked(flags));
}

EXPORT void *dlmopen(Lmid_t space, const char *path, int flags)
{
    void *(*next)(Lmid_t, const char *, int) =
        (void *(*)(Lmid_t, const char *, int))shim_libc(SHIM_DLMOPEN);
    return next(space, path, masked(flags));
}
