/* rescan.c - see mark.h: what is made of memory that was written to while the rest was marked. All
 * state is the caller's struct mm_marks.
 *
 * When a page is looked at whose writes are watched anew, whatever is written from then on is seen
 * the next time. So a marked block needs to be looked at where it was written to, and one that was
 * handed out since the start, and is in no table, wherever anything was: all that it holds was
 * written since. Another that is not marked is left alone until something points to it.
 *
 *   H.-J. Boehm, A. J. Demers, S. Shenker, "Mostly parallel garbage collection", 1991 */
#include "leaks/mark_table.h"

#include "forwarded/registry.h"
#include "leaks/present.h"
#include "slots/guarded.h"
#include "system/kernel.h"
#include "system/os.h"
#include <errno.h>

#define MISSED 1024u

/* A block that was freed while they were listed may have others in its place by then. */
static void drop_gone(struct mm_marks *marks)
{
    size_t kept = 0;
    for (size_t i = 0; i < marks->block_count; i++) {
        bool is_gone =
            i + 1 < marks->block_count && marks->blocks[i].end > marks->blocks[i + 1].start;
        if (!is_gone)
            marks->blocks[kept++] = marks->blocks[i];
    }
    marks->block_count = kept;
}

bool mm_marks_copy(struct mm_marks *marks, int pages_fd, const _Atomic bool *is_unwanted)
{
    drop_gone(marks);
    marks->pages_fd = pages_fd;
    marks->is_unwanted = is_unwanted;
    marks->copies = mm_os_map(MM_MARK_COPIED);
    marks->suspects = mm_os_map(mm_mark_suspects_size(marks));
    marks->entries = mm_os_map(MM_PRESENT_ENTRIES * sizeof *marks->entries);
    return marks->copies != NULL && marks->suspects != NULL && marks->entries != NULL &&
           mm_ranges_map(&marks->missed, MISSED);
}

/* One row with what was missed right before. */
void mm_marks_miss(struct mm_marks *marks, struct mm_range range)
{
    struct mm_ranges *missed = &marks->missed;
    if (marks->copies != NULL && errno != EFAULT)
        missed->is_cut = true;
    if (missed->count != 0 && missed->of[missed->count - 1].end == range.start)
        missed->of[missed->count - 1].end = range.end;
    else if (marks->copies != NULL)
        mm_ranges_add(missed, range.start, range.end);
}

/* --- slots --- */

static bool is_same(const struct mm_mark_batch *one, const struct mm_mark_batch *other)
{
    return one->unit == other->unit && one->granules == other->granules &&
           one->slots == other->slots && one->reciprocal == other->reciprocal;
}

static struct mm_mark_batch *mark_of(const struct mm_marks *marks, const struct mm_batch *batch)
{
    uint32_t line = mm_batch_line(batch);
    return mm_mark_batch_of_line(marks, line < marks->lines_end ? line : 0);
}

/* `words` are a copy of what was written to, which all lies in the batch's span. */
static void rescan_batch(struct mm_marks *marks, const struct mm_batch *batch,
                         struct mm_range written, const uintptr_t *words)
{
    struct mm_mark_batch now = {0};
    const struct mm_mark_batch *then = mark_of(marks, batch);
    mm_mark_take(&now, batch);
    size_t size = mm_mark_size(&now);
    uint64_t known = is_same(then, &now) ? then->live : 0;
    uint64_t wanted = (known & then->marked) | (now.live & ~known);
    if (size == 0 || written.start < mm_mark_base(&now))
        return;
    for (size_t index = (written.start - mm_mark_base(&now)) / size; index < now.slots; index++) {
        uintptr_t start = mm_mark_base(&now) + index * size;
        if (start >= written.end)
            return;
        if (!(wanted >> index & 1))
            continue;
        uintptr_t end = mm_mark_end_of_slot(&now, (unsigned)index);
        start = start > written.start ? start : written.start;
        end = end < written.end ? end : written.end;
        if (start < end)
            mm_marks_words(marks, words + (start - written.start) / sizeof *words,
                           (end - start) / sizeof *words, MM_WORDS_ANY);
    }
}

/* As far as the units refer to the batch, whatever its line says while it is opened or closed. */
static void rescan_copy(struct mm_marks *marks, struct mm_range written)
{
    const uintptr_t *words = marks->copies;
    while (written.start < written.end) {
        const struct mm_batch *batch = mm_batch_at(written.start);
        struct mm_range part = {written.start, written.start};
        do
            part.end = mm_round_up(part.end + 1, (uintptr_t)1 << MM_UNIT_SHIFT);
        while (part.end < written.end && mm_batch_at(part.end) == batch);
        part.end = part.end < written.end ? part.end : written.end;
        if (!mm_batch_is_grave(batch))
            rescan_batch(marks, batch, part, words);
        words += (part.end - part.start) / sizeof *words;
        written.start = part.end;
    }
}

/* Whole pages, in copies, as far as they can be read. */
static void rescan_slots(struct mm_marks *marks, struct mm_range written)
{
    while (written.start < written.end) {
        size_t most = written.end - written.start;
        most = most < MM_MARK_COPIED ? most : MM_MARK_COPIED;
        ssize_t got = mm_kernel_read_own(marks->copies, (const void *)written.start, most);
        size_t step = got > 0 ? (size_t)got : mm_os_page_size();
        step = step < most ? step : most;
        if (got > 0)
            rescan_copy(marks, (struct mm_range){written.start, written.start + step});
        else
            mm_marks_miss(marks, (struct mm_range){written.start, written.start + step});
        written.start += step;
    }
}

/* --- other blocks --- */

/* Whether it is still as it was. Where there is no telling it passes for gone. */
static bool is_live(const struct mm_mark_block *block)
{
    size_t size = block->end - block->start;
    struct mm_guarded_slot slot, beside;
    struct mm_forwarded forwarded;
    if (!mm_guarded_has(block->start))
        return mm_registry_below(block->start, &forwarded) && forwarded.start == block->start &&
               (forwarded.size == size || (forwarded.size == 0 && size == 1));
    mm_guarded_find(block->start, &slot, &beside);
    return slot.number != MM_GUARDED_SLOTS && slot.state == MM_GUARDED_LIVE &&
           slot.block == block->start && slot.asked == size;
}

/* What lies where one was and is no more, or another is, is anybody's. */
static void rescan_blocks(struct mm_marks *marks, struct mm_range written, mm_marks_rest rest,
                          void *with)
{
    size_t next = mm_mark_first_above(marks, written.start);
    for (; next < marks->block_count && marks->blocks[next].start < written.end; next++) {
        const struct mm_mark_block *block = &marks->blocks[next];
        if (!is_live(block))
            continue;
        if (written.start < block->start)
            rest((struct mm_range){written.start, block->start}, with);
        uintptr_t start = written.start > block->start ? written.start : block->start;
        uintptr_t end = block->end < written.end ? block->end : written.end;
        uintptr_t asked = mm_mark_end_of_block(block);
        if (block->marked)
            mm_mark_scan(marks, start, asked < end ? asked : end);
        written.start = end;
    }
    if (written.start < written.end)
        rest(written, with);
}

void mm_marks_rescan(struct mm_marks *marks, struct mm_range written, mm_marks_rest rest,
                     void *with)
{
    if (mm_arena_has(written.start))
        rescan_slots(marks, written);
    else
        rescan_blocks(marks, written, rest, with);
}

/* What can't be read this time either is missed for good, as by who looks while all stand. */
void mm_marks_rescan_missed(struct mm_marks *marks, mm_marks_rest rest, void *with)
{
    size_t count = marks->missed.count;
    for (size_t i = 0; i < count; i++)
        mm_marks_rescan(marks, marks->missed.of[i], rest, with);
    marks->missed.count = count;
}

/* --- slots of now --- */

void mm_mark_scan_younger(struct mm_marks *marks)
{
    size_t end = mm_arena_chunks() << (MM_CHUNK_SHIFT - MM_UNIT_SHIFT);
    for (size_t at = 0; at < end; at++) {
        size_t unit = at;
        struct mm_mark_batch now = {0};
        const struct mm_batch *batch = mm_batch_walk(&unit, at + 1);
        if (batch == NULL)
            continue;
        const struct mm_mark_batch *then = mark_of(marks, batch);
        mm_mark_take(&now, batch);
        mm_mark_scan_slots(marks, &now, now.live & ~(is_same(then, &now) ? then->live : 0));
    }
}

/* --- what is freed meanwhile --- */

size_t mm_marks_suspect(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    size_t count = 0;
    MM_EACH_MARK_BATCH(marks, batch)
    {
        if ((batch->live & ~batch->marked) != 0)
            marks->suspects[count++] = (uint32_t)((const char *)batch - marks->batches);
    }
    marks->suspect_count = count;
    for (size_t i = 0; i < marks->block_count; i++)
        count += !marks->blocks[i].marked;
    return count;
}

void mm_marks_drop_freed(struct mm_marks *marks)
{
    for (size_t i = 0; i < marks->suspect_count; i++) {
        struct mm_mark_batch *then = mm_mark_batch_of_line(marks, marks->suspects[i]), now = {0};
        mm_mark_take(&now, mm_batch_of_line(marks->suspects[i]));
        then->live &= then->marked | (is_same(then, &now) ? now.live : 0);
    }
    for (size_t i = 0; i < marks->block_count; i++) {
        struct mm_mark_block *block = &marks->blocks[i];
        if (!block->marked && !is_live(block))
            block->marked = true;
    }
}
