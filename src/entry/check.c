/* check.c - blocks that are checked: as they are freed or resized, as they leave quarantine, and
 * all of them when somebody asks. What is found goes to the reports from here.
 *
 * Owns nothing and locks nothing. What is freed belongs to the thread whose free was the first
 * until it is held, and what leaves to the thread that took it out of the row. */
#include "entry/inside.h"

#include "blocks/threads.h"
#include "checks/bounds.h"
#include "checks/mismatch.h"
#include "checks/quarantine.h"
#include "checks/sample.h"
#include "checks/shut.h"
#include "entry/guarded.h"
#include "entry/route.h"
#include "findings/report.h"
#include <errno.h>

/* --- blocks that are checked as they are freed --- */

unsigned mm_tell_damages(const struct mm_damage *damages, unsigned count, enum mm_call call,
                         const void *caller)
{
    unsigned told = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct mm_damage *damage = &damages[i];
        if (mm_checks_tell(damage)) {
            mm_report(&(struct mm_misuse){.kind = damage->kind,
                                          .ptr = (const void *)damage->block,
                                          .caller = caller,
                                          .call = call,
                                          .damage = damage});
            told++;
        }
    }
    return told;
}

/* What was damaged is whole afterwards: it is nothing of who comes next, or lies beside. */
static void tell_damage(const struct mm_block *block, enum mm_call call, const void *caller)
{
    struct mm_damage damages[MM_GUARDS];
    unsigned count = mm_checks_guards(block, damages);
    if (mm_likely(count == 0))
        return;
    mm_tell_damages(damages, count, call, caller);
    for (unsigned i = 0; i < count; i++)
        mm_checks_mend(block, &damages[i]);
}

/* Its first free, with its record as it was; nobody else has it any more. */
static void check_freed(const struct mm_block *block, mm_shape how, const void *caller)
{
    enum mm_call call = mm_shape_call(how);
    struct mm_misuse misuse = {
        .ptr = (const void *)block->start, .caller = caller, .how = how, .call = call};
    mm_shut_open(block);
    if (mm_checks_mismatch(block, how, caller, &misuse.kind))
        mm_report(&misuse);
    tell_damage(block, call, caller);
    if (mm_checks.holds || (mm_checks.perturbs && block->batch != NULL)) /* libc fills its own */
        mm_checks_fill(block);
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
    mm_records_let_forwarded_go(block->record);
    mm_bounds_let_go();
    struct mm_gate *gate = mm_registry_enter();
    size_t size = mm_next_knows_sizes() ? mm_next_usable_size((void *)start) : block->asked;
    mm_next_free(whose, (void *)start, size); /* with its guards */
    mm_registry_leave(gate);
}

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
bool mm_let_go(bool all, const void *caller)
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
        if (mm_unlikely(mm_checks_filling(&block, &damage)))
            mm_tell_damages(&damage, 1, MM_CALL_NONE, caller);
        if (block.batch != NULL)
            mm_let_slot_go(address);
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
    mm_let_go(false, caller);
    return true;
}

/* It stays live until it goes, so its batch stays, too. */
void mm_free_checked(const struct mm_block *block, uint64_t now, mm_shape how, const void *caller)
{
    int saved_errno = errno;
    mm_stacks_freed_at(block->record, now, mm_shape_call(how));
    check_freed(block, how, caller);
    if (!hold(block, caller))
        mm_let_slot_go(block->start);
    errno = saved_errno;
}

/* What was struck out of the registry just now. */
void mm_free_checked_outside(enum mm_next_whose whose, const struct mm_block *block, mm_shape how,
                             const void *caller)
{
    check_freed(block, how, caller);
    mm_bounds_held(block->start, block->asked);
    if (!hold(block, caller))
        let_forwarded_go(whose, block);
}

/* A record that tells of a free is of an earlier block there: this one has none. Where another
 * library's functions stand behind us, blocks stay as they are; but a guarded one is the program's
 * wherever it is freed, as in a signal handler that interrupted the next allocator, which does not
 * know it by this address. */
struct mm_block mm_checked_outside(const void *ptr, bool inside)
{
    struct mm_block block = {0};
    if (mm_unlikely(mm_checks.any))
        block = mm_block_forwarded(ptr);
    if (block.record == NULL || mm_block_is_guarded(&block))
        inside = false;
    else
        inside = inside || mm_next_may_call_back();
    if (block.record != NULL &&
        (inside || atomic_load_explicit(&block.record->freed, memory_order_relaxed) != 0))
        block.record = NULL;
    return block;
}

/* Its family, too, is checked as if it were freed. */
void mm_check_resized(const struct mm_block *block, const void *caller)
{
    struct mm_misuse misuse = {.ptr = (const void *)block->start,
                               .caller = caller,
                               .how = mm_realloc_shape(),
                               .call = MM_CALL_REALLOC};
    if (mm_checks_mismatch(block, misuse.how, caller, &misuse.kind))
        mm_report(&misuse);
    tell_damage(block, MM_CALL_REALLOC, caller);
}

void mm_free_held(const void *caller)
{
    mm_let_go(true, caller);
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
static unsigned damages_of_live_slot(struct mm_batch *batch, unsigned index,
                                     struct mm_damage damages[MM_GUARDS])
{
    unsigned count = damages_of_slot(batch, index, damages);
    for (unsigned look = 1; look < LOOKS && count != 0; look++)
        count = damages_of_slot(batch, index, damages);
    return count;
}

/* The lines of others' batches may be used for other ones meanwhile: pinned, this one is not. NULL:
 * it is gone already. */
static struct mm_pin *pin_batch(struct mm_batch **batch, uintptr_t address)
{
    struct mm_heap *heap = mm_tls_heap;
    return mm_pin_batch(heap->number != 0 ? &heap->pin : NULL, address, batch);
}

/* A look at all blocks that nobody called for comes at the process's end. */
static enum mm_call call_of(const void *caller)
{
    return caller != NULL ? MM_CALL_CHECK : MM_CALL_EXIT;
}

/* Many children of a fork() end soon, and their parent looks at what was there before: a child that
 * ends looks at so much of that, and at more the longer it lived, for about a tenth of its life;
 * and at all that is its own. */
#define CHILD_LOOKS 16384u            /* at a slot each, which takes some 40 ns */
#define NS_A_LOOK   400u              /* of its life */
#define LARGE_LOOKS 16u               /* that one at a held block of another allocator takes */
static _Atomic uint64_t forked;       /* nanoseconds; 0: it is no such child */
static _Atomic uint32_t first_thread; /* of its own */

void mm_check_after_fork(void)
{
    atomic_store_explicit(&forked, mm_os_nanoseconds(), memory_order_relaxed);
    atomic_store_explicit(&first_thread, mm_threads_next(), memory_order_relaxed);
}

struct check {
    const void *caller;
    size_t told;
    uint64_t left; /* looks at what is a parent's */
};

static uint64_t looks_for(const void *caller)
{
    uint64_t since = atomic_load_explicit(&forked, memory_order_relaxed);
    if (since == 0 || call_of(caller) != MM_CALL_EXIT)
        return UINT64_MAX;
    return CHILD_LOOKS + (mm_os_nanoseconds() - since) / NS_A_LOOK;
}

static bool may_look(struct check *check, uint64_t looks)
{
    bool may = check->left >= looks;
    check->left = may ? check->left - looks : 0;
    return may;
}

/* Who allocated it is not known of more threads than can be counted. */
static bool may_look_at(struct check *check, const struct mm_record *record)
{
    if (record == NULL || check->left == UINT64_MAX)
        return record != NULL;
    uint64_t allocated = atomic_load_explicit(&record->allocated, memory_order_relaxed);
    uint32_t thread = allocated >> MM_EVENT_STACK_BITS & ((1u << MM_EVENT_THREAD_BITS) - 1);
    return thread == 0 || thread >= atomic_load_explicit(&first_thread, memory_order_relaxed) ||
           may_look(check, 1);
}

/* Of the slots from this one on. */
static uint64_t to_look_at(const struct mm_batch *batch, unsigned index, struct check *check)
{
    uintptr_t base = mm_batch_base(batch);
    uint64_t left = (mm_checks_live(batch) & mm_stacks_traced(batch)) >> index << index;
    while (left != 0 &&
           !may_look_at(check, mm_records_slot(base, mm_batch_size(batch), mm_bit_lowest(left))))
        left &= left - 1;
    return left;
}

/* No report is written with a pin, as one may call the program. */
static void check_batch(uintptr_t base, struct check *check)
{
    for (unsigned index = 0; index < MM_WORD_BITS; index++) {
        struct mm_damage damages[MM_GUARDS];
        struct mm_batch *batch;
        struct mm_pin *pin = pin_batch(&batch, base);
        uint64_t left = 0;
        unsigned count = 0;
        if (batch != NULL && mm_batch_base(batch) == base)
            left = to_look_at(batch, index, check);
        if (left != 0) {
            index = mm_bit_lowest(left);
            count = damages_of_live_slot(batch, index, damages);
        }
        mm_pin_drop(pin);
        if (left == 0)
            break;
        check->told += mm_tell_damages(damages, count, call_of(check->caller), check->caller);
    }
}

static void check_slots(struct check *check)
{
    size_t unit = 0, end = mm_arena_chunks() << (MM_CHUNK_SHIFT - MM_UNIT_SHIFT);
    for (struct mm_batch *batch; (batch = mm_batch_walk(&unit, end)) != NULL;)
        check_batch(mm_batch_base(batch), check);
}

/* Another thread may give it back meanwhile. */
static unsigned damages_of_forwarded(uintptr_t address, const struct mm_record *record,
                                     struct mm_damage damages[MM_GUARDS])
{
    struct mm_block block = mm_block_forwarded((const void *)address);
    if (block.record != record || !mm_block_is_guarded(&block) ||
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
    if (!may_look_at(check, record))
        return;
    unsigned count = damages_of_forwarded(address, record, damages);
    for (unsigned look = 1; look < LOOKS && count != 0; look++)
        count = damages_of_forwarded(address, record, damages);
    check->told += mm_tell_damages(damages, count, call_of(check->caller), check->caller);
}

/* What went meanwhile, perhaps with its batch, is not looked at, or not told. */
static unsigned damage_of_held(uintptr_t address, struct mm_damage *damage)
{
    if (!mm_arena_has(address)) {
        struct mm_block block = mm_block_forwarded((const void *)address);
        block.may_go = !mm_os_single_threaded();
        return block.record != NULL && mm_checks_filling(&block, damage);
    }
    struct mm_batch *batch;
    struct mm_pin *pin = pin_batch(&batch, address);
    struct mm_slot slot = {0};
    if (batch != NULL)
        slot = mm_batch_slot(batch, address);
    bool is_there = batch != NULL && slot.starts && slot.index < mm_batch_slots(batch);
    struct mm_block block = {0};
    if (is_there)
        block = mm_block_of_held(batch, (unsigned)slot.index);
    bool differs = is_there && mm_checks_filling(&block, damage);
    mm_pin_drop(pin);
    return differs;
}

static uint64_t looks_at(uint64_t place)
{
    return mm_arena_has(mm_quarantine_at(place)) ? 1 : LARGE_LOOKS;
}

static void check_place(uint64_t place, struct check *check)
{
    struct mm_damage damage;
    uintptr_t address = mm_quarantine_at(place);
    if (address == 0 || !mm_quarantine_has(place))
        return;
    unsigned count = damage_of_held(address, &damage);
    if (mm_quarantine_has(place))
        check->told += mm_tell_damages(&damage, count, call_of(check->caller), check->caller);
}

size_t mm_check(const void *caller)
{
    struct check check = {caller, 0, looks_for(caller)};
    bool has_pages = mm_sample_is_on();
    if ((!mm_checks.any && !has_pages) || mm_os_is_guest())
        return 0;
    if (has_pages)
        check.told += mm_check_guarded(caller, call_of(caller));
    uint64_t oldest = 0, own = 0, end = 0;
    if (mm_checks.holds) {
        mm_quarantine_span(&oldest, &end);
        own = mm_quarantine_own() > oldest ? mm_quarantine_own() : oldest;
    }
    for (uint64_t place = own; place < end; place++)
        check_place(place, &check);
    if (mm_checks.guard != 0) {
        check_slots(&check);
        mm_records_each_forwarded(check_forwarded, &check);
    }
    while (own > oldest && may_look(&check, looks_at(own - 1)))
        check_place(--own, &check);
    return check.told;
}
