/* route.c - requests and frees that the fast paths leave over, and what bad ones are told as.
 *
 * Owns nothing: slots are their heaps' (heap.h, batch.h), forwarded blocks the registry's. */
#include "entry/route.h"

#include "blocks/record.h"
#include "checks/checks.h"
#include "checks/mismatch.h"
#include "checks/quarantine.h"
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
    if (!slot.starts || slot.index >= MM_WORD_BITS)
        return NULL;
    uint64_t live = mm_checks_live(batch);
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
static inline unsigned class_of(size_t size)
{
    if (size - 1 < MM_SLOT_SIZE_MAX)
        return mm_class_of_size(size);
    return size == 0 ? 0 : MM_CLASS_NONE;
}

static mm_shape plain_shape(size_t size)
{
    return mm_shape_of(size, 0, MM_FAMILY_MALLOC);
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

/* NULL in a thread's last destructors, and when nobody watches. Makes the thread's heap if need
 * be, so no lock of ours may be held. */
static struct mm_watch *own_watch(void)
{
    if (mm_likely(mm_watcher == NULL))
        return NULL;
    struct mm_heap *heap = mm_process_heap();
    return heap != NULL ? heap->watch : NULL;
}

static void note_forwarded(const void *block, mm_shape shape)
{
    if (mm_unlikely(mm_watcher != NULL) && !in_arena(block))
        mm_stacks_forwarded(own_watch(), block, shape);
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
    size_t size = nested || mm_checks.guard != 0 ? 0 : mm_next_size(block);
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

static void *forward_as_is(enum mm_next_name name, mm_shape shape)
{
    bool nested = came_back();
    size_t size = mm_shape_asked(shape);
    struct mm_gate *gate = mm_registry_enter();
    void *block = mm_next_allocate(nested ? name : usual_name(name), mm_shape_alignment(shape),
                                   at_least_granule(size));
    leave_holding(gate, block != NULL ? note_block(gate, nested, block, size) : 0);
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
    struct mm_watch *watch = own_watch();
    struct mm_gate *gate = mm_registry_enter();
    char *block = mm_next_allocate(usual_name(name), alignment, whole);
    if (block != NULL && !in_arena(block)) {
        size_t front = mm_checks_front(alignment);
        struct mm_record *record =
            mm_stacks_forwarded(watch, block + front, shape | MM_SHAPE_GUARDED);
        if (record != NULL) {
            block += front;
            mm_checks_lay(&(struct mm_block){.start = (uintptr_t)block, .asked = size});
        }
    }
    leave_holding(gate, block != NULL ? note_block(gate, false, block, size) : 0);
    return block;
}

static void *forward_once(enum mm_next_name name, mm_shape shape)
{
    return mm_unlikely(mm_checks.guard != 0) && are_forwarded_checked()
               ? forward_guarded(name, shape)
               : forward_as_is(name, shape);
}

static bool let_go(bool all, const void *caller);

/* What is held may be what there is not enough of. */
static void *forward(enum mm_next_name name, mm_shape shape)
{
    void *block = forward_once(name, shape);
    if (mm_unlikely(block == NULL) && mm_checks.holds && let_go(true, NULL))
        block = forward_once(name, shape);
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
    return alloc_any(name, size, plain_shape(size));
}

void *mm_alloc_slow(size_t size)
{
    return alloc_any(MM_NEXT_MALLOC, size, plain_shape(size));
}

void *mm_alloc_new_slow(size_t size)
{
    return alloc_any(MM_NEXT_MALLOC, size, mm_shape_of(size, 0, MM_FAMILY_NEW));
}

void *mm_alloc_new_array_slow(size_t size)
{
    return alloc_any(MM_NEXT_MALLOC, size, mm_shape_of(size, 0, MM_FAMILY_NEW_ARRAY));
}

/* Slots claimed from memory that nobody has written to are zero already. A watched one may be of
 * another class than asked for. */
static void *clear_slot(void *slot, unsigned class, size_t size)
{
    const struct mm_heap *heap = mm_tls_heap;
    return heap->lists[class].zero && heap->watch == NULL ? slot : memset(slot, 0, size);
}

MM_COLD static void *calloc_slow(enum mm_next_name name, size_t size)
{
    void *block = alloc_class_or_forward(class_of(size), name, size, plain_shape(size));
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
    void *slot = take_slot(class, plain_shape(bytes));
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

/* --- verdicts --- */

enum verdict { OK, DOUBLE, INTERIOR, FOREIGN, UNCERTAIN };

/* `how` it was freed. */
static void report(enum verdict verdict, const void *ptr, mm_shape how, const void *caller)
{
    struct mm_misuse misuse = {.ptr = ptr, .caller = caller, .how = how};
    misuse.kind = verdict == DOUBLE     ? MEM_MNGR_DOUBLE_FREE
                  : verdict == INTERIOR ? MEM_MNGR_INTERIOR_FREE
                                        : MEM_MNGR_FOREIGN_FREE;
    if (verdict == UNCERTAIN)
        mm_report_uncertain();
    else if (verdict != OK)
        mm_report(&misuse);
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
    bool unused = mm_checks.guard != 0 && info->index == 0;
    if (!info->in_slot || info->offset != 0 || unused || mm_heap_never_handed_out(info))
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

/* --- blocks that are checked as they are freed --- */

/* How many. */
static unsigned tell_all(const struct mm_damage *damages, unsigned count, const void *caller)
{
    unsigned told = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct mm_damage *damage = &damages[i];
        if (mm_checks_tell(damage)) {
            mm_report(&(struct mm_misuse){.kind = damage->kind,
                                          .ptr = (const void *)damage->block,
                                          .caller = caller,
                                          .damage = damage});
            told++;
        }
    }
    return told;
}

/* What was damaged is whole afterwards: it is nothing of who comes next, or lies beside. */
static void tell_damage(const struct mm_block *block, const void *caller)
{
    struct mm_damage damages[MM_GUARDS];
    unsigned count = mm_checks_guards(block, damages);
    tell_all(damages, count, caller);
    for (unsigned i = 0; i < count; i++)
        mm_checks_mend(block, &damages[i]);
}

/* Its first free, with its record as it was; nobody else has it any more. */
static void check_freed(const struct mm_block *block, mm_shape how, const void *caller)
{
    struct mm_misuse misuse = {.ptr = (const void *)block->start, .caller = caller, .how = how};
    if (mm_checks_mismatch(block, how, caller, &misuse.kind))
        mm_report(&misuse);
    tell_damage(block, caller);
    if (mm_checks.holds || (mm_checks.fills && block->batch != NULL)) /* libc fills its own */
        mm_checks_fill(block);
}

/* A slot goes back that was freed before: no other free of it gets here. */
static void let_slot_go(uintptr_t address)
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

/* The same of a forwarded one. Its record is another block's to take from now on. */
static void let_forwarded_go(enum mm_next_whose whose, const struct mm_block *block)
{
    mm_shape shape = mm_record_shape(block->record);
    size_t alignment = mm_shape_alignment(shape);
    uintptr_t start = block->start;
    if (shape & MM_SHAPE_GUARDED)
        start -= mm_checks_front(alignment < MM_GRANULE ? MM_GRANULE : alignment);
    mm_record_set_shape(block->record, shape & ~(MM_SHAPE_GUARDED | MM_SHAPE_HELD));
    struct mm_gate *gate = mm_registry_enter();
    mm_next_free(whose, (void *)start, block->asked);
    mm_registry_leave(gate);
}

/* Nothing is known of it when it went meanwhile, with its batch. */
static struct mm_block held_block(uintptr_t address)
{
    if (!mm_arena_has(address))
        return mm_block_forwarded((const void *)address);
    struct mm_batch *batch = mm_batch_at(address);
    return mm_block_of_held(batch, (unsigned)mm_batch_slot(batch, address).index);
}

/* What goes soon was touched long ago. */
#define SOON 8u
static void fetch_what_goes_soon(void)
{
    uintptr_t soon = mm_quarantine_ahead(SOON);
    if (mm_arena_has(soon)) {
        __builtin_prefetch((const void *)soon);
        __builtin_prefetch(mm_batch_at(soon));
    }
}

/* What has been held for long enough, or all, goes. True when something went. Nothing goes from a
 * signal handler that interrupted the next allocator: the program's free may have been of a slot.
 */
static bool let_go(bool all, const void *caller)
{
    struct mm_damage damage;
    int saved_errno = errno;
    bool any = false;
    if (mm_registry_is_inside())
        return false;
    for (uintptr_t address; (address = mm_quarantine_pop(all)) != 0; any = true) {
        fetch_what_goes_soon();
        struct mm_block block = held_block(address);
        mm_quarantine_took(mm_checks_resident(&block));
        tell_all(&damage, mm_checks_filling(&block, &damage), caller);
        if (block.batch != NULL)
            let_slot_go(address);
        else
            let_forwarded_go(MM_NEXT_ITS, &block);
    }
    errno = saved_errno;
    return any;
}

static bool hold(const struct mm_block *block, const void *caller)
{
    if (!mm_checks.holds || !mm_quarantine_push(block->start, mm_checks_resident(block)))
        return false;
    let_go(false, caller);
    return true;
}

/* A live slot with a record; two frees of it may come here at once. It stays live until it goes, so
 * its batch stays, too. */
static enum verdict free_checked(const struct mm_block *block, uint64_t now, mm_shape how,
                                 const void *caller)
{
    mm_stacks_freed_at(block->record, now);
    check_freed(block, how, caller);
    if (!hold(block, caller))
        let_slot_go(block->start);
    return OK;
}

/* While the stack is walked, what is kept of the slot comes into the cache. */
MM_COLD static enum verdict free_traced(struct mm_batch *batch, unsigned index, struct mm_pin *pin,
                                        mm_shape how, const void *caller)
{
    __builtin_prefetch(mm_batch_slot_start(batch, index), 1);
    mm_records_fetch(mm_batch_base(batch), mm_batch_size(batch), index);
    uint64_t now = mm_stacks_now(own_watch());
    struct mm_block block = mm_block_of_slot(batch, index);
    bool is_own = mm_batch_owner(batch) == mm_tls_heap;
    if (block.record == NULL)
        return is_own ? free_own(batch, index) : free_remote(batch, index, pin);
    bool is_first = mm_checks_hold_slot(&block);
    mm_pin_drop(pin);
    return is_first ? free_checked(&block, now, how, caller) : DOUBLE;
}

/* What was struck out of the registry just now. */
MM_COLD static void free_checked_outside(enum mm_next_whose whose, const struct mm_block *block,
                                         mm_shape how, const void *caller)
{
    check_freed(block, how, caller);
    if (!hold(block, caller))
        let_forwarded_go(whose, block);
}

static bool is_guarded(const struct mm_block *block)
{
    return block->record != NULL && (mm_record_shape(block->record) & MM_SHAPE_GUARDED);
}

/* A record that tells of a free is of an earlier block there: this one has none. A guarded block is
 * the program's wherever it is freed, as in a signal handler that interrupted the next allocator,
 * which does not know it by this address. */
static struct mm_block checked_outside(void *ptr)
{
    struct mm_block block = {0};
    if (mm_unlikely(mm_checks.any))
        block = mm_block_forwarded(ptr);
    if (block.record != NULL &&
        (atomic_load_explicit(&block.record->freed, memory_order_relaxed) != 0 ||
         (mm_registry_is_inside() && !is_guarded(&block))))
        block.record = NULL;
    return block;
}

static enum verdict free_outside(enum mm_next_whose whose, void *ptr, mm_shape how,
                                 const void *caller)
{
    int saved_errno = errno;
    bool nested = came_back();
    if (!mm_process_started())
        mm_process_heap();
    struct mm_watch *watch = own_watch();
    struct mm_block block = checked_outside(ptr);
    struct mm_gate *gate = mm_registry_enter();
    size_t size;
    bool known = mm_registry_remove(gate, ptr, &size);
    bool checked = known && block.record != NULL;
    /* First: a record that tells of a free, and is not held, is anybody's. */
    if (mm_unlikely(checked))
        mm_record_set_shape(block.record, mm_record_shape(block.record) | MM_SHAPE_HELD);
    if (known)
        mm_stacks_forwarded_freed(watch, ptr);
    if ((known || nested) && !checked)
        mm_next_free(whose, ptr, size);
    leave_holding(gate, -(int64_t)size);
    if (mm_unlikely(checked))
        free_checked_outside(whose, &block, how, caller);
    enum verdict verdict = known || nested ? OK : verdict_of_outside(ptr);
    errno = saved_errno;
    return verdict;
}

static enum verdict free_dead(enum mm_next_whose whose, void *ptr, struct mm_pin *pin, mm_shape how,
                              const void *caller)
{
    struct mm_slot_info info = mm_batch_inspect(mm_os_untagged(ptr));
    enum verdict verdict = verdict_of_dead(&info);
    mm_pin_drop(pin);
    return is_for_next(ptr) ? free_outside(whose, ptr, how, caller) : verdict;
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
static enum verdict free_slot(enum mm_next_whose whose, void *ptr, mm_shape how, const void *caller)
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
        mm_stacks_freed(own_watch(), batch, index);
    }
    return is_own ? free_own(batch, index) : free_remote(batch, index, pin);
}

static inline void free_any(enum mm_next_whose whose, void *ptr, mm_shape how, const void *caller)
{
    if (ptr == NULL)
        return;
    enum verdict verdict =
        in_arena(ptr) ? free_slot(whose, ptr, how, caller) : free_outside(whose, ptr, how, caller);
    if (mm_unlikely(verdict != OK))
        report(verdict, ptr, how, caller);
}

void mm_free_slow(void *ptr, const void *caller)
{
    free_any(MM_NEXT_ITS, ptr, plain_shape(0), caller);
}

void mm_free_as_slow(void *ptr, mm_shape how, const void *caller)
{
    free_any(MM_NEXT_ITS, ptr, how, caller);
}

void mm_free_by(enum mm_next_whose whose, void *ptr, const void *caller)
{
    if (mm_unlikely(!mm_free_fast(ptr)))
        free_any(whose, ptr, plain_shape(0), caller);
}

/* --- usable size, realloc --- */

/* What may be used of a live slot: what was asked, where more is a guard. */
static size_t usable_in(struct mm_batch *batch, const void *ptr)
{
    if (mm_likely(mm_checks.guard == 0))
        return mm_batch_size(batch);
    return mm_block_of_slot(batch, (unsigned)mm_batch_slot(batch, mm_os_untagged(ptr)).index).asked;
}

static size_t usable_outside(const void *ptr)
{
    struct mm_block block = checked_outside((void *)(uintptr_t)ptr);
    return is_guarded(&block) ? block.asked : mm_next_usable_size((void *)(uintptr_t)ptr);
}

static enum verdict verdict_of(const void *ptr)
{
    if (!in_arena(ptr))
        return verdict_of_outside(ptr);
    struct mm_slot_info info = mm_batch_inspect(mm_os_untagged(ptr));
    return verdict_of_dead(&info);
}

MM_COLD static void report_query(const void *ptr, const void *caller)
{
    if (mm_checks.mismatch && verdict_of(ptr) != UNCERTAIN)
        mm_report(&(struct mm_misuse){.kind = MEM_MNGR_BAD_QUERY, .ptr = ptr, .caller = caller});
}

size_t mm_usable_size(const void *ptr, const void *caller)
{
    if (ptr == NULL)
        return 0;
    struct mm_batch *batch = in_arena(ptr) ? batch_of_live(ptr) : NULL;
    if (batch != NULL)
        return usable_in(batch, ptr);
    if (is_for_next(ptr))
        return usable_outside(ptr);
    report_query(ptr, caller);
    return 0;
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
        note_forwarded(moved, plain_shape(size));
    *block = moved;
    return OK;
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
    void *slot = fits ? take_slot(class_of(with_headroom), plain_shape(size)) : NULL;
    return slot != NULL ? slot : mm_alloc_by(name, size);
}

/* Its family, too, is checked as if it were freed. */
MM_COLD static void check_resized(const struct mm_block *block, const void *caller)
{
    struct mm_misuse misuse = {.ptr = (const void *)block->start, .caller = caller};
    if (mm_checks_mismatch(block, plain_shape(0), caller, &misuse.kind))
        mm_report(&misuse);
    tell_damage(block, caller);
}

/* Its guard is laid before it is said to end there, for who looks at the moment. What was told of
 * it was told for all its life: bytes before it stay as they are. */
static void *keep_slot(void *ptr, struct mm_batch *batch, size_t size, const void *caller)
{
    mm_shape shape = plain_shape(size);
    if (!mm_batch_is_traced(batch))
        return ptr;
    unsigned index = (unsigned)mm_batch_slot(batch, mm_os_untagged(ptr)).index;
    if (mm_unlikely(mm_checks.any)) {
        struct mm_block block = mm_block_of_slot(batch, index);
        check_resized(&block, caller);
        block.asked = size;
        if (is_guarded(&block)) {
            mm_checks_lay(&block);
            shape |= MM_SHAPE_GUARDED | (mm_record_shape(block.record) & MM_SHAPE_TOLD);
        }
    }
    mm_stacks_resized(own_watch(), batch, index, shape);
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
        mm_free(ptr, caller);
    }
    return moved;
}

/* Of no live slot. */
static void *realloc_other(enum mm_next_name name, void *ptr, size_t size, const void *caller)
{
    if (too_large(size) && is_for_next(ptr))
        return NULL;
    struct mm_block checked = checked_outside(ptr);
    if (mm_unlikely(checked.record != NULL) && mm_registry_is_live(ptr))
        return move_block(name, ptr, usable_outside(ptr), size, caller);
    void *block = ptr;
    enum verdict verdict =
        in_arena(ptr) && !is_for_next(ptr) ? verdict_of(ptr) : realloc_outside(name, &block, size);
    if (verdict == OK)
        return block;
    report(verdict, ptr, plain_shape(0), caller);
    errno = EINVAL;
    return NULL;
}

void *mm_realloc_by(enum mm_next_name name, void *ptr, size_t size, const void *caller)
{
    if (ptr == NULL)
        return mm_alloc_by(name, size);
    struct mm_batch *batch = in_arena(ptr) ? batch_of_live(ptr) : NULL;
    if (size == 0 && (batch != NULL || !came_back())) {
        mm_free_by(whose_name(name), ptr, caller);
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

void mm_free_held(const void *caller)
{
    let_go(true, caller);
}

/* --- all blocks --- */

/* Others may free it, and hand it out anew, while it is looked at: what it was before it still is
 * afterwards, or nothing is told. */
static unsigned damages_of_slot(struct mm_batch *batch, unsigned index,
                                struct mm_damage damages[MM_GUARDS])
{
    struct mm_block block = mm_block_of_slot(batch, index);
    if (block.record == NULL)
        return 0;
    mm_shape shape = mm_record_shape(block.record);
    uint64_t allocated = atomic_load_explicit(&block.record->allocated, memory_order_relaxed);
    block.asked = mm_shape_asked(shape);
    unsigned count = mm_checks_guards(&block, damages);
    atomic_thread_fence(memory_order_seq_cst);
    bool is_same =
        mm_checks_live(batch) >> index & 1 && mm_record_shape(block.record) == shape &&
        atomic_load_explicit(&block.record->allocated, memory_order_relaxed) == allocated;
    return is_same ? count : 0;
}

/* It may have been something else in between, and the same again: damage stays, so it is told when
 * it is seen some times in a row. */
#define LOOKS 4u
static unsigned check_slot(struct mm_batch *batch, unsigned index, const void *caller)
{
    struct mm_damage damages[MM_GUARDS];
    unsigned count = damages_of_slot(batch, index, damages);
    for (unsigned look = 1; look < LOOKS && count != 0; look++)
        count = damages_of_slot(batch, index, damages);
    return tell_all(damages, count, caller);
}

static unsigned check_slots(const void *caller)
{
    unsigned told = 0;
    size_t unit = 0, end = mm_arena_chunks() << (MM_CHUNK_SHIFT - MM_UNIT_SHIFT);
    for (struct mm_batch *batch; (batch = mm_batch_walk(&unit, end)) != NULL;) {
        uint64_t live = mm_checks_live(batch) & mm_stacks_traced(batch);
        for (; live != 0; live &= live - 1)
            told += check_slot(batch, mm_bit_lowest(live), caller);
    }
    return told;
}

struct check {
    const void *caller;
    unsigned told;
};

/* Another thread may give it back meanwhile. */
static unsigned damages_of_forwarded(uintptr_t address, const struct mm_record *record,
                                     struct mm_damage damages[MM_GUARDS])
{
    struct mm_block block = mm_block_forwarded((const void *)address);
    if (block.record != record || !is_guarded(&block) ||
        !mm_registry_is_live((const void *)address))
        return 0;
    mm_shape shape = mm_record_shape(record);
    uint64_t allocated = atomic_load_explicit(&record->allocated, memory_order_relaxed);
    block.asked = mm_shape_asked(shape);
    block.may_go = true;
    unsigned count = mm_checks_guards(&block, damages);
    atomic_thread_fence(memory_order_seq_cst);
    bool is_same = mm_registry_is_live((const void *)address) && mm_record_shape(record) == shape &&
                   atomic_load_explicit(&record->allocated, memory_order_relaxed) == allocated &&
                   mm_records_address(record) == address;
    return is_same ? count : 0;
}

static void check_forwarded(uintptr_t address, struct mm_record *record, void *with)
{
    struct check *check = with;
    struct mm_damage damages[MM_GUARDS];
    unsigned count = damages_of_forwarded(address, record, damages);
    for (unsigned look = 1; look < LOOKS && count != 0; look++)
        count = damages_of_forwarded(address, record, damages);
    check->told += tell_all(damages, count, check->caller);
}

static unsigned check_held(const void *caller)
{
    uint64_t place, end;
    unsigned told = 0;
    for (mm_quarantine_span(&place, &end); place < end; place++) {
        struct mm_damage damage;
        uintptr_t address = mm_quarantine_at(place);
        if (address == 0 || !mm_quarantine_has(place))
            continue;
        struct mm_block block = held_block(address);
        block.may_go = block.batch == NULL && !mm_os_single_threaded();
        unsigned count =
            (block.batch != NULL || block.record != NULL) && mm_checks_filling(&block, &damage);
        if (mm_quarantine_has(place))
            told += tell_all(&damage, count, caller);
    }
    return told;
}

size_t mm_check(const void *caller)
{
    struct check check = {caller, 0};
    if (!mm_checks.any || mm_os_is_guest())
        return 0;
    if (mm_checks.holds)
        check.told += check_held(caller);
    if (mm_checks.guard != 0) {
        check.told += check_slots(caller);
        mm_records_each_forwarded(check_forwarded, &check);
    }
    return check.told;
}
