/* classes.c - see mark.h: what comes of blocks that are reached, and of those that are not. All
 * state is the caller's struct mm_marks. */
#include "leaks/mark_table.h"

#include "blocks/record.h"
#include "blocks/stacks.h"
#include "system/os.h"

#define NOT_SWEPT __attribute__((no_sanitize("address", "thread")))

/* The same of any: of a small one, too, nobody wrote what is behind. */
static uintptr_t end_of_asked(const struct mm_mark_batch *batch, unsigned index)
{
    uintptr_t start = mm_mark_base(batch) + index * mm_mark_size(batch);
    struct mm_stacks_note note = mm_stacks_note(start);
    return start +
           (note.is_known && note.asked < mm_mark_size(batch) ? note.asked : mm_mark_size(batch));
}

struct visit {
    mm_marks_visit visit;
    uintptr_t block;
    void *with;
};

static void visit_words(struct mm_marks *marks, const uintptr_t *at, const uintptr_t *end,
                        const void *with)
{
    const struct visit *visit = with;
    (void)marks;
    visit->visit(at, (size_t)(end - at), visit->block, visit->with);
}

void mm_marks_each_marked(struct mm_marks *marks, mm_marks_visit visit, void *with)
{
    struct mm_mark_batch *batch;
    struct visit visiting = {visit, 0, with};
    struct mm_mark_words words = {marks, visit_words, &visiting};
    MM_EACH_MARK_BATCH(marks, batch)
    {
        for (uint64_t left = batch->live & batch->marked; left != 0; left &= left - 1) {
            unsigned index = mm_bit_lowest(left);
            visiting.block = mm_mark_base(batch) + index * mm_mark_size(batch);
            mm_mark_read(&words, visiting.block, end_of_asked(batch, index));
        }
    }
    for (size_t i = 0; i < marks->block_count; i++) {
        visiting.block = marks->blocks[i].start;
        if (marks->blocks[i].marked)
            mm_mark_read(&words, visiting.block, mm_mark_end_of_block(&marks->blocks[i]));
    }
}

static bool is_ignored(const struct mm_record *record)
{
    return record != NULL && (mm_record_shape(record) & MM_SHAPE_IGNORED);
}

static void mark_ignored_of(struct mm_marks *marks, struct mm_mark_batch *batch)
{
    for (uint64_t left = batch->live & ~batch->marked; left != 0; left &= left - 1) {
        unsigned index = mm_bit_lowest(left);
        if (is_ignored(mm_records_traced_slot(mm_mark_base(batch), mm_mark_size(batch), index)))
            mm_mark_slot(marks, batch, mm_mark_base(batch) + index * mm_mark_size(batch));
    }
}

void mm_marks_ignored(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    if (marks->suspect_count == 0) {
        MM_EACH_MARK_BATCH(marks, batch)
        mark_ignored_of(marks, batch);
    }
    for (size_t i = 0; i < marks->suspect_count; i++)
        mark_ignored_of(marks, mm_mark_batch_of_line(marks, marks->suspects[i]));
    for (size_t i = 0; i < marks->block_count; i++) {
        if (!marks->blocks[i].marked && is_ignored(mm_mark_record_of_block(&marks->blocks[i])))
            mm_mark_block(marks, marks->blocks[i].start, 0);
    }
}

bool mm_marks_are_all(const struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    MM_EACH_MARK_BATCH(marks, batch)
    {
        if (batch->live & ~batch->marked)
            return false;
    }
    for (size_t i = 0; i < marks->block_count; i++) {
        if (!marks->blocks[i].marked)
            return false;
    }
    return true;
}

void mm_marks_reached(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    MM_EACH_MARK_BATCH(marks, batch)
    batch->reached = batch->marked;
    for (size_t i = 0; i < marks->block_count; i++)
        marks->blocks[i].reached = marks->blocks[i].marked;
}

void mm_marks_tagged(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    marks->tagged = true;
    MM_EACH_MARK_BATCH(marks, batch)
    mm_mark_scan_slots(marks, batch, batch->reached);
    for (size_t i = 0; i < marks->block_count; i++) {
        if (marks->blocks[i].reached)
            mm_mark_scan_block(marks, &marks->blocks[i]);
    }
    if (marks->copies != NULL)
        mm_mark_scan_younger(marks);
}

void mm_marks_possible(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    marks->tagged = false;
    MM_EACH_MARK_BATCH(marks, batch)
    batch->possible = batch->marked & ~batch->reached;
    for (size_t i = 0; i < marks->block_count; i++)
        marks->blocks[i].possible = marks->blocks[i].marked && !marks->blocks[i].reached;
}

/* --- direct and indirect: what is left is direct first, until something points to it --- */

/* The mark is what `direct` is taken from while all others are looked at. */
static void point_at(struct mm_marks *marks, uintptr_t address, uintptr_t from)
{
    unsigned index;
    if (!mm_arena_has(address)) {
        struct mm_mark_block *block =
            address - marks->lowest < marks->span ? mm_mark_find_block(marks, address) : NULL;
        if (block != NULL && block->start != from)
            block->direct = false;
        return;
    }
    struct mm_mark_batch *batch = mm_mark_batch_around(marks, address);
    if (mm_mark_find_slot(marks, batch, address, &index) &&
        mm_mark_base(batch) + index * mm_mark_size(batch) != from)
        batch->direct &= ~((uint64_t)1 << index);
}

NOT_SWEPT static void point(struct mm_marks *marks, const uintptr_t *at, const uintptr_t *end,
                            const void *with)
{
    for (; at < end; at++)
        point_at(marks, mm_os_untagged((const void *)*at), *(const uintptr_t *)with);
}

static void point_from_slots(struct mm_marks *marks, const struct mm_mark_batch *batch)
{
    uintptr_t start;
    struct mm_mark_words words = {marks, point, &start};
    for (uint64_t left = batch->live & ~batch->marked; left != 0; left &= left - 1) {
        unsigned index = mm_bit_lowest(left);
        start = mm_mark_base(batch) + index * mm_mark_size(batch);
        mm_mark_read(&words, start, mm_mark_end_of_slot(batch, index));
    }
}

static void find_direct(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    MM_EACH_MARK_BATCH(marks, batch)
    batch->direct = batch->live & ~batch->marked;
    for (size_t i = 0; i < marks->block_count; i++)
        marks->blocks[i].direct = !marks->blocks[i].marked;
    MM_EACH_MARK_BATCH(marks, batch)
    point_from_slots(marks, batch);
    for (size_t i = 0; i < marks->block_count; i++) {
        struct mm_mark_block *block = &marks->blocks[i];
        struct mm_mark_words words = {marks, point, &block->start};
        if (!block->marked)
            mm_mark_read(&words, block->start, mm_mark_end_of_block(block));
    }
}

static void mark_direct(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    MM_EACH_MARK_BATCH(marks, batch)
    {
        uint64_t fresh = batch->direct & ~batch->marked;
        batch->marked |= fresh;
        mm_mark_scan_slots(marks, batch, fresh);
    }
    for (size_t i = 0; i < marks->block_count; i++) {
        if (!marks->blocks[i].direct || marks->blocks[i].marked)
            continue;
        marks->blocks[i].marked = true;
        mm_mark_scan_block(marks, &marks->blocks[i]);
    }
    mm_marks_flood(marks);
}

/* Of each ring of blocks that point to each other, and that no direct one reaches, one. */
static void break_rings(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    MM_EACH_MARK_BATCH(marks, batch)
    {
        for (uint64_t left; (left = batch->live & ~batch->marked) != 0;) {
            uint64_t first = left & -left;
            batch->direct |= first;
            batch->marked |= first;
            mm_mark_scan_slots(marks, batch, first);
            mm_marks_flood(marks);
        }
    }
    for (size_t i = 0; i < marks->block_count; i++) {
        if (marks->blocks[i].marked)
            continue;
        marks->blocks[i].marked = marks->blocks[i].direct = true;
        mm_mark_scan_block(marks, &marks->blocks[i]);
        mm_marks_flood(marks);
    }
}

void mm_marks_classify(struct mm_marks *marks)
{
    find_direct(marks);
    mark_direct(marks);
    break_rings(marks);
}

static enum mm_mark mark_of(bool possible, bool direct)
{
    return possible ? MM_MARK_POSSIBLE : direct ? MM_MARK_DIRECT : MM_MARK_INDIRECT;
}

void mm_marks_each(const struct mm_marks *marks,
                   void (*each)(uintptr_t start, size_t size, enum mm_mark mark, void *with),
                   void *with)
{
    struct mm_mark_batch *batch;
    MM_EACH_MARK_BATCH(marks, batch)
    {
        for (uint64_t left = batch->live & ~batch->reached; left != 0; left &= left - 1) {
            unsigned index = mm_bit_lowest(left);
            each(mm_mark_base(batch) + index * mm_mark_size(batch), mm_mark_size(batch),
                 mark_of(batch->possible >> index & 1, batch->direct >> index & 1), with);
        }
    }
    for (size_t i = 0; i < marks->block_count; i++) {
        const struct mm_mark_block *block = &marks->blocks[i];
        if (!block->reached)
            each(block->start, block->end - block->start, mark_of(block->possible, block->direct),
                 with);
    }
}
