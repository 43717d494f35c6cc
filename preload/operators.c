/* operators.c - C++'s new and delete, under the names of the Itanium ABI (m: size_t).
 *
 * A program may replace operator new(size_t) and operator delete(void *) alone: the standard says
 * that the array, nothrow and sized forms then end in those two. libstdc++'s do, ours would not. So
 * the derived forms look whether that basic pair is ours, and leave the call to libstdc++ when it
 * is not. The forms with an alignment are a second family of the same kind. A program may as well
 * bring a malloc of its own, in which libstdc++'s operators then end: all calls are left to it. */
#include "entry/route.h"
#include "lookup.h"
#include "stacks/module.h"
#include "system/libc.h"
#include <dlfcn.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

typedef void *new_fn(size_t size, size_t second, const void *third);
typedef void delete_fn(void *ptr, size_t second, size_t third);

EXPORT void *_Znwm(size_t size);
EXPORT void _ZdlPv(void *ptr, size_t second, size_t third);
EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t alignment);
EXPORT void _ZdlPvSt11align_val_t(void *ptr, size_t second, size_t third);

/* --- the next operator of the same name --- */

/* The C++ library may have been opened by a plugin for itself alone, where RTLD_NEXT does not find
 * it: then it is in the search order of the object that called, or found by its name. The caller
 * may be that library, whose forms jump to one another. */
static void *find_in(const char *path, const char *name)
{
    void *object = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (object == NULL)
        return NULL;
    void *function = shim_dlsym()(object, name);
    ((int (*)(void *))shim_libdl(SHIM_DLCLOSE))(object);
    return function;
}

struct form {
    const char *name;
    const void *own;
    void *_Atomic next; /* once RTLD_NEXT found it: a look-up takes the loader's lock */
};

static void *search(const struct form *form, const void *caller)
{
    struct mm_place place;
    struct mm_place_text text;
    void *function = NULL;
    mm_module_place(caller, "", &place, &text);
    if (place.module != NULL)
        function = find_in(place.module, form->name);
    if (function == NULL || function == form->own)
        function = find_in("libstdc++.so.6", form->name);
    if (function == NULL || function == form->own)
        function = find_in("libc++abi.so.1", form->name);
    return function != form->own ? function : NULL;
}

/* NULL when there is none but ours. */
static void *next_operator(struct form *form, const void *caller)
{
    void *function = atomic_load_explicit(&form->next, memory_order_relaxed);
    if (function == NULL) {
        function = shim_next(form->name);
        atomic_store_explicit(&form->next, function, memory_order_relaxed);
    }
    return function != NULL ? function : search(form, caller);
}

/* --- whether the program replaced the basic pair, or malloc --- */

/* Under hidden names, which cannot be replaced. */
#define HIDDEN(name) __attribute__((alias(#name), visibility("hidden")))
extern __typeof__(_Znwm) own_new HIDDEN(_Znwm);
extern __typeof__(_ZdlPv) own_delete HIDDEN(_ZdlPv);
extern __typeof__(_ZnwmSt11align_val_t) own_aligned_new HIDDEN(_ZnwmSt11align_val_t);
extern __typeof__(_ZdlPvSt11align_val_t) own_aligned_delete HIDDEN(_ZdlPvSt11align_val_t);

extern __typeof__(malloc) own_malloc __attribute__((visibility("hidden")));
extern __typeof__(free) own_free __attribute__((visibility("hidden")));

enum { UNKNOWN, OURS, REPLACED };
static _Atomic int plain, aligned; /* whose the basic pair of each family is */

MM_COLD static bool look_for_replacement(_Atomic int *family)
{
    static const char *const names[] = {"malloc", "free", "_Znwm", "_ZdlPv"},
                             *const aligned_names[] = {"malloc", "free", "_ZnwmSt11align_val_t",
                                                       "_ZdlPvSt11align_val_t"};
    bool is_plain = family == &plain;
    void *const own[] = {(void *)own_malloc, (void *)own_free,
                         is_plain ? (void *)own_new : (void *)own_aligned_new,
                         is_plain ? (void *)own_delete : (void *)own_aligned_delete};
    void *_Atomic found[] = {NULL, NULL, NULL, NULL};
    bool ours = true;
    mm_libc_find_all(MM_LIBC_FIRST, is_plain ? names : aligned_names, found, 4);
    for (unsigned i = 0; i < 4; i++)
        ours = ours && found[i] == own[i];
    atomic_store_explicit(family, ours ? OURS : REPLACED, memory_order_relaxed);
    return !ours;
}

static inline bool is_replaced(_Atomic int *family)
{
    int whose = atomic_load_explicit(family, memory_order_relaxed);
    return mm_unlikely(whose != OURS) && (whose == REPLACED || look_for_replacement(family));
}

/* What is loaded later comes behind ours, and changes nothing. */
void shim_find_operators(void)
{
    look_for_replacement(&plain);
    look_for_replacement(&aligned);
}

/* --- new --- */

enum failure { THROWS, RETURNS_NULL };

/* A request that failed goes on to the next operator of the same form: it calls the new-handler,
 * asks again and throws, none of which C can do. `block` serves where there is no such operator.
 * Nothing here needs cleaning up when an exception passes through. */
MM_COLD static void *hand_on(struct form *form, const void *caller, enum failure failure,
                             void *block, mm_shape how, size_t size, size_t second,
                             const void *third)
{
    new_fn *next = (new_fn *)next_operator(form, caller);
    if (next != NULL) {
        mm_free_as_slow(block, how, caller);
        return next(size, second, third);
    }
    if (block == NULL && failure == THROWS)
        abort(); /* nobody there who could throw */
    return block;
}

#define NEW(name, failure, parameters, ...) NEW_OF(name, failure, parameters, __VA_ARGS__)
#define NEW_OF(name, failure, parameters, request, how, accept, second, third)                     \
    EXPORT void *name parameters                                                                   \
    {                                                                                              \
        static struct form form = {#name, (const void *)(name), NULL};                             \
        void *block = request;                                                                     \
        if (mm_likely(block != NULL && (accept)))                                                  \
            return block;                                                                          \
        return hand_on(&form, CALLER, failure, block, how, size, second, third);                   \
    }

#define FAMILY(family, alignment) mm_shape_of(0, mm_log2_floor(alignment), MM_FAMILY_##family)
#define REQUEST(request, family)  request(size), FAMILY(family, 1), !is_replaced(&plain)
#define ONE                       REQUEST(mm_alloc_new, NEW)
#define ARRAY                     REQUEST(mm_alloc_new_array, NEW_ARRAY)

NEW(_Znwm, THROWS, (size_t size), ONE, 0, NULL)
NEW(_Znam, THROWS, (size_t size), ARRAY, 0, NULL)
NEW(_ZnwmRKSt9nothrow_t, RETURNS_NULL, (size_t size, const void *nothrow), ONE, (size_t)nothrow,
    NULL)
NEW(_ZnamRKSt9nothrow_t, RETURNS_NULL, (size_t size, const void *nothrow), ARRAY, (size_t)nothrow,
    NULL)

#define ALIGNED    (size_t size, size_t alignment)
#define ALIGNED_NT (size_t size, size_t alignment, const void *nothrow)
#define ALIGNED_REQUEST(family)                                                                    \
    mm_aligned_alloc_as(MM_NEXT_MEMALIGN, alignment, size, MM_FAMILY_##family),                    \
        FAMILY(family, alignment), !is_replaced(&aligned)

NEW(_ZnwmSt11align_val_t, THROWS, ALIGNED, ALIGNED_REQUEST(NEW), alignment, NULL)
NEW(_ZnamSt11align_val_t, THROWS, ALIGNED, ALIGNED_REQUEST(NEW_ARRAY), alignment, NULL)
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, RETURNS_NULL, ALIGNED_NT, ALIGNED_REQUEST(NEW), alignment,
    nothrow)
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, RETURNS_NULL, ALIGNED_NT, ALIGNED_REQUEST(NEW_ARRAY),
    alignment, nothrow)

/* --- delete --- */

MM_COLD static void delete_slow(void *ptr, _Atomic int *family, struct form *form,
                                const void *caller, size_t second, size_t third, mm_shape how)
{
    delete_fn *next = is_replaced(family) ? (delete_fn *)next_operator(form, caller) : NULL;
    if (next != NULL)
        next(ptr, second, third);
    else
        mm_free_as_slow(ptr, how, caller);
}

/* The size and the alignment are of use only to the next operator, and to the checks. */
#define DELETE(name, family, how)                                                                  \
    EXPORT void name(void *ptr, size_t second, size_t third)                                       \
    {                                                                                              \
        static struct form form = {#name, (const void *)(name), NULL};                             \
        bool ours = atomic_load_explicit(&(family), memory_order_relaxed) == OURS;                 \
        if (mm_unlikely(!ours || !mm_free_fast(ptr)))                                              \
            delete_slow(ptr, &(family), &form, CALLER, second, third, how);                        \
    }
#define OF(family, size, alignment)                                                                \
    mm_shape_named(size, mm_log2_floor((alignment) | 1), MM_FAMILY_##family)

DELETE(_ZdlPv, plain, OF(NEW, 0, 1))
DELETE(_ZdaPv, plain, OF(NEW_ARRAY, 0, 1))
DELETE(_ZdlPvm, plain, OF(NEW, second, 1))
DELETE(_ZdaPvm, plain, OF(NEW_ARRAY, second, 1))
DELETE(_ZdlPvRKSt9nothrow_t, plain, OF(NEW, 0, 1))
DELETE(_ZdaPvRKSt9nothrow_t, plain, OF(NEW_ARRAY, 0, 1))
DELETE(_ZdlPvSt11align_val_t, aligned, OF(NEW, 0, second))
DELETE(_ZdaPvSt11align_val_t, aligned, OF(NEW_ARRAY, 0, second))
DELETE(_ZdlPvmSt11align_val_t, aligned, OF(NEW, second, third))
DELETE(_ZdaPvmSt11align_val_t, aligned, OF(NEW_ARRAY, second, third))
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, aligned, OF(NEW, 0, second))
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, aligned, OF(NEW_ARRAY, 0, second))
