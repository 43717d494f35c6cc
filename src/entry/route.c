/* route.c - requests and frees that the fast paths leave over, and what bad ones are told as.
 *
 * Owns nothing: slots are their heaps' (heap.h, batch.h), forwarded blocks the registry's. */
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
    return mm_arena_has(mm_os_untagged(ptr));
}

/* Whether the next allocator, or what it calls, called us: that is its own business, and goes on to
 * its function of the same name. But frees go by address first: a slot is ours wherever it is
 * freed, and blocks that were handed out in there are noted, for they may be freed outside. */
static bool came_back(void)
{
    return mm_unlikely(mm_registry_is_inside()) && mm_next_may_call_back();
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

static struct mm_batch *batch_of_live(const void *ptr)
{
    uintptr_t address = mm_os_untagged(ptr);
    struct mm_batch *batch = mm_batch_at(address);
    struct mm_slot slot = mm_batch_slot(batch, address);
    uint64_t live = atomic_load_explicit(&batch->live, memory_order_acquire);
    if (!slot.starts || slot.index >= MM_WORD_BITS)
        return NULL;
    uint64_t bit = (uint64_t)1 << slot.index;
    bool is_live = (live & bit) != 0 && !is_freed_remotely(batch, bit);
    return is_live ? batch : NULL;
}

/* Whether the next allocator is to be asked about what is no live slot: it is a block of its,
 * perhaps one that could not be noted, or its own business, such as a place behind a header in a
 * slot. */
static bool is_for_next(const void *ptr)
{
    if (mm_registry_is_live(ptr))
        return true;
    if (!in_arena(ptr))
        return came_back() || (mm_registry_is_trusted(ptr) && !mm_registry_was_block(ptr));
    struct mm_slot_info info = {0};
    if (came_back())
        info = mm_batch_inspect(mm_os_untagged(ptr));
    return info.in_slot && info.offset != 0;
}

/* --- allocation --- */

/* Of any size; MM_CLASS_NONE when it is too large for a slot. */
static unsigned class_of(size_t size)
{
    if (size - 1 < MM_SLOT_SIZE_MAX)
        return mm_class_of_size(size);
    return size == 0 ? 0 : MM_CLASS_NONE;
}

/* Another thread may be in the start, which sets the bound: either one is good for this request. */
static inline bool is_for_slots(unsigned class)
{
    return class < atomic_load_explicit(&mm_process_classes, memory_order_relaxed);
}

/* One of the calling thread's slots. NULL when it has no heap of its own yet, or any more, or when
 * slots cannot serve the request: it is too large or the arena is used up. */
static inline void *take_slot(unsigned class, size_t size)
{
    struct mm_heap *heap = mm_tls_heap;
    return heap->number != 0 && is_for_slots(class) ? mm_heap_alloc(heap, class, size) : NULL;
}

/* The same, for a thread without a heap too. */
static void *alloc_slot(unsigned class, size_t size)
{
    struct mm_heap *heap = mm_process_heap();
    if (heap == &mm_heap_ending)
        return mm_heap_alloc_ending(class, size);
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

static void note_forwarded(const void *block, size_t size)
{
    if (mm_unlikely(mm_watcher != NULL) && !in_arena(block))
        mm_stacks_forwarded(own_watch(), block, size);
}

/* Some allocators align what is smaller than 16 bytes less. */
static size_t at_least_granule(size_t size)
{
    return size < MM_GRANULE ? MM_GRANULE : size;
}

/* The block that this thread last got when it came back; none of the program's, if the next
 * allocator then hands out the most of it, behind a header. */
static _Thread_local struct mm_forwarded inner __attribute__((tls_model("initial-exec")));

MM_COLD static int64_t forget_inner(struct mm_gate *gate, const void *block, size_t size)
{
    struct mm_forwarded around = inner;
    size_t offset = mm_os_untagged(block) - around.start;
    inner.start = 0;
    if (offset == 0 || offset >= around.size || around.size / 2 >= size)
        return 0;
    return -(int64_t)mm_registry_forget(gate, (const void *)around.start);
}

/* What the next allocator handed out may be a slot that it got from us; a place inside of such a
 * one, behind a header, is noted. How large is a block of its in the making it need not know.
 * Returns by how much there is more to hold. */
static int64_t note_block(struct mm_gate *gate, bool nested, void *block, size_t asked)
{
    if (mm_unlikely(in_arena(block) && batch_of_live(block) != NULL))
        return 0;
    int64_t change = 0;
    size_t size = nested ? 0 : mm_next_size(block);
    if (size == 0)
        size = at_least_granule(asked);
    if (mm_unlikely(nested))
        inner = (struct mm_forwarded){mm_os_untagged(block), size};
    else if (mm_unlikely(inner.start != 0))
        change = forget_inner(gate, block, size);
    return change + mm_registry_add(gate, block, size);
}

/* Ends what mm_registry_enter() began. */
static void leave_holding(struct mm_gate *gate, int64_t change)
{
    bool much = mm_registry_hold(gate, change);
    mm_registry_leave(gate);
    if (mm_unlikely(much))
        mm_arena_keep_within_most(mm_registry_bytes());
}

/* Unless it came back, a request goes on by a name that all allocators have, or by libc's own. Who
 * asks for an alignment, however small, may not have a malloc() that serves it. */
static enum mm_next_name usual_name(enum mm_next_name name)
{
    return name >= MM_NEXT_LIBC_MALLOC || name == MM_NEXT_CALLOC ? name
           : name >= MM_NEXT_MEMALIGN                            ? MM_NEXT_MEMALIGN
                                                                 : MM_NEXT_MALLOC;
}

static void *forward(enum mm_next_name name, size_t size, size_t alignment)
{
    bool nested = came_back();
    struct mm_gate *gate = mm_registry_enter();
    void *block =
        mm_next_allocate(nested ? name : usual_name(name), alignment, at_least_granule(size));
    leave_holding(gate, block != NULL ? note_block(gate, nested, block, size) : 0);
    if (block != NULL && !nested)
        note_forwarded(block, size);
    return block;
}

static bool too_large(size_t size)
{
    if (size <= PTRDIFF_MAX)
        return false;
    errno = ENOMEM;
    return true;
}

/* errno may have been changed by a start that met a limit; only a failure may show. Who asks for
 * what is too large for a slot gets a heap as well: by these threads are counted. */
MM_COLD static void *alloc_class_or_forward(unsigned class, enum mm_next_name name, size_t size,
                                            size_t alignment)
{
    int saved_errno = errno;
    void *slot = NULL;
    if (is_for_slots(class))
        slot = alloc_slot(class, size);
    else if (mm_unlikely(mm_tls_heap == &mm_heap_none))
        mm_process_heap();
    errno = saved_errno;
    if (slot != NULL)
        return slot;
    return too_large(size) ? NULL : forward(name, size, alignment);
}

static inline void *alloc_any(enum mm_next_name name, size_t size)
{
    unsigned class = class_of(size);
    void *slot = take_slot(class, size);
    return mm_likely(slot != NULL) ? slot : alloc_class_or_forward(class, name, size, 0);
}

void *mm_alloc_by(enum mm_next_name name, size_t size)
{
    return alloc_any(name, size);
}

void *mm_alloc_slow(size_t size)
{
    return alloc_any(MM_NEXT_MALLOC, size);
}

/* Slots claimed from memory that nobody has written to are zero already. */
static void *clear_slot(void *slot, unsigned class, size_t size)
{
    return mm_tls_heap->lists[class].zero ? slot : memset(slot, 0, size);
}

MM_COLD static void *calloc_slow(enum mm_next_name name, size_t size)
{
    void *block = alloc_class_or_forward(class_of(size), name, size, 0);
    return block != NULL && in_arena(block) ? memset(block, 0, size) : block;
}

void *mm_calloc_by(enum mm_next_name name, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    unsigned class = class_of(bytes);
    void *slot = take_slot(class, bytes);
    return mm_likely(slot != NULL) ? clear_slot(slot, class, bytes) : calloc_slow(name, bytes);
}

void *mm_calloc(size_t count, size_t size)
{
    return mm_calloc_by(MM_NEXT_CALLOC, count, size);
}

/* For small ones a multiple of the alignment is a slot size, see mm_class_of_aligned(). */
static unsigned class_of_aligned(size_t alignment, size_t size)
{
    size_t multiple = (size + alignment - 1) & ~(alignment - 1);
    if (alignment <= MM_GRANULE)
        return class_of(size);
    return size - 1 < MM_SMALL_MAX && multiple - 1 < MM_SMALL_MAX
               ? mm_class_of_size(multiple)
               : mm_class_of_aligned(size, alignment);
}

void *mm_aligned_alloc_by(enum mm_next_name name, size_t alignment, size_t size)
{
    unsigned class = class_of_aligned(alignment, size);
    void *slot = take_slot(class, size);
    return mm_likely(slot != NULL) ? slot : alloc_class_or_forward(class, name, size, alignment);
}

void *mm_aligned_alloc(size_t alignment, size_t size)
{
    return mm_aligned_alloc_by(MM_NEXT_MEMALIGN, alignment, size);
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

/* What a pointer into the arena that is not live comes to: the start of what was a block, or any
 * other place there. */
static enum verdict verdict_of_dead(const struct mm_slot_info *info)
{
    if (!info->in_slot || info->offset != 0 || mm_heap_never_handed_out(info))
        return INTERIOR;
    return info->batch != NULL && is_stale(info->batch) ? UNCERTAIN : DOUBLE;
}

static enum verdict verdict_of_outside(const void *ptr)
{
    if (mm_registry_was_block(ptr))
        return DOUBLE;
    struct mm_forwarded block;
    return mm_registry_around(ptr, &block) ? INTERIOR : FOREIGN;
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
    if (--batch->frees_left == 0)
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
    if (mm_unlikely(mm_batch_is_unused(batch)))
        mm_heap_collect_if_idle(mm_batch_owner(batch));
    return result == MM_REMOTE_OK || result == MM_REMOTE_OK_FIRST ? OK : DOUBLE;
}

static enum verdict free_outside(enum mm_next_whose whose, void *ptr)
{
    int saved_errno = errno;
    bool nested = came_back();
    if (!mm_process_started())
        mm_process_heap();
    struct mm_watch *watch = own_watch();
    struct mm_gate *gate = mm_registry_enter();
    size_t size;
    bool known = mm_registry_remove(gate, ptr, &size);
    if (known)
        mm_stacks_forwarded_freed(watch, ptr);
    if (known || nested)
        mm_next_free(whose, ptr, size);
    leave_holding(gate, -(int64_t)size);
    enum verdict verdict = known || nested ? OK : verdict_of_outside(ptr);
    errno = saved_errno;
    return verdict;
}

static enum verdict free_dead(enum mm_next_whose whose, void *ptr, struct mm_pin *pin)
{
    struct mm_slot_info info = mm_batch_inspect(mm_os_untagged(ptr));
    enum verdict verdict = verdict_of_dead(&info);
    mm_pin_drop(pin);
    return is_for_next(ptr) ? free_outside(whose, ptr) : verdict;
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
static enum verdict free_slot(enum mm_next_whose whose, void *ptr)
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
        return free_dead(whose, ptr, pin);
    if (mm_batch_is_traced(batch))
        mm_stacks_freed(own_watch(), batch, index);
    return is_own ? free_own(batch, index) : free_remote(batch, index, pin);
}

static inline void free_any(enum mm_next_whose whose, void *ptr, const void *caller)
{
    if (ptr == NULL)
        return;
    enum verdict verdict = in_arena(ptr) ? free_slot(whose, ptr) : free_outside(whose, ptr);
    if (mm_unlikely(verdict != OK))
        report(verdict, ptr, caller);
}

void mm_free_slow(void *ptr, const void *caller)
{
    free_any(MM_NEXT_ITS, ptr, caller);
}

void mm_free_by(enum mm_next_whose whose, void *ptr, const void *caller)
{
    if (mm_unlikely(!mm_free_fast(ptr)))
        free_any(whose, ptr, caller);
}

/* --- usable size, realloc --- */

static size_t live_size(const void *ptr)
{
    const struct mm_batch *batch = in_arena(ptr) ? batch_of_live(ptr) : NULL;
    if (batch != NULL)
        return mm_batch_size(batch);
    return is_for_next(ptr) ? mm_next_usable_size((void *)(uintptr_t)ptr) : 0;
}

size_t mm_usable_size(const void *ptr)
{
    return ptr != NULL ? live_size(ptr) : 0;
}

static enum mm_next_whose whose_name(enum mm_next_name name)
{
    return name == MM_NEXT_LIBC_REALLOC ? MM_NEXT_LIBCS : MM_NEXT_ITS;
}

static enum verdict realloc_outside(enum mm_next_name name, void **block, size_t size)
{
    bool nested = came_back();
    struct mm_watch *watch = own_watch();
    struct mm_gate *gate = mm_registry_enter();
    size_t old_size;
    bool known = mm_registry_remove(gate, *block, &old_size);
    if (!known && !nested) {
        mm_registry_leave(gate);
        return verdict_of_outside(*block);
    }
    if (known)
        mm_stacks_forwarded_freed(watch, *block);
    void *moved = mm_next_realloc(name, *block, size != 0 ? at_least_granule(size) : 0);
    int64_t change = -(int64_t)old_size;
    if (moved != NULL) {
        change += note_block(gate, nested, moved, size);
    } else if (known && size != 0) {
        change += mm_registry_add(gate, *block, old_size);
        mm_stacks_forwarded_kept(*block);
    }
    leave_holding(gate, change);
    if (moved != NULL && !nested)
        note_forwarded(moved, size);
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
static void *alloc_grown(enum mm_next_name name, size_t old_size, size_t size)
{
    size_t with_headroom = old_size + old_size / 4;
    bool fits = size > old_size && size < with_headroom;
    void *slot = fits ? take_slot(class_of(with_headroom), size) : NULL;
    return slot != NULL ? slot : mm_alloc_by(name, size);
}

static void *keep_slot(void *ptr, const struct mm_batch *batch, size_t size)
{
    if (mm_batch_is_traced(batch))
        mm_stacks_resized(own_watch(), batch,
                          (unsigned)mm_batch_slot(batch, mm_os_untagged(ptr)).index, size);
    return ptr;
}

static void *move_slot(enum mm_next_name name, void *ptr, size_t old_size, size_t size,
                       const void *caller)
{
    void *moved = alloc_grown(name, old_size, size);
    if (moved == NULL && size <= old_size)
        return ptr; /* a block may always be larger than asked for */
    if (moved != NULL) {
        memcpy(moved, ptr, old_size < size ? old_size : size);
        mm_free(ptr, caller);
    }
    return moved;
}

static enum verdict verdict_of(const void *ptr)
{
    if (!in_arena(ptr))
        return verdict_of_outside(ptr);
    struct mm_slot_info info = mm_batch_inspect(mm_os_untagged(ptr));
    return verdict_of_dead(&info);
}

/* Of no live slot. */
static void *realloc_other(enum mm_next_name name, void *ptr, size_t size, const void *caller)
{
    if (too_large(size) && is_for_next(ptr))
        return NULL;
    void *block = ptr;
    enum verdict verdict =
        in_arena(ptr) && !is_for_next(ptr) ? verdict_of(ptr) : realloc_outside(name, &block, size);
    if (verdict == OK)
        return block;
    report(verdict, ptr, caller);
    errno = EINVAL;
    return NULL;
}

void *mm_realloc_by(enum mm_next_name name, void *ptr, size_t size, const void *caller)
{
    if (ptr == NULL)
        return mm_alloc_by(name, size);
    const struct mm_batch *batch = in_arena(ptr) ? batch_of_live(ptr) : NULL;
    if (size == 0 && (batch != NULL || !came_back())) {
        mm_free_by(whose_name(name), ptr, caller);
        return NULL;
    }
    if (mm_unlikely(batch == NULL))
        return realloc_other(name, ptr, size, caller);
    return fits_slot(mm_batch_size(batch), size)
               ? keep_slot(ptr, batch, size)
               : move_slot(name, ptr, mm_batch_size(batch), size, caller);
}

void *mm_realloc(void *ptr, size_t size, const void *caller)
{
    return mm_realloc_by(MM_NEXT_REALLOC, ptr, size, caller);
}
