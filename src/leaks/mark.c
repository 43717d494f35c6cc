/* mark.c - see mark.h. All state is the caller's struct mm_marks. */
#include "leaks/mark.h"

#include "blocks/record.h"
#include "blocks/stacks.h"
#include "checks/checks.h"
#include "forwarded/registry.h"
#include "leaks/sort.h"
#include "system/os.h"

#define STEP      (MM_MARK_AHEAD / 3) /* pointers between two steps of one */
#define SLACK     1024u               /* slots above it may have much that nobody asked for */
#define UNTAGGED  ((uintptr_t)1 << 48)
#define NOT_SWEPT __attribute__((no_sanitize("address", "thread")))

/* --- what is live --- */

static struct mm_mark_batch *batch_of_line(const struct mm_marks *marks, uint32_t line)
{
    return (struct mm_mark_batch *)(marks->batches + line);
}

static uint32_t line_of(const struct mm_marks *marks, const struct mm_mark_batch *batch)
{
    return (uint32_t)((const char *)batch - marks->batches);
}

static uintptr_t base_of(const struct mm_mark_batch *batch)
{
    return mm_arena.base + ((uintptr_t)batch->unit << MM_UNIT_SHIFT);
}

static size_t size_of(const struct mm_mark_batch *batch)
{
    return (size_t)batch->granules * MM_GRANULE;
}

/* What another thread freed and its owner did not collect yet is free. */
static void take_batch(struct mm_marks *marks, const struct mm_batch *batch)
{
    uint64_t remote = atomic_load_explicit(&batch->remote, memory_order_relaxed);
    struct mm_mark_batch *mark = batch_of_line(marks, mm_batch_line(batch));
    mark->live = mm_checks_live(batch) & ~remote & mm_bits_below(mm_batch_slots(batch));
    mark->unit = (uint32_t)((mm_batch_base(batch) - mm_arena.base) >> MM_UNIT_SHIFT);
    mark->granules = (uint16_t)(mm_batch_size(batch) / MM_GRANULE);
    mark->slots = (uint8_t)mm_batch_slots(batch);
    mark->reciprocal = atomic_load_explicit(&batch->reciprocal, memory_order_relaxed);
}

static void take_batches(struct mm_marks *marks)
{
    size_t unit = 0, end = mm_arena_chunks() << (MM_CHUNK_SHIFT - MM_UNIT_SHIFT);
    for (struct mm_batch *batch; (batch = mm_batch_walk(&unit, end)) != NULL;) {
        if (mm_batch_line(batch) < marks->lines_end && mm_batch_slots(batch) != 0)
            take_batch(marks, batch);
    }
}

static void take_block(uintptr_t start, size_t size, void *with)
{
    struct mm_marks *marks = with;
    if (marks->block_count < marks->block_capacity)
        marks->blocks[marks->block_count++] =
            (struct mm_mark_block){.start = start, .end = start + (size != 0 ? size : 1)};
}

static bool is_lower(const void *one, const void *other)
{
    return ((const struct mm_mark_block *)one)->start <
           ((const struct mm_mark_block *)other)->start;
}

static void take_blocks(struct mm_marks *marks)
{
    mm_registry_each(take_block, marks);
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
    size_t blocks = 2 * mm_registry_count() + 1024;
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
    mm_ranges_release(&marks->unreadable);
    *marks = (struct mm_marks){0};
}

/* --- marking --- */

/* The slot that an address lies in; false when it is in none that is live and counts. */
static inline bool find_slot(const struct mm_marks *marks, const struct mm_mark_batch *batch,
                             uintptr_t address, unsigned *index)
{
    unsigned __int128 product =
        (unsigned __int128)(uint64_t)(address - base_of(batch)) * batch->reciprocal;
    uint64_t quotient = (uint64_t)(product >> 64);
    if (batch->live == 0 || quotient >= batch->slots ||
        (marks->strict && (uint64_t)product >= batch->reciprocal))
        return false;
    *index = (unsigned)quotient;
    return batch->live >> quotient & 1;
}

static void enqueue(struct mm_marks *marks, struct mm_mark_batch *batch)
{
    batch->is_queued = true;
    marks->queue[marks->tail++ % marks->queue_size] = line_of(marks, batch);
}

static inline void mark_slot(struct mm_marks *marks, struct mm_mark_batch *batch, uintptr_t address)
{
    unsigned index;
    if (!find_slot(marks, batch, address, &index))
        return;
    uint64_t bit = (uint64_t)1 << index;
    if (batch->marked & bit)
        return;
    batch->marked |= bit;
    batch->pending |= bit;
    if (!batch->is_queued)
        enqueue(marks, batch);
}

static struct mm_mark_block *find_block(const struct mm_marks *marks, uintptr_t address)
{
    size_t low = 0, high = marks->block_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (marks->blocks[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_in = low < marks->block_count && address >= marks->blocks[low].start &&
                 (!marks->strict || address == marks->blocks[low].start);
    return is_in ? &marks->blocks[low] : NULL;
}

MM_COLD static void mark_block(struct mm_marks *marks, uintptr_t address, size_t behind)
{
    struct mm_mark_block *block = find_block(marks, address);
    if (block == NULL || block->marked || block->end - address <= behind)
        return;
    block->marked = true;
    marks->block_queue[marks->block_tail++] = (uint32_t)(block - marks->blocks);
}

/* Line 0 stands for what came since, too. */
static inline struct mm_mark_batch *batch_around(const struct mm_marks *marks, uintptr_t address)
{
    size_t unit = (address - mm_arena.base) >> MM_UNIT_SHIFT;
    uint32_t line = atomic_load_explicit(&mm_arena.unit_line[unit], memory_order_relaxed);
    return batch_of_line(marks, mm_likely(line < marks->lines_end) ? line : 0);
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
        marks->ahead[second].batch = batch_around(marks, older);
        __builtin_prefetch(marks->ahead[second].batch, 1);
    }
    marks->ahead[third].address = 0;
    if (mm_likely(oldest != 0))
        mark_slot(marks, marks->ahead[third].batch, oldest);
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
            mark_slot(marks, batch != NULL ? batch : batch_around(marks, address), address);
    }
    marks->arrived = marks->looked;
}

static inline void look_at(struct mm_marks *marks, uintptr_t word, size_t behind)
{
    if (mm_arena_has(word))
        set_out(marks, word);
    else if (mm_unlikely(word - marks->lowest < marks->span))
        mark_block(marks, word, behind);
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
static uintptr_t end_of_slot(const struct mm_mark_batch *batch, unsigned index)
{
    size_t size = size_of(batch);
    uintptr_t start = base_of(batch) + index * size;
    if (size > SLACK && mm_stacks_are_kept()) {
        const struct mm_record *record = mm_records_traced_slot(base_of(batch), size, index);
        size_t asked = record != NULL ? mm_shape_asked(mm_record_shape(record)) : size;
        size = asked < size ? asked : size;
    }
    return start + size;
}

struct words_of_block {
    struct mm_marks *marks;
    void (*look)(struct mm_marks *marks, const uintptr_t *at, const uintptr_t *end,
                 const void *with);
    const void *with;
};

static void look_at_part(struct mm_range part, void *with)
{
    const struct words_of_block *words = with;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    words->look(words->marks, (const uintptr_t *)part.start, (const uintptr_t *)part.end,
                words->with);
}

/* Whole words that can be read. */
static inline void read_block(const struct words_of_block *words, uintptr_t start, uintptr_t end)
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

static void scan_batch(struct mm_marks *marks, struct mm_mark_batch *batch, uint64_t slots)
{
    struct words_of_block words = {marks, look_at_pointees, NULL};
    size_t size = size_of(batch);
    for (; slots != 0; slots &= slots - 1) {
        unsigned index = mm_bit_lowest(slots);
        uintptr_t start = base_of(batch) + index * size;
        read_block(&words, start, end_of_slot(batch, index));
    }
}

/* A record that was let go tells of another block. */
static const struct mm_record *record_of_block(const struct mm_mark_block *block)
{
    return mm_stacks_are_kept() ? mm_records_own_forwarded(block->start) : NULL;
}

static uintptr_t end_of_block(const struct mm_mark_block *block)
{
    size_t size = block->end - block->start;
    const struct mm_record *record = record_of_block(block);
    size_t asked = record != NULL ? mm_shape_asked(mm_record_shape(record)) : size;
    return block->start + (asked < size ? asked : size);
}

static void scan_block(struct mm_marks *marks, const struct mm_mark_block *block)
{
    struct words_of_block words = {marks, look_at_pointees, NULL};
    read_block(&words, block->start, end_of_block(block));
}

void mm_marks_flood(struct mm_marks *marks)
{
    for (;;) {
        if (marks->head == marks->tail && marks->block_head == marks->block_tail)
            arrive(marks);
        if (marks->head != marks->tail) {
            uint32_t line = marks->queue[marks->head++ % marks->queue_size];
            struct mm_mark_batch *batch = batch_of_line(marks, line);
            uint64_t slots = batch->pending;
            batch->pending = 0;
            batch->is_queued = false;
            scan_batch(marks, batch, slots);
        } else if (marks->block_head != marks->block_tail) {
            scan_block(marks, &marks->blocks[marks->block_queue[marks->block_head++]]);
        } else {
            return;
        }
    }
}

/* --- what comes of it --- */

static struct mm_mark_batch *next_batch(const struct mm_marks *marks, uint32_t *line)
{
    for (; *line < marks->lines_end; *line += MM_LINE_SIZE) {
        struct mm_mark_batch *batch = batch_of_line(marks, *line);
        if (batch->live != 0) {
            *line += MM_LINE_SIZE;
            return batch;
        }
    }
    return NULL;
}

#define EACH_BATCH(marks, batch)                                                                   \
    for (uint32_t line_of_batch_ = 0; ((batch) = next_batch(marks, &line_of_batch_)) != NULL;)

static bool is_ignored(const struct mm_record *record)
{
    return record != NULL && (mm_record_shape(record) & MM_SHAPE_IGNORED);
}

void mm_marks_ignored(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    EACH_BATCH(marks, batch)
    {
        for (uint64_t left = batch->live; left != 0; left &= left - 1) {
            unsigned index = mm_bit_lowest(left);
            if (is_ignored(mm_records_traced_slot(base_of(batch), size_of(batch), index)))
                mark_slot(marks, batch, base_of(batch) + index * size_of(batch));
        }
    }
    for (size_t i = 0; i < marks->block_count; i++) {
        if (is_ignored(record_of_block(&marks->blocks[i])))
            mark_block(marks, marks->blocks[i].start, 0);
    }
}

bool mm_marks_are_all(const struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    EACH_BATCH(marks, batch)
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
    EACH_BATCH(marks, batch)
    batch->reached = batch->marked;
    for (size_t i = 0; i < marks->block_count; i++)
        marks->blocks[i].reached = marks->blocks[i].marked;
}

void mm_marks_tagged(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    marks->tagged = true;
    EACH_BATCH(marks, batch)
    scan_batch(marks, batch, batch->reached);
    for (size_t i = 0; i < marks->block_count; i++) {
        if (marks->blocks[i].reached)
            scan_block(marks, &marks->blocks[i]);
    }
}

void mm_marks_possible(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    marks->tagged = false;
    EACH_BATCH(marks, batch)
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
            address - marks->lowest < marks->span ? find_block(marks, address) : NULL;
        if (block != NULL && block->start != from)
            block->direct = false;
        return;
    }
    struct mm_mark_batch *batch = batch_around(marks, address);
    if (find_slot(marks, batch, address, &index) && base_of(batch) + index * size_of(batch) != from)
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
    struct words_of_block words = {marks, point, &start};
    for (uint64_t left = batch->live & ~batch->marked; left != 0; left &= left - 1) {
        unsigned index = mm_bit_lowest(left);
        start = base_of(batch) + index * size_of(batch);
        read_block(&words, start, end_of_slot(batch, index));
    }
}

static void find_direct(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    EACH_BATCH(marks, batch)
    batch->direct = batch->live & ~batch->marked;
    for (size_t i = 0; i < marks->block_count; i++)
        marks->blocks[i].direct = !marks->blocks[i].marked;
    EACH_BATCH(marks, batch)
    point_from_slots(marks, batch);
    for (size_t i = 0; i < marks->block_count; i++) {
        struct mm_mark_block *block = &marks->blocks[i];
        struct words_of_block words = {marks, point, &block->start};
        if (!block->marked)
            read_block(&words, block->start, end_of_block(block));
    }
}

static void mark_direct(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    EACH_BATCH(marks, batch)
    {
        uint64_t fresh = batch->direct & ~batch->marked;
        batch->marked |= fresh;
        scan_batch(marks, batch, fresh);
    }
    for (size_t i = 0; i < marks->block_count; i++) {
        if (!marks->blocks[i].direct || marks->blocks[i].marked)
            continue;
        marks->blocks[i].marked = true;
        scan_block(marks, &marks->blocks[i]);
    }
    mm_marks_flood(marks);
}

/* Of each ring of blocks that point to each other, and that no direct one reaches, one. */
static void break_rings(struct mm_marks *marks)
{
    struct mm_mark_batch *batch;
    EACH_BATCH(marks, batch)
    {
        for (uint64_t left; (left = batch->live & ~batch->marked) != 0;) {
            uint64_t first = left & -left;
            batch->direct |= first;
            batch->marked |= first;
            scan_batch(marks, batch, first);
            mm_marks_flood(marks);
        }
    }
    for (size_t i = 0; i < marks->block_count; i++) {
        if (marks->blocks[i].marked)
            continue;
        marks->blocks[i].marked = marks->blocks[i].direct = true;
        scan_block(marks, &marks->blocks[i]);
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
    EACH_BATCH(marks, batch)
    {
        for (uint64_t left = batch->live & ~batch->reached; left != 0; left &= left - 1) {
            unsigned index = mm_bit_lowest(left);
            each(base_of(batch) + index * size_of(batch), size_of(batch),
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
