/* batch.c - a batch's line: opened, closed, freed from elsewhere and collected. batch.h has the
 * states of a slot and of a batch.
 *
 * The owner alone opens, closes, claims and collects. Any thread may set a remote bit, in a batch
 * that it has pinned (pins.h), or take back its own. Nothing here locks. */
#include "slots/batch.h"

#include "slots/size_class.h"
#include <stddef.h>

#define CLAIM_BYTES 4096u
#define FIRST_SLOTS 4u /* of a list; each later batch spans twice as much */

unsigned mm_batch_slots_most = MM_WORD_BITS;

/* 63 slots of 16 bytes, not 64: a pointer 16 bytes before a block then never is the start of
 * another one, except between neighbours of that smallest size. */
static unsigned slots_of_span(size_t size, unsigned order)
{
    size_t slots = ((size_t)1 << (MM_UNIT_SHIFT + order)) / size;
    unsigned most = size == MM_GRANULE ? MM_WORD_BITS - 1 : MM_WORD_BITS;
    return slots < most ? (unsigned)slots : most;
}

struct mm_batch_shape mm_batch_shape(unsigned class, unsigned slots_per_batch, uint32_t batches)
{
    size_t size = mm_class_size(class);
    /* A span of at most 64 slots' length: the index of an address in its tail still is below 64. */
    unsigned widest = mm_log2_floor(MM_WORD_BITS * size) - MM_UNIT_SHIFT;
    unsigned most = slots_per_batch < MM_WORD_BITS ? MM_SPAN_ORDER_MAX : MM_BATCH_ORDER_MAX;
    widest = widest < most ? widest : most;
    size_t least = size * (slots_per_batch < MM_WORD_BITS ? slots_per_batch : FIRST_SLOTS);
    unsigned order = mm_log2_ceil((least + (1u << MM_UNIT_SHIFT) - 1) >> MM_UNIT_SHIFT);
    if (slots_per_batch == MM_WORD_BITS)
        order += batches < widest ? batches : widest;
    order = order < widest ? order : widest;
    unsigned slots = slots_of_span(size, order);
    return (struct mm_batch_shape){class, order, slots < slots_per_batch ? slots : slots_per_batch};
}

/* Two at a time: spans are aligned to their length. */
static void set_units(const struct mm_batch *batch, uint32_t line)
{
    size_t unit = (mm_batch_base(batch) - mm_arena.base) >> MM_UNIT_SHIFT;
    size_t count = (size_t)1 << mm_batch_order(batch);
    _Atomic uint32_t *first = &mm_arena.unit_line[unit];
    typedef uint64_t pair __attribute__((may_alias));
    if (count == 1)
        atomic_store_explicit(first, line, memory_order_release);
    for (size_t i = 0; i < count / 2; i++)
        __atomic_store_n((pair *)(void *)first + i, (pair)line << 32 | line, __ATOMIC_RELEASE);
}

static uint32_t grave_of(unsigned class, unsigned order)
{
    return (1 + class * (MM_SPAN_ORDER_MAX + 1) + order) * MM_LINE_SIZE;
}
_Static_assert(MM_BATCH_ORDER_MAX <= MM_SPAN_ORDER_MAX, "the arena has such spans");
_Static_assert(MM_CLASSES *(MM_SPAN_ORDER_MAX + 1) <= MM_GRAVE_LINES, "a grave a shape");

void mm_batch_open(struct mm_batch *batch, struct mm_heap *owner, struct mm_batch_shape shape,
                   uintptr_t base, bool zero)
{
    size_t size = mm_class_size(shape.class);
    MM_ASSERT(mm_batch_owner(batch) == NULL);
    MM_ASSERT(atomic_load_explicit(&batch->remote, memory_order_relaxed) == 0);
    mm_batch_set_live(batch, 0);
    MM_ASSERT(!mm_batch_is_grave(batch) && owner != NULL);
    MM_ASSERT((base - mm_arena.base) % ((size_t)1 << (MM_UNIT_SHIFT + shape.order)) == 0);
    MM_ASSERT(shape.slots >= 1 && shape.slots * size <= (size_t)1 << (MM_UNIT_SHIFT + shape.order));
    atomic_store_explicit(&batch->owner, (uintptr_t)owner | MM_IDLE, memory_order_relaxed);
    atomic_store_explicit(&batch->base, base, memory_order_relaxed);
    atomic_store_explicit(&batch->reciprocal, UINT64_MAX / size + 1, memory_order_relaxed);
    atomic_store_explicit(&batch->size, (uint32_t)size, memory_order_relaxed);
    atomic_store_explicit(&batch->slots, (uint8_t)shape.slots, memory_order_relaxed);
    atomic_store_explicit(&batch->order, (uint8_t)shape.order, memory_order_relaxed);
    atomic_store_explicit(&batch->class_index, (uint8_t)shape.class, memory_order_relaxed);
    atomic_store_explicit(&batch->fresh, 0, memory_order_relaxed);
    atomic_store_explicit(&batch->zero, zero, memory_order_relaxed);
    batch->state = MM_BATCH_FULL;
    set_units(batch, mm_batch_line(batch));
}

/* Another thread may be in the middle of mm_batch_free_remote(). If its free was taken over
 * already, it must either be seen to have queued the batch, or find no owner any more. If it is a
 * second free, it must find the live bit gone, or its remote bit must be found here: sequentially
 * consistent with its two steps. */
enum mm_close mm_batch_close(struct mm_batch *batch)
{
    uintptr_t owner = atomic_load_explicit(&batch->owner, memory_order_relaxed);
    uintptr_t idle = owner & ~(uintptr_t)MM_QUEUED;
    MM_ASSERT(mm_batch_live(batch) == 0 && owner != 0);
    if (!atomic_compare_exchange_strong_explicit(&batch->owner, &idle, 0, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return MM_CLOSE_LATER;
    if (atomic_load_explicit(&batch->remote, memory_order_seq_cst) != 0) {
        atomic_store_explicit(&batch->owner, owner | MM_QUEUED, memory_order_seq_cst);
        return MM_CLOSE_PUSH;
    }
    set_units(batch, grave_of(mm_batch_class(batch), mm_batch_order(batch)));
    return MM_CLOSED;
}

static void locate(struct mm_slot_info *info, uintptr_t address, size_t size, unsigned slots)
{
    info->size = size;
    info->index = (unsigned)((address - info->base) / size);
    info->offset = (address - info->base) % size;
    info->in_slot = info->index < slots;
}

struct mm_slot_info mm_batch_inspect(uintptr_t address)
{
    struct mm_slot_info info = {0};
    struct mm_batch *batch = mm_batch_at(address);
    uint32_t line = mm_batch_line(batch);
    if (!mm_batch_is_grave(batch)) {
        info.batch = batch;
        info.base = mm_batch_base(batch);
        locate(&info, address, mm_batch_size(batch), mm_batch_slots(batch));
        info.fresh = mm_batch_is_zero(batch) &&
                     info.index >= atomic_load_explicit(&batch->fresh, memory_order_relaxed) &&
                     !mm_arena_was_given(address);
    } else if (line != MM_LINE_NONE) {
        unsigned grave = line / MM_LINE_SIZE - 1;
        unsigned order = grave % (MM_SPAN_ORDER_MAX + 1);
        size_t size = mm_class_size(grave / (MM_SPAN_ORDER_MAX + 1));
        info.base = address & ~(((uintptr_t)1 << (MM_UNIT_SHIFT + order)) - 1);
        unsigned slots = slots_of_span(size, order);
        locate(&info, address, size, slots < mm_batch_slots_most ? slots : mm_batch_slots_most);
    }
    return info;
}

unsigned mm_batch_window(size_t size)
{
    size_t window = CLAIM_BYTES / size;
    window = window > 2 ? window : 2;
    return window < MM_WORD_BITS ? (unsigned)window : MM_WORD_BITS;
}

/* Changes both words from what they were seen to be, or nothing. Spelled out on x86-64, where gcc
 * and clang differ in whether the builtin is one instruction or a call into a library; and gcc's
 * thread sanitizer would put a lock of its own around it. cmpxchg16b is on every x86-64 but the
 * first. */
__attribute__((no_sanitize_thread)) static bool swap_words(struct mm_batch *batch, uint64_t live,
                                                           uint64_t remote, uint64_t new_live,
                                                           uint64_t new_remote)
{
#ifdef __x86_64__
    bool swapped;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(swapped), "+m"(*(unsigned __int128 *)batch), "+a"(live), "+d"(remote)
                     : "b"(new_live), "c"(new_remote)
                     : "memory");
    return swapped;
#else
    typedef unsigned __int128 both __attribute__((may_alias));
    both before = (both)remote << 64 | live;
    both after = (both)new_remote << 64 | new_live;
    return __sync_bool_compare_and_swap((both *)batch, before, after);
#endif
}
_Static_assert(offsetof(struct mm_batch, live) == 0 && offsetof(struct mm_batch, remote) == 8 &&
                   __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "swap_words takes both words as one");

/* The live bit went away after we had found it set and had set the remote bit. Either the owner
 * collected our free, and took the remote bit too, or it freed the slot itself at the same moment:
 * only then is the slot's remote bit set and its live bit clear. One of us tells of it, whoever
 * clears the remote bit: we, or mm_batch_collect(). */
static bool freed_twice(struct mm_batch *batch, uint64_t bit)
{
    for (;;) {
        uint64_t live = atomic_load_explicit(&batch->live, memory_order_acquire);
        uint64_t remote = atomic_load_explicit(&batch->remote, memory_order_acquire);
        if ((live & bit) || !(remote & bit))
            return false;
        if (swap_words(batch, live, remote, live, remote & ~bit))
            return true;
    }
}

/* Makes sure that the owner will look at the remote word, and that it does not use the fast path
 * from now on; true when the batch must be pushed for that. Sequentially consistent with the start
 * of mm_batch_collect(): either we see its tag, or it sees our bit. The owner may have taken our
 * bit and even closed the batch already. */
static bool queue(struct mm_batch *batch)
{
    uintptr_t owner = atomic_load_explicit(&batch->owner, memory_order_seq_cst);
    while (owner != 0 && !(owner & MM_QUEUED)) {
        if (atomic_compare_exchange_weak_explicit(&batch->owner, &owner, owner | MM_QUEUED,
                                                  memory_order_seq_cst, memory_order_seq_cst))
            return true;
    }
    return false;
}

/* The order matters: a second free must find either the remote bit or the live bit changed. */
enum mm_remote_free mm_batch_free_remote(struct mm_batch *batch, unsigned index)
{
    MM_ASSERT(index < mm_batch_slots(batch) && !mm_batch_is_grave(batch));
    uint64_t bit = (uint64_t)1 << index;
    if (!(atomic_load_explicit(&batch->live, memory_order_acquire) & bit))
        return MM_REMOTE_DOUBLE;
    mm_arena_mark(mm_batch_line(batch));
    /* Release: what the program wrote to the slot happens before its next use by the owner. */
    uint64_t before = atomic_fetch_or_explicit(&batch->remote, bit, memory_order_seq_cst);
    if (before & bit)
        return MM_REMOTE_DOUBLE;
    uint64_t live = atomic_load_explicit(&batch->live, memory_order_seq_cst);
    bool twice = !(live & bit) && freed_twice(batch, bit);
    bool first = queue(batch);
    if (twice)
        return first ? MM_REMOTE_DOUBLE_FIRST : MM_REMOTE_DOUBLE;
    return first ? MM_REMOTE_OK_FIRST : MM_REMOTE_OK;
}

/* The tag first: who sets a remote bit after we looked finds the batch not queued, and queues it
 * again. */
struct mm_collected mm_batch_collect(struct mm_batch *batch)
{
    atomic_fetch_and_explicit(&batch->owner, ~(uintptr_t)MM_QUEUED, memory_order_seq_cst);
    uint64_t live = mm_batch_live(batch);
    uint64_t remote;
    do
        remote = atomic_load_explicit(&batch->remote, memory_order_seq_cst);
    while (remote != 0 && !swap_words(batch, live, remote, live & ~remote, 0));
    return (struct mm_collected){remote & live, remote & ~live};
}

struct mm_batch *mm_batch_walk(size_t *unit, size_t end)
{
    while (*unit < end) {
        uint32_t line = atomic_load_explicit(&mm_arena.unit_line[*unit], memory_order_acquire);
        struct mm_batch *batch = mm_batch_of_line(line);
        uintptr_t here = mm_arena.base + (*unit << MM_UNIT_SHIFT);
        if (line == MM_LINE_NONE || mm_batch_base(batch) != here) {
            ++*unit;
            continue;
        }
        *unit += (size_t)1 << mm_batch_order(batch);
        return batch;
    }
    return NULL;
}

/* Lines are not all of batches, and what others hold says nothing; but the units of a batch refer
 * to it. */
static bool is_batch(const struct mm_batch *batch)
{
    uintptr_t base = mm_batch_base(batch);
    size_t unit = (base - mm_arena.base) >> MM_UNIT_SHIFT;
    return mm_arena_has(base) && atomic_load_explicit(&mm_arena.unit_line[unit],
                                                      memory_order_relaxed) == mm_batch_line(batch);
}

struct mm_batch *mm_batch_walk_remote(uint32_t *line, uint32_t end)
{
    for (; (*line = mm_arena_next_marked(*line, end)) < end; *line += MM_LINE_SIZE) {
        struct mm_batch *batch = mm_batch_of_line(*line);
        if ((atomic_load_explicit(&batch->remote, memory_order_relaxed) != 0 ||
             mm_batch_tag(batch) != MM_IDLE) &&
            is_batch(batch)) {
            *line += MM_LINE_SIZE;
            return batch;
        }
    }
    return NULL;
}
