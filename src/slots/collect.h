/* collect.h - a heap's other half: what threads that don't own its batches freed there, until it is
 * taken over. Between heap.c and collect.c; what others may call is in heap.h. */
#ifndef MM_COLLECT_H
#define MM_COLLECT_H

#include "slots/heap.h"

/* What a collection found freed twice, kept until it can be told with no lock held. */
struct mm_twice {
    unsigned count;
    void *slots[2 * MM_WORD_BITS];
};

static inline bool mm_collect_has_pending(const struct mm_heap *heap)
{
    return atomic_load_explicit(&heap->pending, memory_order_relaxed) != MM_LINE_NONE;
}

/* Of a batch that is tagged as queued, and on no stack. */
void mm_collect_push(struct mm_heap *heap, struct mm_batch *batch);
/* Both for the thread that owns the heap, or under the lock that stands in for it. */
void mm_collect_batch(struct mm_heap *heap, struct mm_batch *batch, struct mm_twice *twice);
MM_COLD void mm_collect_pending(struct mm_heap *heap, struct mm_twice *twice);
void mm_collect_tell(const struct mm_twice *twice);

#endif
