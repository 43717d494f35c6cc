/* live.c - see mark.h: what is live when a look begins, taken into the marks' tables. All state is
 * the caller's struct mm_marks. */
#include "leaks/mark_table.h"

#include "checks/checks.h"
#include "forwarded/registry.h"
#include "leaks/present.h"
#include "leaks/sort.h"
#include "slots/guarded.h"
#include "system/os.h"

/* What another thread freed and its owner did not collect yet is free. */
void mm_mark_take(struct mm_mark_batch *mark, const struct mm_batch *batch)
{
    uint64_t remote = atomic_load_explicit(&batch->remote, memory_order_relaxed);
    mark->live = mm_checks_live(batch) & ~remote & mm_bits_below(mm_batch_slots(batch));
    mark->unit = (uint32_t)((mm_batch_base(batch) - mm_arena.base) >> MM_UNIT_SHIFT);
    mark->granules = (uint16_t)(mm_batch_size(batch) / MM_GRANULE);
    mark->slots = (uint8_t)mm_batch_slots(batch);
    mark->reciprocal = atomic_load_explicit(&batch->reciprocal, memory_order_relaxed);
}

/* Unit by unit: of a batch that is opened or closed meanwhile, its span may be any. */
static void take_batches(struct mm_marks *marks)
{
    size_t end = mm_arena_chunks() << (MM_CHUNK_SHIFT - MM_UNIT_SHIFT);
    for (size_t at = 0; at < end; at++) {
        size_t unit = at;
        const struct mm_batch *batch = mm_batch_walk(&unit, at + 1);
        if (batch != NULL && mm_batch_line(batch) < marks->lines_end && mm_batch_slots(batch) != 0)
            mm_mark_take(mm_mark_batch_of_line(marks, mm_batch_line(batch)), batch);
    }
}

static void take_block(uintptr_t start, size_t size, void *with)
{
    struct mm_marks *marks = with;
    if (marks->block_count < marks->block_capacity)
        marks->blocks[marks->block_count++] =
            (struct mm_mark_block){.start = start, .end = start + (size != 0 ? size : 1)};
}

static void take_guarded(const struct mm_guarded_slot *slot, void *marks)
{
    take_block(slot->block, slot->asked, marks);
}

static bool is_lower(const void *one, const void *other)
{
    return ((const struct mm_mark_block *)one)->start <
           ((const struct mm_mark_block *)other)->start;
}

static void take_blocks(struct mm_marks *marks)
{
    mm_registry_each(take_block, marks);
    mm_guarded_each(take_guarded, marks);
    mm_sort(marks->blocks, marks->block_count, sizeof *marks->blocks, is_lower);
    if (marks->block_count == 0)
        return;
    marks->lowest = marks->blocks[0].start;
    marks->span = marks->blocks[marks->block_count - 1].end - marks->lowest;
}

static size_t queue_size(uint32_t lines_end)
{
    return (size_t)1 << mm_log2_ceil(lines_end / MM_LINE_SIZE + 1);
}

bool mm_marks_start(struct mm_marks *marks, bool strict)
{
    uint32_t lines_end = mm_arena_size() != 0 ? mm_arena_lines_end() : 0;
    /* Where a thread is between two steps of the registry, its count is not that of the bits. */
    size_t blocks = 2 * mm_registry_count() + mm_guarded_live(NULL) + 1024;
    *marks = (struct mm_marks){
        .strict = strict,
        .lines_end = lines_end,
        .batches = mm_os_map((size_t)lines_end + MM_LINE_SIZE),
        .queue_size = queue_size(lines_end),
        .queue = mm_os_map(queue_size(lines_end) * sizeof *marks->queue),
        .block_capacity = blocks,
        .blocks = mm_os_map(blocks * sizeof *marks->blocks),
        .block_queue = mm_os_map(blocks * sizeof *marks->block_queue),
    };
    if (marks->batches == NULL || marks->queue == NULL || marks->blocks == NULL ||
        marks->block_queue == NULL) {
        mm_marks_end(marks);
        return false;
    }
    if (lines_end != 0)
        take_batches(marks);
    take_blocks(marks);
    return true;
}

static void release(void *start, size_t size)
{
    if (start != NULL)
        mm_os_release(start, size);
}

void mm_marks_end(struct mm_marks *marks)
{
    release(marks->batches, (size_t)marks->lines_end + MM_LINE_SIZE);
    release(marks->queue, marks->queue_size * sizeof *marks->queue);
    release(marks->blocks, marks->block_capacity * sizeof *marks->blocks);
    release(marks->block_queue, marks->block_capacity * sizeof *marks->block_queue);
    release(marks->copies, MM_MARK_COPIED);
    release(marks->suspects, mm_mark_suspects_size(marks));
    release(marks->entries, MM_PRESENT_ENTRIES * sizeof *marks->entries);
    mm_ranges_release(&marks->missed);
    mm_ranges_release(&marks->unreadable);
    *marks = (struct mm_marks){0};
}
