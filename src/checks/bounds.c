/* bounds.c - see bounds.h. Reads what slots, records and registry say, and writes nothing of theirs
 * but that a damage was told. Its own are the switch, which is set at the start, and a row of large
 * held blocks, which any thread adds to. */
#include "checks/bounds.h"

#include "blocks/record.h"
#include "blocks/stacks.h"
#include "checks/checks.h"
#include "forwarded/next.h"
#include "forwarded/registry.h"
#include "slots/guarded.h"
#include "slots/heap.h"

/* --- slots --- */

static bool is_in(uint64_t word, uint64_t index)
{
    return word >> index & 1;
}

/* Where what was asked of a live slot ends. */
static uintptr_t end_of_slot(const struct mm_batch *batch, unsigned index)
{
    uintptr_t base = mm_batch_base(batch);
    size_t size = mm_batch_size(batch), asked = size;
    const struct mm_record *record =
        mm_stacks_are_kept() ? mm_records_traced_slot(base, size, index) : NULL;
    if (record != NULL)
        asked = mm_shape_asked(mm_record_shape(record));
    return base + index * size + (asked < size ? asked : size);
}

size_t mm_bounds_room(uintptr_t address)
{
    struct mm_batch *batch = mm_batch_at(address);
    unsigned index = (unsigned)mm_batch_slot(batch, address).index;
    uint64_t live = atomic_load_explicit(&batch->live, memory_order_acquire);
    if (mm_unlikely(index >= MM_WORD_BITS || !is_in(live, index)))
        return 0;
    uintptr_t base = mm_batch_base(batch), start = base + index * (uintptr_t)mm_batch_size(batch);
    size_t asked = mm_batch_size(batch);
    if (mm_likely(mm_stacks_are_kept())) {
        mm_shape shape = mm_records_glance(mm_batch_line(batch), base, asked, index);
        if (mm_unlikely(shape == MM_SHAPE_HELD))
            return 0;
        if (mm_likely(shape != 0))
            asked = mm_shape_asked(shape);
    }
    size_t into = address - start;
    return into < asked ? asked - into : 0;
}

size_t mm_bounds_room_guarded(uintptr_t address)
{
    struct mm_guarded_slot slot, above;
    mm_guarded_find(address, &slot, &above);
    if (slot.number == MM_GUARDED_SLOTS || slot.state != MM_GUARDED_LIVE)
        return 0;
    size_t into = address - slot.block;
    return into < slot.asked ? slot.asked - into : 0;
}

/* --- forwarded blocks --- */

/* Of forwarded blocks that are held the last few. A place may be of one that went: its record tells
 * whether it is still held. */
#define HELD_KEPT 64u
static struct {
    _Atomic uintptr_t start;
    _Atomic size_t asked;
} held[HELD_KEPT];
static _Atomic unsigned held_count;
static _Atomic bool is_watching;

void mm_bounds_start(void)
{
    atomic_store_explicit(&is_watching, true, memory_order_relaxed);
    mm_checks_keep_to_asked();
    mm_registry_watch();
}

void mm_bounds_held(uintptr_t start, size_t asked)
{
    if (!atomic_load_explicit(&is_watching, memory_order_relaxed))
        return;
    unsigned place = atomic_fetch_add_explicit(&held_count, 1, memory_order_relaxed) % HELD_KEPT;
    atomic_store_explicit(&held[place].asked, asked, memory_order_relaxed);
    atomic_store_explicit(&held[place].start, start, memory_order_relaxed);
    mm_registry_note_change();
}

void mm_bounds_let_go(void)
{
    mm_registry_note_change();
}

/* One that reaches into a range. */
static bool find_held(uintptr_t from, uintptr_t end, struct mm_bounds_range *range)
{
    for (unsigned i = 0; i < HELD_KEPT; i++) {
        uintptr_t start = atomic_load_explicit(&held[i].start, memory_order_relaxed);
        size_t asked = atomic_load_explicit(&held[i].asked, memory_order_relaxed);
        if (start >= end || start + asked <= from)
            continue;
        struct mm_block block = mm_block_forwarded((const void *)start);
        if (block.record == NULL || block.asked != asked ||
            !(mm_record_shape(block.record) & MM_SHAPE_HELD))
            continue;
        *range = (struct mm_bounds_range){start, start + asked, MM_BOUNDS_OF_HELD};
        return true;
    }
    return false;
}

static struct mm_bounds_range range_of(const struct mm_forwarded *block)
{
    const struct mm_record *record =
        mm_stacks_are_kept() ? mm_records_forwarded(block->start) : NULL;
    size_t size = block->size;
    if (record != NULL && (mm_record_shape(record) & MM_SHAPE_GUARDED))
        size = mm_shape_asked(mm_record_shape(record));
    return (struct mm_bounds_range){block->start, block->start + size, MM_BOUNDS_OF_BLOCK};
}

/* What reaches into a range highest, of live blocks first; false when there is no telling. */
static bool find_in(uintptr_t from, uintptr_t end, struct mm_bounds_range *range)
{
    struct mm_forwarded block;
    if (!mm_registry_below(end - 1, &block))
        return false;
    if (block.start != 0)
        *range = range_of(&block);
    if (block.start != 0 && range->end > from)
        return true;
    bool are_held = atomic_load_explicit(&held_count, memory_order_relaxed) != 0;
    if (!are_held || !find_held(from, end, range))
        *range = (struct mm_bounds_range){from, end, MM_BOUNDS_OF_NONE};
    return true;
}

/* The widest of these around the address in which nothing is, or what is there. */
bool mm_bounds_outside(uintptr_t address, struct mm_bounds_range *range)
{
    static const uintptr_t widths[] = {65536, 4096, 1};
    for (unsigned i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        uintptr_t from = address & ~(widths[i] - 1);
        if (!find_in(from, from + widths[i], range))
            return false;
        if (address >= range->start && address < range->end)
            break;
    }
    return true;
}

/* --- what it is --- */

static enum mem_mngr_misuse_kind kind_behind(const struct mm_access *access)
{
    return access->is_write ? MEM_MNGR_OVERFLOW : MEM_MNGR_OVER_READ;
}

static enum mem_mngr_misuse_kind kind_before(const struct mm_access *access)
{
    return access->is_write ? MEM_MNGR_UNDERFLOW : MEM_MNGR_UNDER_READ;
}

static void of_block(struct mm_access *access, uintptr_t start, uintptr_t end)
{
    access->block = start;
    access->asked = end - start;
}

/* It is told here: the damage that it does is not told once more when it is found. */
static void note_told(uintptr_t base, size_t size, unsigned index, mm_shape what)
{
    struct mm_record *record =
        mm_stacks_are_kept() ? mm_records_traced_slot(base, size, index) : NULL;
    if (record != NULL)
        atomic_fetch_or_explicit(&record->shape, what, memory_order_relaxed);
}

static bool is_live(const struct mm_slot_info *info, unsigned index)
{
    return info->batch != NULL && index < mm_batch_slots(info->batch) &&
           is_in(mm_checks_live(info->batch), index);
}

static bool of_live(struct mm_access *access, const struct mm_slot_info *info, unsigned index)
{
    uintptr_t start = info->base + index * info->size;
    of_block(access, start, end_of_slot(info->batch, index));
    if (access->is_write)
        note_told(info->base, info->size, index, MM_SHAPE_TOLD);
    return true;
}

/* What begins in front of a live slot is of that one where it is nearer than what lies below, or
 * reaches into it. */
static bool is_before_next(const struct mm_access *access, const struct mm_slot_info *info)
{
    uintptr_t next = info->base + (info->index + 1) * info->size;
    if (!is_live(info, info->index + 1) || access->start >= next)
        return false;
    if (is_live(info, info->index)) {
        uintptr_t end = end_of_slot(info->batch, info->index);
        return access->start >= end && access->start - end > next - access->start;
    }
    return mm_checks.guard != 0 ? next - access->start <= mm_checks.guard
                                : access->start + access->size > next;
}

/* Of a dead one what was asked is told by its record, if that is of it. */
static bool of_dead(struct mm_access *access, const struct mm_slot_info *info)
{
    struct mm_stack_history history;
    uintptr_t start = info->base + info->index * info->size;
    of_block(access, start, start + info->size);
    if (mm_stacks_history((const void *)start, &history) && history.has_allocated)
        access->asked = history.asked;
    if (access->is_write)
        note_told(info->base, info->size, info->index, MM_SHAPE_TOLD_FREED);
    return true;
}

/* The nearest live slot below in the same batch. */
static bool of_nearest_below(struct mm_access *access, const struct mm_slot_info *info)
{
    uint64_t below = 0;
    if (info->batch != NULL)
        below = mm_checks_live(info->batch) & mm_bits_below(info->index);
    return below != 0 && of_live(access, info, mm_log2_floor(below));
}

static bool judge_slot(struct mm_access *access, enum mem_mngr_misuse_kind *kind)
{
    struct mm_slot_info info = mm_batch_inspect(access->start);
    bool was_used = info.in_slot && !(mm_checks.guard != 0 && info.index == 0) &&
                    !mm_heap_never_handed_out(&info);
    if (is_before_next(access, &info)) {
        *kind = kind_before(access);
        return of_live(access, &info, info.index + 1);
    }
    *kind = kind_behind(access);
    if (info.in_slot && is_live(&info, info.index))
        return of_live(access, &info, info.index);
    if (!was_used)
        return of_nearest_below(access, &info);
    *kind = MEM_MNGR_USE_AFTER_FREE;
    bool may_be_of_fork = info.batch != NULL && mm_heap_left_behind(info.batch);
    return !may_be_of_fork && of_dead(access, &info);
}

/* Without a guard the program may know how much more there is than it asked for. */
static uintptr_t usable_end(uintptr_t start, uintptr_t end)
{
    struct mm_block block = mm_block_forwarded((const void *)start);
    if (block.record != NULL && (mm_record_shape(block.record) & MM_SHAPE_GUARDED))
        return end;
    size_t usable = mm_next_usable_size((void *)start); /* NOLINT(performance-no-int-to-ptr) */
    return start + usable > end ? start + usable : end;
}

static void note_forwarded_told(const struct mm_access *access, mm_shape what)
{
    struct mm_record *record = mm_stacks_are_kept() ? mm_records_forwarded(access->block) : NULL;
    if (record != NULL && access->is_write)
        atomic_fetch_or_explicit(&record->shape, what, memory_order_relaxed);
}

static bool of_held(struct mm_access *access, const struct mm_bounds_range *range,
                    enum mem_mngr_misuse_kind *kind)
{
    of_block(access, range->start, range->end);
    note_forwarded_told(access, MM_SHAPE_TOLD_FREED);
    *kind = MEM_MNGR_USE_AFTER_FREE;
    return true;
}

static bool judge_forwarded(struct mm_access *access, enum mem_mngr_misuse_kind *kind)
{
    struct mm_bounds_range range;
    if (!mm_bounds_outside(access->start, &range) || range.of == MM_BOUNDS_OF_NONE)
        return false;
    if (range.of == MM_BOUNDS_OF_HELD)
        return of_held(access, &range, kind);
    uintptr_t end = usable_end(range.start, range.end);
    if (access->start < end && access->size <= end - access->start)
        return false;
    of_block(access, range.start, end);
    note_forwarded_told(access, MM_SHAPE_TOLD);
    *kind = kind_behind(access);
    return true;
}

/* False where the pool has never had a block. */
static bool judge_guarded(struct mm_access *access, enum mem_mngr_misuse_kind *kind)
{
    struct mm_guarded_slot slot;
    if (access->size <= mm_bounds_room_guarded(access->start) ||
        !mm_guarded_nearest(access->start, &slot))
        return false;
    bool is_live = slot.state == MM_GUARDED_LIVE;
    of_block(access, slot.block, slot.block + slot.asked);
    *kind = !is_live                        ? MEM_MNGR_USE_AFTER_FREE
            : access->start < access->block ? kind_before(access)
                                            : kind_behind(access);
    struct mm_record *record = mm_records_guarded(slot.number);
    if (record != NULL && access->is_write)
        atomic_fetch_or_explicit(&record->shape, is_live ? MM_SHAPE_TOLD : MM_SHAPE_TOLD_FREED,
                                 memory_order_relaxed);
    return true;
}

bool mm_bounds_judge(struct mm_access *access, enum mem_mngr_misuse_kind *kind)
{
    if (mm_guarded_has(access->start))
        return judge_guarded(access, kind);
    if (!mm_arena_has(access->start))
        return judge_forwarded(access, kind);
    if (access->size <= mm_bounds_room(access->start))
        return false;
    return judge_slot(access, kind);
}
