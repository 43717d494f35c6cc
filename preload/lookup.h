/* lookup.h - functions that come after ours in the search order of the dynamic linker. */
#ifndef SHIM_LOOKUP_H
#define SHIM_LOOKUP_H

#include "system/bitmap.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum shim_function {
    SHIM_MALLOC,
    SHIM_CALLOC,
    SHIM_REALLOC,
    SHIM_MEMALIGN,
    SHIM_FREE,
    SHIM_USABLE_SIZE,
    SHIM_DLOPEN,
    SHIM_DLMOPEN,
    SHIM_DLCLOSE,
    SHIM_MALLOPT,
    SHIM_MALLINFO2,
    SHIM_MALLINFO,
    SHIM_MALLOC_STATS,
    SHIM_MALLOC_TRIM,
    SHIM_EXIT,
    SHIM_SETRLIMIT,
    SHIM_PRLIMIT,
    SHIM_MLOCKALL,
    SHIM_LIBC_MALLOC,
    SHIM_LIBC_FREE,
    SHIM_LIBC_CALLOC,
    SHIM_LIBC_REALLOC,
    SHIM_LIBC_MEMALIGN,
    SHIM_ATFORK,
    SHIM_ALIGNED_ALLOC,
    SHIM_POSIX_MEMALIGN,
    SHIM_VALLOC,
    SHIM_PVALLOC,
    SHIM_REALLOCARRAY,
    SHIM_SETNAME,
    SHIM_PRCTL,
    SHIM_MPROTECT,
    SHIM_FUNCTIONS
};

/* Finds all of them, once. In the modules' own tables and not by dlsym(): that need not be there
 * before glibc 2.34, asks for memory itself, and forgets what dlerror() would have told. */
void shim_find_libc(void);
/* The same for whose operators new and delete the program has, in the start: no thread can come
 * before it, and who came later would read what others load and unload. A delete that looked it up
 * itself would take the loader's lock, which a thread may hold that waits for this one. */
void shim_find_operators(void);
/* The same for a dlsym() of another library's, by libc's. */
void shim_find_dlsym(void);
extern void *_Atomic shim_found[SHIM_FUNCTIONS];

/* libc's, or whoever's comes first behind ours; NULL when there is none. */
static inline void *shim_libc(enum shim_function function)
{
    if (mm_unlikely(atomic_load_explicit(&shim_found[function], memory_order_relaxed) == NULL))
        shim_find_libc();
    return atomic_load_explicit(&shim_found[function], memory_order_relaxed);
}

/* The same for those that were in libdl before glibc 2.34, which may have been loaded since. */
void *shim_libdl(enum shim_function function);

/* For the start, while there is one thread. */
void shim_set_up_libc(void);
/* From now on libc's limits are the program's. */
void shim_leave_libc_alone(void);

/* Whether another copy of us comes first in the search order: this one passes everything on. */
bool shim_is_aside(void);

/* A variable of the environment; NULL when there is none. Not by getenv(): a shell has one of its
 * own, which knows nothing before the shell's start. */
const char *shim_variable(const char *name);

/* Any other; NULL when there is none. */
void *shim_next(const char *name);

/* libc's dlsym(); NULL when there is none, as in shim_libdl(). */
typedef void *shim_dlsym_fn(void *handle, const char *name);
shim_dlsym_fn *shim_dlsym(void);

/* In processes.c: to MM_PROCESSES. */
void shim_tell_process(void);

/* In no_stderr.c: says so in the system's log where reports would go nowhere. */
void shim_tell_missing_stderr(void);

#endif
