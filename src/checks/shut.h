/* shut.h - pages of blocks that the program may not read or write, since it said so by mprotect():
 * the checks, which look at blocks and fill them, must not fault there. As nearly no program does
 * that with what it allocated, what is kept is one range that has all such pages in it. Blocks
 * outside of it, as long as there is none all of them, cost a comparison.
 *
 * By any thread, a signal handler among them; nothing is locked. */
#ifndef MM_SHUT_H
#define MM_SHUT_H

#include "checks/checks.h"
#include <stdatomic.h>

extern struct mm_shut {
    _Atomic uintptr_t start, end; /* end 0: nothing is shut */
} mm_shut;

/* The program is about to take away access to pages, which need not be a block's. */
void mm_shut_note(const void *start, size_t size);
void mm_shut_forget(void);

/* Whether a page of [start, end) may be shut. */
static inline bool mm_shut_has(uintptr_t start, uintptr_t end)
{
    return mm_unlikely(atomic_load_explicit(&mm_shut.end, memory_order_acquire) > start) &&
           atomic_load_explicit(&mm_shut.start, memory_order_relaxed) < end;
}

/* A block was freed: its pages may be read and written again, by us and whoever gets them next. */
void mm_shut_open(const struct mm_block *block);

#endif
