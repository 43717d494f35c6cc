/* pieces.c - see pieces.h. A place is written once, by one exchange; of two who make a piece at the
 * same time one gives back what it made. */
#include "system/pieces.h"

#include "system/os.h"
#include <stdint.h>

#define PATIENCE 4096u /* pieces that are not asked for after one was refused */

/* By the logarithm of the size: what is refused to one table need not be to a smaller one's. */
static _Atomic uint32_t unasked[MM_WORD_BITS];

void *mm_piece_map(size_t size)
{
    void *table = mm_os_map(size);
    if (table != NULL)
        mm_os_set_dumped(table, size, false);
    return table;
}

/* A system that refused memory is left alone for a while. */
MM_COLD void *mm_piece_make(mm_piece *place, size_t size)
{
    void *there = NULL;
    _Atomic uint32_t *wait = &unasked[mm_log2_ceil(size)];
    uint32_t left = atomic_load_explicit(wait, memory_order_relaxed);
    void *made = left == 0 ? mm_piece_map(size) : NULL;
    if (made == NULL) {
        atomic_store_explicit(wait, left == 0 ? PATIENCE : left - 1, memory_order_relaxed);
        return NULL;
    }
    if (atomic_compare_exchange_strong_explicit(place, &there, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    mm_os_release(made, size);
    return there;
}

void mm_piece_release_all(mm_piece *places, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        void *there = atomic_exchange(&places[i], NULL);
        if (there != NULL)
            mm_os_release(there, size);
    }
}
