/* route.c - requests that the fast path leaves over: to a slot, or to the next allocator.
 *
 * Owns nothing: slots are their heaps' (heap.h, batch.h), forwarded blocks the registry's. */
#include "entry/route.h"

#include "entry/guarded.h"
#include "entry/inside.h"
#include "findings/report.h"
#include <errno.h>
#include <string.h>

/* --- allocation --- */

/* Of any size; MM_CLASS_NONE when it is too large for a slot. */
static inline unsigned class_of(size_t size)
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
static inline void *take_slot(unsigned class, mm_shape shape)
{
    struct mm_heap *heap = mm_tls_heap;
    return heap->number != 0 && is_for_slots(class) ? mm_heap_alloc(heap, class, shape) : NULL;
}

/* The same, for a thread without a heap too. */
static void *alloc_slot(unsigned class, mm_shape shape)
{
    struct mm_heap *heap = mm_process_heap();
    if (heap == &mm_heap_ending)
        return mm_heap_alloc_ending(class, shape);
    return heap != NULL ? mm_heap_alloc(heap, class, shape) : NULL;
}

static void note_forwarded(const void *block, mm_shape shape)
{
    if (mm_unlikely(mm_watcher != NULL) && !mm_in_arena(block))
        mm_stacks_forwarded(mm_own_watch(), block, shape);
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
    if (mm_unlikely(mm_in_arena(block) && mm_batch_of_live(block) != NULL))
        return 0;
    int64_t change = 0;
    size_t size = nested || mm_checks.guard != 0 ? 0 : mm_next_size(block);
    if (size == 0)
        size = at_least_granule(asked);
    if (mm_unlikely(nested))
        inner = (struct mm_forwarded){mm_os_untagged(block), size};
    else if (mm_unlikely(inner.start != 0))
        change = forget_inner(gate, block, size);
    return change + mm_registry_add(gate, block, size);
}

/* Unless it came back, a request goes on by a name that all allocators have, or by libc's own. Who
 * asks for an alignment, however small, may not have a malloc() that serves it. */
static enum mm_next_name usual_name(enum mm_next_name name)
{
    return name >= MM_NEXT_LIBC_MALLOC || name == MM_NEXT_CALLOC ? name
           : name >= MM_NEXT_MEMALIGN                            ? MM_NEXT_MEMALIGN
                                                                 : MM_NEXT_MALLOC;
}

static void *forward_as_is(enum mm_next_name name, mm_shape shape)
{
    bool nested = mm_came_back();
    size_t size = mm_shape_asked(shape);
    struct mm_gate *gate = mm_registry_enter();
    void *block = mm_next_allocate(nested ? name : usual_name(name), mm_shape_alignment(shape),
                                   at_least_granule(size));
    mm_leave_holding(gate, block != NULL ? note_block(gate, nested, block, size) : 0);
    if (block != NULL && !nested)
        note_forwarded(block, shape);
    return block;
}

/* Where another library's functions stand behind us, blocks stay as they are. */
static bool are_forwarded_checked(void)
{
    return mm_checks.any && !mm_next_may_call_back() && !mm_registry_is_inside();
}

/* The block lies behind its first guard; as it came, where no record is to be had that says so. Its
 * guards are laid before it is known as live, for who looks at the moment. */
MM_COLD static void *forward_guarded(enum mm_next_name name, mm_shape shape)
{
    size_t alignment = mm_shape_alignment(shape), size = mm_shape_asked(shape);
    if (alignment < MM_GRANULE)
        alignment = MM_GRANULE;
    size_t whole = mm_checks_whole(alignment, size);
    struct mm_watch *watch = mm_own_watch();
    struct mm_gate *gate = mm_registry_enter();
    char *block = mm_next_allocate(usual_name(name), alignment, whole);
    if (block != NULL && !mm_in_arena(block)) {
        size_t front = mm_checks_front(alignment);
        struct mm_record *record =
            mm_stacks_forwarded(watch, block + front, shape | MM_SHAPE_GUARDED);
        if (record != NULL) {
            block += front;
            mm_checks_lay(&(struct mm_block){.start = (uintptr_t)block, .asked = size});
        }
    }
    mm_leave_holding(gate, block != NULL ? note_block(gate, false, block, size) : 0);
    return block;
}

static void *forward_once(enum mm_next_name name, mm_shape shape)
{
    return mm_unlikely(mm_checks.guard != 0) && are_forwarded_checked()
               ? forward_guarded(name, shape)
               : forward_as_is(name, shape);
}

/* What is held may be what there is not enough of. */
static void *forward(enum mm_next_name name, mm_shape shape)
{
    int saved_errno = errno;
    void *block = forward_once(name, shape);
    if (mm_unlikely(block == NULL) && mm_checks.holds && mm_let_go(true, NULL)) {
        block = forward_once(name, shape);
        if (block != NULL)
            errno = saved_errno;
    }
    return block;
}

static bool too_large(size_t size)
{
    if (size < (size_t)1 << MM_SHAPE_ASKED_BITS) /* as large as address spaces are */
        return false;
    errno = ENOMEM;
    return true;
}

/* errno may have been changed by a start that met a limit; only a failure may show. Who asks for
 * what is too large for a slot gets a heap as well: by these threads are counted. */
MM_COLD static void *alloc_class_or_forward(unsigned class, enum mm_next_name name, size_t size,
                                            mm_shape shape)
{
    int saved_errno = errno;
    void *slot = NULL;
    if (is_for_slots(class))
        slot = alloc_slot(class, shape);
    else if (mm_unlikely(mm_tls_heap == &mm_heap_none))
        mm_process_heap();
    errno = saved_errno;
    if (slot != NULL)
        return slot;
    return too_large(size) ? NULL : forward(name, shape);
}

/* What is too large for its shape is refused by its size. */
static inline void *alloc_any(enum mm_next_name name, size_t size, mm_shape shape)
{
    unsigned class = class_of(size);
    void *slot = take_slot(class, shape);
    return mm_likely(slot != NULL) ? slot : alloc_class_or_forward(class, name, size, shape);
}

void *mm_alloc_by(enum mm_next_name name, size_t size)
{
    return alloc_any(name, size, mm_plain_shape(size));
}

void *mm_alloc_slow(size_t size)
{
    return alloc_any(MM_NEXT_MALLOC, size, mm_plain_shape(size));
}

void *mm_alloc_new_slow(size_t size)
{
    return alloc_any(MM_NEXT_MALLOC, size, mm_shape_of(size, 0, MM_FAMILY_NEW));
}

void *mm_alloc_new_array_slow(size_t size)
{
    return alloc_any(MM_NEXT_MALLOC, size, mm_shape_of(size, 0, MM_FAMILY_NEW_ARRAY));
}

/* Where a watched one may be of another class than asked for, or written to, or none of the heap's.
 */
static bool is_as_claimed(const struct mm_heap *heap, const void *slot)
{
    return heap->watch == NULL || (mm_watcher->leaves_slots && mm_in_arena(slot));
}

/* Slots claimed from memory that nobody has written to are zero already. */
static void *clear_slot(void *slot, unsigned class, size_t size)
{
    const struct mm_heap *heap = mm_tls_heap;
    return heap->lists[class].zero && is_as_claimed(heap, slot) ? slot : memset(slot, 0, size);
}

static bool is_slot(const void *block)
{
    return mm_in_arena(block) || mm_guarded_has((uintptr_t)block);
}

MM_COLD static void *calloc_slow(enum mm_next_name name, size_t size)
{
    void *block = alloc_class_or_forward(class_of(size), name, size, mm_plain_shape(size));
    return block != NULL && is_slot(block) ? memset(block, 0, size) : block;
}

void *mm_calloc_by(enum mm_next_name name, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    unsigned class = class_of(bytes);
    void *slot = take_slot(class, mm_plain_shape(bytes));
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

void *mm_aligned_alloc_as(enum mm_next_name name, size_t alignment, size_t size,
                          enum mm_family family)
{
    unsigned class = class_of_aligned(alignment, size);
    mm_shape shape = mm_shape_of(size, mm_log2_floor(alignment), family);
    void *slot = take_slot(class, shape);
    return mm_likely(slot != NULL) ? slot : alloc_class_or_forward(class, name, size, shape);
}

void *mm_aligned_alloc_by(enum mm_next_name name, size_t alignment, size_t size)
{
    return mm_aligned_alloc_as(name, alignment, size, MM_FAMILY_MALLOC);
}

void *mm_aligned_alloc(size_t alignment, size_t size)
{
    return mm_aligned_alloc_by(MM_NEXT_MEMALIGN, alignment, size);
}

/* --- usable size, realloc --- */

/* What may be used of a live slot: what was asked, where more is a guard. */
static size_t usable_in(struct mm_batch *batch, const void *ptr)
{
    if (mm_likely(mm_checks.guard == 0 && !mm_checks.keeps_to_asked))
        return mm_batch_size(batch);
    unsigned index = (unsigned)mm_batch_slot(batch, mm_os_untagged(ptr)).index;
    struct mm_block block = mm_block_of_slot(batch, index);
    return block.record != NULL ? block.asked : mm_batch_size(batch) - mm_checks.guard;
}

static size_t usable_outside(const void *ptr)
{
    struct mm_block block = mm_checked_outside(ptr, mm_registry_is_inside());
    return mm_block_is_guarded(&block) ? block.asked : mm_next_usable_size((void *)(uintptr_t)ptr);
}

MM_COLD static void report_query(const void *ptr, const void *caller)
{
    if (mm_checks.mismatch && mm_verdict_of(ptr) != MM_VERDICT_UNCERTAIN)
        mm_report(&(struct mm_misuse){
            .kind = MEM_MNGR_BAD_QUERY, .ptr = ptr, .caller = caller, .call = MM_CALL_USABLE_SIZE});
}

size_t mm_usable_size(const void *ptr, const void *caller)
{
    if (ptr == NULL)
        return 0;
    struct mm_batch *batch = mm_in_arena(ptr) ? mm_batch_of_live(ptr) : NULL;
    size_t asked;
    if (batch != NULL)
        return usable_in(batch, ptr);
    bool is_guarded = mm_guarded_has(mm_os_untagged(ptr));
    if (mm_unlikely(is_guarded) && mm_guarded_is_live(ptr, &asked))
        return asked;
    if (!is_guarded && mm_is_for_next(ptr))
        return usable_outside(ptr);
    report_query(ptr, caller);
    return 0;
}

static enum mm_next_whose whose_name(enum mm_next_name name)
{
    return name == MM_NEXT_LIBC_REALLOC ? MM_NEXT_LIBCS : MM_NEXT_ITS;
}

static enum mm_verdict realloc_outside(enum mm_next_name name, void **block, size_t size)
{
    bool nested = mm_came_back();
    struct mm_watch *watch = mm_own_watch();
    struct mm_gate *gate = mm_registry_enter();
    size_t old_size;
    bool known = mm_registry_remove(gate, *block, &old_size);
    if (!known && !nested) {
        mm_registry_leave(gate);
        return mm_verdict_of_outside(*block);
    }
    struct mm_record *record = NULL;
    if (known)
        record = mm_stacks_forwarded_freed(watch, *block, MM_CALL_REALLOC);
    void *moved = mm_next_realloc(name, *block, size != 0 ? at_least_granule(size) : 0);
    int64_t change = -(int64_t)old_size;
    if (moved != NULL) {
        change += note_block(gate, nested, moved, size);
    } else if (known && size != 0) {
        change += mm_registry_add(gate, *block, old_size);
        mm_stacks_forwarded_kept(record, *block);
    }
    mm_leave_holding(gate, change);
    if (moved != NULL && !nested)
        note_forwarded(moved, mm_plain_shape(size));
    *block = moved;
    return MM_VERDICT_OK;
}

/* A slot serves as long as it is neither too small nor more than twice what is needed. */
static bool fits_slot(size_t slot, size_t size)
{
    size_t guarded = size + mm_checks.guard;
    return guarded >= size && guarded <= slot && (guarded > slot / 2 || slot <= 4 * MM_GRANULE);
}

/* What grew by a little is likely to grow again: it gets a quarter more than it had, so that what
 * is built up byte by byte is not copied from each slot size to the next. */
static void *alloc_grown(enum mm_next_name name, size_t old_size, size_t size)
{
    size_t with_headroom = old_size + old_size / 4;
    bool fits = size > old_size && size < with_headroom;
    void *slot = fits ? take_slot(class_of(with_headroom), mm_plain_shape(size)) : NULL;
    return slot != NULL ? slot : mm_alloc_by(name, size);
}

/* Its guard is laid before it is said to end there, for who looks at the moment. What was told of
 * it was told for all its life: bytes before it stay as they are. */
static void *keep_slot(void *ptr, struct mm_batch *batch, size_t size, const void *caller)
{
    mm_shape shape = mm_plain_shape(size);
    if (!mm_batch_is_traced(batch))
        return ptr;
    unsigned index = (unsigned)mm_batch_slot(batch, mm_os_untagged(ptr)).index;
    if (mm_unlikely(mm_checks.any)) {
        struct mm_block block = mm_block_of_slot(batch, index);
        mm_check_resized(&block, caller);
        block.asked = size;
        if (mm_block_is_guarded(&block)) {
            mm_checks_lay(&block);
            shape |= MM_SHAPE_GUARDED | (mm_record_shape(block.record) & MM_SHAPE_TOLD);
        }
    }
    mm_stacks_resized(mm_own_watch(), batch, index, shape);
    return ptr;
}

static void *move_block(enum mm_next_name name, void *ptr, size_t old_size, size_t size,
                        const void *caller)
{
    void *moved = alloc_grown(name, old_size, size);
    if (moved == NULL && size <= old_size)
        return ptr; /* a block may always be larger than asked for */
    if (moved != NULL) {
        memcpy(moved, ptr, old_size < size ? old_size : size);
        if (mm_unlikely(!mm_free_fast(ptr)))
            mm_free_as_slow(ptr, mm_realloc_shape(), caller);
    }
    return moved;
}

/* Its new place is drawn anew. */
static void *realloc_guarded(enum mm_next_name name, void *ptr, size_t size, const void *caller)
{
    size_t asked;
    if (mm_guarded_is_live(ptr, &asked))
        return move_block(name, ptr, asked, size, caller);
    mm_report_verdict(mm_verdict_of_guarded(ptr), ptr, mm_plain_shape(0), caller);
    errno = EINVAL;
    return NULL;
}

/* Of no live slot. */
static void *realloc_other(enum mm_next_name name, void *ptr, size_t size, const void *caller)
{
    if (mm_unlikely(mm_guarded_has(mm_os_untagged(ptr))))
        return realloc_guarded(name, ptr, size, caller);
    if (too_large(size) && mm_is_for_next(ptr))
        return NULL;
    struct mm_block checked = mm_checked_outside(ptr, mm_registry_is_inside());
    if (mm_unlikely(checked.record != NULL) && mm_is_for_next(ptr))
        return move_block(name, ptr, usable_outside(ptr), size, caller);
    void *block = ptr;
    enum mm_verdict verdict = mm_in_arena(ptr) && !mm_is_for_next(ptr)
                                  ? mm_verdict_of(ptr)
                                  : realloc_outside(name, &block, size);
    if (verdict == MM_VERDICT_OK)
        return block;
    mm_report_verdict(verdict, ptr, mm_realloc_shape(), caller);
    errno = EINVAL;
    return NULL;
}

void *mm_realloc_by(enum mm_next_name name, void *ptr, size_t size, const void *caller)
{
    if (ptr == NULL)
        return mm_alloc_by(name, size);
    struct mm_batch *batch = mm_in_arena(ptr) ? mm_batch_of_live(ptr) : NULL;
    if (size == 0 && (batch != NULL || !mm_came_back())) {
        mm_free_by(whose_name(name), ptr, mm_realloc_shape(), caller);
        return NULL;
    }
    if (mm_unlikely(batch == NULL))
        return realloc_other(name, ptr, size, caller);
    return fits_slot(mm_batch_size(batch), size)
               ? keep_slot(ptr, batch, size, caller)
               : move_block(name, ptr, usable_in(batch, ptr), size, caller);
}

void *mm_realloc(void *ptr, size_t size, const void *caller)
{
    return mm_realloc_by(MM_NEXT_REALLOC, ptr, size, caller);
}
