/* operators.c - C++'s new and delete, under the names of the Itanium ABI (m: size_t).
 *
 * A program may replace operator new(size_t) and operator delete(void *) alone: the standard says
 * that the array, nothrow and sized forms then end in those two. libstdc++'s do, ours would not. So
 * the derived forms look whether the basic pair is ours, and leave the call to libstdc++ when it
 * is not. Aligned forms are a family of their own. */
#include "lookup.h"
#include "route.h"
#include <dlfcn.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

typedef void *new_fn(size_t size, size_t second, const void *third);
typedef void delete_fn(void *ptr, size_t second, size_t third);

EXPORT void *_Znwm(size_t size);
EXPORT void _ZdlPv(void *ptr);

/* --- the next operator of the same name --- */

/* libstdc++ may have been opened by a plugin for itself alone, where RTLD_NEXT does not find it:
 * then it is in the search order of the object that called. */
static void *find_from(const void *caller, const char *name)
{
    Dl_info info;
    if (dladdr(caller, &info) == 0)
        return NULL;
    void *object = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (object == NULL)
        return NULL;
    void *function = dlsym(object, name);
    dlclose(object);
    return function;
}

/* NULL when there is none but ours, which is `own`. */
static void *next_operator(const char *name, const void *own, const void *caller)
{
    void *function = shim_next(name);
    if (function == NULL)
        function = find_from(caller, name);
    return function != own ? function : NULL;
}

/* --- whether the program replaced the basic pair --- */

/* Under hidden names, which cannot be replaced. */
extern __typeof__(_Znwm) own_new __attribute__((alias("_Znwm"), visibility("hidden")));
extern __typeof__(_ZdlPv) own_delete __attribute__((alias("_ZdlPv"), visibility("hidden")));

enum { UNKNOWN, OURS, REPLACED };
static _Atomic int basic_pair;

MM_COLD static bool look_for_replacement(void)
{
    bool ours = dlsym(RTLD_DEFAULT, "_Znwm") == (void *)own_new &&
                dlsym(RTLD_DEFAULT, "_ZdlPv") == (void *)own_delete;
    atomic_store_explicit(&basic_pair, ours ? OURS : REPLACED, memory_order_relaxed);
    return !ours;
}

static inline bool is_replaced(void)
{
    return mm_unlikely(atomic_load_explicit(&basic_pair, memory_order_relaxed) != OURS) &&
           look_for_replacement();
}

/* --- new --- */

enum failure { THROWS, RETURNS_NULL };

/* A request that failed goes on to the next operator of the same form: it calls the new-handler,
 * asks again and throws, none of which C can do. `block` serves where there is no such operator.
 * Nothing here needs cleaning up when an exception passes through. */
MM_COLD static void *hand_on(const char *name, const void *own, const void *caller,
                             enum failure failure, void *block, size_t size, size_t second,
                             const void *third)
{
    new_fn *next = (new_fn *)next_operator(name, own, caller);
    if (next != NULL) {
        mm_free(block, caller);
        return next(size, second, third);
    }
    if (block == NULL && failure == THROWS)
        abort(); /* nobody there who could throw */
    return block;
}

#define NEW(name, failure, parameters, request, accept, second, third)                             \
    EXPORT void *name parameters                                                                   \
    {                                                                                              \
        void *block = request;                                                                     \
        if (mm_likely(block != NULL && (accept)))                                                  \
            return block;                                                                          \
        return hand_on(#name, (const void *)(name), CALLER, failure, block, size, second, third);  \
    }

NEW(_Znwm, THROWS, (size_t size), mm_alloc(size), true, 0, NULL)
NEW(_Znam, THROWS, (size_t size), mm_alloc(size), !is_replaced(), 0, NULL)
NEW(_ZnwmRKSt9nothrow_t, RETURNS_NULL, (size_t size, const void *nothrow), mm_alloc(size),
    !is_replaced(), (size_t)nothrow, NULL)
NEW(_ZnamRKSt9nothrow_t, RETURNS_NULL, (size_t size, const void *nothrow), mm_alloc(size),
    !is_replaced(), (size_t)nothrow, NULL)

#define ALIGNED    (size_t size, size_t alignment)
#define ALIGNED_NT (size_t size, size_t alignment, const void *nothrow)
#define REQUEST    mm_aligned_alloc(alignment, size)

NEW(_ZnwmSt11align_val_t, THROWS, ALIGNED, REQUEST, true, alignment, NULL)
NEW(_ZnamSt11align_val_t, THROWS, ALIGNED, REQUEST, true, alignment, NULL)
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, RETURNS_NULL, ALIGNED_NT, REQUEST, true, alignment, nothrow)
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, RETURNS_NULL, ALIGNED_NT, REQUEST, true, alignment, nothrow)

/* --- delete --- */

MM_COLD static void delete_slow(void *ptr, const char *name, const void *own, const void *caller,
                                size_t second, size_t third)
{
    delete_fn *next = is_replaced() ? (delete_fn *)next_operator(name, own, caller) : NULL;
    if (next != NULL)
        next(ptr, second, third);
    else
        mm_free(ptr, caller);
}

/* The size and the alignment are of use only to the next operator. */
#define DELETE(name)                                                                               \
    EXPORT void name(void *ptr, size_t second, size_t third)                                       \
    {                                                                                              \
        bool ours = atomic_load_explicit(&basic_pair, memory_order_relaxed) == OURS;               \
        if (mm_unlikely(!ours || !mm_free_fast(ptr)))                                              \
            delete_slow(ptr, #name, (const void *)(name), CALLER, second, third);                  \
    }

DELETE(_ZdaPv)
DELETE(_ZdlPvm)
DELETE(_ZdaPvm)
DELETE(_ZdlPvRKSt9nothrow_t)
DELETE(_ZdaPvRKSt9nothrow_t)

EXPORT void _ZdlPv(void *ptr)
{
    mm_free(ptr, CALLER);
}

#if __has_attribute(copy)
#define AS_BASIC EXPORT __attribute__((alias("_ZdlPv"), copy(_ZdlPv)))
#else
#define AS_BASIC EXPORT __attribute__((alias("_ZdlPv")))
#endif

AS_BASIC void _ZdlPvSt11align_val_t(void *ptr);
AS_BASIC void _ZdaPvSt11align_val_t(void *ptr);
AS_BASIC void _ZdlPvmSt11align_val_t(void *ptr);
AS_BASIC void _ZdaPvmSt11align_val_t(void *ptr);
AS_BASIC void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *ptr);
AS_BASIC void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *ptr);
