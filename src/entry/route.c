#include "entry/route.h"

#include "blocks/stacks.h"
#include "entry/process.h"
#include "findings/report.h"
#include "forwarded/next.h"
#include "forwarded/registry.h"
#include <errno.h>
#include <string.h>

static bool in_arena(const void *ptr)
{
    return (uintptr_t)ptr - mm_arena.base < mm_arena.size;
}

/* --- allocation --- */

/* Of any size; MM_CLASS_NONE when it is too large for a slot. */
static unsigned class_of(size_t size)
{
    if (size - 1 < MM_SLOT_SIZE_MAX)
        return mm_class_of_size(size);
    return size == 0 ? 0 : MM_CLASS_NONE;
}

/* One of the calling thread's slots. NULL when it has no heap of its own yet, or any more, or when
 * slots cannot serve the request: it is too large or the arena is used up. */
static inline void *take_slot(unsigned class, size_t size)
{
    struct mm_heap *heap = mm_tls_heap;
    return heap->number != 0 && class < mm_process_classes ? mm_heap_alloc(heap, class, size)
                                                           : NULL;
}

/* The same, for a thread without a heap too. */
static void *alloc_slot(unsigned class, size_t size)
{
    struct mm_heap *heap = mm_process_heap();
    if (heap == &mm_heap_over)
        return mm_heap_alloc_over(class, size);
    return heap != NULL ? mm_heap_alloc(heap, class, size) : NULL;
}

/* NULL in a thread's last destructors, and when nobody watches. Makes the thread's heap if need
 * be, so no lock of ours may be held. */
static struct mm_watch *own_watch(void)
{
    if (mm_likely(mm_watcher == NULL))
        return NULL;
    struct mm_heap *heap = mm_process_heap();
    return heap != NULL ? heap->watch : NULL;
}

enum forward { FORWARD_MALLOC, FORWARD_CALLOC, FORWARD_MEMALIGN };

/* Some allocators align what is smaller than 16 bytes less: the registry knows no such blocks. */
static size_t at_least_granule(size_t size)
{
    return size < MM_GRANULE ? MM_GRANULE : size;
}

static void *call_next(enum forward how, size_t size, size_t alignment)
{
    size = at_least_granule(size);
    return how == FORWARD_MALLOC   ? mm_next_malloc(size)
           : how == FORWARD_CALLOC ? mm_next_calloc(1, size)
                                   : mm_next_memalign(alignment, size);
}

/* Outside of any gate. */
static void keep_within_most(bool much_changed)
{
    if (mm_unlikely(much_changed))
        mm_arena_keep_within_most(mm_registry_bytes());
}

static void *forward(enum forward how, size_t size, size_t alignment)
{
    struct mm_gate *gate = mm_registry_enter();
    void *block = call_next(how, size, alignment);
    if (block != NULL && !mm_registry_add(gate, block)) {
        mm_next_free(block, mm_next_size(block));
        block = NULL;
        errno = ENOMEM;
    }
    bool much = block != NULL && mm_registry_hold(gate, (int64_t)mm_next_size(block));
    mm_registry_leave(gate);
    keep_within_most(much);
    if (block != NULL)
        mm_stacks_forwarded(own_watch(), block, size);
    return block;
}

static bool too_large(size_t size)
{
    if (size <= PTRDIFF_MAX)
        return false;
    errno = ENOMEM;
    return true;
}

/* errno may have been changed by a start that met a limit; only a failure may show. */
MM_COLD static void *alloc_class_or_forward(unsigned class, enum forward how, size_t size,
                                            size_t alignment)
{
    if (class < mm_process_classes) {
        int saved_errno = errno;
        void *slot = alloc_slot(class, size);
        errno = saved_errno;
        if (slot != NULL)
            return slot;
    } else if (!mm_process_started()) {
        mm_process_heap();
    }
    return too_large(size) ? NULL : forward(how, size, alignment);
}

void *mm_alloc_slow(size_t size)
{
    unsigned class = class_of(size);
    void *slot = take_slot(class, size);
    return mm_likely(slot != NULL) ? slot : alloc_class_or_forward(class, FORWARD_MALLOC, size, 0);
}

/* Slots claimed from memory that nobody has written to are zero already. */
static void *clear_slot(void *slot, unsigned class, size_t size)
{
    return mm_tls_heap->lists[class].zero ? slot : memset(slot, 0, size);
}

MM_COLD static void *calloc_slow(size_t size)
{
    void *block = alloc_class_or_forward(class_of(size), FORWARD_CALLOC, size, 0);
    return block != NULL && in_arena(block) ? memset(block, 0, size) : block;
}

void *mm_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    unsigned class = class_of(bytes);
    void *slot = take_slot(class, bytes);
    return mm_likely(slot != NULL) ? clear_slot(slot, class, bytes) : calloc_slow(bytes);
}

/* For small ones a multiple of the alignment is a slot size, see mm_class_of_aligned(). */
void *mm_aligned_alloc(size_t alignment, size_t size)
{
    size_t multiple = (size + alignment - 1) & ~(alignment - 1);
    if (alignment <= MM_GRANULE)
        return mm_alloc(size);
    unsigned class = size - 1 < MM_SMALL_MAX && multiple - 1 < MM_SMALL_MAX
                         ? mm_class_of_size(multiple)
                         : mm_class_of_aligned(size, alignment);
    void *slot = take_slot(class, size);
    if (mm_likely(slot != NULL))
        return slot;
    return alloc_class_or_forward(class, FORWARD_MEMALIGN, size, alignment);
}

/* --- verdicts --- */

enum verdict { OK, DOUBLE, INTERIOR, FOREIGN, UNCERTAIN };

static void report(enum verdict verdict, const void *ptr, const void *caller)
{
    if (verdict == UNCERTAIN)
        mm_report_uncertain();
    else if (verdict != OK)
        mm_report(verdict == DOUBLE     ? MEM_MNGR_DOUBLE_FREE
                  : verdict == INTERIOR ? MEM_MNGR_INTERIOR_FREE
                                        : MEM_MNGR_FOREIGN_FREE,
                  ptr, caller);
}

static bool is_stale(const struct mm_batch *batch)
{
    const struct mm_heap *owner = mm_batch_owner(batch);
    return owner != NULL &&
           atomic_load_explicit(&owner->state, memory_order_relaxed) == MM_HEAP_STALE;
}

/* What a pointer into the arena that is not live comes to. */
static enum verdict verdict_of_dead(const struct mm_slot_info *info)
{
    if (!info->in_slot || info->offset != 0)
        return INTERIOR;
    if (mm_heap_never_handed_out(info))
        return FOREIGN;
    return info->batch != NULL && is_stale(info->batch) ? UNCERTAIN : DOUBLE;
}

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

/* The batch that a live slot starting at `ptr`, which is in the arena, is part of; NULL when there
 * is no such slot. */
static struct mm_batch *batch_of_live(const void *ptr)
{
    struct mm_batch *batch = mm_batch_at((uintptr_t)ptr);
    struct mm_slot slot = mm_batch_slot(batch, (uintptr_t)ptr);
    uint64_t live = atomic_load_explicit(&batch->live, memory_order_acquire);
    if (!slot.starts || slot.index >= MM_WORD_BITS)
        return NULL;
    uint64_t bit = (uint64_t)1 << slot.index;
    bool is_live = (live & bit) != 0 && !is_freed_remotely(batch, bit);
    return is_live ? batch : NULL;
}

static enum verdict verdict_of_outside(const void *ptr)
{
    if (mm_registry_was_block(ptr))
        return DOUBLE;
    size_t size;
    return mm_registry_around(ptr, mm_next_size_if_there, &size) != NULL ? INTERIOR : FOREIGN;
}

/* --- free --- */

static enum verdict free_own(struct mm_batch *batch, unsigned index)
{
    uint64_t bit = (uint64_t)1 << index;
    if (is_freed_remotely(batch, bit))
        return DOUBLE;
    mm_batch_set_live(batch, mm_batch_live(batch) & ~bit);
    if (mm_batch_is_traced(batch))
        mm_watcher->settle(batch);
    if (--batch->until == 0)
        mm_heap_batch_due(mm_tls_heap, batch);
    return OK;
}

/* A batch that we tagged stays open until it is pushed, without a pin; and what follows from the
 * push may call the program. */
static enum verdict free_remote(struct mm_batch *batch, unsigned index, struct mm_pin *pin)
{
    enum mm_remote_free result = mm_batch_free_remote(batch, index);
    mm_pin_drop(pin);
    /* The owner as of now: a batch that was tagged cannot be closed before it is pushed. */
    if (result == MM_REMOTE_OK_FIRST || result == MM_REMOTE_DOUBLE_FIRST)
        mm_heap_push_pending(mm_batch_owner(batch), batch);
    if (mm_unlikely(mm_batch_is_over(batch)))
        mm_heap_tend(mm_batch_owner(batch));
    return result == MM_REMOTE_OK || result == MM_REMOTE_OK_FIRST ? OK : DOUBLE;
}

static enum verdict verdict_of_address(uintptr_t address)
{
    struct mm_slot_info info = mm_batch_inspect(address);
    return verdict_of_dead(&info);
}

/* Of a batch that describes the same slots until this is over: our own, or one that is pinned. */
static enum verdict free_slot_of(struct mm_batch *batch, uintptr_t address, struct mm_pin *pin)
{
    struct mm_slot slot = mm_batch_slot(batch, address);
    unsigned index = (unsigned)slot.index;
    uint64_t live = atomic_load_explicit(&batch->live, memory_order_acquire);
    if (mm_unlikely(!slot.starts || !(live >> index & 1))) {
        enum verdict verdict = verdict_of_address(address);
        mm_pin_drop(pin);
        return verdict;
    }
    if (mm_batch_is_traced(batch))
        mm_stacks_freed(own_watch(), batch, index);
    return pin == NULL ? free_own(batch, index) : free_remote(batch, index, pin);
}

static enum verdict free_slot(const void *ptr)
{
    uintptr_t address = (uintptr_t)ptr;
    struct mm_batch *batch = mm_batch_at(address);
    struct mm_heap *heap = mm_tls_heap;
    if (mm_batch_owner(batch) == heap)
        return free_slot_of(batch, address, NULL);
    struct mm_pin *pin = mm_pin_batch(heap->number != 0 ? &heap->pin : NULL, address, &batch);
    return batch != NULL ? free_slot_of(batch, address, pin) : verdict_of_address(address);
}

static enum verdict free_outside(void *ptr)
{
    int saved_errno = errno;
    if (!mm_process_started())
        mm_process_heap();
    struct mm_watch *watch = own_watch();
    struct mm_gate *gate = mm_registry_enter();
    bool known = mm_registry_remove(gate, ptr), much = false;
    if (known) {
        size_t size = mm_next_size(ptr);
        mm_stacks_forwarded_freed(watch, ptr);
        much = mm_registry_hold(gate, -(int64_t)size);
        mm_next_free(ptr, size);
    }
    mm_registry_leave(gate);
    keep_within_most(much);
    enum verdict verdict = known ? OK : verdict_of_outside(ptr);
    errno = saved_errno;
    return verdict;
}

void mm_free_slow(void *ptr, const void *caller)
{
    if (ptr == NULL)
        return;
    enum verdict verdict = in_arena(ptr) ? free_slot(ptr) : free_outside(ptr);
    if (mm_unlikely(verdict != OK))
        report(verdict, ptr, caller);
}

/* --- usable size, realloc --- */

static size_t live_size(const void *ptr)
{
    if (!in_arena(ptr))
        return mm_registry_is_live(ptr) ? mm_next_usable_size((void *)(uintptr_t)ptr) : 0;
    const struct mm_batch *batch = batch_of_live(ptr);
    return batch != NULL ? batch->size : 0;
}

size_t mm_usable_size(const void *ptr)
{
    return ptr != NULL ? live_size(ptr) : 0;
}

static enum verdict realloc_outside(void **block, size_t size)
{
    struct mm_watch *watch = own_watch();
    struct mm_gate *gate = mm_registry_enter();
    if (!mm_registry_remove(gate, *block)) {
        mm_registry_leave(gate);
        return verdict_of_outside(*block);
    }
    mm_stacks_forwarded_freed(watch, *block);
    int64_t old_size = (int64_t)mm_next_size(*block);
    void *moved = mm_next_realloc(*block, at_least_granule(size));
    void *kept = moved != NULL ? moved : *block;
    mm_registry_add_moved(gate, kept);
    bool much = mm_registry_hold(gate, (int64_t)mm_next_size(kept) - old_size);
    mm_registry_leave(gate);
    keep_within_most(much);
    mm_stacks_forwarded(own_watch(), kept, size);
    *block = moved;
    return OK;
}

/* A slot serves as long as it is neither too small nor more than twice what is needed. */
static bool fits_slot(size_t slot, size_t size)
{
    return size <= slot && (size > slot / 2 || slot <= 4 * MM_GRANULE);
}

/* What grew by a little is likely to grow again: it gets a quarter more than it had, so that what
 * is built up byte by byte is not copied from each slot size to the next. */
static void *alloc_grown(size_t old_size, size_t size)
{
    size_t room = old_size + old_size / 4;
    void *slot = size > old_size && size < room ? take_slot(class_of(room), size) : NULL;
    return slot != NULL ? slot : mm_alloc(size);
}

static void *keep_slot(void *ptr, const struct mm_batch *batch, size_t size)
{
    if (mm_batch_is_traced(batch))
        mm_stacks_resized(own_watch(), batch, (unsigned)mm_batch_slot(batch, (uintptr_t)ptr).index,
                          size);
    return ptr;
}

static void *move_slot(void *ptr, size_t old_size, size_t size, const void *caller)
{
    void *moved = alloc_grown(old_size, size);
    if (moved == NULL && size <= old_size)
        return ptr; /* a block may always be larger than asked for */
    if (moved != NULL) {
        memcpy(moved, ptr, old_size < size ? old_size : size);
        mm_free(ptr, caller);
    }
    return moved;
}

void *mm_realloc(void *ptr, size_t size, const void *caller)
{
    if (ptr == NULL)
        return mm_alloc(size);
    if (size == 0) {
        mm_free(ptr, caller);
        return NULL;
    }
    enum verdict verdict;
    if (in_arena(ptr)) {
        const struct mm_batch *batch = batch_of_live(ptr);
        if (mm_likely(batch != NULL))
            return fits_slot(batch->size, size) ? keep_slot(ptr, batch, size)
                                                : move_slot(ptr, batch->size, size, caller);
        struct mm_slot_info info = mm_batch_inspect((uintptr_t)ptr);
        verdict = verdict_of_dead(&info);
    } else {
        if (too_large(size) && mm_registry_is_live(ptr))
            return NULL;
        void *block = ptr;
        verdict = realloc_outside(&block, size);
        if (verdict == OK)
            return block;
    }
    report(verdict, ptr, caller);
    errno = EINVAL;
    return NULL;
}
