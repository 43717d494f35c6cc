/* free.c - frees that the fast path leaves over, and what bad ones are told as.
 *
 * Owns nothing: slots are their heaps' (heap.h, batch.h), forwarded blocks the registry's. */
#include "entry/inside.h"

#include "entry/guarded.h"
#include "entry/route.h"
#include "findings/report.h"
#include <errno.h>

/* A second free of the slot's last block may have set the bit just now and still withdraw it, as
 * long as it does not see our live bit. The fence pairs with swap_words() in freed_twice(): behind
 * it our live bit is seen, and a remote bit stays. */
static bool is_freed_remotely(const struct mm_batch *batch, uint64_t bit)
{
    if (!(atomic_load_explicit(&batch->remote, memory_order_relaxed) & bit))
        return false;
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&batch->remote, memory_order_relaxed) & bit;
}

struct mm_batch *mm_batch_of_live(const void *ptr)
{
    uintptr_t address = mm_os_untagged(ptr);
    struct mm_batch *batch = mm_batch_at(address);
    struct mm_slot slot = mm_batch_slot(batch, address);
    if (!slot.starts || slot.index >= MM_WORD_BITS)
        return NULL;
    uint64_t live = mm_checks_live(batch);
    uint64_t bit = (uint64_t)1 << slot.index;
    bool is_live = (live & bit) != 0 && !is_freed_remotely(batch, bit);
    return is_live ? batch : NULL;
}

bool mm_is_for_next(const void *ptr)
{
    if (mm_registry_is_live(ptr))
        return true;
    if (!mm_in_arena(ptr))
        return mm_came_back() || (mm_registry_is_trusted(ptr) && !mm_registry_was_block(ptr));
    struct mm_slot_info info = {0};
    if (mm_came_back())
        info = mm_batch_inspect(mm_os_untagged(ptr));
    return info.in_slot && info.offset != 0;
}

/* --- verdicts --- */

void mm_report_verdict(enum mm_verdict verdict, const void *ptr, mm_shape how, const void *caller)
{
    struct mm_misuse misuse = {
        .ptr = ptr, .caller = caller, .how = how, .call = mm_shape_call(how)};
    misuse.kind = verdict == MM_VERDICT_DOUBLE     ? MEM_MNGR_DOUBLE_FREE
                  : verdict == MM_VERDICT_INTERIOR ? MEM_MNGR_INTERIOR_FREE
                                                   : MEM_MNGR_FOREIGN_FREE;
    if (verdict == MM_VERDICT_UNCERTAIN)
        mm_report_uncertain();
    else if (verdict != MM_VERDICT_OK)
        mm_report(&misuse);
}

/* What a pointer into the arena that is not live comes to: the start of what was a block, or any
 * other place there. */
static enum mm_verdict verdict_of_dead(const struct mm_slot_info *info)
{
    bool unused = mm_checks.guard != 0 && info->index == 0;
    if (!info->in_slot || info->offset != 0 || unused || mm_heap_never_handed_out(info))
        return MM_VERDICT_INTERIOR;
    return info->batch != NULL && mm_heap_left_behind(info->batch) ? MM_VERDICT_UNCERTAIN
                                                                   : MM_VERDICT_DOUBLE;
}

enum mm_verdict mm_verdict_of_outside(const void *ptr)
{
    if (mm_registry_was_block(ptr))
        return MM_VERDICT_DOUBLE;
    struct mm_forwarded block;
    return mm_registry_around(ptr, &block) ? MM_VERDICT_INTERIOR : MM_VERDICT_FOREIGN;
}

enum mm_verdict mm_verdict_of(const void *ptr)
{
    if (mm_guarded_has(mm_os_untagged(ptr)))
        return mm_verdict_of_guarded(ptr);
    if (!mm_in_arena(ptr))
        return mm_verdict_of_outside(ptr);
    struct mm_slot_info info = mm_batch_inspect(mm_os_untagged(ptr));
    return verdict_of_dead(&info);
}

/* --- free --- */

static enum mm_verdict free_own(struct mm_batch *batch, unsigned index)
{
    uint64_t bit = (uint64_t)1 << index;
    if (is_freed_remotely(batch, bit))
        return MM_VERDICT_DOUBLE;
    mm_batch_set_live(batch, mm_batch_live(batch) & ~bit);
    if (mm_batch_is_traced(batch))
        mm_watcher->settle(batch);
    if (--batch->frees_left == 0)
        mm_heap_batch_due(mm_tls_heap, batch);
    return MM_VERDICT_OK;
}

/* A batch that we tagged stays open until it is pushed, without a pin; and what follows from the
 * push may call the program. */
static enum mm_verdict free_remote(struct mm_batch *batch, unsigned index, struct mm_pin *pin)
{
    enum mm_remote_free result = mm_batch_free_remote(batch, index);
    mm_pin_drop(pin);
    /* The owner as of now: a batch that was tagged cannot be closed before it is pushed. */
    if (result == MM_REMOTE_OK_FIRST || result == MM_REMOTE_DOUBLE_FIRST)
        mm_heap_push_pending(mm_batch_owner(batch), batch);
    if (mm_unlikely(mm_batch_is_unused(batch)))
        mm_heap_collect_if_idle(mm_batch_owner(batch));
    return result == MM_REMOTE_OK || result == MM_REMOTE_OK_FIRST ? MM_VERDICT_OK
                                                                  : MM_VERDICT_DOUBLE;
}

void mm_let_slot_go(uintptr_t address)
{
    struct mm_heap *heap = mm_tls_heap;
    struct mm_batch *batch = mm_batch_at(address);
    struct mm_pin *pin = NULL;
    bool is_own = mm_batch_owner(batch) == heap;
    if (!is_own)
        pin = mm_pin_batch(heap->number != 0 ? &heap->pin : NULL, address, &batch);
    unsigned index = (unsigned)mm_batch_slot(batch, address).index;
    if (is_own)
        free_own(batch, index);
    else
        free_remote(batch, index, pin);
}

/* While the stack is walked, what is kept of the slot comes into the cache. */
MM_COLD static enum mm_verdict free_traced(struct mm_batch *batch, unsigned index,
                                           struct mm_pin *pin, mm_shape how, const void *caller)
{
    struct mm_kept kept = mm_records_kept(mm_batch_base(batch), mm_batch_size(batch), index);
    __builtin_prefetch(mm_batch_slot_start(batch, index), 1);
    mm_kept_fetch(&kept);
    __builtin_prefetch(mm_records_held_word(mm_batch_line(batch)), 1);
    uint64_t now = mm_stacks_now(mm_own_watch());
    struct mm_block block = mm_block_with(batch, index, mm_kept_record(&kept, index));
    bool is_own = mm_batch_owner(batch) == mm_tls_heap;
    bool is_first;
    if (block.record == NULL || !mm_checks_hold_slot(&block, &is_first))
        return is_own ? free_own(batch, index) : free_remote(batch, index, pin);
    mm_pin_drop(pin);
    if (!is_first)
        return MM_VERDICT_DOUBLE;
    mm_free_checked(&block, now, how, caller);
    return MM_VERDICT_OK;
}

/* Now that nobody else frees it. That it is held comes first: the record of one that is freed, and
 * not held, is anybody's. False when it goes as it is. */
MM_COLD static bool note_outside(struct mm_watch *watch, void *ptr, enum mm_call call, bool inside,
                                 struct mm_block *block)
{
    *block = mm_checked_outside(ptr, inside);
    if (block->record != NULL)
        mm_record_set_shape(block->record, mm_record_shape(block->record) | MM_SHAPE_HELD);
    mm_stacks_forwarded_freed(watch, ptr, call);
    return block->record != NULL;
}

static enum mm_verdict free_outside(enum mm_next_whose whose, void *ptr, mm_shape how,
                                    const void *caller)
{
    int saved_errno = errno;
    if (mm_unlikely(mm_guarded_has(mm_os_untagged(ptr))))
        return mm_free_guarded(ptr, how, caller);
    bool nested = mm_came_back();
    if (!mm_process_started())
        mm_process_heap();
    struct mm_watch *watch = mm_own_watch();
    bool inside = mm_registry_is_inside();
    struct mm_gate *gate = mm_registry_enter();
    size_t size;
    bool known = mm_registry_remove(gate, ptr, &size);
    struct mm_block block;
    bool checked = mm_unlikely(mm_watcher != NULL) && known &&
                   note_outside(watch, ptr, mm_shape_call(how), inside, &block);
    if ((known || nested) && !checked)
        mm_next_free(whose, ptr, size);
    mm_leave_holding(gate, -(int64_t)size);
    if (mm_unlikely(checked))
        mm_free_checked_outside(whose, &block, how, caller);
    enum mm_verdict verdict = known || nested ? MM_VERDICT_OK : mm_verdict_of_outside(ptr);
    errno = saved_errno;
    return verdict;
}

static enum mm_verdict free_dead(enum mm_next_whose whose, void *ptr, struct mm_pin *pin,
                                 mm_shape how, const void *caller)
{
    struct mm_slot_info info = mm_batch_inspect(mm_os_untagged(ptr));
    enum mm_verdict verdict = verdict_of_dead(&info);
    mm_pin_drop(pin);
    return mm_is_for_next(ptr) ? free_outside(whose, ptr, how, caller) : verdict;
}

/* The slot's index in the batch when it is live there; the batch describes the same slots until
 * this is over. */
static bool is_live_in(const struct mm_batch *batch, uintptr_t address, unsigned *index)
{
    struct mm_slot slot = mm_batch_slot(batch, address);
    uint64_t live = atomic_load_explicit(&batch->live, memory_order_acquire);
    *index = (unsigned)slot.index;
    return slot.starts && (live >> *index & 1);
}

/* Our own batch, which we alone close, or one that is pinned. */
static enum mm_verdict free_slot(enum mm_next_whose whose, void *ptr, mm_shape how,
                                 const void *caller)
{
    uintptr_t address = mm_os_untagged(ptr);
    struct mm_heap *heap = mm_tls_heap;
    struct mm_batch *batch = mm_batch_at(address);
    struct mm_pin *pin = NULL;
    unsigned index;
    bool is_own = mm_batch_owner(batch) == heap;
    if (!is_own)
        pin = mm_pin_batch(heap->number != 0 ? &heap->pin : NULL, address, &batch);
    if (mm_unlikely(batch == NULL || !is_live_in(batch, address, &index)))
        return free_dead(whose, ptr, pin, how, caller);
    if (mm_batch_is_traced(batch)) {
        if (mm_checks.any)
            return free_traced(batch, index, pin, how, caller);
        mm_stacks_freed(mm_own_watch(), batch, index, mm_shape_call(how));
    }
    return is_own ? free_own(batch, index) : free_remote(batch, index, pin);
}

static inline void free_any(enum mm_next_whose whose, void *ptr, mm_shape how, const void *caller)
{
    if (ptr == NULL)
        return;
    enum mm_verdict verdict = mm_in_arena(ptr) ? free_slot(whose, ptr, how, caller)
                                               : free_outside(whose, ptr, how, caller);
    if (mm_unlikely(verdict != MM_VERDICT_OK))
        mm_report_verdict(verdict, ptr, how, caller);
}

void mm_free_slow(void *ptr, const void *caller)
{
    free_any(MM_NEXT_ITS, ptr, mm_plain_shape(0), caller);
}

void mm_free_as_slow(void *ptr, mm_shape how, const void *caller)
{
    free_any(MM_NEXT_ITS, ptr, how, caller);
}

void mm_free_by(enum mm_next_whose whose, void *ptr, mm_shape how, const void *caller)
{
    if (mm_unlikely(!mm_free_fast(ptr)))
        free_any(whose, ptr, how, caller);
}
