/* early.c - before thread-local variables have their values.
 *
 * The dynamic linker gives them to the first thread when all is relocated. Resolvers of functions
 * that the program has come before, and may allocate; but it calls those of a preloaded library
 * first. What the thread has by then is found again, see homes.h.
 *
 * A file of its own because linkers stumble over an ifunc in what clang compiled for LTO. */
#include "slots/heap.h"

static void no_work(void)
{
}

__attribute__((used)) static void (*give_first_value(void))(void)
{
    if (mm_tls_heap == NULL)
        mm_tls_heap = &mm_heap_none;
    return no_work;
}

/* A pointer to it is what the dynamic linker calls the resolver for. */
void shim_resolved_early(void) __attribute__((ifunc("give_first_value"), visibility("hidden")));
__attribute__((used)) static void (*volatile resolve_early)(void) = shim_resolved_early;
