/* counting.c - see counting.h. One flag, set before there is a heap, and one counter, which any
 * thread adds to; relaxed, as it publishes nothing. */
#include "slots/counting.h"

#include "slots/heap.h"
#include <stdatomic.h>

static bool counts;
static _Atomic uint64_t claimed; /* those that were given up left out */

/* --- the watcher where there is no other --- */

static void ignore_heap(struct mm_watch *watch)
{
    (void)watch;
}

static void begin_heap(struct mm_watch *watch, uint32_t seed)
{
    (void)watch;
    (void)seed;
}

static uint64_t let_all_go(struct mm_watch *watch, unsigned class, uint64_t slots)
{
    (void)watch;
    (void)class;
    return slots;
}

static void ignore_batch(const struct mm_batch *batch)
{
    (void)batch;
}

static void ignore_slots(const struct mm_batch *batch, uint64_t slots)
{
    (void)batch;
    (void)slots;
}

static void ignore_slot(struct mm_watch *watch, struct mm_batch *batch, unsigned index,
                        mm_shape shape)
{
    (void)watch;
    (void)batch;
    (void)index;
    (void)shape;
}

static void ignore_freed(struct mm_batch *batch)
{
    (void)batch;
}

static void ignore_memory(uintptr_t start, size_t size)
{
    (void)start;
    (void)size;
}

static const struct mm_watcher watcher = {
    .size = sizeof(struct mm_watch),
    .leaves_slots = true,
    .heap_made = begin_heap,
    .thread_starts = ignore_heap,
    .thread_ends = ignore_heap,
    .thread_lends = ignore_heap,
    .ration = let_all_go,
    .batch_opened = ignore_batch,
    .unwatched = ignore_slots,
    .handed_out = ignore_slot,
    .settle = ignore_freed,
    .given_back = ignore_memory,
};

/* --- the count --- */

void mm_counting_start(void)
{
    counts = true;
    if (mm_watcher == NULL)
        mm_watcher = &watcher;
}

void mm_counting_claim(uint64_t slots)
{
    if (counts)
        atomic_fetch_add_explicit(&claimed, mm_bit_count(slots), memory_order_relaxed);
}

void mm_counting_give_up(uint64_t slots)
{
    if (counts)
        atomic_fetch_sub_explicit(&claimed, mm_bit_count(slots), memory_order_relaxed);
}

uint64_t mm_counting_handed_out(void)
{
    const struct mm_heap *heap = mm_tls_heap;
    uint64_t count = atomic_load_explicit(&claimed, memory_order_relaxed);
    for (unsigned class = 0; class < MM_CLASSES && heap->watch != NULL; class ++)
        count -= mm_bit_count(heap->bins[class].claimed | heap->watch->held[class]);
    return count;
}
