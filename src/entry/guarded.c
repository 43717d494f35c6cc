/* guarded.c - blocks in guarded slots as they are freed, and as somebody asks for them. Owns and
 * locks nothing: a slot is its thread's by the steps of its state. */
#include "entry/guarded.h"

#include "checks/mismatch.h"
#include "checks/sample.h"
#include "checks/shut.h"
#include "findings/report.h"
#include <errno.h>

/* The slot whose block starts there, or the one before did; false: none did, as far as is known. */
static bool find(const void *ptr, struct mm_guarded_slot *slot)
{
    struct mm_guarded_slot above;
    uintptr_t address = mm_os_untagged(ptr);
    mm_guarded_find(address, slot, &above);
    return slot->number != MM_GUARDED_SLOTS && (slot->block == address || slot->before == address);
}

static bool is_live(const void *ptr, const struct mm_guarded_slot *slot)
{
    return slot->state == MM_GUARDED_LIVE && slot->block == mm_os_untagged(ptr);
}

bool mm_guarded_is_live(const void *ptr, size_t *asked)
{
    struct mm_guarded_slot slot;
    if (!find(ptr, &slot) || !is_live(ptr, &slot))
        return false;
    *asked = slot.asked;
    return true;
}

enum mm_verdict mm_verdict_of_guarded(const void *ptr)
{
    struct mm_guarded_slot slot;
    if (!find(ptr, &slot))
        return MM_VERDICT_INTERIOR;
    return is_live(ptr, &slot) ? MM_VERDICT_OK : MM_VERDICT_DOUBLE;
}

static void check_freed(const struct mm_guarded_slot *slot, mm_shape how, const void *caller)
{
    struct mm_block block = mm_block_guarded(slot);
    enum mm_call call = mm_shape_call(how);
    struct mm_misuse misuse = {
        .ptr = (const void *)slot->block, .caller = caller, .how = how, .call = call};
    struct mm_damage damages[MM_GUARDS];
    if (mm_checks.mismatch && mm_checks_mismatch(&block, how, caller, &misuse.kind))
        mm_report(&misuse);
    mm_tell_damages(damages, mm_sample_damages(slot, &block, damages), call, caller);
}

enum mm_verdict mm_free_guarded(const void *ptr, mm_shape how, const void *caller)
{
    struct mm_guarded_slot slot;
    int saved_errno = errno;
    if (!find(ptr, &slot))
        return MM_VERDICT_INTERIOR;
    if (!is_live(ptr, &slot) || !mm_guarded_strike(&slot))
        return MM_VERDICT_DOUBLE;
    struct mm_record *record = mm_records_guarded(slot.number);
    if (record != NULL)
        mm_stacks_freed_at(record, mm_stacks_now_guarded(mm_own_watch()), mm_shape_call(how));
    if (mm_shut_has(slot.start, slot.end))
        mm_os_commit((void *)slot.start, slot.end - slot.start);
    check_freed(&slot, how, caller);
    mm_guarded_close(&slot);
    errno = saved_errno;
    return MM_VERDICT_OK;
}

/* --- all of them --- */

struct check {
    const void *caller;
    enum mm_call call;
    size_t told;
};

/* Another thread may free it meanwhile, which closes it: what counts is found in a block that is
 * the same afterwards. */
static void check_live(const struct mm_guarded_slot *slot, void *with)
{
    struct check *check = with;
    struct mm_damage damages[MM_GUARDS];
    struct mm_guarded_slot now;
    if (mm_shut_has(slot->start, slot->end))
        return;
    struct mm_block block = mm_block_guarded(slot);
    block.may_go = !mm_os_single_threaded();
    unsigned count = mm_sample_damages(slot, &block, damages);
    bool is_same = count > 0 && find((const void *)slot->block, &now) &&
                   is_live((const void *)slot->block, &now) && now.asked == slot->asked;
    if (is_same)
        check->told += mm_tell_damages(damages, count, check->call, check->caller);
}

size_t mm_check_guarded(const void *caller, enum mm_call call)
{
    struct check check = {caller, call, 0};
    if (!mm_guarded_gave_up()) /* then a sandbox may not allow to look */
        mm_guarded_each(check_live, &check);
    return check.told;
}
