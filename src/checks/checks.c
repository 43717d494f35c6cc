/* checks.c - see checks.h. Settings are written at the start and only read from then on; bytes of a
 * block are written by whoever hands it out or frees it, those of a damaged guard by whoever found
 * that. */
#include "checks/checks.h"

#include "blocks/record.h"
#include "checks/quarantine.h"
#include "checks/shut.h"
#include "forwarded/next.h"
#include "system/peek.h"
#include "system/residency.h"
#include <string.h>

#define FREED_BYTE  0xddu /* no address of any program begins with such */
#define PURGE_LEAST ((size_t)32 << 10)
/* On either end of pages that went back: to look at one is to have it back, as one of zeros. */
#define LOOKED_AT  ((size_t)1 << 20)
#define PAGE_LEAST ((size_t)4096)
/* Pages that went back count for so much less, as what is left of them is address space, and the
 * system's tables of it. */
#define OF_ADDRESSES 64u
/* What a held block takes besides itself: its record, its place in the row, and of its batch and
 * its page of records what it keeps from others. A program of small ones would take far more than
 * it asked for. */
#define KEPT_BESIDE (3 * sizeof(struct mm_record))

struct mm_checks mm_checks;

/* --- the watcher: that of the stacks, and guards --- */

static struct mm_watcher watcher;

static bool is_there_beside(const struct mm_block *block, int step);

/* What guards a slot above that is there stays as it is: it may be damaged, and that is not told
 * yet. Where memory for a record was refused, a slot is not looked at, and guards the one above all
 * the same. */
static void guard_slot(const struct mm_block *block, size_t asked)
{
    size_t size = mm_batch_size(block->batch);
    uintptr_t behind = block->start + asked, end = block->start + size;
    bool is_below_live = mm_batch_live(block->batch) >> (block->index - 1) & 1;
    MM_ASSERT(block->index > 0 && asked + mm_checks.guard <= size);
    if (is_there_beside(block, 1))
        end -= mm_checks.guard;
    memset((void *)behind, MM_GUARD_BYTE, end - behind);
    /* A live slot below has its own; a free one has it from now on. */
    if (!is_below_live)
        memset((void *)(block->start - mm_checks.guard), MM_GUARD_BYTE, mm_checks.guard);
    if (block->record != NULL)
        mm_record_set_shape(block->record, mm_record_shape(block->record) | MM_SHAPE_GUARDED);
}

static void handed_out(struct mm_watch *watch, struct mm_batch *batch, unsigned index,
                       mm_shape shape)
{
    struct mm_record *record = mm_stacks_handed_out(watch, batch, index, shape);
    struct mm_block block = mm_block_with(batch, index, record);
    size_t asked = mm_shape_asked(shape);
    if (mm_checks.perturbs)
        memset((void *)block.start, mm_checks.fresh, asked);
    if (mm_checks.guard != 0)
        guard_slot(&block, asked);
}

static bool wants_records(const struct mm_checks_settings *wanted)
{
    return wanted->guard != 0 || wanted->quarantine != 0 || wanted->mismatch ||
           wanted->perturb != 0;
}

static void set(const struct mm_checks_settings *wanted)
{
    bool perturbs = wanted->perturb != 0;
    mm_checks = (struct mm_checks){
        .guard = (wanted->guard + MM_GRANULE - 1) & ~(size_t)(MM_GRANULE - 1),
        .any = true,
        .holds = wanted->quarantine != 0 && mm_quarantine_start(wanted->quarantine),
        .mismatch = wanted->mismatch,
        .perturbs = perturbs,
        .freed = (unsigned char)(perturbs ? (unsigned)wanted->perturb : FREED_BYTE),
        .fresh = (unsigned char)~wanted->perturb,
    };
}

bool mm_checks_start(const struct mm_checks_settings *wanted,
                     const struct mm_stacks_settings *stacks)
{
    struct mm_stacks_settings with = *stacks;
    with.all = with.all || wants_records(wanted);
    if (!mm_stacks_start(&with))
        return false;
    if (!wants_records(wanted))
        return true;
    set(wanted);
    if (mm_checks.holds)
        mm_residency_start();
    watcher = *mm_watcher;
    watcher.handed_out = handed_out;
    watcher.guard = mm_checks.guard;
    watcher.leaves_slots = mm_checks.guard == 0 && !mm_checks.perturbs;
    watcher.unused = mm_checks.guard != 0;
    mm_watcher = &watcher;
    return wanted->quarantine == 0 || mm_checks.holds;
}

void mm_checks_keep_to_asked(void)
{
    mm_checks.keeps_to_asked = mm_stacks_are_kept();
}

void mm_checks_stop(void)
{
    mm_stacks_stop();
    mm_quarantine_stop();
    mm_shut_forget();
    mm_checks = (struct mm_checks){0};
}

/* --- blocks --- */

struct mm_block mm_block_of_slot(struct mm_batch *batch, unsigned index)
{
    return mm_block_with(batch, index,
                         mm_records_traced_slot(mm_batch_base(batch), mm_batch_size(batch), index));
}

struct mm_block mm_block_with(struct mm_batch *batch, unsigned index, struct mm_record *record)
{
    size_t size = mm_batch_size(batch);
    size_t asked = record != NULL ? mm_shape_asked(mm_record_shape(record)) : size;
    return (struct mm_block){.start = (uintptr_t)mm_batch_slot_start(batch, index),
                             .asked = asked,
                             .record = record,
                             .batch = batch,
                             .index = index};
}

struct mm_block mm_block_of_held(struct mm_batch *batch, unsigned index)
{
    uintptr_t start = (uintptr_t)mm_batch_slot_start(batch, index);
    return (struct mm_block){.start = start, .batch = batch, .index = index};
}

struct mm_block mm_block_forwarded(const void *ptr)
{
    uintptr_t address = mm_os_untagged(ptr);
    struct mm_record *record = mm_stacks_are_kept() ? mm_records_forwarded(address) : NULL;
    size_t asked = record != NULL ? mm_shape_asked(mm_record_shape(record)) : 0;
    return (struct mm_block){.start = (uintptr_t)ptr, .asked = asked, .record = record};
}

uint64_t mm_checks_live(const struct mm_batch *batch)
{
    uint64_t live = atomic_load_explicit(&batch->live, memory_order_acquire);
    _Atomic uint64_t *held = mm_checks.any ? mm_records_held_word(mm_batch_line(batch)) : NULL;
    return held != NULL ? live & ~atomic_load_explicit(held, memory_order_acquire) : live;
}

/* --- bytes --- */

/* Sixteen bytes, wherever they lie. */
typedef uint64_t vector __attribute__((vector_size(16), may_alias, aligned(1)));

static inline bool is_zero(vector value)
{
    return (value[0] | value[1]) == 0;
}

/* Whether all of [from, end), 16 bytes or more, is `byte`. The last 16 are looked at first, so that
 * no rest is left over. */
static inline bool is_all(uintptr_t from, uintptr_t end, unsigned char byte)
{
    uint64_t eight = UINT64_C(0x0101010101010101) * byte;
    vector wanted = {eight, eight}, other = *(const vector *)(end - sizeof other) ^ wanted;
    for (; from + 4 * sizeof other <= end && is_zero(other); from += 4 * sizeof other) {
        const vector *at = (const vector *)from;
        other = (at[0] ^ wanted) | (at[1] ^ wanted) | (at[2] ^ wanted) | (at[3] ^ wanted);
    }
    for (; from + sizeof other < end && is_zero(other); from += sizeof other)
        other = *(const vector *)from ^ wanted;
    return is_zero(other);
}

/* The first of [from, end) that is not `byte`; `end` when there is none. */
static uintptr_t first_other(uintptr_t from, uintptr_t end, unsigned char byte)
{
    if (from + sizeof(vector) <= end && is_all(from, end, byte))
        return end;
    for (; from < end && *(const unsigned char *)from == byte; from++)
        ;
    return from;
}

#define PEEKED ((size_t)512)

/* False when it is gone. */
static bool read_bytes(const struct mm_block *block, uintptr_t from, void *to, size_t size)
{
    if (block->may_go)
        return mm_peek(to, from, size, size) == size;
    memcpy(to, (const void *)from, size);
    return true;
}

/* The same in a block; what is gone does not differ. */
static uintptr_t first_other_in(const struct mm_block *block, uintptr_t from, uintptr_t end,
                                unsigned char byte)
{
    unsigned char piece[PEEKED];
    if (!block->may_go)
        return first_other(from, end, byte);
    for (size_t size; from < end; from += size) {
        size = end - from < PEEKED ? end - from : PEEKED;
        if (!read_bytes(block, from, piece, size))
            return end;
        uintptr_t first = first_other((uintptr_t)piece, (uintptr_t)piece + size, byte);
        if (first != (uintptr_t)piece + size)
            return from + (first - (uintptr_t)piece);
    }
    return end;
}

static uint64_t allocated_at(const struct mm_record *record)
{
    return atomic_load_explicit(&record->allocated, memory_order_relaxed);
}

static void note_life(struct mm_damage *damage, struct mm_record *record)
{
    damage->record = record;
    damage->shape = mm_record_shape(record);
    damage->allocated = allocated_at(record);
}

/* Handed out anew, the block is somebody else's, and its guard was not there for a moment. */
static bool is_same_life(const struct mm_damage *life)
{
    mm_shape flags = MM_SHAPE_TOLD_FREED | MM_SHAPE_TOLD | MM_SHAPE_HELD | MM_SHAPE_GUARDED |
                     MM_SHAPE_CALL | MM_SHAPE_IGNORED;
    atomic_thread_fence(memory_order_acquire);
    return life->record != NULL && ((mm_record_shape(life->record) ^ life->shape) & ~flags) == 0 &&
           allocated_at(life->record) == life->allocated;
}

/* False when it is gone. */
static bool note_damage(struct mm_damage *damage, const struct mm_block *block, uintptr_t at,
                        uintptr_t end, unsigned char byte)
{
    *damage = (struct mm_damage){.block = block->start, .at = at, .asked = block->asked};
    if (block->record != NULL)
        note_life(damage, block->record);
    size_t count = end - at < MM_DAMAGE_BYTES ? end - at : MM_DAMAGE_BYTES;
    if (!read_bytes(block, at, damage->found, count))
        return false;
    while (count > 1 && damage->found[count - 1] == byte)
        count--;
    damage->found_count = (unsigned)count;
    return true;
}

/* --- guards --- */

size_t mm_checks_front(size_t alignment)
{
    return (mm_checks.guard + alignment - 1) & ~(alignment - 1);
}

size_t mm_checks_whole(size_t alignment, size_t asked)
{
    size_t beside = mm_checks_front(alignment) + mm_checks.guard;
    return asked <= PTRDIFF_MAX - beside ? asked + beside : SIZE_MAX;
}

static uintptr_t end_of_guard(const struct mm_block *block)
{
    return block->batch != NULL ? block->start + mm_batch_size(block->batch)
                                : block->start + block->asked + mm_checks.guard;
}

void mm_checks_lay(const struct mm_block *block)
{
    uintptr_t behind = block->start + block->asked;
    if (block->batch != NULL) {
        memset((void *)behind, MM_GUARD_BYTE, end_of_guard(block) - mm_checks.guard - behind);
        return;
    }
    memset((void *)behind, MM_GUARD_BYTE, mm_checks.guard);
    memset((void *)(block->start - mm_checks.guard), MM_GUARD_BYTE, mm_checks.guard);
}

/* No more than the bytes that changed: further on there may be a damage of the block beside, which
 * is not told yet. */
void mm_checks_mend(const struct mm_block *block, const struct mm_damage *damage)
{
    uintptr_t least = block->start - mm_checks.guard;
    uintptr_t end = damage->at < block->start ? block->start : end_of_guard(block);
    volatile unsigned char *at =
        (volatile unsigned char *)(damage->at < least ? least : damage->at);
    for (; (uintptr_t)at < end && *at != MM_GUARD_BYTE; at++)
        *at = MM_GUARD_BYTE;
}

static bool has(const struct mm_record *record, mm_shape what)
{
    return record != NULL && (mm_record_shape(record) & what);
}

/* The slot before or behind, if it is there and guarded. */
static struct mm_block beside(const struct mm_block *block, int step)
{
    struct mm_block none = {0};
    unsigned index = block->index + (unsigned)step;
    if (block->batch == NULL || index == 0 || index >= mm_batch_slots(block->batch))
        return none;
    struct mm_block other = mm_block_of_slot(block->batch, index);
    return has(other.record, MM_SHAPE_GUARDED) ? other : none;
}

/* That is handed out, or held: of a block that is just being freed as well as of one in use what is
 * damaged is its own. */
static bool is_there_beside(const struct mm_block *block, int step)
{
    unsigned index = block->index + (unsigned)step;
    return block->batch != NULL && index < MM_WORD_BITS &&
           (mm_batch_live(block->batch) >> index & 1) && beside(block, step).record != NULL;
}

static void name_neighbour(struct mm_damage *damage, const struct mm_block *other)
{
    if (other->record != NULL)
        damage->neighbour = (struct mm_forwarded){other->start, other->asked};
}

/* Bytes between two slots belong to both. Whose they are is told by what the first damaged one is
 * nearest to, from whichever side that is looked at; and the other may have been it. */
static bool is_of_above(const struct mm_block *below, uintptr_t at, uintptr_t above)
{
    uintptr_t behind = below->start + below->asked;
    return at - behind > above - at && above - at <= mm_checks.guard;
}

/* The block beside may have been told of it, and be gone, since it was looked at. */
static bool was_mended(const struct mm_block *block, uintptr_t at)
{
    atomic_thread_fence(memory_order_acquire);
    return first_other_in(block, at, at + 1, MM_GUARD_BYTE) != at;
}

static bool look_behind(const struct mm_block *block, struct mm_damage *damage)
{
    uintptr_t behind = block->start + block->asked, end = end_of_guard(block);
    uintptr_t at = first_other_in(block, behind, end, MM_GUARD_BYTE);
    if (at == end)
        return false;
    struct mm_block above = beside(block, 1);
    bool is_there = is_there_beside(block, 1);
    bool is_before = is_there && is_of_above(block, at, end);
    if (was_mended(block, at))
        return false;
    if (!note_damage(damage, is_before ? &above : block, at, end, MM_GUARD_BYTE))
        return false;
    damage->kind = is_before ? MEM_MNGR_UNDERFLOW : MEM_MNGR_OVERFLOW;
    if (is_there && end - at <= mm_checks.guard)
        name_neighbour(damage, is_before ? block : &above);
    return true;
}

static bool is_guard(uintptr_t at)
{
    return *(const volatile unsigned char *)at == MM_GUARD_BYTE;
}

/* Where the damaged bytes at the slot above begin in this one, whose guard may be longer, unless it
 * is filled by now. */
static uintptr_t begin_in_below(const struct mm_block *below, uintptr_t at)
{
    while (at > below->start + below->asked && !is_guard(at - 1) &&
           *(const volatile unsigned char *)(at - 1) != mm_checks.freed)
        at--;
    return at;
}

static uintptr_t next_damaged(uintptr_t at, uintptr_t end)
{
    while (at < end && !is_guard(at))
        at++;
    return first_other(at, end, MM_GUARD_BYTE);
}

/* Of the bytes before the block, damaged from `at` on, the first that are its own, or else those of
 * the slot below. */
static uintptr_t begin_before(const struct mm_block *below, uintptr_t at, uintptr_t end)
{
    uintptr_t first = begin_in_below(below, at);
    for (; at < end; at = next_damaged(at, end)) {
        uintptr_t begin = begin_in_below(below, at);
        if (is_of_above(below, begin, end))
            return begin;
    }
    return first;
}

/* Of a slot below that is free nothing but its end is a guard. */
static bool look_before(const struct mm_block *block, struct mm_damage *damage)
{
    uintptr_t end = block->start;
    uintptr_t at = first_other_in(block, end - mm_checks.guard, end, MM_GUARD_BYTE);
    if (at == end)
        return false;
    struct mm_block below = beside(block, -1);
    struct mm_damage life = {0};
    if (below.record != NULL)
        note_life(&life, below.record);
    uintptr_t begin = is_there_beside(block, -1) ? begin_before(&below, at, end) : at;
    bool is_there = is_there_beside(block, -1) && is_same_life(&life);
    if (was_mended(block, is_there ? begin : at))
        return false;
    if (is_there)
        at = begin;
    bool is_behind = is_there && !is_of_above(&below, at, end);
    if (!note_damage(damage, is_behind ? &below : block, at, end, MM_GUARD_BYTE))
        return false;
    damage->kind = is_behind ? MEM_MNGR_OVERFLOW : MEM_MNGR_UNDERFLOW;
    if (is_there)
        name_neighbour(damage, is_behind ? block : &below);
    return true;
}

unsigned mm_checks_guards(const struct mm_block *block, struct mm_damage damages[MM_GUARDS])
{
    unsigned count = 0;
    struct mm_block seen = *block;
    if (!has(block->record, MM_SHAPE_GUARDED))
        return 0;
    if (mm_shut_has(block->start - mm_checks.guard, end_of_guard(block)))
        seen.may_go = true;
    count += look_behind(&seen, &damages[count]);
    count += look_before(&seen, &damages[count]);
    return count;
}

/* Another block's may be somebody else's by now. */
bool mm_checks_tell(const struct mm_damage *damage)
{
    mm_shape told = damage->kind == MEM_MNGR_USE_AFTER_FREE ? MM_SHAPE_TOLD_FREED : MM_SHAPE_TOLD;
    mm_shape now = mm_record_shape(damage->record);
    do {
        if ((now & told) || !is_same_life(damage))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&damage->record->shape, &now, now | told,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool mm_checks_beside(const struct mm_block *block, uintptr_t from, uintptr_t end,
                      struct mm_damage *damage)
{
    uintptr_t at = first_other_in(block, from, end, MM_GUARD_BYTE);
    if (at == end || !note_damage(damage, block, at, end, MM_GUARD_BYTE))
        return false;
    damage->kind = at < block->start ? MEM_MNGR_UNDERFLOW : MEM_MNGR_OVERFLOW;
    return true;
}

/* --- held blocks --- */

/* What is filled of a slot goes as far as the guard of the one above, whatever was asked: what was
 * need not be known when it goes, which is long after anything of it was last touched. */
static uintptr_t end_of_filling(const struct mm_block *block)
{
    return block->start +
           (block->batch != NULL ? mm_batch_size(block->batch) - mm_checks.guard : block->asked);
}

/* Of a large one the whole pages inside, where that is memory that reads as zero once it went back;
 * empty else. */
struct pages {
    uintptr_t start, end;
};

static struct pages pages_of(const struct mm_block *block)
{
    struct pages none = {block->start, block->start};
    uintptr_t end = end_of_filling(block);
    if (mm_likely(end - block->start < PURGE_LEAST))
        return none;
    uintptr_t mask = mm_os_page_size() - 1;
    struct pages pages = {(block->start + mask) & ~mask, end & ~mask};
    bool may = mm_checks.holds && !mm_next_may_call_back() &&
               mm_os_untagged((const void *)block->start) == block->start;
    return may && pages.start < pages.end ? pages : none;
}

size_t mm_checks_resident(const struct mm_block *block)
{
    struct pages pages = pages_of(block);
    size_t size = block->batch != NULL ? mm_batch_size(block->batch) : block->asked;
    size_t gone = pages.end - pages.start;
    return size + KEPT_BESIDE - gone + gone / OF_ADDRESSES;
}

static bool give_back(const struct mm_block *block, struct pages pages)
{
    void *start = (void *)pages.start;
    size_t size = pages.end - pages.start;
    return block->batch != NULL ? mm_arena_purge_pages(start, size) : mm_os_purge(start, size);
}

void mm_checks_fill(const struct mm_block *block)
{
    struct pages pages = pages_of(block);
    uintptr_t end = end_of_filling(block);
    if (pages.start < pages.end) {
        if (!give_back(block, pages))
            pages.end = pages.start;
        memset((void *)block->start, mm_checks.freed, pages.start - block->start);
    }
    memset((void *)pages.end, mm_checks.freed, end - pages.end);
}

static bool differs(const struct mm_block *block, uintptr_t from, uintptr_t end, unsigned char byte,
                    struct mm_damage *damage)
{
    uintptr_t at = first_other_in(block, from, end, byte);
    if (at == end || !note_damage(damage, block, at, end, byte))
        return false;
    damage->kind = MEM_MNGR_USE_AFTER_FREE;
    if (block->batch != NULL) {
        struct mm_block whole = mm_block_of_slot(block->batch, block->index);
        damage->asked = whole.asked;
        if (whole.record != NULL)
            note_life(damage, whole.record);
    }
    return damage->record != NULL;
}

/* What is not there was not written to since it went back. A page that the system did not take is
 * filled. */
static bool differs_in_run(const struct mm_block *block, uintptr_t at, uintptr_t end,
                           struct mm_damage *damage)
{
    size_t size = mm_os_page_size();
    unsigned char there[2 * LOOKED_AT / PAGE_LEAST];
    if (!mm_residency_of((const void *)at, end - at, there))
        memset(there, 1, sizeof there);
    for (size_t page = 0; at < end; at += size, page++) {
        unsigned char byte;
        if (!(there[page] & 1))
            continue;
        if (!read_bytes(block, at, &byte, 1))
            return false;
        if (byte != mm_checks.freed)
            byte = 0;
        if (differs(block, at, at + size, byte, damage))
            return true;
    }
    return false;
}

static bool differs_in_pages(const struct mm_block *block, struct pages pages,
                             struct mm_damage *damage)
{
    if (pages.end - pages.start <= 2 * LOOKED_AT)
        return differs_in_run(block, pages.start, pages.end, damage);
    return differs_in_run(block, pages.start, pages.start + LOOKED_AT, damage) ||
           differs_in_run(block, pages.end - LOOKED_AT, pages.end, damage);
}

bool mm_checks_is_filling(uintptr_t address)
{
    return mm_checks.holds && address >> 16 == mm_checks.freed * (UINTPTR_MAX / 255) >> 16;
}

bool mm_checks_filling(const struct mm_block *block, struct mm_damage *damage)
{
    struct pages pages = pages_of(block);
    uintptr_t end = end_of_filling(block);
    struct mm_block seen = *block;
    if (mm_shut_has(block->start, end))
        seen.may_go = true;
    if (pages.start < pages.end &&
        (differs(&seen, block->start, pages.start, mm_checks.freed, damage) ||
         differs_in_pages(&seen, pages, damage)))
        return true;
    return differs(&seen, pages.end, end, mm_checks.freed, damage);
}

bool mm_checks_hold_slot(const struct mm_block *block, bool *is_first)
{
    uint64_t bit = (uint64_t)1 << block->index;
    _Atomic uint64_t *held = mm_records_need_held_word(mm_batch_line(block->batch));
    if (held == NULL)
        return false;
    *is_first = !(atomic_fetch_or_explicit(held, bit, memory_order_acq_rel) & bit);
    return true;
}
