/* heap.c - memory lists, and what a thread claims from them. Invariants, for the thread that owns
 * the heap: a bin's claimed slots, and those that are held for its watcher, are free slots of its
 * current batch; every available batch is in its list's queue of these, every sparse one in the
 * other, and no batch else is in either; wholly free batches are sparse, and the first of their
 * queue: so they are used last, and found without a walk when none need be kept. */
#include "slots/heap.h"

#include "slots/collect.h"
#include "slots/counting.h"
#include "slots/pages.h"
#include "slots/queue.h"

#define SPARE_BYTES     32768u /* of wholly free batches that a list keeps, unless it learns: */
#define SPARE_MOST      (255u * SPARE_BYTES)
#define SHED_LEAST      ((size_t)256 << 10) /* of them all lists together keep, or */
#define SHED_PART       4u                  /* this part of what the heap has */
#define CLAIMS_A_TICK   64u                 /* looks at the purge clock */
#define ROUNDS_TO_WIDEN 32u                 /* see widen() */
#define WIDE_WINDOW     8u
#define SPARSE_PART     4u /* a batch is sparse when this part of its slots is live, or less */

/* With `unused` known, which is nothing but for watched heaps. */
#define ALWAYS_INLINE __attribute__((always_inline)) static inline

const struct mm_watcher *mm_watcher;

/* --- batches --- */

static bool is_idle(const struct mm_heap *heap)
{
    return atomic_load_explicit(&heap->state, memory_order_relaxed) == MM_HEAP_IDLE;
}

/* Whoever has its line pinned may still look at it. */
static void give_back(struct mm_heap *heap, struct mm_batch *batch)
{
    struct mm_list *list = &heap->lists[mm_batch_class(batch)];
    uintptr_t base = mm_batch_base(batch);
    unsigned order = mm_batch_order(batch);
    MM_ASSERT(list->batches != 0 && mm_batch_owner(batch) == NULL);
    list->batches--;
    list->closed = true;
    heap->bytes -= (size_t)1 << (MM_UNIT_SHIFT + order);
    mm_spans_give_line(&heap->spans, batch);
    if (!mm_spans_give(&heap->spans, base, order) || heap != mm_tls_heap) /* a lock is held then */
        return;
    if (heap->is_shedding) {
        heap->chunks_shed++;
        return;
    }
    mm_arena_shed();
    mm_arena_tick();
}

/* Some wholly free batches stay with their list, so that a program that goes back and forth over a
 * few batches does not open and close them each time. Idle heaps keep none. */
static bool may_close(const struct mm_heap *heap, const struct mm_batch *batch)
{
    const struct mm_list *list = &heap->lists[mm_batch_class(batch)];
    uint32_t limit = SPARE_BYTES + list->keep * SPARE_BYTES;
    return list->spare + mm_batch_span(batch) > limit || is_idle(heap) || heap->is_shedding;
}

/* A batch is opened where another was closed just before: that one would have been worth keeping.
 */
static void learn_to_keep(struct mm_heap *heap, struct mm_list *list, const struct mm_batch *batch)
{
    uint32_t wanted = list->keep + (mm_batch_span(batch) + SPARE_BYTES - 1) / SPARE_BYTES;
    if (list->closed && wanted <= SPARE_MOST / SPARE_BYTES) {
        heap->spare_more += (size_t)(wanted - list->keep) * SPARE_BYTES;
        list->keep = (uint8_t)wanted;
    }
    list->closed = false;
}

static void note_spare(struct mm_heap *heap, struct mm_list *list, const struct mm_batch *batch)
{
    uint32_t span = mm_batch_span(batch);
    list->spare += span;
    heap->spare += span;
}

static void note_no_spare(struct mm_heap *heap, struct mm_list *list, const struct mm_batch *batch)
{
    uint32_t span = mm_batch_span(batch);
    MM_ASSERT(list->spare >= span && heap->spare >= list->spare);
    list->spare -= span;
    heap->spare -= span;
}

static struct mm_batch *open_batch(struct mm_heap *heap, unsigned class)
{
    struct mm_list *list = &heap->lists[class];
    struct mm_batch_shape shape = mm_batch_shape(class, mm_batch_slots_most, list->batches);
    struct mm_batch *batch = mm_spans_take_line(&heap->spans);
    if (batch == NULL)
        return NULL;
    bool zero;
    uintptr_t base = mm_spans_take(&heap->spans, heap, shape.order, &zero);
    if (base == 0) {
        mm_spans_give_line(&heap->spans, batch);
        return NULL;
    }
    mm_batch_open(batch, heap, shape, base, zero);
    if (heap->watch != NULL)
        mm_watcher->batch_opened(batch);
    list->batches++;
    heap->bytes += mm_batch_span(batch);
    learn_to_keep(heap, list, batch);
    if (list->window == 0)
        list->window = (uint8_t)mm_batch_window(mm_batch_size(batch));
    return batch;
}

MM_COLD static bool try_close(struct mm_heap *heap, struct mm_batch *batch)
{
    enum mm_close result = mm_batch_close(batch);
    if (result == MM_CLOSE_PUSH)
        mm_collect_push(heap, batch);
    if (result == MM_CLOSED)
        give_back(heap, batch);
    return result == MM_CLOSED;
}

/* Of a program that frees all it has and then sleeps each list would keep something, and nobody
 * comes later. So what lists keep all together is a part of the whole, but for what they have
 * learned to keep and what could not be closed. */
static bool is_excess(const struct mm_heap *heap)
{
    return heap->spare > SHED_LEAST + heap->spare_more && heap->spare > heap->bytes / SHED_PART;
}

MM_COLD static void shed(struct mm_heap *heap);

/* Nothing is live in it any more. */
MM_COLD static void free_wholly(struct mm_heap *heap, struct mm_list *list, struct mm_batch *batch)
{
    mm_dequeue(list, batch);
    if (mm_likely(!may_close(heap, batch)) || !try_close(heap, batch)) {
        mm_batch_set_state(batch, MM_BATCH_SPARSE, MM_FREES_NEVER);
        mm_enqueue_first(list, batch);
        note_spare(heap, list, batch);
    }
    if (mm_unlikely(is_excess(heap))) /* of what the heap still has */
        shed(heap);
}

void mm_heap_batch_due(struct mm_heap *heap, struct mm_batch *batch)
{
    MM_ASSERT(mm_batch_owner(batch) == heap && mm_batch_state(batch) != MM_BATCH_CURRENT);
    MM_ASSERT(batch->frees_left <= 0 || mm_batch_live(batch) == 0 || batch->state == MM_BATCH_FULL);
    struct mm_list *list = &heap->lists[mm_batch_class(batch)];
    uint64_t live = mm_batch_live(batch);
    if (batch->state == MM_BATCH_FULL) {
        batch->state = MM_BATCH_AVAILABLE;
        mm_enqueue(list, batch);
    } else if (mm_batch_awaits_nothing(batch)) {
        note_no_spare(heap, list, batch); /* decided anew */
    }
    if (live != 0)
        batch->frees_left = (int16_t)mm_bit_count(live);
    else
        free_wholly(heap, list, batch);
}

/* What is wholly free, now that none need be kept. */
static void close_spare(struct mm_heap *heap, const struct mm_list *list)
{
    for (uint32_t line = list->sparse.first; line != MM_LINE_NONE;) {
        struct mm_batch *batch = mm_batch_of_line(line);
        line = batch->next;
        if (!mm_batch_awaits_nothing(batch))
            return;
        mm_heap_batch_due(heap, batch);
    }
}

/* Takes a list's current batch back into its queue, or calls it full, and closes what is wholly
 * free. */
static void settle_list(struct mm_heap *heap, unsigned class)
{
    struct mm_bin *bin = &heap->bins[class];
    struct mm_batch *batch = bin->batch;
    uint64_t claimed = bin->claimed;
    if (heap->watch != NULL) {
        claimed |= heap->watch->held[class];
        mm_counting_give_up(claimed);
        heap->watch->held[class] = 0;
    }
    if (claimed != 0 && heap->lists[class].zero)
        mm_batch_unclaim(batch, claimed);
    *bin = (struct mm_bin){0, NULL};
    if (batch != NULL) {
        mm_batch_set_state(batch, MM_BATCH_FULL, 1);
        if (mm_batch_free_slots(batch) != 0)
            mm_heap_batch_due(heap, batch);
    }
    close_spare(heap, &heap->lists[class]);
}

void mm_heap_settle(struct mm_heap *heap)
{
    for (unsigned class = 0; class < MM_CLASSES; class ++) {
        if (heap->lists[class].batches > 0)
            settle_list(heap, class);
    }
}

/* What is current, too, as its last free would tell nobody. Not in a request that has just claimed,
 * nor of another thread's heap, which has no use for it and for which a lock is held. The clock
 * comes last: to read it may call another library, which allocates. */
MM_COLD static void shed(struct mm_heap *heap)
{
    if (heap->is_shedding || heap->is_claiming || heap != mm_tls_heap)
        return;
    heap->is_shedding = true;
    mm_heap_settle(heap);
    heap->is_shedding = false;
    heap->spare_more += heap->spare;
    for (; heap->chunks_shed > 0; heap->chunks_shed--)
        mm_arena_shed();
    mm_arena_tick();
}

/* Of the bin's batch; `free` are its free slots, and not 0. */
static inline void claim_from(struct mm_bin *bin, struct mm_list *list, uint64_t free)
{
    bin->claimed = mm_batch_claim(bin->batch, free, list->window, &list->zero);
    mm_batch_set_state(bin->batch, MM_BATCH_CURRENT, MM_FREES_NEVER);
}

/* Its `frees_left` is the number of live slots, or far more when there are none. */
static inline bool is_sparse(const struct mm_batch *batch)
{
    return batch->frees_left <= (int)(mm_batch_slots(batch) / SPARSE_PART) ||
           mm_batch_awaits_nothing(batch);
}

/* The last one, or where all are wholly free, the first, which was freed last. */
static inline struct mm_batch *next_sparse(const struct mm_list *list)
{
    uint32_t line = list->sparse.last;
    if (line == MM_LINE_NONE)
        return NULL;
    struct mm_batch *batch = mm_batch_of_line(line);
    return mm_batch_awaits_nothing(batch) ? mm_batch_of_line(list->sparse.first) : batch;
}

/* `unused` is 0, and the compiler knows it, for who is not watched. */
static inline uint64_t slots_to_claim(struct mm_batch *batch, uint64_t unused)
{
    return mm_batch_free_slots(batch) & ~unused;
}

/* NULL when there is none. */
static inline struct mm_batch *next_to_claim(struct mm_list *list)
{
    uint32_t line;
    while (mm_likely((line = list->available.first) != MM_LINE_NONE)) {
        struct mm_batch *batch = mm_batch_of_line(line);
        if (mm_likely(!is_sparse(batch)))
            return batch;
        mm_dequeue(list, batch);
        batch->state = MM_BATCH_SPARSE;
        mm_enqueue(list, batch);
    }
    return next_sparse(list);
}

/* A batch in a queue may have no slot to hand out: all that were free may have been freed twice
 * and await collection. */
ALWAYS_INLINE bool claim_available(struct mm_heap *heap, struct mm_bin *bin, struct mm_list *list,
                                   uint64_t unused)
{
    for (struct mm_batch *batch; (batch = next_to_claim(list)) != NULL;) {
        uint64_t free = slots_to_claim(batch, unused);
        mm_dequeue(list, batch);
        if (mm_unlikely(mm_batch_awaits_nothing(batch)))
            note_no_spare(heap, list, batch);
        if (mm_likely(free != 0)) {
            bin->batch = batch;
            claim_from(bin, list, free);
            return true;
        }
        mm_batch_set_state(batch, MM_BATCH_FULL, 1);
    }
    return false;
}

MM_COLD static bool claim_new(struct mm_heap *heap, unsigned class, uint64_t unused)
{
    struct mm_bin *bin = &heap->bins[class];
    struct mm_batch *batch = open_batch(heap, class);
    if (batch == NULL)
        return false;
    bin->batch = batch;
    claim_from(bin, &heap->lists[class], slots_to_claim(batch, unused));
    return true;
}

/* A list that goes round and round in the few slots of its only batch gets more of them, so that
 * it has to come here less often. Larger slots are left alone: what the program does with one
 * outweighs the claim. */
MM_COLD static void widen(struct mm_heap *heap, unsigned class, uint64_t unused)
{
    struct mm_list *list = &heap->lists[class];
    struct mm_batch *batch = heap->bins[class].batch;
    if (list->window >= WIDE_WINDOW && mm_batch_slots(batch) < list->window && list->batches == 1 &&
        claim_new(heap, class, unused)) {
        mm_batch_set_state(batch, MM_BATCH_FULL, 1);
        heap->is_claiming = true;
        mm_heap_batch_due(heap, batch);
        heap->is_claiming = false;
    }
}

/* Claims from a bin's batch once more, or calls it full when too few slots are free. */
ALWAYS_INLINE bool claim_again(struct mm_heap *heap, unsigned class, uint64_t unused)
{
    struct mm_bin *bin = &heap->bins[class];
    struct mm_list *list = &heap->lists[class];
    uint64_t free = slots_to_claim(bin->batch, unused);
    unsigned count = mm_bit_count(free);
    unsigned threshold = mm_batch_threshold(bin->batch, list->batches);
    if (count >= threshold) {
        claim_from(bin, list, free);
        if (mm_unlikely(++list->rounds == ROUNDS_TO_WIDEN))
            widen(heap, class, unused);
        return true;
    }
    mm_batch_set_state(bin->batch, MM_BATCH_FULL, (int)(threshold - count));
    bin->batch = NULL;
    return false;
}

/* The other one, heap_for_ending, has a lock around it that neither a report nor another library's
 * clock_gettime() may meet; whoever holds it collects. */
MM_COLD static void tick_and_collect(struct mm_heap *heap)
{
    if (heap != mm_tls_heap)
        return;
    if (heap->claims % CLAIMS_A_TICK == 0) {
        uint64_t now = mm_arena_tick();
        if (mm_unlikely(now >= heap->next_look))
            mm_pages_look(heap, now);
    }
    mm_heap_collect(heap);
}

/* The bin that has the slots; NULL when the arena is used up. */
ALWAYS_INLINE struct mm_bin *claim(struct mm_heap *heap, unsigned class, uint64_t unused)
{
    if (mm_unlikely(++heap->claims % CLAIMS_A_TICK == 0 || mm_collect_has_pending(heap)))
        tick_and_collect(heap);
    struct mm_bin *bin = &heap->bins[class];
    struct mm_list *list = &heap->lists[class];
    /* The batch only now: a report may have allocated. */
    bool has_claimed = (bin->batch != NULL && claim_again(heap, class, unused)) ||
                       claim_available(heap, bin, list, unused) || claim_new(heap, class, unused);
    return has_claimed ? bin : NULL;
}

static __attribute__((noinline)) struct mm_bin *claim_any(struct mm_heap *heap, unsigned class)
{
    return claim(heap, class, 0);
}

MM_COLD static struct mm_bin *claim_watched(struct mm_heap *heap, unsigned class)
{
    return claim(heap, class, mm_watcher->unused);
}

bool mm_heap_claim(struct mm_heap *heap, unsigned class)
{
    return (heap->watch != NULL ? claim_watched(heap, class) : claim_any(heap, class)) != NULL;
}

/* No bin has claimed slots then, so that every request comes here. */
static unsigned class_with_guard(mm_shape shape)
{
    size_t size = mm_shape_asked(shape) + mm_watcher->guard;
    return mm_class_of_aligned(size, mm_shape_alignment(shape));
}

/* For who is in its last destructors a lock is held. */
static void *take_elsewhere(struct mm_heap *heap, unsigned class, mm_shape shape)
{
    return mm_watcher->elsewhere != NULL && heap == mm_tls_heap
               ? mm_watcher->elsewhere(heap->watch, class, shape)
               : NULL;
}

/* What was claimed is held, and goes to the bin only as far as it comes before the next slot to be
 * watched. */
MM_COLD static void *refill_watched(struct mm_heap *heap, unsigned class, mm_shape shape)
{
    if (mm_watcher->guard != 0)
        class = class_with_guard(shape);
    if (class == MM_CLASS_NONE)
        return NULL;
    void *elsewhere = take_elsewhere(heap, class, shape);
    mm_counting_claim(elsewhere != NULL);
    if (elsewhere != NULL)
        return elsewhere;
    struct mm_bin *bin = &heap->bins[class];
    uint64_t *held = &heap->watch->held[class];
    MM_ASSERT(bin->claimed == 0);
    if (*held == 0) {
        if (claim_watched(heap, class) == NULL)
            return NULL;
        *held = bin->claimed;
        mm_counting_claim(*held);
    }
    bin->claimed = mm_watcher->ration(heap->watch, class, *held);
    *held &= ~bin->claimed;
    if (bin->claimed != 0) {
        mm_watcher->unwatched(bin->batch, bin->claimed);
        return mm_bin_pop(bin);
    }
    bin->claimed = *held & -*held;
    *held &= ~bin->claimed;
    mm_watcher->handed_out(heap->watch, bin->batch, mm_bit_lowest(bin->claimed), shape);
    return mm_bin_pop(bin);
}

void *mm_heap_refill(struct mm_heap *heap, unsigned class, mm_shape shape)
{
    if (mm_unlikely(heap->watch != NULL))
        return refill_watched(heap, class, shape);
    struct mm_bin *bin = claim_any(heap, class);
    return bin != NULL ? mm_bin_pop(bin) : NULL;
}

bool mm_heap_never_handed_out(const struct mm_slot_info *info)
{
    if (info->batch == NULL || info->fresh)
        return info->fresh;
    const struct mm_heap *heap = mm_tls_heap;
    unsigned class = mm_batch_class(info->batch);
    uint64_t claimed = heap->bins[class].claimed;
    if (heap->watch != NULL)
        claimed |= heap->watch->held[class];
    return heap->lists[class].zero && heap->bins[class].batch == info->batch &&
           (claimed >> info->index & 1) && !mm_arena_was_given(mm_batch_base(info->batch));
}
