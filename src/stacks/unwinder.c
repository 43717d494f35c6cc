/* unwinder.c - see unwinder.h. Rules are shared by all threads (rules.h); what a thread remembers
 * is its own, and a signal handler that interrupts a walk leaves it alone. */
#include "stacks/unwinder.h"

#include "stacks/cursor.h"
#include "stacks/rules.h"
#include "system/bitmap.h"
#include "system/os.h"
#include "system/peek.h"
#include <stdatomic.h>
#include <string.h>

#define SET_BITS     4u  /* sets of stacks that a thread remembers, by where the program's begin */
#define STACKS       4u  /* in a set: one function has been called from several places */
#define WORDS_MOST   40u /* words of memory that lead through one of them */
#define WORDS_A_LOOK 4u  /* of them that are compared in one go */
#define WAY_SETS     8u  /* of ways out of the manager that a thread remembers */
#define WAYS         4u  /* in a set, by where the innermost call was made */
#define CALLS_MOST   8u  /* in one of them */
#define STACK_MOST   ((uintptr_t)1 << 31)
#define STEPS_MOST   1024u /* to where a report's stack begins; what lies there may be a circle */

static bool use_frame_pointers;
static struct mm_loaded own, linker;

bool mm_unwinder_start(const struct mm_unwinder_settings *settings)
{
    use_frame_pointers = settings->frame_pointers;
    if (settings->own == NULL || !mm_loaded_find((uintptr_t)settings->own, &own))
        own = (struct mm_loaded){0};
    if (!mm_loaded_linker(&linker))
        linker = (struct mm_loaded){0};
    return mm_rules_start(settings->few);
}

void mm_unwinder_stop(void)
{
    mm_rules_stop();
}

/* --- steps --- */

static inline struct mm_cfi_rule rule_of(struct cursor *at)
{
    /* Pushed one after the other: the caller's frame pointer and, above it, the return address. */
    static const struct mm_cfi_rule by_frame_pointer = {MM_CFI_FP, 16, -16, -8};
    uintptr_t address = address_of(at);
    if (use_frame_pointers && !mm_loaded_has(&own, address))
        return by_frame_pointer;
    return mm_rule_of(mm_rules, mm_rules_bits, address, &at->passed);
}

/* The same for a bad call's stack. */
static bool step_back(struct cursor *at, bool exactly)
{
    uintptr_t address = address_of(at);
    return follow(at, exactly ? mm_rule_exact(address)
                              : mm_rule_of(mm_few_rules, MM_RULES_FEW_BITS, address, &at->passed));
}

/* --- what a thread remembers --- */

/* From a walk's place to who called the manager. Where no frame in between ends by the frame
 * pointer, all is so many bytes above the walk's stack pointer as long as it comes through the same
 * calls. */
struct way {
    uintptr_t pc; /* of the walk; 0: none */
    unsigned calls;
    uint32_t sp, pc_at, fp_at;    /* the caller's; fp_at 0: still in its register */
    uint32_t at[CALLS_MOST];      /* innermost last: what is furthest out differs most */
    uintptr_t values[CALLS_MOST]; /* return addresses there, inside of the manager */
};

struct ways {
    struct way ways[WAYS];
    unsigned last; /* that was taken; the one behind it is replaced next */
};

/* All that the walk from `pc`, `sp` and perhaps `fp` on depended on besides the rules of modules
 * that stay. The same words lead to the same stack: each step's place follows from the words
 * before. */
struct known {
    uintptr_t pc, sp, fp;
    uint32_t changes; /* of modules, as far as it may change with them */
    uint32_t note;
    bool uses_fp, may_change;
    uint8_t count;
    uint32_t end;            /* of all words, above `sp` */
    uint32_t at[WORDS_MOST]; /* above `sp` */
    uintptr_t values[WORDS_MOST];
};

struct stacks {
    struct known stacks[STACKS];
    unsigned next; /* to be replaced */
};

struct mm_unwinder_memory {
    struct ways ways[WAY_SETS];
    struct stacks stacks[1u << SET_BITS];
    struct home_stack home;
    volatile bool is_walking; /* a signal handler that comes in between has no use of it */
    unsigned char window[PAGE];
};
const size_t mm_unwinder_memory_size = sizeof(struct mm_unwinder_memory);

void mm_unwinder_thread_starts(struct mm_unwinder_memory *memory)
{
    memory->is_walking = false;
    memory->home.top = mm_os_home_stack(&memory->home.low);
}

READS_STACK static inline uintptr_t word_at(uintptr_t address)
{
    return *(const uintptr_t *)address;
}

/* A cursor that fits into registers, on what may be read as it is. */
struct quick {
    uintptr_t pc, sp, fp, fp_at;
    uintptr_t limit; /* up to here, from `sp` on */
    bool interrupted;
};

static inline struct quick quick_of(const struct cursor *at)
{
    return (struct quick){at->pc,         at->sp, at->fp, at->fp_at, at->low + at->readable,
                          at->interrupted};
}

static inline void put_back(struct cursor *at, const struct quick *quick)
{
    at->pc = quick->pc;
    at->sp = quick->sp;
    at->fp = quick->fp;
    at->fp_at = quick->fp_at;
    at->interrupted = quick->interrupted;
    if (!quick->interrupted) /* else it may be in use */
        at->link = 0;
}

/* Whether `size` bytes from the stack pointer on may be read as they are. */
static inline bool may_read(const struct quick *at, uint32_t size)
{
    return size <= at->limit - at->sp;
}

/* From the innermost on: what lies where a return address may be is looked at only where all before
 * it say that one is there. */
static inline bool goes(const struct way *way, const struct quick *at)
{
    if (way->pc != at->pc || !may_read(at, way->sp))
        return false;
    for (size_t i = 0; i < way->calls; i++) {
        if (word_at(at->sp + way->at[i]) != way->values[i])
            return false;
    }
    /* The outermost of the functions may have been called by another one. */
    return !mm_loaded_has(&own, mm_cfi_plain_address(word_at(at->sp + way->pc_at)));
}

static inline void take_way(const struct way *way, struct quick *at)
{
    at->pc = mm_cfi_plain_address(word_at(at->sp + way->pc_at));
    if (way->fp_at != 0)
        at->fp = word_at(at->sp + way->fp_at);
    at->sp += way->sp;
    at->interrupted = false;
}

static inline struct ways *ways_of(struct mm_unwinder_memory *memory, uintptr_t call)
{
    return &memory->ways[mm_bits_mixed(call) % WAY_SETS];
}

/* Out of the manager's functions, the innermost of which was called from `call`, if they are gone
 * through by a way that is known. */
static inline bool leave_own(struct ways *set, struct quick *at)
{
    for (unsigned i = 0, number = set->last; i < WAYS; i++, number = (number + 1) % WAYS) {
        if (goes(&set->ways[number], at)) {
            set->last = number;
            take_way(&set->ways[number], at);
            return true;
        }
    }
    return false;
}

/* Steps out of the manager's functions, and fills `way`; its pc is 0 where none can be. */
MM_COLD static bool find_way(struct cursor *at, struct way *way)
{
    uintptr_t from = at->sp, pc = at->pc;
    *way = (struct way){0};
    bool fits = true;
    while (mm_loaded_has(&own, at->pc)) {
        struct mm_cfi_rule rule = rule_of(at);
        if (!follow(at, rule))
            return false;
        fits = fits && rule.kind == MM_CFI_SP && way->calls < CALLS_MOST;
        if (fits && mm_loaded_has(&own, at->pc)) {
            way->at[way->calls] = (uint32_t)(at->pc_at - from);
            way->values[way->calls++] = at->pc_there;
        }
    }
    way->sp = (uint32_t)(at->sp - from);
    way->pc_at = (uint32_t)(at->pc_at - from);
    way->fp_at = at->fp_at != 0 ? (uint32_t)(at->fp_at - from) : 0;
    way->pc = fits && at->pc != pc ? pc : 0;
    return true;
}

static inline struct stacks *stacks_of(struct mm_unwinder_memory *memory, uintptr_t pc,
                                       uintptr_t sp)
{
    return &memory->stacks[mm_bits_mixed(pc ^ sp << 16) >> (64 - SET_BITS)];
}

static inline bool begins(const struct known *known, const struct quick *at)
{
    return known->pc == at->pc && known->sp == at->sp && known->note != 0 &&
           (!known->uses_fp || known->fp == at->fp) &&
           (!known->may_change || known->changes == mm_loaded_changes());
}

static inline bool is_same(const struct known *known, const struct quick *at)
{
    const uint32_t *place = known->at;
    const uintptr_t *value = known->values, *end = value + known->count;
    uintptr_t different = 0;
    for (; value < end && different == 0; value += WORDS_A_LOOK, place += WORDS_A_LOOK) {
        for (unsigned i = 0; i < WORDS_A_LOOK; i++)
            different |= word_at(at->sp + place[i]) ^ value[i];
    }
    return different == 0;
}

/* The stack from `at` on, if it is one that is known and may be read as it is. */
static inline struct known *recall(struct stacks *set, const struct quick *at)
{
    for (unsigned i = 0; i < STACKS; i++) {
        struct known *known = &set->stacks[i];
        if (begins(known, at) && may_read(at, known->end) && is_same(known, at))
            return known;
    }
    return NULL;
}

/* In order, where words have to be looked at one by one: while they are the same, the next one is
 * where a walk would look, too. */
static bool is_same_elsewhere(const struct known *known, struct cursor *at)
{
    for (unsigned i = 0; i < known->count; i++) {
        uintptr_t value;
        if (!load(at, at->sp + known->at[i], &value) || value != known->values[i])
            return false;
    }
    return true;
}

static struct known *recall_elsewhere(struct stacks *set, struct cursor *at)
{
    struct quick quick = quick_of(at);
    for (unsigned i = 0; i < STACKS; i++) {
        struct known *known = &set->stacks[i];
        if (begins(known, &quick) && !may_read(&quick, known->end) && is_same_elsewhere(known, at))
            return known;
    }
    return NULL;
}

static void forget(struct known *known, const struct cursor *at)
{
    known->pc = at->pc;
    known->sp = at->sp;
    known->fp = at->fp;
    known->changes = mm_loaded_changes();
    known->note = 0;
    known->uses_fp = known->may_change = false;
    known->count = 0;
    known->end = 0;
}

static inline void add_word(struct known *known, uintptr_t address, uintptr_t value)
{
    known->at[known->count] = (uint32_t)(address - known->sp);
    known->values[known->count++] = value;
}

/* What is read again must lie in the part of the stack that was walked; tables that are wrong may
 * lead below it. */
static bool is_walked(const struct known *known, const struct cursor *at, uintptr_t address)
{
    return address - known->sp < at->sp - known->sp;
}

/* A step by a rule, from where the frame pointer was this. False when it depends on more than is
 * remembered. */
static bool remember(struct known *known, uintptr_t fp_at, uintptr_t fp, const struct cursor *at,
                     const struct mm_cfi_rule *rule)
{
    bool by_fp = rule->kind != MM_CFI_SP;
    if (at->interrupted || known->count + 3u > WORDS_MOST || at->sp - known->sp >= STACK_MOST ||
        !is_walked(known, at, at->pc_at) || (by_fp && fp_at != 0 && !is_walked(known, at, fp_at)) ||
        (rule->kind == MM_CFI_AT_FP && !is_walked(known, at, fp + (uintptr_t)(intptr_t)rule->cfa)))
        return false;
    if (by_fp && fp_at == 0)
        known->uses_fp = true;
    else if (by_fp)
        add_word(known, fp_at, fp);
    if (rule->kind == MM_CFI_AT_FP)
        add_word(known, fp + (uintptr_t)(intptr_t)rule->cfa, at->sp);
    add_word(known, at->pc_at, at->pc_there);
    known->end = (uint32_t)(at->sp - known->sp);
    return true;
}

/* Up to a whole number of looks. */
static void fill_up(struct known *known)
{
    for (unsigned i = known->count; i % WORDS_A_LOOK != 0; i++) {
        known->at[i] = known->at[i - 1];
        known->values[i] = known->values[i - 1];
    }
}

/* --- what nearly all frames are, quickly --- */

/* Where the frame ends by a rule that counts from the frame pointer, if remember() would have it; 0
 * else. */
READS_STACK static inline uintptr_t quick_end_by_fp(const struct quick *at, struct known *known,
                                                    uint32_t rule)
{
    uintptr_t cfa = at->fp + (uintptr_t)(intptr_t)((int32_t)rule >> 16) * 8;
    uintptr_t size = cfa - at->sp;
    if (cfa <= at->sp || cfa > at->limit || size > FRAME_MOST || size % sizeof(uintptr_t) != 0 ||
        (rule >> 3 & 127) * 8 > size || (rule >> 10 & 63) * 8 > size ||
        (at->fp_at != 0 && at->fp_at - known->sp >= cfa - known->sp)) /* as is_walked() */
        return 0;
    if (at->fp_at != 0)
        add_word(known, at->fp_at, at->fp);
    else
        known->uses_fp = true;
    return cfa;
}

/* What follow() and remember() do, where the rule is one of a module that stays, all words are
 * below `limit`, which is no further off than STACK_MOST, and `known` has room. False where that is
 * not so: nothing is done but that more than is needed may be remembered. Rules that count from the
 * stack pointer were looked at when they were packed. */
READS_STACK static inline __attribute__((always_inline)) bool quick_step(struct quick *at,
                                                                         struct known *known)
{
    uint32_t rule = mm_rule_quick(at->pc - !at->interrupted);
    uintptr_t cfa = at->sp + (rule >> 16) * 8;
    if (mm_unlikely(known->count + 2u > WORDS_MOST))
        return false;
    if (mm_unlikely((rule & 7) != MM_CFI_SP))
        cfa = (rule & 7) == MM_CFI_FP ? quick_end_by_fp(at, known, rule) : 0;
    if (mm_unlikely(cfa == 0 || cfa > at->limit))
        return false;
    uintptr_t there = word_at(cfa - (rule >> 10 & 63) * 8), pc = mm_cfi_plain_address(there);
    if (mm_unlikely(pc == 0))
        return false;
    add_word(known, cfa - (rule >> 10 & 63) * 8, there);
    if ((rule >> 3 & 127) != 0) {
        at->fp_at = cfa - (rule >> 3 & 127) * 8;
        at->fp = word_at(at->fp_at);
    }
    known->end = (uint32_t)(cfa - known->sp);
    at->pc = pc;
    at->sp = cfa;
    at->interrupted = false;
    return true;
}

/* The dynamic linker asks for memory when it loads a module, before that is there. */
static inline void look_at_caller(uintptr_t pc)
{
    if (mm_unlikely(mm_loaded_has(&linker, pc)))
        mm_loaded_changed();
}

/* From the first of the program's frames on. */
MM_COLD static uint32_t *walk_on(struct cursor *at, struct known *place, unsigned most,
                                 struct mm_frames *frames)
{
    struct known *known = place;
    if (known != NULL)
        forget(known, at);
    struct quick quick = quick_of(at);
    bool may_be_quick = known != NULL && !use_frame_pointers && quick.limit - quick.sp < STACK_MOST;
    for (;;) {
        frames->frames[frames->count++] = (const void *)(quick.pc - !quick.interrupted);
        if (frames->count == most)
            break;
        if (mm_likely(may_be_quick) && mm_likely(quick_step(&quick, known)))
            continue;
        put_back(at, &quick);
        struct mm_cfi_rule rule = rule_of(at);
        bool goes_on = follow(at, rule), is_end = rule.kind == MM_CFI_END || at->pc == 0;
        /* Where a step fails that might not next time, what is known is no whole stack. */
        if (known != NULL && rule.kind != MM_CFI_END &&
            (!(goes_on || is_end) || !remember(known, quick.fp_at, quick.fp, at, &rule)))
            known = NULL;
        if (!goes_on)
            break;
        quick = quick_of(at);
        may_be_quick = may_be_quick && known != NULL && quick.sp <= quick.limit;
    }
    if (known != NULL) {
        known->may_change = at->passed.any;
        fill_up(known);
    }
    return known != NULL ? &known->note : NULL;
}

/* --- a walk --- */

/* As begin_stack(): between the ends of the stack that it came with a thread stands on that one. */
static inline uintptr_t readable_to(const struct home_stack *home, uintptr_t sp)
{
    return sp >= home->low && sp < home->top ? home->top : page_of(sp - 1) + PAGE;
}

/* The way out of the manager, where it has to be found: into `ways`, if there are any. */
static bool find_new_way(struct cursor *at, struct ways *ways)
{
    struct way none;
    if (ways == NULL)
        return find_way(at, &none);
    ways->last = (ways->last + 1) % WAYS;
    return find_way(at, &ways->ways[ways->last]);
}

/* From where the walk began, or the first of the program's frames. */
MM_COLD static uint32_t *walk_anew(struct mm_unwinder_memory *memory, const struct quick *from,
                                   struct ways *ways, unsigned most, struct mm_frames *frames)
{
    struct mm_peeker strange;
    struct cursor at;
    mm_peeker_start(&strange, false, memory->window, sizeof memory->window);
    begin_at(&at, (struct registers){from->pc, from->sp, from->fp}, &memory->home, &strange);
    at.interrupted = from->interrupted;
    if (ways != NULL && !find_new_way(&at, ways))
        return NULL;
    at.fp_at = 0;
    look_at_caller(at.pc);
    struct stacks *set = stacks_of(memory, at.pc, at.sp);
    struct known *known = recall_elsewhere(set, &at);
    if (known != NULL)
        return &known->note;
    set->next = (set->next + 1) % STACKS;
    return walk_on(&at, &set->stacks[set->next], most, frames);
}

/* A thread in its last destructors has no memory, and still asks for no more than libc would. */
MM_COLD static void walk_alone(struct registers from, unsigned most, struct mm_frames *frames)
{
    unsigned char window[MM_PEEK_WINDOW];
    struct mm_peeker strange;
    struct home_stack home = {.low = 0};
    struct cursor at;
    home.top = mm_os_home_stack(&home.low);
    mm_peeker_start(&strange, false, window, sizeof window);
    begin_at(&at, from, &home, &strange);
    if (mm_loaded_has(&own, at.pc) && !find_new_way(&at, NULL))
        return;
    look_at_caller(at.pc);
    walk_on(&at, NULL, most, frames);
}

uint32_t *mm_unwinder_walk(struct mm_unwinder_memory *memory, unsigned most,
                           struct mm_frames *frames)
{
    struct registers from = registers_here();
    frames->count = 0;
    if (mm_unlikely(memory == NULL || memory->is_walking)) {
        walk_alone(from, most, frames);
        return NULL;
    }
    memory->is_walking = true;
    atomic_signal_fence(memory_order_seq_cst); /* for signal handlers, as the one below */
    struct quick at = {from.pc, from.sp, from.fp, 0, readable_to(&memory->home, from.sp), true};
    struct ways *ways = NULL;
    if (mm_likely(mm_loaded_has(&own, at.pc))) {
        ways = ways_of(memory, (uintptr_t)__builtin_return_address(0));
        if (mm_likely(leave_own(ways, &at)))
            ways = NULL;
    }
    if (mm_likely(ways == NULL)) {
        look_at_caller(at.pc);
        struct known *known = recall(stacks_of(memory, at.pc, at.sp), &at);
        if (mm_likely(known != NULL))
            return &known->note;
    }
    uint32_t *note = walk_anew(memory, &at, ways, most, frames);
    if (note == NULL)
        mm_unwinder_noted(memory);
    return note;
}

void mm_unwinder_noted(struct mm_unwinder_memory *memory)
{
    atomic_signal_fence(memory_order_seq_cst);
    memory->is_walking = false;
}

void mm_unwinder_walk_from(const void *caller, unsigned most, bool exactly,
                           struct mm_frames *frames)
{
    struct cursor at;
    unsigned steps = 0;
    frames->count = 0;
    if (caller == NULL)
        return;
    begin_at(&at, registers_here(), NULL, NULL);
    do {
        if (frames->count > 0 || at.pc == (uintptr_t)caller)
            frames->frames[frames->count++] = (const void *)address_of(&at);
    } while (frames->count < most && steps++ < STEPS_MOST && step_back(&at, exactly));
    if (frames->count == 0)
        frames->frames[frames->count++] = (const char *)caller - 1;
}

/* Who called what is no code at all left nothing but where to go back to. */
static bool leave_nowhere(struct cursor *at)
{
    struct mm_loaded module;
    if (mm_loaded_find(at->pc, &module))
        return false;
#ifdef __x86_64__
    uintptr_t back;
    if (!load(at, at->sp, &back) || !mm_loaded_find(back, &module))
        return false;
    at->pc = back;
    at->sp += sizeof back;
    at->interrupted = false;
    return true;
#else
    return leave_leaf(at, 0);
#endif
}

void mm_unwinder_walk_context(const void *context, unsigned most, bool exactly,
                              struct mm_frames *frames)
{
    struct cursor at;
    frames->count = 0;
    begin_at_context(&at, context);
    frames->frames[frames->count++] = (const void *)address_of(&at);
    if (frames->count == most || !(leave_nowhere(&at) || step_back(&at, exactly)))
        return;
    do {
        frames->frames[frames->count++] = (const void *)address_of(&at);
    } while (frames->count < most && step_back(&at, exactly));
}

bool mm_unwinder_frame_around(const void *caller, uintptr_t address,
                              struct mm_unwinder_frame *frame)
{
    struct cursor at;
    bool is_programs = false;
    begin_at(&at, registers_here(), NULL, NULL);
    for (unsigned steps = 0; steps < STEPS_MOST && address >= at.sp; steps++) {
        frame->pc = (const void *)address_of(&at);
        is_programs = is_programs || at.pc == (uintptr_t)caller;
        uintptr_t start = at.sp;
        if (!step_back(&at, true))
            return false;
        frame->offset = (intptr_t)(address - at.sp);
        if (is_programs && address - start < at.sp - start)
            return true;
    }
    return false;
}
