/* batch.h - a batch: up to 64 equal slots, described by one cache line kept away from them.
 *
 * States of a slot, by its bits in the batch's words:
 *
 *   live remote   the slot is
 *    0     0      free, or claimed: noted by its heap for the next requests, not yet handed out
 *    1     0      handed out
 *    1     1      freed by a thread that doesn't own it; in use until the owner collects it
 *    0     1      freed twice by two threads at once, or, for a moment, being collected
 *
 * `live` is written by the owner alone, with plain stores; any thread may read it. `remote` is
 * only ever changed by atomic read-modify-writes: other threads set bits, the owner clears them.
 * The live bit is the only truth about a slot: a claimed slot is not live, so freeing it is a
 * double free.
 *
 * A batch is in one of four states for its owner:
 *
 *   current    the one that its list hands out from (mm_bin.batch)
 *   full       in no queue; few of its slots are free
 *   available  in its list's queue: at least a quarter of its slots is free, or an eighth in a
 *              list of many batches
 *   sparse     in its list's other queue, which is used when that one is empty: at least three
 *              quarters were free when its turn came, and if it is left alone all may become so
 *
 * `frees_left` counts down the frees that it takes to leave the state: a full batch becomes
 * available, an available or a sparse one wholly free. This is the only thing that a local free has
 * to look at besides the words, and why a batch comes back with several free slots at once:
 * otherwise random replacement would cost one walk through the slow path for each request. A
 * current batch awaits nothing: how many of its slots are free is looked at when the claimed ones
 * have run out. */
#ifndef MM_BATCH_H
#define MM_BATCH_H

#include "slots/arena.h"
#include "system/bitmap.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The low bits of a batch's owner, either of which keeps the owner's own frees off the fast path:
 * QUEUED, the batch is on its heap's pending stack, or about to be, and the remote word has to be
 * looked at; TRACED, some slot's free is to be noted (watcher.h). Only the owner changes TRACED. */
enum mm_tag { MM_IDLE = 0, MM_QUEUED = 1, MM_TRACED = 2, MM_TAGS = MM_QUEUED | MM_TRACED };

/* Two bits: whether it is in a queue, and of these in which. The bits above belong to pages.c as
 * long as it is, and to nobody else. */
enum mm_batch_state {
    MM_BATCH_FULL = 0,
    MM_BATCH_CURRENT = 1,
    MM_BATCH_AVAILABLE = 2,
    MM_BATCH_SPARSE = 3,
    MM_BATCH_STATES = 3
};
#define MM_BATCH_QUEUED_BIT   2u
#define MM_BATCH_LOOKED_SHIFT 2u

struct mm_batch {
    _Alignas(16) _Atomic uint64_t live;
    _Atomic uint64_t remote;
    _Atomic uintptr_t owner;     /* heap and tag; 0: no batch is described */
    _Atomic uintptr_t base;      /* of slot 0; a multiple of the span */
    _Atomic uint64_t reciprocal; /* ceil(2^64 / size), see mm_batch_slot */
    _Atomic uint32_t size;       /* of a slot */
    uint32_t next, prev;         /* in a queue of its list; `next` also chains unused lines */
    uint32_t pending_next;       /* the heap's stack of batches with remote frees */
    int16_t frees_left;
    _Atomic uint8_t class_index;
    _Atomic uint8_t order; /* the span is 2^order units */
    _Atomic uint8_t slots;
    _Atomic uint8_t fresh; /* slots from this index on were never claimed */
    uint8_t state;         /* enum mm_batch_state, and see there */
    _Atomic bool zero;     /* fresh slots read as zero */
};
_Static_assert(sizeof(struct mm_batch) == MM_LINE_SIZE, "a batch is one cache line");

/* What the batch was opened with. Any thread may look while the owner uses the line for another
 * batch; relaxed, as whoever needs all of one batch owns it or has pinned it. */
static inline uintptr_t mm_batch_base(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->base, memory_order_relaxed);
}

static inline uint32_t mm_batch_size(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->size, memory_order_relaxed);
}

static inline unsigned mm_batch_class(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->class_index, memory_order_relaxed);
}

static inline unsigned mm_batch_order(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->order, memory_order_relaxed);
}

static inline unsigned mm_batch_slots(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->slots, memory_order_relaxed);
}

static inline bool mm_batch_is_zero(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->zero, memory_order_relaxed);
}

/* No event to come. Frees count down from it all the same, but never far before it is set anew:
 * each of 64 slots can be freed once, and once more after a claim handed it out. */
#define MM_FREES_NEVER INT16_MAX

/* Lines go by their offset in bytes from the first one: one instruction less than a number. */
static inline struct mm_batch *mm_batch_of_line(uint32_t line)
{
    return (struct mm_batch *)(mm_arena.lines + line);
}

static inline uint32_t mm_batch_line(const struct mm_batch *batch)
{
    return (uint32_t)((uintptr_t)batch - mm_arena.lines);
}

/* The batch that spans an address of the arena. When none does, one without owner and live slot:
 * that of line 0, or a grave, see mm_batch_close(). */
static inline struct mm_batch *mm_batch_at(uintptr_t address)
{
    size_t unit = (address - mm_arena.base) >> MM_UNIT_SHIFT;
    return mm_batch_of_line(atomic_load_explicit(&mm_arena.unit_line[unit], memory_order_relaxed));
}

/* Whether the line is none that describes a batch. */
static inline bool mm_batch_is_grave(const struct mm_batch *batch)
{
    return mm_batch_line(batch) <= MM_GRAVE_LINES * MM_LINE_SIZE;
}

/* Where an address inside the batch's span falls. With M = ceil(2^64 / size), the upper half of
 * offset * M is the quotient and the lower half is less than M exactly when size divides the
 * offset: D. Lemire, O. Kaser, N. Kurz, "Faster remainder by direct computation", 2019. Exact
 * here because offset < 2^20 and size <= 2^16. */
struct mm_slot {
    uint64_t index; /* below 64; not below `slots` when the address is in the unused tail */
    bool starts;    /* the address is the slot's first byte */
};

static inline struct mm_slot mm_batch_slot(const struct mm_batch *batch, uintptr_t address)
{
    uint64_t reciprocal = atomic_load_explicit(&batch->reciprocal, memory_order_relaxed);
    uint64_t high, low;
#ifdef __x86_64__
    /* gcc 12 makes two multiplications, or a stack frame, of what is one instruction; and compilers
     * keep an atomic load and what is done with it apart. */
    __asm__("subq %4, %0\n\tmulq %3"
            : "=&a"(low), "=d"(high)
            : "0"(address), "r"(reciprocal), "m"(batch->base));
#else
    uintptr_t offset = address - mm_batch_base(batch);
    low = offset * reciprocal;
    high = (uint64_t)((unsigned __int128)offset * reciprocal >> 64);
#endif
    return (struct mm_slot){high, low < reciprocal};
}

static inline void *mm_batch_slot_start(const struct mm_batch *batch, unsigned index)
{
#ifdef __x86_64__
    /* As above. An offset is below 2^20. */
    uintptr_t address;
    __asm__("imull %2, %k0\n\taddq %3, %0"
            : "=&r"(address)
            : "0"((uintptr_t)index), "m"(batch->size), "m"(batch->base));
    return (void *)address;
#else
    return (void *)(mm_batch_base(batch) + (uintptr_t)index * mm_batch_size(batch));
#endif
}

/* All that is known about an address of the arena; for verdicts and reports, not for the hot path.
 */
struct mm_slot_info {
    struct mm_batch *batch; /* NULL: it is in none now */
    uintptr_t base;         /* of the batch that spans it, or last did; 0: none ever */
    size_t size;            /* of a slot there */
    unsigned index;
    size_t offset; /* from the slot's start */
    bool in_slot;  /* otherwise: behind the last slot, or no batch was ever there */
    bool fresh;    /* the slot was never claimed, nor was its memory part of another before */
};
struct mm_slot_info mm_batch_inspect(uintptr_t address);

static inline struct mm_heap *mm_batch_owner(const struct mm_batch *batch)
{
    uintptr_t owner = atomic_load_explicit(&batch->owner, memory_order_relaxed);
    return (struct mm_heap *)(owner & ~(uintptr_t)MM_TAGS);
}

static inline enum mm_tag mm_batch_tag(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->owner, memory_order_acquire) & MM_QUEUED;
}

static inline bool mm_batch_is_traced(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->owner, memory_order_relaxed) & MM_TRACED;
}

/* Only for the owner; other threads may queue the batch at the same time. */
static inline void mm_batch_set_traced(struct mm_batch *batch, bool traced)
{
    if (traced && !mm_batch_is_traced(batch))
        atomic_fetch_or_explicit(&batch->owner, MM_TRACED, memory_order_relaxed);
    else if (!traced && mm_batch_is_traced(batch))
        atomic_fetch_and_explicit(&batch->owner, ~(uintptr_t)MM_TRACED, memory_order_relaxed);
}

/* Whether `heap` owns it, no remote free waits and none of its frees is to be noted. */
static inline bool mm_batch_is_quiet(const struct mm_batch *batch, const struct mm_heap *heap)
{
#ifdef __x86_64__
    /* Compilers keep an atomic load and its comparison apart. */
    bool same;
    __asm__("cmpq %2, %1" : "=@ccz"(same) : "m"(batch->owner), "r"(heap));
    return same;
#else
    return atomic_load_explicit(&batch->owner, memory_order_relaxed) == (uintptr_t)heap;
#endif
}

/* Only for the owner: nobody else writes `live`. */
static inline uint64_t mm_batch_live(const struct mm_batch *batch)
{
    return atomic_load_explicit(&batch->live, memory_order_relaxed);
}

static inline void mm_batch_set_live(struct mm_batch *batch, uint64_t live)
{
    atomic_store_explicit(&batch->live, live, memory_order_relaxed);
}

static inline bool mm_batch_awaits_nothing(const struct mm_batch *batch)
{
    return batch->frees_left > (int)MM_WORD_BITS;
}

/* In bytes. */
static inline uint32_t mm_batch_span(const struct mm_batch *batch)
{
    return (1u << MM_UNIT_SHIFT) << mm_batch_order(batch);
}

/* How many slots must be free for a batch of a list of `batches` to be worth handing out from. The
 * fewer batches, the less memory lies idle below the threshold, and the more a long way round
 * through the slow path would be felt. */
static inline unsigned mm_batch_threshold(const struct mm_batch *batch, uint32_t batches)
{
    unsigned slots = mm_batch_slots(batch), part = slots >> (batches < 32 ? 2 : 3);
    return mm_unpredictable(slots < 16) ? 1 : part; /* which batch comes is anyone's guess */
}

/* How many slots a batch has at most, set before the first is opened; see mm_batch_shape(). */
extern unsigned mm_batch_slots_most;

/* The widest span, 256 KiB, unless a number of slots is asked for that needs more: of 1 MiB, a
 * thread of several large sizes kept a good part for nobody. */
#define MM_BATCH_ORDER_MAX 8u

/* The shape of a list's next batch. */
struct mm_batch_shape {
    unsigned class;
    unsigned order;
    unsigned slots;
};
/* slots_per_batch: 64 to fill spans, growing with `batches`, the number that the list has
 * already, so that a small heap of many sizes shares its pages; less to have that many, as far as
 * the widest span of the size has room. */
struct mm_batch_shape mm_batch_shape(unsigned class, unsigned slots_per_batch, uint32_t batches);

/* Makes `batch` describe the span at `base`, with all slots free, and the units refer to it. */
void mm_batch_open(struct mm_batch *batch, struct mm_heap *owner, struct mm_batch_shape shape,
                   uintptr_t base, bool zero);
/* Undoes it; every slot must be free. From now on the units refer to a grave: a line that is all
 * zero, whose number says what class and order the batch was, so that a second free of one of its
 * slots still is told from a free of something else. Nothing is done while a remote free is under
 * way: the batch will be collected, in the last case when the caller has pushed it. */
enum mm_close { MM_CLOSED, MM_CLOSE_LATER, MM_CLOSE_PUSH };
enum mm_close mm_batch_close(struct mm_batch *batch);

static inline enum mm_batch_state mm_batch_state(const struct mm_batch *batch)
{
    return (enum mm_batch_state)(batch->state & MM_BATCH_STATES);
}

static inline bool mm_batch_is_queued(const struct mm_batch *batch)
{
    return batch->state & MM_BATCH_QUEUED_BIT;
}

/* And was not looked at in it. */
static inline void mm_batch_set_state(struct mm_batch *batch, enum mm_batch_state state,
                                      int frees_left)
{
    MM_ASSERT(frees_left >= 1 && frees_left <= MM_FREES_NEVER);
    batch->state = (uint8_t)state;
    batch->frees_left = (int16_t)frees_left;
}

/* Slots that can be handed out: free, and no other thread believes that it just freed them.
 * The fence pairs with the read-modify-write in mm_batch_free_remote(): a thread that sets a remote
 * bit after our load will find the live bit cleared, because the clearing is visible before it. */
static inline uint64_t mm_batch_free_slots(struct mm_batch *batch)
{
    if (!mm_os_single_threaded())
        atomic_thread_fence(memory_order_seq_cst);
    uint64_t remote = atomic_load_explicit(&batch->remote, memory_order_relaxed);
    return ~(mm_batch_live(batch) | remote) & mm_bits_below(mm_batch_slots(batch));
}

/* Slots that were never touched are claimed only so many at a time, some 4 KiB of them: a program
 * that needs few then goes round in few. Up to 64. */
unsigned mm_batch_window(size_t size);

/* Which of `free` (not 0) to hand out next, lowest first; the caller notes that they are claimed.
 * *zero tells whether all of them read as zero. */
static inline uint64_t mm_batch_claim(struct mm_batch *batch, uint64_t free, unsigned window,
                                      bool *zero)
{
    unsigned lowest = mm_bit_lowest(free);
    MM_ASSERT((free & (mm_batch_live(batch) | ~mm_bits_below(mm_batch_slots(batch)))) == 0 &&
              window != 0);
    unsigned fresh = atomic_load_explicit(&batch->fresh, memory_order_relaxed);
    unsigned end = lowest + window > fresh ? lowest + window : fresh;
    uint64_t claimed = free & mm_bits_below(end < MM_WORD_BITS ? end : MM_WORD_BITS);
    *zero = mm_batch_is_zero(batch) && lowest >= fresh;
    unsigned used = mm_log2_floor(claimed) + 1;
    atomic_store_explicit(&batch->fresh, (uint8_t)(used > fresh ? used : fresh),
                          memory_order_relaxed);
    return claimed;
}

/* Takes back what was claimed as all zero and was not handed out: the rest of one claim, for they
 * go out lowest first. */
static inline void mm_batch_unclaim(struct mm_batch *batch, uint64_t claimed)
{
    MM_ASSERT(mm_log2_floor(claimed) < atomic_load_explicit(&batch->fresh, memory_order_relaxed));
    atomic_store_explicit(&batch->fresh, (uint8_t)mm_bit_lowest(claimed), memory_order_relaxed);
}

/* A free by a thread that is not the owner. */
enum mm_remote_free { MM_REMOTE_OK, MM_REMOTE_OK_FIRST, MM_REMOTE_DOUBLE, MM_REMOTE_DOUBLE_FIRST };
enum mm_remote_free mm_batch_free_remote(struct mm_batch *batch, unsigned index);

/* Whether nothing is live in it but what other threads freed; a hint, for whoever just did. */
static inline bool mm_batch_is_unused(const struct mm_batch *batch)
{
    return (atomic_load_explicit(&batch->live, memory_order_relaxed) &
            ~atomic_load_explicit(&batch->remote, memory_order_relaxed)) == 0;
}

/* What the owner took over from other threads: slots freed now, and slots that turned out to be
 * freed twice, by the owner and another thread at the same time. */
struct mm_collected {
    uint64_t freed;
    uint64_t twice;
};
struct mm_collected mm_batch_collect(struct mm_batch *batch);

/* The next batch at or after *unit (a unit number in the arena, below `end`), NULL at the end;
 * *unit is set behind it. May be called from any thread: what other heaps change meanwhile may be
 * missed. */
struct mm_batch *mm_batch_walk(size_t *unit, size_t end);
/* The next batch with remote frees that nobody took over, at or after *line, below `end`; NULL at
 * the end; *line is set behind it. For when no other thread is there. Looks only where there ever
 * was a remote free. */
struct mm_batch *mm_batch_walk_remote(uint32_t *line, uint32_t end);

#endif
