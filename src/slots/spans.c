/* spans.c - invariant: a chunk is in the heap's row of chunks exactly when it has a free unit. */
#include "slots/spans.h"
#include "slots/arena.h"
#include "slots/pins.h"

#define NEW_LINES        16u /* lines taken at a time: 1 KiB */
#define CHUNKS_LOOKED_AT 16u /* for a free span, before a new chunk is taken */

/* --- chunks with free units --- */

static void link_chunk(struct mm_spans *spans, size_t index)
{
    struct mm_chunk *chunk = mm_arena_chunk(index);
    chunk->prev = 0;
    chunk->next = spans->first_chunk;
    if (chunk->next != 0)
        mm_arena_chunk(chunk->next - 1)->prev = (uint32_t)index + 1;
    spans->first_chunk = (uint32_t)index + 1;
}

static void unlink_chunk(struct mm_spans *spans, size_t index)
{
    struct mm_chunk *chunk = mm_arena_chunk(index);
    MM_ASSERT(chunk->prev != 0 || spans->first_chunk == (uint32_t)index + 1);
    if (chunk->prev != 0)
        mm_arena_chunk(chunk->prev - 1)->next = chunk->next;
    else
        spans->first_chunk = chunk->next;
    if (chunk->next != 0)
        mm_arena_chunk(chunk->next - 1)->prev = chunk->prev;
}

/* --- spans --- */

/* Whole chunks; none of their units is free, as far as the heap goes. */
static uintptr_t take_chunks(struct mm_heap *owner, unsigned order, bool *zero)
{
    uintptr_t base = (uintptr_t)mm_arena_take_chunks(order - MM_CHUNK_ORDER, zero);
    if (base != 0) {
        struct mm_chunk *chunk = mm_arena_chunk(mm_arena_chunk_index(base));
        chunk->free_units = chunk->fresh_units = 0;
        chunk->seen_units = chunk->given_units = 0;
        atomic_store_explicit(&chunk->heap, owner, memory_order_relaxed);
    }
    return base;
}

static bool find_units(const struct mm_spans *spans, unsigned order, size_t *index, unsigned *unit)
{
    unsigned looked_at = 0;
    for (uint32_t next = spans->first_chunk; next != 0 && looked_at < CHUNKS_LOOKED_AT;
         looked_at++) {
        const struct mm_chunk *chunk = mm_arena_chunk(next - 1);
        if (mm_bits_find_run(chunk->free_units, order, unit)) {
            *index = next - 1;
            return true;
        }
        next = chunk->next;
    }
    return false;
}

uintptr_t mm_spans_take(struct mm_spans *spans, struct mm_heap *owner, unsigned order, bool *zero)
{
    size_t index;
    unsigned unit = 0;
    struct mm_chunk *chunk;
    if (order >= MM_CHUNK_ORDER)
        return take_chunks(owner, order, zero);
    if (find_units(spans, order, &index, &unit)) {
        chunk = mm_arena_chunk(index);
    } else {
        uintptr_t base = take_chunks(owner, MM_CHUNK_ORDER, zero);
        if (base == 0)
            return 0;
        index = mm_arena_chunk_index(base);
        chunk = mm_arena_chunk(index);
        chunk->free_units = UINT64_MAX;
        chunk->fresh_units = *zero ? UINT64_MAX : 0;
        link_chunk(spans, index);
    }
    uint64_t run = mm_bits_run(unit, order);
    MM_ASSERT(atomic_load_explicit(&chunk->heap, memory_order_relaxed) == owner &&
              (chunk->free_units & run) == run);
    MM_ASSERT((chunk->fresh_units & ~chunk->free_units) == 0);
    *zero = (chunk->fresh_units & run) == run;
    chunk->fresh_units &= ~run;
    chunk->free_units &= ~run;
    chunk->seen_units &= ~run;
    chunk->given_units &= ~run;
    if (chunk->free_units == 0)
        unlink_chunk(spans, index);
    return mm_arena.base + (index << MM_CHUNK_SHIFT) + ((uintptr_t)unit << MM_UNIT_SHIFT);
}

/* Whole chunks that the arena can't take now, for spans to come. They were somebody's. */
MM_COLD static void keep_chunks(struct mm_spans *spans, size_t first, unsigned order,
                                struct mm_heap *owner)
{
    for (size_t index = first; index < first + ((size_t)1 << order); index++) {
        struct mm_chunk *chunk = mm_arena_chunk(index);
        atomic_store_explicit(&chunk->heap, owner, memory_order_relaxed);
        chunk->free_units = UINT64_MAX;
        chunk->fresh_units = chunk->seen_units = chunk->given_units = 0;
        link_chunk(spans, index);
    }
}

bool mm_spans_give(struct mm_spans *spans, uintptr_t base, unsigned order)
{
    size_t index = mm_arena_chunk_index(base);
    struct mm_chunk *chunk = mm_arena_chunk(index);
    if (order < MM_CHUNK_ORDER) {
        unsigned unit = (unsigned)((base - mm_arena.base) >> MM_UNIT_SHIFT) % MM_UNITS_A_CHUNK;
        MM_ASSERT(order < MM_CHUNK_ORDER && (chunk->free_units & mm_bits_run(unit, order)) == 0);
        if (chunk->free_units == 0)
            link_chunk(spans, index);
        chunk->free_units |= mm_bits_run(unit, order);
        if (chunk->free_units != UINT64_MAX)
            return false;
        unlink_chunk(spans, index);
        order = MM_CHUNK_ORDER;
    }
    struct mm_heap *owner = atomic_load_explicit(&chunk->heap, memory_order_relaxed);
    void *start = (void *)(mm_arena.base + (index << MM_CHUNK_SHIFT));
    atomic_store_explicit(&chunk->heap, NULL, memory_order_relaxed);
    bool given = mm_arena_give_chunks(start, order - MM_CHUNK_ORDER);
    if (mm_unlikely(!given))
        keep_chunks(spans, index, order - MM_CHUNK_ORDER, owner);
    return given;
}

/* --- lines --- */

static void chain_line(uint32_t *chain, struct mm_batch *batch)
{
    batch->next = *chain;
    *chain = mm_batch_line(batch);
}

/* A look goes over all places, so it comes once in as many lines. */
void mm_spans_give_line(struct mm_spans *spans, struct mm_batch *batch)
{
    chain_line(&spans->closed_lines, batch);
    spans->closed++;
}

/* Only when nothing else is free, so that `free_lines` can be set. */
static void look_for_unpinned(struct mm_spans *spans)
{
    if (spans->closed < mm_pins_count())
        return;
    spans->free_lines = mm_pins_take_unpinned(&spans->closed_lines);
    spans->closed = 0;
}

struct mm_batch *mm_spans_take_line(struct mm_spans *spans)
{
    if (spans->free_lines == MM_LINE_NONE)
        look_for_unpinned(spans);
    if (spans->free_lines == MM_LINE_NONE) {
        uint32_t first = mm_arena_take_lines(NEW_LINES);
        if (first == MM_LINE_NONE)
            return NULL;
        for (uint32_t i = NEW_LINES; i-- > 0;)
            chain_line(&spans->free_lines, mm_batch_of_line(first + i * MM_LINE_SIZE));
    }
    struct mm_batch *batch = mm_batch_of_line(spans->free_lines);
    MM_ASSERT(!mm_batch_is_grave(batch) && mm_batch_owner(batch) == NULL);
    spans->free_lines = batch->next;
    return batch;
}
