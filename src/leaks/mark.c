/* mark.c - see mark.h: what is reached. All state is the caller's struct mm_marks. */
#include "leaks/mark_table.h"

#include "blocks/record.h"
#include "blocks/stacks.h"
#include "leaks/present.h"
#include "system/kernel.h"
#include "system/os.h"

#define STEP      (MM_MARK_AHEAD / 3) /* pointers between two steps of one */
#define ROUNDS    16u                 /* batches between two looks at the clock */
#define SLACK     1024u               /* slots above it may have much that nobody asked for */
#define UNTAGGED  ((uintptr_t)1 << 48)
#define NOT_SWEPT __attribute__((no_sanitize("address", "thread")))

size_t mm_mark_first_above(const struct mm_marks *marks, uintptr_t address)
{
    size_t low = 0, high = marks->block_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (marks->blocks[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct mm_mark_block *mm_mark_find_block(const struct mm_marks *marks, uintptr_t address)
{
    size_t low = mm_mark_first_above(marks, address);
    bool is_in = low < marks->block_count && address >= marks->blocks[low].start &&
                 (!marks->strict || address == marks->blocks[low].start);
    return is_in ? &marks->blocks[low] : NULL;
}

/* A pointer to the start is one to the block, however small it is. */
MM_COLD void mm_mark_block(struct mm_marks *marks, uintptr_t address, size_t behind)
{
    struct mm_mark_block *block = mm_mark_find_block(marks, address);
    if (block == NULL || block->marked ||
        (block->end - address <= behind && address != block->start))
        return;
    block->marked = true;
    marks->block_queue[marks->block_tail++] = (uint32_t)(block - marks->blocks);
}

/* One more pointer sets out; one that did a while ago gets its batch, and one that long has it is
 * marked. */
static inline void set_out(struct mm_marks *marks, uintptr_t address)
{
    size_t now = marks->looked++, second = (now - STEP) % MM_MARK_AHEAD;
    size_t third = (now - 2 * STEP) % MM_MARK_AHEAD;
    __builtin_prefetch(&mm_arena.unit_line[(address - mm_arena.base) >> MM_UNIT_SHIFT]);
    marks->ahead[now % MM_MARK_AHEAD].address = address;
    marks->ahead[now % MM_MARK_AHEAD].batch = NULL;
    uintptr_t older = marks->ahead[second].address, oldest = marks->ahead[third].address;
    if (mm_likely(older != 0)) {
        marks->ahead[second].batch = mm_mark_batch_around(marks, older);
        __builtin_prefetch(marks->ahead[second].batch, 1);
    }
    marks->ahead[third].address = 0;
    if (mm_likely(oldest != 0))
        mm_mark_slot(marks, marks->ahead[third].batch, oldest);
}

/* All that are on their way arrive; what set out before the last time did so then. */
static void arrive(struct mm_marks *marks)
{
    size_t from =
        marks->looked - marks->arrived < 2 * STEP ? marks->arrived : marks->looked - 2 * STEP;
    for (; from < marks->looked; from++) {
        uintptr_t address = marks->ahead[from % MM_MARK_AHEAD].address;
        struct mm_mark_batch *batch = marks->ahead[from % MM_MARK_AHEAD].batch;
        marks->ahead[from % MM_MARK_AHEAD].address = 0;
        if (address != 0)
            mm_mark_slot(marks, batch != NULL ? batch : mm_mark_batch_around(marks, address),
                         address);
    }
    marks->arrived = marks->looked;
}

static inline void look_at(struct mm_marks *marks, uintptr_t word, size_t behind)
{
    if (mm_arena_has(word))
        set_out(marks, word);
    else if (mm_unlikely(word - marks->lowest < marks->span))
        mm_mark_block(marks, word, behind);
}

NOT_SWEPT static void look_at_all(struct mm_marks *marks, const uintptr_t *at, const uintptr_t *end,
                                  size_t behind)
{
    for (; at < end; at++)
        look_at(marks, mm_os_untagged((const void *)*at), behind); /* NOLINT */
}

/* The high bits of a small negative number are no tag. */
NOT_SWEPT static void look_at_tagged(struct mm_marks *marks, const uintptr_t *at,
                                     const uintptr_t *end)
{
    for (; at < end; at++) {
        uintptr_t tag = *at / UNTAGGED;
        if (tag != 0)
            look_at(marks, *at % UNTAGGED, 0);
    }
}

bool mm_marks_may_be_tagged(const struct mm_marks *marks, uintptr_t word)
{
    uintptr_t address = word % UNTAGGED;
    return address != word && (mm_arena_has(address) || address - marks->lowest < marks->span);
}

static void look_at_words(struct mm_marks *marks, const uintptr_t *at, const uintptr_t *end,
                          size_t behind)
{
    look_at_all(marks, at, end, behind);
    if (marks->tagged)
        look_at_tagged(marks, at, end);
}

/* Behind a block libc's tables point to the next one, whose first word is the block's to use. */
void mm_marks_words(struct mm_marks *marks, const uintptr_t *words, size_t count,
                    enum mm_words whose)
{
    look_at_words(marks, words, words + count, whose == MM_WORDS_OF_LIBC ? sizeof(uintptr_t) : 0);
}

/* --- what blocks point to --- */

/* Of a larger one what was asked for, as far as that is known: what lies behind is of a life
 * before. */
uintptr_t mm_mark_end_of_slot(const struct mm_mark_batch *batch, unsigned index)
{
    size_t size = mm_mark_size(batch);
    uintptr_t start = mm_mark_base(batch) + index * size;
    if (size > SLACK && mm_stacks_are_kept()) {
        const struct mm_record *record = mm_records_traced_slot(mm_mark_base(batch), size, index);
        size_t asked = record != NULL ? mm_shape_asked(mm_record_shape(record)) : size;
        size = asked < size ? asked : size;
    }
    return start + size;
}

/* Memory that may go at any moment: what of it is there. */
static void look_at_copies(const struct mm_mark_words *words, struct mm_range part)
{
    uintptr_t *copies = words->marks->copies;
    while (part.start < part.end) {
        size_t most =
            part.end - part.start < MM_MARK_COPIED ? part.end - part.start : MM_MARK_COPIED;
        ssize_t got = mm_kernel_read_own(copies, (const void *)part.start, most); /* NOLINT */
        uintptr_t next =
            got > 0 ? part.start + (size_t)got : mm_round_up(part.start + 1, mm_os_page_size());
        next = next < part.end ? next : part.end;
        if (got > 0)
            words->look(words->marks, copies, copies + (size_t)got / sizeof *copies, words->with);
        else
            mm_marks_miss(words->marks, (struct mm_range){part.start, next});
        part.start = next;
    }
}

static void look_at_part(struct mm_range part, void *with)
{
    const struct mm_mark_words *words = with;
    if (words->marks->copies != NULL) {
        look_at_copies(words, part);
        return;
    }
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    words->look(words->marks, (const uintptr_t *)part.start, (const uintptr_t *)part.end,
                words->with);
}

/* Whole words that can be read. */
void mm_mark_read(const struct mm_mark_words *words, uintptr_t start, uintptr_t end)
{
    struct mm_range whole = {start, end - end % sizeof(uintptr_t)};
    if (mm_likely(words->marks->unreadable.count == 0))
        look_at_part(whole, (void *)words);
    else
        mm_ranges_outside(&words->marks->unreadable, whole, look_at_part, (void *)words);
}

static void look_at_pointees(struct mm_marks *marks, const uintptr_t *at, const uintptr_t *end,
                             const void *unused)
{
    (void)unused;
    look_at_words(marks, at, end, 0);
}

/* A batch's slots by one call. False when they are too much for that, or can't all be read. */
static bool scan_copied(struct mm_marks *marks, const struct mm_mark_batch *batch, uint64_t slots)
{
    size_t size = mm_mark_size(batch);
    uintptr_t start = mm_mark_base(batch) + mm_bit_lowest(slots) * size;
    uintptr_t end = mm_mark_end_of_slot(batch, mm_log2_floor(slots));
    if (end - start > MM_MARK_COPIED ||
        mm_kernel_read_own(marks->copies, (const void *)start, end - start) != /* NOLINT */
            (ssize_t)(end - start))
        return false;
    for (; slots != 0; slots &= slots - 1) {
        unsigned index = mm_bit_lowest(slots);
        size_t from = mm_mark_base(batch) + index * size - start;
        size_t to = mm_mark_end_of_slot(batch, index) - start;
        look_at_words(marks, marks->copies + from / sizeof(uintptr_t),
                      marks->copies + to / sizeof(uintptr_t), 0);
    }
    return true;
}

void mm_mark_scan_slots(struct mm_marks *marks, struct mm_mark_batch *batch, uint64_t slots)
{
    struct mm_mark_words words = {marks, look_at_pointees, NULL};
    if (slots != 0 && marks->copies != NULL && scan_copied(marks, batch, slots))
        return;
    size_t size = mm_mark_size(batch);
    for (; slots != 0; slots &= slots - 1) {
        unsigned index = mm_bit_lowest(slots);
        uintptr_t start = mm_mark_base(batch) + index * size;
        mm_mark_read(&words, start, mm_mark_end_of_slot(batch, index));
    }
}

/* A record that was let go tells of another block. */
const struct mm_record *mm_mark_record_of_block(const struct mm_mark_block *block)
{
    return mm_stacks_are_kept() ? mm_records_own_outside(block->start) : NULL;
}

uintptr_t mm_mark_end_of_block(const struct mm_mark_block *block)
{
    size_t size = block->end - block->start;
    const struct mm_record *record = mm_mark_record_of_block(block);
    size_t asked = record != NULL ? mm_shape_asked(mm_record_shape(record)) : size;
    return block->start + (asked < size ? asked : size);
}

void mm_mark_scan(struct mm_marks *marks, uintptr_t start, uintptr_t end)
{
    struct mm_mark_words words = {marks, look_at_pointees, NULL};
    if (start < end)
        mm_mark_read(&words, start, end);
}

static void scan_row(struct mm_range row, void *marks)
{
    mm_mark_scan(marks, row.start, row.end);
}

/* Of a large one pages that are not there would be made by reading them. */
void mm_mark_scan_block(struct mm_marks *marks, const struct mm_mark_block *block)
{
    struct mm_range range = {block->start, mm_mark_end_of_block(block)};
    if (marks->copies != NULL)
        mm_present_each(marks->pages_fd, marks->entries, range, scan_row, marks);
    else
        mm_mark_scan(marks, range.start, range.end);
}

void mm_marks_flood(struct mm_marks *marks)
{
    mm_marks_flood_until(marks, 0);
}

static bool is_over(const struct mm_marks *marks, unsigned round, uint64_t until)
{
    return round % ROUNDS == 0 &&
           ((until != 0 && mm_os_nanoseconds() > until) ||
            (marks->is_unwanted != NULL &&
             atomic_load_explicit(marks->is_unwanted, memory_order_relaxed)));
}

bool mm_marks_flood_until(struct mm_marks *marks, uint64_t until)
{
    for (unsigned round = 1; !is_over(marks, round, until); round++) {
        if (marks->head == marks->tail && marks->block_head == marks->block_tail)
            arrive(marks);
        if (marks->head != marks->tail) {
            uint32_t line = marks->queue[marks->head++ % marks->queue_size];
            struct mm_mark_batch *batch = mm_mark_batch_of_line(marks, line);
            uint64_t slots = batch->pending;
            batch->pending = 0;
            batch->is_queued = false;
            mm_mark_scan_slots(marks, batch, slots);
        } else if (marks->block_head != marks->block_tail) {
            mm_mark_scan_block(marks, &marks->blocks[marks->block_queue[marks->block_head++]]);
        } else {
            return true;
        }
    }
    return false;
}
