/* peek.h - reads memory that may not be there, or may go at that moment: tables of a module that
 * another thread unloads, a stack beyond its end. The kernel copies it, by process_vm_readv() on
 * the process itself or, where that is refused, through a pipe; so there is no fault and no signal.
 * Some 400 ns a call, which is why a *peeker* keeps what lies around.
 *
 * Allocates nothing, locks nothing, keeps errno. */
#ifndef MM_PEEK_H
#define MM_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MM_PEEK_WINDOW 512u

/* Copies up to `most` bytes, `least` of them or none: how many. */
size_t mm_peek(void *to, uintptr_t from, size_t least, size_t most);

/* For one reader, who makes it anew for whatever may have changed. */
struct mm_peeker {
    bool trusts; /* what it is asked for is there for good: nobody is asked */
    uintptr_t start;
    size_t size, capacity; /* of what was copied, and may be */
    unsigned char *window;
};

/* The window, of MM_PEEK_WINDOW bytes or more, is not looked at where it trusts. */
static inline void mm_peeker_start(struct mm_peeker *peeker, bool trusts, unsigned char *window,
                                   size_t capacity)
{
    peeker->trusts = trusts;
    peeker->start = peeker->size = 0;
    peeker->window = window;
    peeker->capacity = capacity;
}

/* See mm_peeker_read(). */
bool mm_peeker_look(struct mm_peeker *peeker, uintptr_t from, void *to, size_t size);

/* At most MM_PEEK_WINDOW bytes; false when they cannot be read. */
static inline bool mm_peeker_read(struct mm_peeker *peeker, uintptr_t from, void *to, size_t size)
{
    if (!peeker->trusts)
        return mm_peeker_look(peeker, from, to, size);
    memcpy(to, (const void *)from, size); /* NOLINT(performance-no-int-to-ptr) */
    return true;
}

/* A text, cut to fit; false when it cannot be read. */
bool mm_peeker_text(struct mm_peeker *peeker, uintptr_t from, char *to, size_t capacity);

#endif
