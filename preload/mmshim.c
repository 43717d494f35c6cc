/* mmshim.c - the functions that the shim takes over from libc: argument rules that are theirs
 * alone, then one forward each. mmshim.map lists all exports.
 *
 * None calls another by its exported name, which may be a function of the program's that ends here.
 */
#include "checks/checks.h"
#include "entry/options.h"
#include "entry/process.h"
#include "entry/route.h"
#include "forwarded/registry.h"
#include "lookup.h"
#include "memory_manager.h"
#include "stacks/loaded.h"
#include "stacks/module.h"
#include "system/os.h"
#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
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

extern __typeof__(free) own_free;

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
 * program's realloc, as libc's does; by a jump, as ever. */
EXPORT void *reallocarray(void *ptr, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    if (mm_unlikely(mm_registry_is_inside()) && mm_next_may_call_back())
        return mm_realloc_by(MM_NEXT_REALLOCARRAY, ptr, bytes, CALLER);
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
static void *aligned_by(enum mm_next_name name, size_t alignment, size_t size)
{
    if (alignment > SIZE_MAX / 2 + 1)
        return refuse(EINVAL);
    if (!is_power_of_two(alignment))
        alignment = (size_t)1 << mm_log2_ceil(alignment);
    return mm_aligned_alloc_by(name, alignment, size);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    return aligned_by(MM_NEXT_MEMALIGN, alignment, size);
}

/* Up to 2.37 glibc has memalign()'s rule here, and from 2.38 on C17's. Programs go on with that of
 * the libc that they run on. */
MM_COLD static void *aligned_oddly(size_t alignment, size_t size)
{
    bool rounds_up = strverscmp(gnu_get_libc_version(), "2.38") < 0;
    return rounds_up ? memalign(alignment, size) : refuse(EINVAL);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return mm_likely(is_power_of_two(alignment))
               ? aligned_by(MM_NEXT_ALIGNED_ALLOC, alignment, size)
               : aligned_oddly(alignment, size);
}

/* errno changes with memory that is refused, as libc's does, and with nothing else. */
EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
        return EINVAL;
    int saved_errno = errno;
    void *made = mm_aligned_alloc_by(MM_NEXT_POSIX_MEMALIGN, alignment, size);
    if (made == NULL)
        return ENOMEM;
    errno = saved_errno;
    *block = made;
    return 0;
}

EXPORT void *valloc(size_t size)
{
    return mm_aligned_alloc_by(MM_NEXT_VALLOC, mm_os_page_size(), size);
}

static void *whole_pages(enum mm_next_name name, size_t size)
{
    size_t page = mm_os_page_size();
    if (size > SIZE_MAX - page)
        return refuse(ENOMEM);
    return mm_aligned_alloc_by(name, page, (size + page - 1) & ~(page - 1));
}

EXPORT void *pvalloc(size_t size)
{
    return whole_pages(MM_NEXT_PVALLOC, size);
}

EXPORT size_t malloc_usable_size(void *ptr)
{
    return mm_usable_size(ptr, CALLER);
}

EXPORT size_t mem_mngr_check(void)
{
    return mm_check(CALLER);
}

EXPORT size_t mem_mngr_leaks(void)
{
    struct mm_here here;
    mm_here_take(&here);
    return mm_process_started() ? mm_leaks_look(&here, MM_LEAKS_LIVE) : 0;
}

ALIAS(free) void cfree(void *ptr);

/* Whether free() ends here, and not in one of the program's own. */
static bool is_free_ours(void)
{
    void (*volatile own)(void *) = own_free;
    return free == own;
}

/* In glibc from 2.43 on. As reallocarray(), they must end in the free() of a program that has its
 * own, and by a jump. What they are told besides the pointer is for the checks. */
EXPORT void free_sized(void *ptr, size_t size)
{
    if (mm_unlikely(mm_checks.mismatch) && is_free_ours())
        mm_free_as_slow(ptr, mm_shape_named(size, 0, MM_FAMILY_MALLOC), CALLER);
    else
        free(ptr);
}

EXPORT void free_aligned_sized(void *ptr, size_t alignment, size_t size)
{
    bool has_alignment = is_power_of_two(alignment);
    unsigned log2 = has_alignment ? mm_log2_floor(alignment) : 0;
    if (mm_unlikely(mm_checks.mismatch) && is_free_ours())
        mm_free_as_slow(ptr, mm_shape_named(size, log2, MM_FAMILY_MALLOC), CALLER);
    else
        free(ptr);
}

/* --- glibc's own names: programs that call these must meet the same slots, and a wrapper that we
 *     have called as the next allocator must not meet itself --- */

EXPORT void *__libc_malloc(size_t size)
{
    return mm_alloc_by(MM_NEXT_LIBC_MALLOC, size);
}

EXPORT void __libc_free(void *ptr)
{
    mm_free_by(MM_NEXT_LIBCS, ptr, mm_shape_of(0, 0, MM_FAMILY_MALLOC), CALLER);
}

EXPORT void *__libc_calloc(size_t count, size_t size)
{
    return mm_calloc_by(MM_NEXT_LIBC_CALLOC, count, size);
}

EXPORT void *__libc_realloc(void *ptr, size_t size)
{
    return mm_realloc_by(MM_NEXT_LIBC_REALLOC, ptr, size, CALLER);
}

EXPORT void *__libc_memalign(size_t alignment, size_t size)
{
    return aligned_by(MM_NEXT_LIBC_MEMALIGN, alignment, size);
}

EXPORT void *__libc_valloc(size_t size)
{
    return mm_aligned_alloc_by(MM_NEXT_LIBC_MEMALIGN, mm_os_page_size(), size);
}

EXPORT void *__libc_pvalloc(size_t size)
{
    return whole_pages(MM_NEXT_LIBC_MEMALIGN, size);
}

ALIAS(reallocarray) void *__libc_reallocarray(void *ptr, size_t count, size_t size);

/* --- names that no program can replace --- */

#if __has_attribute(copy)
#define OWN(name)                                                                                  \
    extern __typeof__(name) own_##name                                                             \
        __attribute__((alias(#name), visibility("hidden"), copy(name)))
#else
#define OWN(name)                                                                                  \
    extern __typeof__(name) own_##name __attribute__((alias(#name), visibility("hidden")))
#endif

OWN(malloc);
OWN(free);
OWN(calloc);
OWN(realloc);
OWN(reallocarray);
OWN(memalign);
OWN(aligned_alloc);
OWN(posix_memalign);
OWN(valloc);
OWN(pvalloc);
OWN(malloc_usable_size);
OWN(__libc_malloc);
OWN(__libc_free);
OWN(__libc_calloc);
OWN(__libc_realloc);
OWN(__libc_memalign);
OWN(__libc_valloc);
OWN(__libc_pvalloc);

/* --- dlsym(): who asks a handle of libc for free() may have the block from a function of libc that
 *     called our malloc() --- */

static void *own_function(const char *name)
{
    static const struct {
        const char *name;
        void *function;
    } own[] = {
        {"malloc", (void *)own_malloc},
        {"free", (void *)own_free},
        {"calloc", (void *)own_calloc},
        {"realloc", (void *)own_realloc},
        {"reallocarray", (void *)own_reallocarray},
        {"memalign", (void *)own_memalign},
        {"aligned_alloc", (void *)own_aligned_alloc},
        {"posix_memalign", (void *)own_posix_memalign},
        {"valloc", (void *)own_valloc},
        {"pvalloc", (void *)own_pvalloc},
        {"malloc_usable_size", (void *)own_malloc_usable_size},
        {"__libc_malloc", (void *)own___libc_malloc},
        {"__libc_free", (void *)own___libc_free},
        {"__libc_calloc", (void *)own___libc_calloc},
        {"__libc_realloc", (void *)own___libc_realloc},
        {"__libc_memalign", (void *)own___libc_memalign},
        {"__libc_valloc", (void *)own___libc_valloc},
        {"__libc_pvalloc", (void *)own___libc_pvalloc},
        {"__libc_reallocarray", (void *)own_reallocarray},
        {"cfree", (void *)own_free},
        {"free_sized", (void *)own_free},
        {"free_aligned_sized", (void *)own_free},
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
    atomic_store_explicit(&trying_thread, mm_os_self(), memory_order_relaxed);
    other(RTLD_DEFAULT, "getpid");
    atomic_store_explicit(&trying_thread, 0, memory_order_relaxed);
    if (!came_back)
        atomic_store_explicit(&other_dlsym, other, memory_order_relaxed);
}

/* Only what stands for ours right behind us: a wrapper in between may ask for libc's own. */
MM_COLD static void *in_place_of(void *own, shim_dlsym_fn *next, void *handle, const char *name)
{
    void *function = next(handle, name);
    return function != NULL && function == shim_next(name) ? own : function;
}

/* Ends in a jump: what RTLD_NEXT and RTLD_DEFAULT mean, libc takes from the return address. */
EXPORT void *dlsym(void *handle, const char *name)
{
    pthread_t trying = atomic_load_explicit(&trying_thread, memory_order_relaxed);
    if (mm_unlikely(trying != 0) && trying == mm_os_self())
        came_back = true;
    void *own = handle != RTLD_NEXT && handle != RTLD_DEFAULT ? own_function(name) : NULL;
    shim_dlsym_fn *next = next_dlsym();
    if (next == NULL) /* before glibc 2.34, in a program without libdl */
        return NULL;
    return own != NULL ? in_place_of(own, next, handle, name) : next(handle, name);
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
    mm_loaded_changed();
    if (shim_is_aside())
        return flags;
    return mm_options.deepbind == MM_DEEPBIND_MASK ? flags & ~RTLD_DEEPBIND : flags;
}

/* Both end in a jump: libc takes the caller's search path from the return address. */
EXPORT void *dlopen(const char *path, int flags)
{
    void *(*next)(const char *, int) = (void *(*)(const char *, int))shim_libdl(SHIM_DLOPEN);
    return next != NULL ? next(path, masked(flags)) : NULL;
}

EXPORT void *dlmopen(Lmid_t space, const char *path, int flags)
{
    void *(*next)(Lmid_t, const char *, int) =
        (void *(*)(Lmid_t, const char *, int))shim_libdl(SHIM_DLMOPEN);
    return next != NULL ? next(space, path, masked(flags)) : NULL;
}
