/* patience.h - how long to ask for nothing after the system refused: it is likely to refuse again,
 * and each time costs. After each further refusal twice as many wishes go unasked.
 *
 * Relaxed: who comes between two steps of another thread asks once more, or once less. */
#ifndef MM_PATIENCE_H
#define MM_PATIENCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MM_PATIENCE_MOST 1023u /* wishes */

struct mm_patience {
    _Atomic uint32_t unasked; /* wishes that are still to go unasked */
    _Atomic uint32_t wishes;  /* that were to go so after the last answer */
};

static inline bool mm_patience_may_ask(struct mm_patience *patience)
{
    uint32_t unasked = atomic_load_explicit(&patience->unasked, memory_order_relaxed);
    if (unasked != 0)
        atomic_store_explicit(&patience->unasked, unasked - 1, memory_order_relaxed);
    return unasked == 0;
}

/* Of an answer; which it returns. */
static inline bool mm_patience_note(struct mm_patience *patience, bool granted)
{
    uint32_t last = atomic_load_explicit(&patience->wishes, memory_order_relaxed);
    uint32_t wishes = granted ? 0 : 2 * last + 1;
    wishes = wishes < MM_PATIENCE_MOST ? wishes : MM_PATIENCE_MOST;
    atomic_store_explicit(&patience->wishes, wishes, memory_order_relaxed);
    atomic_store_explicit(&patience->unasked, wishes, memory_order_relaxed);
    return granted;
}

#endif
