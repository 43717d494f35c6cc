/* record.h - what is kept of a block out of line, and where: five words a block.
 *
 * shape       what was asked: bytes, alignment, family of functions (slots/watcher.h)
 * allocated   the event that handed it out: which stack, which thread, at which tick
 * freed       the event of its first free, 0 while it is live
 * and the last two of the memory's life before, for a second free that comes after the next owner's
 * request.
 *
 * Those of slots lie in tables over the arena, those of forwarded blocks in one by address; tables
 * grow as they are used. A record outlives the block, and its batch, until the memory is handed out
 * again. By any thread at any time, nothing is locked: a record is written by whoever owns the
 * memory at that moment, and read by who reports. */
#ifndef MM_RECORD_H
#define MM_RECORD_H

#include "slots/batch.h"
#include "slots/watcher.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An event, packed; 0: nothing is known. */
#define MM_EVENT_STACK_BITS  24u
#define MM_EVENT_THREAD_BITS 20u
#define MM_EVENT_TICK_BITS   20u /* of MM_PURGE_TICK_MS, modulo three days */
typedef _Atomic uint64_t mm_event;

struct mm_record {
    _Atomic mm_shape shape;
    mm_event allocated, freed;
    mm_event allocated_before, freed_before;
};

/* After the arena was reserved. False when the system refuses memory. */
bool mm_records_start(void);
void mm_records_stop(void);

/* --- slots --- */

/* Slots whose records tell of their last handing out, of the batch that starts at `base`; NULL:
 * nothing is kept of any batch around there. */
_Atomic uint64_t *mm_records_traced_word(uintptr_t base);
/* The same, made if need be; NULL when memory is refused. */
_Atomic uint64_t *mm_records_need_traced_word(uintptr_t base);
/* Slots that were freed and wait in quarantine, as long as they are live; of others it says
 * nothing. By line: a thread that has pinned one, and is stopped, meets the slots it read of, not
 * those of whatever batch spans the memory since. NULL: none was ever held around there. */
_Atomic uint64_t *mm_records_held_word(uint32_t line);
_Atomic uint64_t *mm_records_need_held_word(uint32_t line);
/* Whether or not it is traced; NULL when nothing is kept around there. `size` is a slot's. */
struct mm_record *mm_records_slot(uintptr_t base, size_t size, unsigned index);
/* For who looks at each of many accesses: of a live slot MM_SHAPE_HELD when it is held, what its
 * record has when it is traced, and else 0. */
mm_shape mm_records_glance(uint32_t line, uintptr_t base, size_t size, unsigned index);
/* Whole chunks, `size` bytes, went back to the system: what is kept of them does, too. */
void mm_records_give_back(uintptr_t start, size_t size);

static inline uint64_t mm_records_traced(uintptr_t base)
{
    _Atomic uint64_t *word = mm_records_traced_word(base);
    return word != NULL ? atomic_load_explicit(word, memory_order_relaxed) : 0;
}

/* All that is kept of a slot of a batch that stays; NULL: nothing is around there, or memory is
 * refused. */
struct mm_kept {
    _Atomic uint64_t *traced;
    struct mm_record *record;
};
struct mm_kept mm_records_kept(uintptr_t base, size_t size, unsigned index);
struct mm_kept mm_records_need_kept(uintptr_t base, size_t size, unsigned index);

/* Into the cache, to be written to. */
static inline void mm_kept_fetch(const struct mm_kept *kept)
{
    __builtin_prefetch(kept->traced, 1);
    __builtin_prefetch(kept->record, 1);
    __builtin_prefetch((const char *)(kept->record + 1) - 1, 1); /* it may lie across two lines */
}

/* NULL: it is not traced. */
static inline struct mm_record *mm_kept_record(const struct mm_kept *kept, unsigned index)
{
    bool is_traced = kept->traced != NULL &&
                     (atomic_load_explicit(kept->traced, memory_order_relaxed) >> index & 1);
    return is_traced ? kept->record : NULL;
}

/* The same of any batch: of one that is gone the size may be none. */
static inline struct mm_record *mm_records_traced_slot(uintptr_t base, size_t size, unsigned index)
{
    uint64_t traced = mm_records_traced(base);
    return traced >> index & 1 ? mm_records_slot(base, size, index) : NULL;
}

/* --- forwarded blocks, by the address that the program has --- */

/* NULL: none. */
struct mm_record *mm_records_forwarded(uintptr_t address);
/* A free place, or that of a block that was let go; NULL when there is none. It is the caller's, as
 * the block is, with what it tells of the block before. `address` is that of a whole granule. */
struct mm_record *mm_records_need_forwarded(uintptr_t address);
/* By the block's owner: NULL when what is known is of a block before, let go. */
struct mm_record *mm_records_own_forwarded(uintptr_t address);
/* A record that was let go, or is the caller's still. */
struct mm_record *mm_records_again_forwarded(uintptr_t address);
/* By its owner: it stays as it is until another block takes it. */
void mm_records_let_forwarded_go(struct mm_record *record);
/* Of a record that one of these gave: where the block starts, as of now. */
uintptr_t mm_records_address(const struct mm_record *record);
/* Calls back for each that has an address. */
void mm_records_each_forwarded(void (*each)(uintptr_t address, struct mm_record *record,
                                            void *with),
                               void *with);

/* --- blocks in guarded slots (slots/guarded.h), by their number --- */

/* NULL: it never had one, or memory is refused. */
struct mm_record *mm_records_guarded(unsigned number);
struct mm_record *mm_records_need_guarded(unsigned number);
/* By an address of the pool: of the slot that it is in, or in the fence of. */
struct mm_record *mm_records_of_guarded(uintptr_t address);
/* Of a live block that is in no batch's slot, by where it starts. */
struct mm_record *mm_records_own_outside(uintptr_t start);

static inline mm_shape mm_record_shape(const struct mm_record *record)
{
    return atomic_load_explicit(&record->shape, memory_order_relaxed);
}

static inline void mm_record_set_shape(struct mm_record *record, mm_shape shape)
{
    atomic_store_explicit(&record->shape, shape, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* what the program writes then comes after it */
}

#endif
