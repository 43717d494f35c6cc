/* mark_table.h - the marks' tables, for the files that fill them and read them: live.c takes what
 * is live, mark.c marks what is reached, rescan.c looks again at what was written meanwhile,
 * classes.c tells what comes of the rest. */
#ifndef MM_MARK_TABLE_H
#define MM_MARK_TABLE_H

#include "leaks/mark.h"
#include "slots/size_class.h"

static inline struct mm_mark_batch *mm_mark_batch_of_line(const struct mm_marks *marks,
                                                          uint32_t line)
{
    return (struct mm_mark_batch *)(marks->batches + line);
}

static inline uintptr_t mm_mark_base(const struct mm_mark_batch *batch)
{
    return mm_arena.base + ((uintptr_t)batch->unit << MM_UNIT_SHIFT);
}

static inline size_t mm_mark_size(const struct mm_mark_batch *batch)
{
    return (size_t)batch->granules * MM_GRANULE;
}

/* The next batch with a live slot at or after *line, which is set behind it; NULL at the end. */
static inline struct mm_mark_batch *mm_mark_next_batch(const struct mm_marks *marks, uint32_t *line)
{
    for (; *line < marks->lines_end; *line += MM_LINE_SIZE) {
        struct mm_mark_batch *batch = mm_mark_batch_of_line(marks, *line);
        if (batch->live != 0) {
            *line += MM_LINE_SIZE;
            return batch;
        }
    }
    return NULL;
}

#define MM_EACH_MARK_BATCH(marks, batch)                                                           \
    for (uint32_t line_of_batch_ = 0;                                                              \
         ((batch) = mm_mark_next_batch(marks, &line_of_batch_)) != NULL;)

/* Line 0 stands for what came since, too. */
static inline struct mm_mark_batch *mm_mark_batch_around(const struct mm_marks *marks,
                                                         uintptr_t address)
{
    size_t unit = (address - mm_arena.base) >> MM_UNIT_SHIFT;
    uint32_t line = atomic_load_explicit(&mm_arena.unit_line[unit], memory_order_relaxed);
    return mm_mark_batch_of_line(marks, mm_likely(line < marks->lines_end) ? line : 0);
}

#define MM_MARK_COPIED ((size_t)32 << 10) /* bytes at once, where memory is read by copies */

static inline size_t mm_mark_suspects_size(const struct mm_marks *marks)
{
    return (marks->lines_end / MM_LINE_SIZE + 1) * sizeof *marks->suspects;
}

/* The slot that an address lies in; false when it is in none that is live and counts. */
static inline bool mm_mark_find_slot(const struct mm_marks *marks,
                                     const struct mm_mark_batch *batch, uintptr_t address,
                                     unsigned *index)
{
    unsigned __int128 product =
        (unsigned __int128)(uint64_t)(address - mm_mark_base(batch)) * batch->reciprocal;
    uint64_t quotient = (uint64_t)(product >> 64);
    if (batch->live == 0 || quotient >= batch->slots ||
        (marks->strict && (uint64_t)product >= batch->reciprocal))
        return false;
    *index = (unsigned)quotient;
    return batch->live >> quotient & 1;
}

static inline void mm_mark_slot(struct mm_marks *marks, struct mm_mark_batch *batch,
                                uintptr_t address)
{
    unsigned index;
    if (!mm_mark_find_slot(marks, batch, address, &index))
        return;
    uint64_t bit = (uint64_t)1 << index;
    if (batch->marked & bit)
        return;
    batch->marked |= bit;
    batch->pending |= bit;
    if (batch->is_queued)
        return;
    batch->is_queued = true;
    marks->queue[marks->tail++ % marks->queue_size] =
        (uint32_t)((const char *)batch - marks->batches);
}

/* What a batch is now; by the thread that looks, whoever owns it. */
void mm_mark_take(struct mm_mark_batch *mark, const struct mm_batch *batch);

/* The first of the other blocks that ends above an address: its index, or their count. */
size_t mm_mark_first_above(const struct mm_marks *marks, uintptr_t address);
/* NULL: none that counts. */
struct mm_mark_block *mm_mark_find_block(const struct mm_marks *marks, uintptr_t address);
/* Unless the address lies in its last bytes, `behind` of them. */
void mm_mark_block(struct mm_marks *marks, uintptr_t address, size_t behind);

/* Words of a block, or a copy of them, as far as they can be read: `look` is called for each row.
 */
struct mm_mark_words {
    struct mm_marks *marks;
    void (*look)(struct mm_marks *marks, const uintptr_t *at, const uintptr_t *end,
                 const void *with);
    const void *with;
};
void mm_mark_read(const struct mm_mark_words *words, uintptr_t start, uintptr_t end);

/* Where what a program may have written ends: of a larger slot what was asked for, as far as that
 * is known, as what lies behind is of a life before. */
uintptr_t mm_mark_end_of_slot(const struct mm_mark_batch *batch, unsigned index);
uintptr_t mm_mark_end_of_block(const struct mm_mark_block *block);

/* What these point to is reached. */
void mm_mark_scan(struct mm_marks *marks, uintptr_t start, uintptr_t end);
void mm_mark_scan_slots(struct mm_marks *marks, struct mm_mark_batch *batch, uint64_t slots);
void mm_mark_scan_block(struct mm_marks *marks, const struct mm_mark_block *block);

/* The same of slots that are live now, and in no table. */
void mm_mark_scan_younger(struct mm_marks *marks);

/* A record of the block's, which was not let go; NULL: there is none. */
struct mm_record;
const struct mm_record *mm_mark_record_of_block(const struct mm_mark_block *block);

#endif
