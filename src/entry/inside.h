/* inside.h - what route.c (requests), free.c (frees and verdicts) and check.c (blocks that are
 * checked) share, and nobody else. Nothing here owns or locks anything. */
#ifndef MM_INSIDE_H
#define MM_INSIDE_H

#include "blocks/record.h"
#include "checks/checks.h"
#include "entry/process.h"
#include "forwarded/next.h"
#include "forwarded/registry.h"
#include "slots/heap.h"

static inline bool mm_in_arena(const void *ptr)
{
    return mm_arena_has(mm_os_untagged(ptr));
}

/* Whether the next allocator, or what it calls, called us: that is its own business, and goes on to
 * its function of the same name. But frees go by address first: a slot is ours wherever it is
 * freed, and blocks that were handed out in there are noted, for they may be freed outside. */
static inline bool mm_came_back(void)
{
    return mm_unlikely(mm_registry_is_inside()) && mm_next_may_call_back();
}

static inline mm_shape mm_plain_shape(size_t size)
{
    return mm_shape_of(size, 0, MM_FAMILY_MALLOC);
}

/* How realloc() frees what it moved. */
static inline mm_shape mm_realloc_shape(void)
{
    return mm_plain_shape(0) | MM_SHAPE_BY_REALLOC;
}

/* NULL in a thread's last destructors, and when nobody watches. Makes the thread's heap if need
 * be, so no lock of ours may be held. */
static inline struct mm_watch *mm_own_watch(void)
{
    if (mm_likely(mm_watcher == NULL))
        return NULL;
    struct mm_heap *heap = mm_tls_heap;
    if (mm_unlikely(heap == &mm_heap_none))
        heap = mm_process_heap();
    return heap != NULL ? heap->watch : NULL;
}

/* Ends what mm_registry_enter() began. */
static inline void mm_leave_holding(struct mm_gate *gate, int64_t change)
{
    bool much = mm_registry_hold(gate, change);
    mm_registry_leave(gate);
    if (mm_unlikely(much))
        mm_arena_keep_within_most(mm_registry_bytes());
}

static inline bool mm_block_is_guarded(const struct mm_block *block)
{
    return block->record != NULL && (mm_record_shape(block->record) & MM_SHAPE_GUARDED);
}

/* --- free.c --- */

enum mm_verdict {
    MM_VERDICT_OK,
    MM_VERDICT_DOUBLE,
    MM_VERDICT_INTERIOR,
    MM_VERDICT_FOREIGN,
    MM_VERDICT_UNCERTAIN
};
/* Of what is no live block. */
enum mm_verdict mm_verdict_of(const void *ptr);
enum mm_verdict mm_verdict_of_outside(const void *ptr);
/* `how` it was freed. */
void mm_report_verdict(enum mm_verdict verdict, const void *ptr, mm_shape how, const void *caller);

/* The batch of a pointer into the arena that is a live slot's start, and not held; else NULL. */
struct mm_batch *mm_batch_of_live(const void *ptr);
/* Whether the next allocator is to be asked about what is no live slot: it is a block of its,
 * perhaps one that could not be noted, or its own business, such as a place behind a header in a
 * slot. */
bool mm_is_for_next(const void *ptr);
/* A slot goes back that was freed before: no other free of it gets here. */
void mm_let_slot_go(uintptr_t address);

/* --- check.c --- */

/* What has been held for long enough, or all, goes. True when something went. */
bool mm_let_go(bool all, const void *caller);
/* How many were told, of which nobody was told before. */
unsigned mm_tell_damages(const struct mm_damage *damages, unsigned count, enum mm_call call,
                         const void *caller);
/* A slot's first free, which happened at `now`. */
void mm_free_checked(const struct mm_block *block, uint64_t now, mm_shape how, const void *caller);
/* What was struck out of the registry just now. */
void mm_free_checked_outside(enum mm_next_whose whose, const struct mm_block *block, mm_shape how,
                             const void *caller);
/* A live slot is about to be resized in place. */
void mm_check_resized(const struct mm_block *block, const void *caller);
/* A forwarded block with its record, if that is to be checked; `inside`: the call came from inside
 * of the next allocator. */
struct mm_block mm_checked_outside(const void *ptr, bool inside);

#endif
