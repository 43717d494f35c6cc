/* pages.c - each heap is looked at by its own thread, now and then, for pages inside of batches and
 * between them that hold no live slot: what was free at two looks in a row goes back. A batch that
 * is in a queue can only have become emptier since the last look; how many of its slots were live
 * then is noted in the upper bits of its state, which are 0 again when it leaves the queue. Full
 * and current batches are left alone. Nothing here is under a lock. */
#include "slots/pages.h"

#include "slots/collect.h"
#include "slots/pins.h"
#include "slots/watcher.h"

#define PIECE ((uintptr_t)4 << 20) /* a call; see purge.c */
/* What a look may cost, for each millisecond since the last one, and at most: a chunk of the heap,
 * or sixteen that are not, a call, and 32 KiB given back count one each. */
#define COST_A_MS     16u
#define COST_MOST     2048u
#define LONGEST_PAUSE 1000u /* between rounds that find nothing new */
#define WORTH_A_LOOK  ((size_t)1 << 20)

/* Adjacent bytes that nobody needs; `worth`: some of them may still hold memory. */
struct run {
    uintptr_t start, end;
    bool worth;
    bool news; /* something became free since the last round */
    unsigned cost;
    size_t given; /* bytes */
};

/* Whole pages of it. What the system refuses, as it is locked, is not asked for again. */
static void flush(struct run *run)
{
    uintptr_t mask = mm_os_page_size() - 1;
    uintptr_t end = run->end & ~mask;
    for (uintptr_t at = (run->start + mask) & ~mask; run->worth && at < end; at += PIECE) {
        size_t size = end - at < PIECE ? end - at : PIECE;
        run->given += mm_arena_purge_pages((void *)at, size) ? size : 0;
        run->cost += 1 + (unsigned)(size >> 15);
    }
    run->start = run->end = 0;
    run->worth = false;
}

static void add(struct run *run, uintptr_t start, uintptr_t end, bool worth)
{
    if (end == run->start) {
        run->start = start;
    } else {
        if (start != run->end) {
            flush(run);
            run->start = start;
        }
        run->end = end;
    }
    run->worth |= worth;
}

/* What a free slot keeps at its end for the live one above. */
static uintptr_t guard_of_slots(void)
{
    return mm_watcher != NULL ? mm_watcher->guard : 0;
}

/* Behind the last slot nobody has anything. */
static void add_slots(struct run *run, const struct mm_batch *batch, uint64_t slots, bool worth)
{
    uintptr_t base = mm_batch_base(batch), size = mm_batch_size(batch), guard = guard_of_slots();
    while (slots != 0) {
        uint64_t row = mm_bits_row(slots);
        unsigned first = mm_bit_lowest(row), end = mm_log2_floor(row) + 1;
        add(run, base + first * size,
            base + (end < mm_batch_slots(batch) ? end * size - guard : mm_batch_span(batch)),
            worth);
        slots &= ~row;
    }
}

/* --- what was free the last time --- */

/* 0: it was not looked at yet. Two numbers of live slots that are told as one are far apart. */
#define COUNTS 31u
static unsigned note_seen(unsigned live)
{
    return 1 + live % COUNTS;
}

static unsigned note_given(unsigned live)
{
    return 1 + COUNTS + live % COUNTS;
}

static void look_at_batch(struct mm_batch *batch, bool at_once, struct run *run)
{
    if (!mm_batch_is_queued(batch))
        return;
    unsigned live = mm_bit_count(mm_batch_live(batch));
    unsigned noted = batch->state >> MM_BATCH_LOOKED_SHIFT;
    bool given = noted == note_given(live);
    if (given || at_once || noted == note_seen(live)) {
        add_slots(run, batch, mm_batch_free_slots(batch), !given);
        noted = note_given(live);
    } else {
        noted = note_seen(live);
        run->news = true;
    }
    batch->state = (uint8_t)((batch->state & MM_BATCH_STATES) | noted << MM_BATCH_LOOKED_SHIFT);
}

/* Units and batches in order, so that pages that several have a part of go back, too. */
static void look_at_chunk(struct mm_chunk *chunk, uintptr_t base, bool at_once, struct run *run)
{
    uint64_t dead = chunk->free_units & (at_once ? UINT64_MAX : chunk->seen_units);
    uint64_t clean = chunk->given_units | chunk->fresh_units;
    for (unsigned unit = 0; unit < MM_UNITS_A_CHUNK;) {
        uintptr_t at = base + ((uintptr_t)unit << MM_UNIT_SHIFT);
        if (chunk->free_units >> unit & 1) {
            if (dead >> unit & 1)
                add(run, at, at + (1u << MM_UNIT_SHIFT), !(clean >> unit & 1));
            unit++;
        } else {
            struct mm_batch *batch = mm_batch_at(at);
            look_at_batch(batch, at_once, run);
            unit += 1u << mm_batch_order(batch);
        }
    }
    run->news |= chunk->seen_units != chunk->free_units;
    chunk->seen_units = chunk->free_units;
    chunk->given_units |= dead;
}

static bool is_of(const struct mm_chunk *chunk, const struct mm_heap *heap)
{
    return atomic_load_explicit(&chunk->heap, memory_order_relaxed) == heap;
}

/* Some chunks further; whether that was the last one. */
static bool look_further(struct mm_heap *heap, struct run *run, unsigned most)
{
    size_t end = mm_arena_chunks();
    for (unsigned others = 0; heap->look_at < end && run->cost + others / 16 < most;) {
        size_t index = heap->look_at++;
        struct mm_chunk *chunk = mm_arena_chunk(index);
        if (is_of(chunk, heap)) {
            look_at_chunk(chunk, mm_arena.base + (index << MM_CHUNK_SHIFT), false, run);
            run->cost++;
        } else {
            others++;
        }
    }
    return heap->look_at >= end;
}

static unsigned cost_since(uint64_t last, uint64_t now)
{
    uint64_t cost = (now - last) * COST_A_MS;
    return cost < COST_MOST ? (unsigned)cost : COST_MOST;
}

/* A round without news is followed by one later. */
static void end_round(struct mm_heap *heap, bool news)
{
    heap->look_at = 0;
    if (news || heap->pause == 0)
        heap->pause = MM_PURGE_TICK_MS;
    else if (heap->pause < LONGEST_PAUSE)
        heap->pause *= 2;
    heap->next_look = heap->round_started + heap->pause;
}

void mm_pages_look(struct mm_heap *heap, uint64_t now)
{
    struct run run = {.news = heap->look_news};
    unsigned most = cost_since(heap->next_look - 1, now);
    heap->next_look = now + MM_PURGE_TICK_MS;
    if (heap->look_at == 0) {
        if (mm_arena_taken() < WORTH_A_LOOK)
            return;
        heap->round_started = now;
    }
    bool is_complete = look_further(heap, &run, most);
    flush(&run);
    heap->look_news = run.news && !is_complete;
    if (is_complete)
        end_round(heap, run.news);
    else
        heap->next_look = now + 1;
}

/* All pages that are free now; bytes. For the thread that owns the heap. */
static size_t give_free(struct mm_heap *heap)
{
    struct run run = {0};
    size_t end = mm_arena_chunks();
    for (size_t index = 0; index < end; index++) {
        struct mm_chunk *chunk = mm_arena_chunk(index);
        if (is_of(chunk, heap))
            look_at_chunk(chunk, mm_arena.base + (index << MM_CHUNK_SHIFT), true, &run);
    }
    flush(&run);
    return run.given;
}

/* --- what others freed --- */

/* The owner may wait for something for ever. Who has its stack of pending batches has these to
 * itself, see collect.c: their slots that are live and freed remotely are nobody's until somebody
 * collects them. But for a second free that is just being withdrawn, because the owner freed the
 * slot at the very moment: while that is under way its batch is pinned, and left alone here. */
static uint64_t pending_slots(const struct mm_batch *batch)
{
    uint64_t before = atomic_load_explicit(&batch->remote, memory_order_acquire);
    if (mm_pins_has(batch))
        return 0;
    uint64_t remote = atomic_load_explicit(&batch->remote, memory_order_acquire);
    return before & remote & atomic_load_explicit(&batch->live, memory_order_relaxed);
}

/* All pages of slots that other threads freed and `heap` did not take over; bytes. For any thread.
 */
static size_t give_pending(struct mm_heap *heap)
{
    struct run run = {0};
    uint32_t first = atomic_exchange_explicit(&heap->pending, MM_LINE_NONE, memory_order_acquire);
    for (uint32_t line = first; line != MM_LINE_NONE;) {
        const struct mm_batch *batch = mm_batch_of_line(line);
        add_slots(&run, batch, pending_slots(batch), true);
        line = batch->pending_next;
    }
    flush(&run);
    while (first != MM_LINE_NONE) {
        struct mm_batch *batch = mm_batch_of_line(first);
        first = batch->pending_next;
        mm_collect_push(heap, batch);
    }
    return run.given;
}

/* --- all of it --- */

static size_t trim_own(struct mm_heap *heap)
{
    mm_heap_collect(heap);
    return give_free(heap);
}

static size_t trim_other(struct mm_heap *heap)
{
    mm_heap_collect_if_idle(heap);
    if (mm_heap_borrow(heap)) {
        size_t given = give_free(heap);
        mm_heap_hand_back(heap);
        return given;
    }
    return mm_collect_has_pending(heap) ? give_pending(heap) : 0;
}

size_t mm_heap_trim(void)
{
    size_t given = 0;
    for (struct mm_heap *heap = mm_heap_first(); heap != NULL; heap = heap->next)
        given += heap == mm_tls_heap ? trim_own(heap) : trim_other(heap);
    return given;
}
