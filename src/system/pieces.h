/* pieces.h - a table in pieces of one size, each made when it is first needed and kept: address
 * space is taken for what is used. By any thread at any time: nothing is locked. */
#ifndef MM_PIECES_H
#define MM_PIECES_H

#include "system/bitmap.h"
#include <stdatomic.h>
#include <stddef.h>

/* NULL: not needed yet. */
typedef void *_Atomic mm_piece;

/* Memory that core files leave out; NULL when refused. */
void *mm_piece_map(size_t size);
/* See mm_piece_need(). */
void *mm_piece_make(mm_piece *place, size_t size);
void mm_piece_release_all(mm_piece *places, size_t count, size_t size);

/* NULL: it was never needed. Acquire pairs with the release of who made it. */
static inline void *mm_piece_at(mm_piece *place)
{
    return atomic_load_explicit(place, memory_order_acquire);
}

/* All zero at first; NULL when the system refuses it. */
static inline void *mm_piece_need(mm_piece *place, size_t size)
{
    void *there = mm_piece_at(place);
    return mm_likely(there != NULL) ? there : mm_piece_make(place, size);
}

#endif
