#include "check_state.h"

#include "blocks/stacks.h"
#include "check.h"
#include "slots/heap.h"
#include "view/snapshot.h"
#include <stdlib.h>

enum { ZERO_BYTES = 64 }; /* looked at, at both ends of a slot that reads as zero */

/* What the walk over all batches found, to be compared with what the heaps say. */
struct walk {
    struct check_sums sums;
    struct mm_arena_usage usage;
    uint32_t (*batches)[MM_CLASSES]; /* by heap number - 1 */
    size_t *bytes;                   /* likewise */
};

static bool is_batch_line(uint32_t line)
{
    return line > MM_GRAVE_LINES * MM_LINE_SIZE;
}

static uint64_t remote_of(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->remote, memory_order_relaxed);
}

static uint64_t free_of(const struct mm_batch *batch)
{
    return ~mm_batch_live(batch) & mm_bits_below(mm_batch_slots(batch));
}

/* --- batches --- */

static void check_slot_is_zero(const struct mm_batch *batch, unsigned index)
{
    const char *slot = (const char *)mm_batch_base(batch) + (size_t)index * mm_batch_size(batch);
    size_t size = mm_batch_size(batch) < ZERO_BYTES ? mm_batch_size(batch) : ZERO_BYTES;
    CHECK(check_all_bytes(slot, size, 0));
    CHECK(check_all_bytes(slot + mm_batch_size(batch) - size, size, 0));
}

static void check_fresh_slots(const struct mm_batch *batch)
{
    CHECK(batch->fresh <= mm_batch_slots(batch));
    for (unsigned index = batch->fresh; index < mm_batch_slots(batch); index++) {
        CHECK(!(mm_batch_live(batch) >> index & 1));
        if (mm_batch_is_zero(batch))
            check_slot_is_zero(batch, index);
    }
}

static void check_shape(const struct mm_batch *batch)
{
    size_t size = mm_class_size(mm_batch_class(batch));
    CHECK_EQUAL(mm_batch_size(batch), size);
    CHECK_EQUAL(atomic_load(&batch->reciprocal), UINT64_MAX / size + 1);
    CHECK_EQUAL((mm_batch_base(batch) - mm_arena.base) % mm_batch_span(batch), 0);
    CHECK(mm_batch_slots(batch) >= 1 && mm_batch_slots(batch) <= mm_batch_slots_most);
    CHECK(mm_batch_slots(batch) * size <= mm_batch_span(batch));
    uint32_t line = mm_batch_line(batch);
    CHECK(is_batch_line(line) && line % MM_LINE_SIZE == 0);
    size_t first = (mm_batch_base(batch) - mm_arena.base) >> MM_UNIT_SHIFT;
    for (size_t unit = first; unit < first + (mm_batch_span(batch) >> MM_UNIT_SHIFT); unit++)
        CHECK_EQUAL(mm_arena.unit_line[unit], line);
}

/* `frees_left` is what the state makes of the bits; see claim_again() and mm_heap_batch_due(). */
static void check_batch_state(const struct mm_batch *batch)
{
    const struct mm_heap *heap = mm_batch_owner(batch);
    bool current = heap->bins[mm_batch_class(batch)].batch == batch;
    unsigned live = mm_bit_count(mm_batch_live(batch));
    unsigned free = mm_bit_count(free_of(batch));
    CHECK_EQUAL(batch->state == MM_BATCH_CURRENT, current);
    switch (mm_batch_state(batch)) {
    case MM_BATCH_CURRENT:
        CHECK(mm_batch_awaits_nothing(batch));
        break;
    case MM_BATCH_AVAILABLE:
    case MM_BATCH_SPARSE:
        CHECK_EQUAL(batch->frees_left, live > 0 ? (int)live : MM_FREES_NEVER);
        CHECK(free > 0);
        break;
    default:
        CHECK_EQUAL(batch->state, MM_BATCH_FULL);
        /* Sooner than at the threshold only after a thread ended: settle_list(). The threshold is
         * that of the time when the batch became full, when the list may have been shorter. */
        CHECK(batch->frees_left >= 1 &&
              (unsigned)batch->frees_left + free <= mm_batch_threshold(batch, 0));
    }
}

/* Frees of traced slots must not take the fast path. */
static void check_tag(const struct mm_batch *batch)
{
    if (mm_batch_owner(batch)->watch == NULL)
        CHECK(!mm_batch_is_traced(batch));
    else if (mm_stacks_traced(batch) & mm_batch_live(batch))
        CHECK(mm_batch_is_traced(batch));
}

static void check_batch(struct walk *walk, const struct mm_batch *batch)
{
    const struct mm_heap *heap = mm_batch_owner(batch);
    uint64_t live = mm_batch_live(batch), remote = remote_of(batch);
    CHECK(heap != NULL);
    CHECK(heap->number >= 1 && heap->number <= walk->sums.heaps);
    CHECK(mm_batch_class(batch) < MM_CLASSES);
    check_shape(batch);
    CHECK_EQUAL(live & ~mm_bits_below(mm_batch_slots(batch)), 0);
    CHECK_EQUAL(remote & ~live, 0);
    CHECK(remote == 0 || mm_batch_tag(batch) == MM_QUEUED);
    check_fresh_slots(batch);
    check_batch_state(batch);
    check_tag(batch);
    walk->batches[heap->number - 1][mm_batch_class(batch)]++;
    walk->bytes[heap->number - 1] += mm_batch_span(batch);
    walk->sums.batches++;
    walk->sums.live += mm_bit_count(live & ~remote);
    walk->sums.waiting += mm_bit_count(remote);
}

static void check_batches(struct walk *walk)
{
    size_t unit = 0, end = walk->usage.chunks * MM_UNITS_A_CHUNK;
    for (const struct mm_batch *batch; (batch = mm_batch_walk(&unit, end)) != NULL;)
        check_batch(walk, batch);
}

/* --- a heap's lists --- */

static void check_bin(const struct mm_heap *heap, unsigned class)
{
    const struct mm_bin *bin = &heap->bins[class];
    uint64_t held = heap->watch != NULL ? heap->watch->held[class] : 0;
    uint64_t claimed = bin->claimed | held;
    if (bin->batch == NULL) {
        CHECK_EQUAL(claimed, 0);
        return;
    }
    CHECK(mm_batch_owner(bin->batch) == heap);
    CHECK_EQUAL(mm_batch_class(bin->batch), class);
    CHECK_EQUAL(bin->claimed & held, 0);
    CHECK_EQUAL(claimed & ~free_of(bin->batch), 0);
    if (claimed != 0)
        CHECK(mm_log2_floor(claimed) < bin->batch->fresh);
    for (uint64_t rest = claimed; rest != 0 && heap->lists[class].zero; rest &= rest - 1)
        check_slot_is_zero(bin->batch, mm_bit_lowest(rest));
}

/* The spare bytes in it. */
static size_t check_queue(const struct mm_heap *heap, unsigned class, enum mm_batch_state state)
{
    const struct mm_list *list = &heap->lists[class];
    const struct mm_queue *queue = state == MM_BATCH_SPARSE ? &list->sparse : &list->available;
    uint32_t previous = MM_LINE_NONE, queued = 0;
    size_t spare = 0, so_far = 0;
    for (uint32_t line = queue->first; line != MM_LINE_NONE; queued++) {
        const struct mm_batch *batch = mm_batch_of_line(line);
        CHECK(queued < list->batches);
        CHECK(is_batch_line(line) && mm_batch_owner(batch) == heap);
        CHECK_EQUAL(mm_batch_class(batch), class);
        CHECK_EQUAL(mm_batch_state(batch), state);
        CHECK_EQUAL(batch->prev, previous);
        if (mm_batch_live(batch) == 0) {
            /* All at the front, so that they are found at once. */
            CHECK(state == MM_BATCH_SPARSE && spare == so_far);
            spare += mm_batch_span(batch);
        }
        so_far += mm_batch_span(batch);
        previous = line;
        line = batch->next;
    }
    CHECK_EQUAL(queue->last, previous);
    return spare;
}

/* All batches are counted; those of the queues were, one by one, so no other is in their states. */
static void check_list(const struct walk *walk, const struct mm_heap *heap, unsigned class)
{
    CHECK_EQUAL(heap->lists[class].batches, walk->batches[heap->number - 1][class]);
    check_bin(heap, class);
    CHECK_EQUAL(heap->lists[class].spare, check_queue(heap, class, MM_BATCH_AVAILABLE) +
                                              check_queue(heap, class, MM_BATCH_SPARSE));
}

static void check_lists(const struct walk *walk, const struct mm_heap *heap)
{
    size_t spare = 0;
    for (unsigned class = 0; class < MM_CLASSES; class ++) {
        check_list(walk, heap, class);
        spare += heap->lists[class].spare;
    }
    CHECK_EQUAL(heap->spare, spare);
    CHECK_EQUAL(heap->bytes, walk->bytes[heap->number - 1]);
}

static size_t queue_length(const struct mm_queue *queue)
{
    size_t length = 0;
    for (uint32_t line = queue->first; line != MM_LINE_NONE; line = mm_batch_of_line(line)->next)
        length++;
    return length;
}

static size_t queue_lengths(const struct mm_heap *heap)
{
    size_t length = 0;
    for (unsigned class = 0; class < MM_CLASSES; class ++)
        length +=
            queue_length(&heap->lists[class].available) + queue_length(&heap->lists[class].sparse);
    return length;
}

/* --- a heap's stacks, against all batches --- */

static void check_pending(const struct walk *walk, const struct mm_heap *heap)
{
    size_t on_stack = 0, queued = 0, in_queues = 0;
    for (uint32_t line = atomic_load(&heap->pending); line != MM_LINE_NONE; on_stack++) {
        const struct mm_batch *batch = mm_batch_of_line(line);
        CHECK(on_stack < walk->sums.batches);
        CHECK(is_batch_line(line) && mm_batch_owner(batch) == heap);
        CHECK_EQUAL(mm_batch_tag(batch), MM_QUEUED);
        line = batch->pending_next;
    }
    size_t unit = 0, end = walk->usage.chunks * MM_UNITS_A_CHUNK;
    for (const struct mm_batch *batch; (batch = mm_batch_walk(&unit, end)) != NULL;) {
        if (mm_batch_owner(batch) != heap)
            continue;
        queued += mm_batch_tag(batch) == MM_QUEUED;
        in_queues += mm_batch_is_queued(batch);
    }
    CHECK_EQUAL(on_stack, queued);
    CHECK_EQUAL(queue_lengths(heap), in_queues);
}

static size_t check_chain(const struct walk *walk, uint32_t line)
{
    size_t count = 0;
    for (; line != MM_LINE_NONE; count++) {
        const struct mm_batch *batch = mm_batch_of_line(line);
        CHECK(is_batch_line(line) && line % MM_LINE_SIZE == 0);
        CHECK(count < walk->usage.metadata / MM_LINE_SIZE);
        CHECK_EQUAL(atomic_load(&batch->owner), 0);
        line = batch->next;
    }
    return count;
}

static size_t check_free_lines(const struct walk *walk, const struct mm_heap *heap)
{
    return check_chain(walk, heap->spans.free_lines) + check_chain(walk, heap->spans.closed_lines);
}

static size_t lines_of(size_t size)
{
    return (size + MM_LINE_SIZE - 1) / MM_LINE_SIZE;
}

/* Each line taken describes a batch, waits for one in its heap, or is part of a heap or of its
 * tracer. */
static void check_lines(const struct walk *walk, size_t free_lines)
{
    size_t lines_of_heap = lines_of(sizeof(struct mm_heap));
    if (mm_stacks_are_kept())
        lines_of_heap += lines_of(mm_watcher->size);
    size_t lines = walk->sums.heaps * lines_of_heap + walk->sums.batches + free_lines;
    CHECK_EQUAL(lines * MM_LINE_SIZE, walk->usage.lines);
}

/* --- chunks --- */

static const struct mm_heap *heap_of(const struct mm_chunk *chunk)
{
    return atomic_load_explicit(&chunk->heap, memory_order_relaxed);
}

static void check_units(const struct mm_chunk *chunk, size_t index)
{
    for (unsigned unit = 0; unit < MM_UNITS_A_CHUNK; unit++) {
        uintptr_t address =
            mm_arena.base + (index << MM_CHUNK_SHIFT) + ((uintptr_t)unit << MM_UNIT_SHIFT);
        const struct mm_batch *batch = mm_batch_at(address);
        bool free = heap_of(chunk) == NULL || (chunk->free_units >> unit & 1);
        CHECK_EQUAL(is_batch_line(mm_batch_line(batch)), !free);
        if (!free)
            CHECK(mm_batch_owner(batch) == heap_of(chunk) && address >= mm_batch_base(batch) &&
                  address < mm_batch_base(batch) + mm_batch_span(batch));
        if (heap_of(chunk) != NULL && (chunk->fresh_units >> unit & 1))
            CHECK(check_all_bytes((void *)address, (size_t)1 << MM_UNIT_SHIFT, 0));
    }
}

/* How many chunks the one at `index` stands for: those of a span wider than a chunk are one row. */
static size_t row_of(const struct mm_chunk *chunk, size_t index)
{
    if (heap_of(chunk) == NULL || chunk->free_units != 0)
        return 1;
    const struct mm_batch *batch = mm_batch_at(mm_arena.base + (index << MM_CHUNK_SHIFT));
    return mm_batch_order(batch) <= MM_CHUNK_ORDER
               ? 1
               : (size_t)1 << (mm_batch_order(batch) - MM_CHUNK_ORDER);
}

bool check_forked;

static void check_chunks(const struct walk *walk)
{
    size_t taken = 0, row;
    for (size_t index = 0; index < walk->usage.chunks; index += row) {
        const struct mm_chunk *chunk = mm_arena_chunk(index);
        row = row_of(chunk, index);
        if (row == 1)
            check_units(chunk, index);
        if (heap_of(chunk) == NULL)
            continue;
        CHECK(chunk->free_units != UINT64_MAX || check_forked);
        CHECK_EQUAL(chunk->fresh_units & ~chunk->free_units, 0);
        taken += row;
    }
    CHECK_EQUAL(taken << MM_CHUNK_SHIFT, walk->usage.taken);
    /* Each is in a heap or in the pool. */
    CHECK_EQUAL(walk->usage.taken + walk->usage.pooled, walk->usage.committed);
    CHECK(walk->usage.dirty <= walk->usage.pooled);
}

static void check_row_of_chunks(const struct walk *walk, const struct mm_heap *heap)
{
    size_t with_free_units = 0, in_row = 0;
    for (size_t index = 0; index < walk->usage.chunks; index++) {
        const struct mm_chunk *chunk = mm_arena_chunk(index);
        with_free_units += heap_of(chunk) == heap && chunk->free_units != 0;
    }
    uint32_t previous = 0;
    for (uint32_t next = heap->spans.first_chunk; next != 0; in_row++) {
        const struct mm_chunk *chunk = mm_arena_chunk(next - 1);
        CHECK(in_row < with_free_units);
        CHECK(heap_of(chunk) == heap && chunk->free_units != 0);
        CHECK_EQUAL(chunk->prev, previous);
        previous = next;
        next = chunk->next;
    }
    CHECK_EQUAL(in_row, with_free_units);
}

/* --- all of it --- */

static size_t check_heaps(void)
{
    const struct mm_heap *heap = mm_heap_first();
    size_t count = heap != NULL ? heap->number : 0;
    for (size_t number = count; number > 0; number--, heap = heap->next) {
        CHECK(heap != NULL);
        CHECK_EQUAL(heap->number, number);
        if (heap->tls != NULL) {
            CHECK(*heap->tls == heap);
            CHECK_EQUAL(atomic_load(&heap->state), MM_HEAP_ACTIVE);
            CHECK(atomic_load(&heap->thread) != 0);
        }
    }
    CHECK(heap == NULL);
    return count;
}

static void check_graves(void)
{
    CHECK(check_all_bytes((void *)mm_arena.lines, (MM_GRAVE_LINES + 1) * MM_LINE_SIZE, 0));
}

struct check_sums check_state(void)
{
    struct walk walk = {.usage = mm_arena_usage()};
    if (mm_arena_size() == 0)
        return walk.sums;
    walk.sums.heaps = check_heaps();
    walk.batches = calloc(walk.sums.heaps + 1, sizeof *walk.batches);
    walk.bytes = calloc(walk.sums.heaps + 1, sizeof *walk.bytes);
    CHECK(walk.batches != NULL && walk.bytes != NULL);
    check_graves();
    check_batches(&walk);
    check_chunks(&walk);
    size_t free_lines = 0;
    for (const struct mm_heap *heap = mm_heap_first(); heap != NULL; heap = heap->next) {
        check_lists(&walk, heap);
        check_pending(&walk, heap);
        free_lines += check_free_lines(&walk, heap);
        check_row_of_chunks(&walk, heap);
    }
    check_lines(&walk, free_lines);
    CHECK_EQUAL(mm_snapshot_sums().live, walk.sums.live);
    free(walk.batches);
    free(walk.bytes);
    return walk.sums;
}
