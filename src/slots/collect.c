/* collect.c - remote frees taken over. Any thread pushes to a heap's stack of pending batches; who
 * takes the stack has these batches to itself until they are collected, or pushed again: a tagged
 * batch cannot be closed, and is pushed by nobody else. That is the heap's own thread, or for an
 * idle heap whoever holds mm_heap_lock. */
#include "slots/collect.h"

#define COLLECT_IDLE_AT 32u /* batches pending on an idle heap before another thread tends it */

void (*mm_heap_on_freed_twice)(void *slot);
static _Atomic uint32_t idle_pushes;

void mm_collect_push(struct mm_heap *heap, struct mm_batch *batch)
{
    MM_ASSERT(mm_batch_tag(batch) == MM_QUEUED);
    uint32_t line = mm_batch_line(batch);
    uint32_t head = atomic_load_explicit(&heap->pending, memory_order_relaxed);
    do
        batch->pending_next = head;
    while (!atomic_compare_exchange_weak_explicit(&heap->pending, &head, line, memory_order_release,
                                                  memory_order_relaxed));
}

static void note_twice(struct mm_twice *twice, const struct mm_batch *batch, uint64_t slots)
{
    MM_ASSERT(twice->count + mm_bit_count(slots) <= 2 * MM_WORD_BITS);
    for (; slots != 0; slots &= slots - 1)
        twice->slots[twice->count++] = mm_batch_slot_start(batch, mm_bit_lowest(slots));
}

void mm_collect_tell(const struct mm_twice *twice)
{
    for (unsigned i = 0; i < twice->count; i++)
        mm_heap_on_freed_twice(twice->slots[i]);
}

void mm_collect_batch(struct mm_heap *heap, struct mm_batch *batch, struct mm_twice *twice)
{
    struct mm_collected collected = mm_batch_collect(batch);
    note_twice(twice, batch, collected.twice);
    if (mm_batch_is_traced(batch))
        mm_watcher->settle(batch);
    if (batch->state == MM_BATCH_CURRENT)
        return;
    if (!mm_batch_awaits_nothing(batch))
        batch->frees_left = (int16_t)(batch->frees_left - (int)mm_bit_count(collected.freed));
    if (batch->frees_left <= 0 || mm_batch_live(batch) == 0)
        mm_heap_batch_due(heap, batch);
}

/* What there is no room to note is put back for the next time. */
void mm_collect_pending(struct mm_heap *heap, struct mm_twice *twice)
{
    twice->count = 0;
    /* Acquire pairs with the release in mm_collect_push(): it publishes pending_next. */
    uint32_t line = atomic_exchange_explicit(&heap->pending, MM_LINE_NONE, memory_order_acquire);
    while (line != MM_LINE_NONE) {
        struct mm_batch *batch = mm_batch_of_line(line);
        line = batch->pending_next;
        if (twice->count <= MM_WORD_BITS)
            mm_collect_batch(heap, batch, twice);
        else
            mm_collect_push(heap, batch);
    }
}

MM_COLD static void collect_and_tell(struct mm_heap *heap)
{
    struct mm_twice twice;
    mm_collect_pending(heap, &twice);
    mm_collect_tell(&twice);
}

/* More than once where more was freed twice than there is room to note: none may be left at exit.
 */
void mm_heap_collect(struct mm_heap *heap)
{
    while (mm_unlikely(mm_collect_has_pending(heap)))
        collect_and_tell(heap);
}

/* Frees of an idle heap's blocks would otherwise lie there until a new thread comes along. */
static void collect_idle(struct mm_heap *heap)
{
    struct mm_twice twice = {.count = 0};
    if (!mm_lock_for_request(&mm_heap_lock))
        return;
    if (atomic_load_explicit(&heap->state, memory_order_relaxed) == MM_HEAP_IDLE)
        mm_collect_pending(heap, &twice);
    mm_unlock(&mm_heap_lock);
    mm_collect_tell(&twice);
    mm_arena_shed();
}

void mm_heap_push_pending(struct mm_heap *heap, struct mm_batch *batch)
{
    mm_collect_push(heap, batch);
    if (atomic_load_explicit(&heap->state, memory_order_relaxed) == MM_HEAP_IDLE &&
        atomic_fetch_add_explicit(&idle_pushes, 1, memory_order_relaxed) % COLLECT_IDLE_AT == 0)
        collect_idle(heap);
}

void mm_heap_collect_if_idle(struct mm_heap *heap)
{
    if (heap != NULL && atomic_load_explicit(&heap->state, memory_order_relaxed) == MM_HEAP_IDLE)
        collect_idle(heap);
}
