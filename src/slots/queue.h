/* queue.h - the two queues of a memory list, for heap.c: which one a batch is in, its state says.
 * For the thread that owns the heap. */
#ifndef MM_QUEUE_H
#define MM_QUEUE_H

#include "slots/heap.h"

/* Of a batch that is in one. */
static inline struct mm_queue *mm_queue_of(struct mm_list *list, const struct mm_batch *batch)
{
    return batch->state & (MM_BATCH_SPARSE ^ MM_BATCH_AVAILABLE) ? &list->sparse : &list->available;
}

static inline void mm_enqueue(struct mm_list *list, struct mm_batch *batch)
{
    MM_ASSERT(mm_batch_is_queued(batch));
    struct mm_queue *queue = mm_queue_of(list, batch);
    uint32_t line = mm_batch_line(batch);
    batch->next = MM_LINE_NONE;
    batch->prev = queue->last;
    if (queue->last != MM_LINE_NONE)
        mm_batch_of_line(queue->last)->next = line;
    else
        queue->first = line;
    queue->last = line;
}

/* Of a wholly free one. */
static inline void mm_enqueue_first(struct mm_list *list, struct mm_batch *batch)
{
    MM_ASSERT(mm_batch_state(batch) == MM_BATCH_SPARSE && mm_batch_live(batch) == 0);
    struct mm_queue *queue = &list->sparse;
    uint32_t line = mm_batch_line(batch);
    batch->prev = MM_LINE_NONE;
    batch->next = queue->first;
    if (queue->first != MM_LINE_NONE)
        mm_batch_of_line(queue->first)->prev = line;
    else
        queue->last = line;
    queue->first = line;
}

static inline void mm_dequeue(struct mm_list *list, struct mm_batch *batch)
{
    struct mm_queue *queue = mm_queue_of(list, batch);
    MM_ASSERT(mm_batch_is_queued(batch));
    MM_ASSERT(batch->prev != MM_LINE_NONE || queue->first == mm_batch_line(batch));
    MM_ASSERT(batch->next != MM_LINE_NONE || queue->last == mm_batch_line(batch));
    if (batch->prev != MM_LINE_NONE)
        mm_batch_of_line(batch->prev)->next = batch->next;
    else
        queue->first = batch->next;
    if (batch->next != MM_LINE_NONE)
        mm_batch_of_line(batch->next)->prev = batch->prev;
    else
        queue->last = batch->prev;
}

#endif
