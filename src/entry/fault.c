/* fault.c - SIGSEGV: faults on what is closed in the pool of guarded slots are told, and what was
 * touched is opened so that the program goes on; or it ends by them. All other faults are the
 * program's: its handler gets them as if ours were not there, with the flags and the mask that it
 * asked for, and where it has none the process ends by them.
 *
 * A program sets its handler past us, and may put back what it found. So each action of its that
 * ours was put before has an entry of its own, that only leads there: who puts back an older one
 * has the action that was in force then. An entry is filled before it is set, and never changed.
 * `is_ending` stays once it is set. */
#include "system/fault.h"
#include "checks/checks.h"
#include "entry/access.h"
#include "entry/guarded.h"
#include "findings/finding.h"
#include "findings/report.h"
#include "system/coverage.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define ENTRIES     16u
#define TRIES       4u
#define STACK_LEAST ((size_t)64 << 10) /* what a report takes, and more */

static struct mm_kernel_action actions[ENTRIES];
static _Atomic uint32_t entries_used;
static _Atomic bool is_filling, is_ending;
/* A fault on what was open again when it was looked at: the second time it is the program's. */
static _Atomic uint64_t seen_open;

static void caught(unsigned entry, int number, siginfo_t *info, void *context);

#define ENTRY(number)                                                                              \
    static void entry_##number(int signal, siginfo_t *info, void *context)                         \
    {                                                                                              \
        caught(number, signal, info, context);                                                     \
    }
ENTRY(0)
ENTRY(1)
ENTRY(2)
ENTRY(3)
ENTRY(4)
ENTRY(5)
ENTRY(6)
ENTRY(7)
ENTRY(8)
ENTRY(9)
ENTRY(10)
ENTRY(11)
ENTRY(12)
ENTRY(13)
ENTRY(14)
ENTRY(15)

static mm_fault_handler *const entries[ENTRIES] = {
    entry_0, entry_1, entry_2,  entry_3,  entry_4,  entry_5,  entry_6,  entry_7,
    entry_8, entry_9, entry_10, entry_11, entry_12, entry_13, entry_14, entry_15};

/* --- our handler before the program's --- */

static bool is_ours(const struct mm_kernel_action *action)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (action->handler == entries[i])
            return true;
    }
    return false;
}

static bool is_handler(const struct mm_kernel_action *action)
{
    uintptr_t handler = (uintptr_t)action->handler;
    return handler != (uintptr_t)SIG_DFL && handler != (uintptr_t)SIG_IGN;
}

static bool is_same(const struct mm_kernel_action *one, const struct mm_kernel_action *other)
{
    return one->handler == other->handler && one->flags == other->flags &&
           one->mask == other->mask && one->restorer == other->restorer;
}

/* ENTRIES: it has none. */
static unsigned entry_of(const struct mm_kernel_action *action)
{
    uint32_t used = atomic_load_explicit(&entries_used, memory_order_acquire);
    for (unsigned i = 0; i < used && i < ENTRIES; i++) {
        if (is_same(&actions[i], action))
            return i;
    }
    return ENTRIES;
}

/* Of two threads at once the second comes later. */
static unsigned need_entry(const struct mm_kernel_action *action)
{
    unsigned entry = entry_of(action);
    if (entry != ENTRIES || atomic_exchange_explicit(&is_filling, true, memory_order_acquire))
        return entry;
    entry = entry_of(action);
    uint32_t used = atomic_load_explicit(&entries_used, memory_order_relaxed);
    if (entry == ENTRIES && used < ENTRIES) {
        entry = used;
        actions[entry] = *action;
        atomic_store_explicit(&entries_used, used + 1, memory_order_release);
    }
    atomic_store_explicit(&is_filling, false, memory_order_release);
    return entry;
}

/* As the kernel would call the program's; what only happens once is seen to when it is called. */
static bool put_before(const struct mm_kernel_action *theirs, struct mm_kernel_action *before)
{
    unsigned entry = need_entry(theirs);
    struct mm_kernel_action ours = {.flags = SA_ONSTACK};
    if (entry == ENTRIES)
        return false;
    if (is_handler(theirs)) {
        ours.flags = theirs->flags & ~(unsigned long)SA_RESETHAND;
        ours.mask = theirs->mask;
    }
    ours.handler = entries[entry];
    return mm_fault_complete(&ours, theirs) && mm_fault_set_action(&ours, before);
}

/* What the program sets meanwhile is put behind ours, too. */
static bool are_caught(void)
{
    struct mm_kernel_action now, before;
    if (!mm_fault_action(&now))
        return false;
    for (unsigned i = 0; i < TRIES && !is_ours(&now); i++) {
        if (!put_before(&now, &before))
            return false;
        if (is_same(&now, &before) || is_ours(&before))
            return true;
        now = before;
    }
    return is_ours(&now);
}

/* A program with more actions than there are entries is to see no fault of ours. */
static bool are_caught_or_none_come(void)
{
    bool caught_now = are_caught();
    if (!caught_now && atomic_load_explicit(&entries_used, memory_order_relaxed) == ENTRIES)
        mm_guarded_give_up();
    return caught_now;
}

bool mm_faults_are_told(void)
{
    return !atomic_load_explicit(&is_ending, memory_order_relaxed) && !mm_os_is_guest() &&
           !mm_fault_is_blocked() && are_caught_or_none_come();
}

void mm_faults_start(bool of_full_stack)
{
    uintptr_t low;
    mm_fault_start();
    mm_os_home_stack(&low); /* and its limit */
    if (of_full_stack)
        mm_fault_need_stack(STACK_LEAST * 2);
}

void mm_faults_after_fork(void)
{
    atomic_store_explicit(&is_filling, false, memory_order_relaxed);
}

/* Programs' other stacks are as small as their own handlers need. */
static void call_with_room(const void *context, void (*function)(void *with), void *with)
{
    char *stack = NULL;
    if (mm_fault_stack_left(context) < STACK_LEAST)
        stack = mm_os_map(STACK_LEAST);
    if (stack == NULL) {
        function(with);
        return;
    }
    mm_fault_call_on(stack, STACK_LEAST, function, with);
    mm_os_release(stack, STACK_LEAST);
}

/* --- the program's faults --- */

struct wild {
    const siginfo_t *info;
    void *context;
    bool ends; /* the process is to end by it */
};

static struct mm_touch wild_touch(const struct wild *wild)
{
    struct mm_touch touch = {.access = mm_fault_access(wild->context),
                             .at = (uintptr_t)wild->info->si_addr,
                             .is_untold = wild->info->si_code == SI_KERNEL,
                             .context = wild->context};
    if (touch.is_untold) {
        touch.at = mm_fault_wild_address(wild->context);
        touch.access = MM_FAULT_UNKNOWN;
    }
    return touch;
}

static void tell_wild(void *with)
{
    struct wild *wild = with;
    struct mm_touch touch = wild_touch(wild);
    struct mm_misuse misuse = {.kind = MEM_MNGR_BAD_ACCESS,
                               .ptr = (const void *)touch.at,
                               .caller = (const void *)mm_fault_pc(wild->context),
                               .touch = &touch};
    wild->ends = mm_report_fault(&misuse);
}

/* The process is about to end by it: nobody else will say why. */
static void end_by_fault(siginfo_t *info, void *context)
{
    struct wild wild = {info, context, true};
    bool is_new = !atomic_exchange_explicit(&is_ending, true, memory_order_relaxed);
    if (info->si_code > 0 && is_new && !mm_os_is_guest())
        call_with_room(context, tell_wild, &wild);
    mm_coverage_end();
    mm_fault_end_by(info);
}

/* What a program's own handler makes of a fault is its own business, but no program means to follow
 * a pointer that it read from a freed block. True: MM_ON_ERROR has the process end by it. */
static bool ends_by_freed(siginfo_t *info, void *context)
{
    struct wild wild = {info, context, false};
    int saved_errno = errno;
    bool is_untold = info->si_code == SI_KERNEL;
    if (is_untold && !mm_fault_has_register(context, mm_checks_is_filling))
        return false;
    if (info->si_code > 0 && mm_checks_is_filling(wild_touch(&wild).at) && !mm_os_is_guest())
        call_with_room(context, tell_wild, &wild);
    errno = saved_errno;
    return wild.ends;
}

/* What is sent by somebody, and ignored, is nothing. The call is the last thing, so that no frame
 * of ours is below the handler's. */
static void pass_on(unsigned entry, int number, siginfo_t *info, void *context)
{
    const struct mm_kernel_action *theirs = &actions[entry];
    if (!is_handler(theirs)) {
        if ((uintptr_t)theirs->handler != (uintptr_t)SIG_IGN || info->si_code > 0)
            end_by_fault(info, context);
        return;
    }
    if (ends_by_freed(info, context)) {
        mm_coverage_end();
        mm_fault_end_by(info);
        return;
    }
    if (theirs->flags & SA_RESETHAND) {
        struct mm_kernel_action none = {.handler = NULL}; /* SIG_DFL */
        mm_fault_set_action(&none, NULL);
    }
    theirs->handler(number, info, context);
}

/* --- ours --- */

static enum mem_mngr_misuse_kind kind_of(const struct mm_touch *touch,
                                         const struct mm_guarded_slot *slot)
{
    bool is_before = touch->at < touch->block;
    if (slot->state != MM_GUARDED_LIVE)
        return MEM_MNGR_USE_AFTER_FREE;
    if (touch->access == MM_FAULT_READ)
        return is_before ? MEM_MNGR_UNDER_READ : MEM_MNGR_OVER_READ;
    return is_before ? MEM_MNGR_UNDERFLOW : MEM_MNGR_OVERFLOW;
}

struct fault {
    siginfo_t *info;
    void *context;
    uintptr_t at;
    bool is_over; /* the instruction may go on */
};

/* False when the process is to end by it. */
static bool tell(const struct fault *fault, const struct mm_guarded_slot *slot)
{
    struct mm_touch touch = {
        .access = mm_fault_access(fault->context),
        .at = fault->at,
        .block = slot->block,
        .asked = slot->asked,
        .context = fault->context,
    };
    struct mm_misuse misuse = {.kind = kind_of(&touch, slot),
                               .ptr = (const void *)slot->block,
                               .caller = (const void *)mm_fault_pc(fault->context),
                               .touch = &touch};
    bool goes_on = !mm_report_fault(&misuse);
    mm_access_faulted(fault->context, slot->block);
    return goes_on;
}

/* Another thread has opened it, or is handing it out. Or the program itself protects what it was
 * given. */
static bool is_open_by_now(const struct fault *fault)
{
    uint64_t name = mm_bits_mixed(fault->at ^ mm_bits_mixed(mm_fault_pc(fault->context))) ^
                    (uint64_t)mm_os_self();
    return atomic_exchange_explicit(&seen_open, name, memory_order_relaxed) != name;
}

static void handle(void *with)
{
    struct fault *fault = with;
    struct mm_guarded_slot slot;
    bool has_block = mm_guarded_nearest(fault->at, &slot);
    if (has_block && fault->at >= slot.start && fault->at < slot.end &&
        slot.state == MM_GUARDED_LIVE) {
        fault->is_over = is_open_by_now(fault);
        return;
    }
    fault->is_over = (!has_block || tell(fault, &slot)) && mm_guarded_open(fault->at);
}

static __attribute__((noinline)) bool is_told(siginfo_t *info, void *context)
{
    struct fault fault = {.info = info, .context = context, .at = mm_os_untagged(info->si_addr)};
    int saved_errno = errno;
    if (info->si_code <= 0 || !mm_guarded_has(fault.at))
        return false;
    call_with_room(context, handle, &fault);
    errno = saved_errno;
    return fault.is_over;
}

static void caught(unsigned entry, int number, siginfo_t *info, void *context)
{
    if (!is_told(info, context))
        pass_on(entry, number, info, context);
}
