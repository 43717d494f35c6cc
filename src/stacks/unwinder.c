/* unwinder.c - see unwinder.h. Rules lie in two tables for all threads, read and written without a
 * lock. Those of modules that stay hold for good; an entry is one word that says both which address
 * it is about and what the rule is. Those of modules that came later hold for one stamp. */
#include "stacks/unwinder.h"

#include "stacks/cfi.h"
#include "stacks/loaded.h"
#include "system/bitmap.h"
#include "system/os.h"
#include "system/peek.h"
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

#define RULE_BITS    16u /* the table has 2^16 entries */
#define FEW_BITS     9u  /* that of the rules for bad calls */
#define LATER_BITS   12u /* that for modules that came later */
#define ADDRESS_BITS 48u
#define FRAME_MOST   ((uintptr_t)1 << 20) /* longer than any frame that is followed */
#define KNOWN_BITS   6u                   /* stacks that a thread remembers */
#define WORDS_MOST   40u                  /* words of memory that lead through one of them */
#define PAGE         ((uintptr_t)4096)    /* the smallest that there is */
#define STEPS_MOST   1024u /* to where a report's stack begins; what lies there may be a circle */

/* Of functions that read other functions' frames, which address sanitizers guard. */
#define READS_STACK __attribute__((no_sanitize_address))

/* Of two writers at the same time neither may be believed: the name is of both words. */
struct later_rule {
    _Atomic uint64_t name, content;
};

static _Atomic uint64_t *rules, few_rules[1u << FEW_BITS] MM_SELDOM;
static struct later_rule later_rules[1u << LATER_BITS] MM_SELDOM;
static bool use_frame_pointers;
static struct mm_loaded own, linker;

bool mm_unwinder_start(const struct mm_unwinder_settings *settings)
{
    use_frame_pointers = settings->frame_pointers;
    if (settings->own == NULL || !mm_loaded_find((uintptr_t)settings->own, &own))
        own = (struct mm_loaded){0};
    if (!mm_loaded_linker(&linker))
        linker = (struct mm_loaded){0};
    rules = mm_os_map(sizeof *rules << RULE_BITS);
    return rules != NULL;
}

void mm_unwinder_stop(void)
{
    if (rules != NULL)
        mm_os_release(rules, sizeof *rules << RULE_BITS);
    rules = NULL;
}

/* --- rules, packed in 32 bits; 0 is none ---
 *
 *   bit   0-2   kind
 *         3-9   where the frame pointer was saved, in words below the frame's end; 0: unchanged
 *        10-15  the return address, likewise
 *        16-31  the frame's end, in words from the register that the kind names; signed */

static uint32_t pack(const struct mm_cfi_rule *rule)
{
    uint32_t packed = rule->kind | (uint32_t)(-rule->fp / 8) << 3 |
                      (uint32_t)(-rule->ra / 8) << 10 | (uint32_t)(rule->cfa / 8) << 16;
    bool fits = rule->fp % 8 == 0 && rule->fp <= 0 && rule->fp > -8 * 128 && rule->ra % 8 == 0 &&
                rule->ra <= 0 && rule->ra > -8 * 64 && rule->cfa % 8 == 0 &&
                rule->cfa / 8 == (int16_t)(rule->cfa / 8);
    return fits ? packed : 0;
}

static inline struct mm_cfi_rule unpack(uint32_t packed)
{
    return (struct mm_cfi_rule){(enum mm_cfi_kind)(packed & 7), ((int32_t)packed >> 16) * 8,
                                -(int32_t)(packed >> 3 & 127) * 8,
                                -(int32_t)(packed >> 10 & 63) * 8};
}

static struct mm_cfi_rule by_tables(uintptr_t address)
{
    struct mm_loaded module;
    struct mm_cfi_rule rule = {.kind = MM_CFI_END};
    bool is_there = mm_loaded_find(address, &module);
    mm_cfi_rule_of(address, is_there ? &module : NULL, is_there && mm_loaded_stays(&module), &rule);
    return rule;
}

static struct later_rule *later_of(uintptr_t address)
{
    return &later_rules[mm_bits_mixed(address) >> (64 - LATER_BITS)];
}

/* The rule of an address as long as its module, or the lack of one, has this stamp; 0: none. */
static uint32_t find_later(const struct later_rule *entry, uintptr_t address, uint32_t stamp)
{
    uint64_t content = atomic_load_explicit(&entry->content, memory_order_relaxed);
    uint64_t name = atomic_load_explicit(&entry->name, memory_order_relaxed);
    return content >> 32 == stamp && (name ^ mm_bits_mixed(content)) == address ? (uint32_t)content
                                                                                : 0;
}

static void keep_later(struct later_rule *entry, uintptr_t address, uint64_t content)
{
    atomic_store_explicit(&entry->content, content, memory_order_relaxed);
    atomic_store_explicit(&entry->name, address ^ mm_bits_mixed(content), memory_order_relaxed);
}

/* What a walk came through that may be unloaded, but is not while its functions run. */
struct passed {
    bool any;
    uint32_t stamp;
    struct mm_loaded last; /* with this stamp */
};

static bool is_in(const struct mm_loaded *module, uintptr_t address)
{
    return address - module->start < module->end - module->start;
}

static uint32_t stamp_of(uintptr_t address, struct passed *passed)
{
    uint32_t stamp = passed->stamp;
    if (stamp == 0 || !is_in(&passed->last, address))
        stamp = mm_loaded_stamp(address, &passed->last);
    passed->stamp = passed->last.map != NULL ? stamp : 0;
    passed->any |= stamp != 0;
    return stamp;
}

/* `entry` is where it is kept if its module stays; where another's is already, both of which may be
 * in every stack, among those with a stamp, which for it is 0. What was read while the module
 * changed is not kept. */
static struct mm_cfi_rule work_out(uintptr_t address, _Atomic uint64_t *entry, uint32_t tag,
                                   const struct mm_loaded *module, uint32_t stamp)
{
    struct mm_cfi_rule rule = {.kind = MM_CFI_END};
    bool read = mm_cfi_rule_of(address, module->map != NULL ? module : NULL, stamp == 0, &rule);
    uint32_t packed = read ? pack(&rule) : 0;
    if (packed != 0 && stamp == 0 && atomic_load_explicit(entry, memory_order_relaxed) == 0)
        atomic_store_explicit(entry, (uint64_t)tag << 32 | packed, memory_order_relaxed);
    else if (packed != 0 && stamp == 0)
        keep_later(later_of(address), address, packed);
    else if (packed != 0 && mm_loaded_is_still(address, stamp))
        keep_later(later_of(address), address, (uint64_t)stamp << 32 | packed);
    return rule;
}

MM_COLD static struct mm_cfi_rule find_rule(uintptr_t address, _Atomic uint64_t *entry,
                                            uint32_t tag, struct passed *passed)
{
    const struct later_rule *later = later_of(address);
    uint32_t packed = find_later(later, address, 0);
    if (packed != 0)
        return unpack(packed);
    uint32_t stamp = mm_loaded_quick_stamp();
    packed = stamp != 0 ? find_later(later, address, stamp) : 0;
    passed->any |= packed != 0;
    if (packed == 0) {
        stamp = stamp_of(address, passed);
        packed = stamp != 0 ? find_later(later, address, stamp) : 0;
    }
    return packed != 0 ? unpack(packed) : work_out(address, entry, tag, &passed->last, stamp);
}

/* Multiplying by an odd number only shuffles the addresses, so that place and tag together name one
 * exactly; in the small table all but exactly. */
static inline struct mm_cfi_rule look_up(_Atomic uint64_t *table, unsigned bits, uintptr_t address,
                                         struct passed *passed)
{
    uint64_t mixed = (address * 0x9e3779b97f4a7c15u) & (((uint64_t)1 << ADDRESS_BITS) - 1);
    _Atomic uint64_t *entry = &table[mixed >> (ADDRESS_BITS - bits)];
    uint64_t there = atomic_load_explicit(entry, memory_order_relaxed);
    if (mm_likely((uint32_t)(there >> 32) == (uint32_t)mixed && (uint32_t)there != 0))
        return unpack((uint32_t)there);
    return find_rule(address, entry, (uint32_t)mixed, passed);
}

/* --- what may be read ---
 *
 * A stack that the program made itself may end anywhere, before a page that must not be read or
 * that goes at that moment, and what lies at its end need not be what a call left. Of the stack
 * that the thread came with all is readable from where it stands on. */

struct home_stack {
    uintptr_t low, top; /* from here to there; top 0: not known */
};

/* A place on the stack: in a function, and how its caller would find its registers. */
struct cursor {
    uintptr_t pc, sp, fp;
    uintptr_t pc_at, fp_at;    /* where they were loaded from; 0: from a register */
    uintptr_t pc_there;        /* the return address as it is stored */
    uintptr_t link;            /* aarch64's link register if `interrupted`; else 0 */
    uintptr_t top;             /* above the whole stack, or above others too */
    uintptr_t low, readable;   /* from here on so many bytes may be read as they are */
    struct home_stack *home;   /* that the thread remembers; or NULL */
    struct mm_peeker *strange; /* for all other; NULL: pages are asked for */
    bool interrupted;          /* by a signal: pc is not where a call returns to */
    struct passed passed;
};

static inline uintptr_t page_of(uintptr_t address)
{
    return address & ~(PAGE - 1);
}

/* Of another stack than its own the thread knows only the page below `sp`, which was written to. */
static inline void begin_stack(struct cursor *at)
{
    struct home_stack *home = at->home;
    at->top = mm_os_stack_top(at->sp);
    at->low = page_of(at->sp - 1);
    at->readable = PAGE;
    if (home != NULL && at->top == home->top && mm_likely(at->sp >= home->low)) {
        at->low = page_of(at->sp);
        at->readable = at->top - at->low;
    }
}

/* A report is of a call that was made, so that it asks no more than every process may. */
READS_STACK MM_COLD static bool load_strange(struct cursor *at, uintptr_t address, uintptr_t *value)
{
    if (at->strange != NULL)
        return mm_peeker_look(at->strange, address, value, sizeof *value);
    if (address % sizeof *value != 0 || !mm_os_is_readable((const void *)address))
        return false;
    at->low = page_of(address);
    at->readable = PAGE;
    *value = *(const uintptr_t *)address;
    return true;
}

/* The addresses of `readable` that are read are multiples of a word. */
READS_STACK static inline bool load(struct cursor *at, uintptr_t address, uintptr_t *value)
{
    if (mm_unlikely(address - at->low >= at->readable))
        return load_strange(at, address, value);
    *value = *(const uintptr_t *)address;
    return true;
}

/* --- steps --- */

/* In one statement: rules hold for one place, and the compiler moves the stack pointer. */
static inline __attribute__((always_inline)) void
begin_here(struct cursor *at, struct home_stack *home, struct mm_peeker *strange)
{
#if defined __x86_64__
    __asm__ volatile("leaq 0(%%rip), %0\n\tmovq %%rsp, %1\n\tmovq %%rbp, %2"
                     : "=&r"(at->pc), "=&r"(at->sp), "=&r"(at->fp));
#elif defined __aarch64__
    __asm__ volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29"
                     : "=&r"(at->pc), "=&r"(at->sp), "=&r"(at->fp));
#endif
    at->pc_at = at->fp_at = 0;
    at->link = 0; /* the function that this is in has saved it */
    at->home = home;
    at->strange = strange;
    at->interrupted = true;
    at->passed.any = false;
    at->passed.stamp = 0;
    begin_stack(at);
}

static inline uintptr_t address_of(const struct cursor *at)
{
    return at->interrupted ? at->pc : at->pc - 1;
}

/* Where in the kernel's frame, from the stack pointer on, the registers are. */
#if defined __x86_64__
#define SAVED(number) offsetof(ucontext_t, uc_mcontext.gregs[number])
enum { PC_AT = SAVED(REG_RIP), SP_AT = SAVED(REG_RSP), FP_AT = SAVED(REG_RBP), LINK_AT = PC_AT };
#elif defined __aarch64__
#define SAVED(name) (sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext.name))
enum { PC_AT = SAVED(pc), SP_AT = SAVED(sp), FP_AT = SAVED(regs[29]), LINK_AT = SAVED(regs[30]) };
#endif

/* What the kernel saved when it called a signal handler lies above the handler's frame; or what
 * looks like that is left there of an earlier one. Where the stack pointer points to is believed
 * only further up on the thread's own stack, or after a look. */
static bool leave_signal(struct cursor *at)
{
    struct cursor to = {.home = at->home, .strange = at->strange, .passed = at->passed};
    uintptr_t link;
    if (at->sp % sizeof(uintptr_t) != 0 || !load(at, at->sp + PC_AT, &to.pc) ||
        !load(at, at->sp + SP_AT, &to.sp) || !load(at, at->sp + FP_AT, &to.fp) ||
        !load(at, at->sp + LINK_AT, &link))
        return false;
#ifdef __aarch64__
    to.link = link;
#endif
    to.interrupted = true;
    begin_stack(&to);
    bool is_further = to.sp > at->sp && to.sp - at->low < at->readable && to.readable > PAGE;
    if (!is_further && !mm_os_is_readable((const void *)(to.sp & ~(sizeof(uintptr_t) - 1))))
        return false;
    if (to.readable == PAGE)
        to.readable = 0;
    *at = to;
    return true;
}

/* Out of a function that a signal interrupted while it had saved nothing: its frame may be empty.
 */
static bool leave_leaf(struct cursor *at, int32_t size)
{
    if (at->link == 0 || size < 0 || (uintptr_t)size >= FRAME_MOST)
        return false;
    at->pc = mm_cfi_plain_address(at->link);
    at->sp += (uintptr_t)size;
    at->link = at->pc_at = at->fp_at = 0;
    at->interrupted = false;
    return true;
}

/* To the caller; false at the end, or where nothing is known. */
READS_STACK static inline __attribute__((always_inline)) bool follow(struct cursor *at,
                                                                     struct mm_cfi_rule rule)
{
    uintptr_t cfa = (rule.kind == MM_CFI_SP ? at->sp : at->fp) + (uintptr_t)(intptr_t)rule.cfa;
    if (mm_unlikely(rule.kind > MM_CFI_FP)) {
        if (rule.kind == MM_CFI_SIGNAL)
            return leave_signal(at);
        if (rule.kind == MM_CFI_LEAF)
            return leave_leaf(at, rule.cfa);
        if (rule.kind != MM_CFI_AT_FP || cfa <= at->sp || cfa >= at->top ||
            cfa % sizeof(uintptr_t) != 0 || !load(at, cfa, &cfa))
            return false;
    }
    if (mm_unlikely(cfa - at->sp - 1 >= FRAME_MOST || cfa > at->top ||
                    cfa % sizeof(uintptr_t) != 0))
        return false;
    if (rule.kind == MM_CFI_AT_FP || rule.fp != 0) {
        uintptr_t saved = cfa + (uintptr_t)(intptr_t)rule.fp;
        at->fp_at = rule.kind == MM_CFI_AT_FP ? at->fp : saved;
        if (mm_unlikely(at->fp_at % sizeof(uintptr_t) != 0 || !load(at, at->fp_at, &at->fp)))
            return false;
    }
    at->pc_at = cfa + (uintptr_t)(intptr_t)rule.ra;
    if (!load(at, at->pc_at, &at->pc_there))
        return false;
    at->pc = mm_cfi_plain_address(at->pc_there);
    at->sp = cfa;
    at->interrupted = false;
    return at->pc != 0;
}

static inline struct mm_cfi_rule rule_of(struct cursor *at)
{
    /* Pushed one after the other: the caller's frame pointer and, above it, the return address. */
    static const struct mm_cfi_rule by_frame_pointer = {MM_CFI_FP, 16, -16, -8};
    uintptr_t address = address_of(at);
    if (use_frame_pointers && !is_in(&own, address))
        return by_frame_pointer;
    return look_up(rules, RULE_BITS, address, &at->passed);
}

/* The same for a bad call's stack. */
static bool step_back(struct cursor *at, bool exactly)
{
    uintptr_t address = address_of(at);
    return follow(at, exactly ? by_tables(address)
                              : look_up(few_rules, FEW_BITS, address, &at->passed));
}

/* --- stacks that a thread remembers --- */

struct word {
    uintptr_t at, value;
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
    struct word words[WORDS_MOST];
};

struct mm_unwinder_memory {
    struct known stacks[1u << KNOWN_BITS];
    struct home_stack home;
    volatile bool is_walking; /* a signal handler that comes in between has no use of the window */
    unsigned char window[PAGE];
};
const size_t mm_unwinder_memory_size = sizeof(struct mm_unwinder_memory);

void mm_unwinder_thread_starts(struct mm_unwinder_memory *memory)
{
    struct home_stack *home = &memory->home;
    memory->is_walking = false;
    home->top = mm_os_home_stack(&home->low);
}

static struct known *place_of(struct mm_unwinder_memory *memory, const struct cursor *at)
{
    uint64_t mixed = (at->pc ^ at->sp << 16) * 0x9e3779b97f4a7c15u;
    return &memory->stacks[mixed >> (64 - KNOWN_BITS)];
}

/* In order: while the words are the same, the next one is where a walk would look, too. */
static bool is_same(const struct known *known, struct cursor *at)
{
    if (known->pc != at->pc || known->sp != at->sp || known->note == 0 ||
        (known->uses_fp && known->fp != at->fp) ||
        (known->may_change && known->changes != mm_loaded_changes()))
        return false;
    for (unsigned i = 0; i < known->count; i++) {
        uintptr_t value;
        if (!load(at, known->words[i].at, &value) || value != known->words[i].value)
            return false;
    }
    return true;
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
}

/* A step by a rule, from where the frame pointer was this. False when it depends on more than is
 * remembered. */
static bool remember(struct known *known, struct word fp, const struct cursor *at,
                     const struct mm_cfi_rule *rule)
{
    bool by_fp = rule->kind != MM_CFI_SP;
    if (at->interrupted || known->count + 3u > WORDS_MOST)
        return false;
    if (by_fp && fp.at == 0)
        known->uses_fp = true;
    else if (by_fp)
        known->words[known->count++] = fp;
    if (rule->kind == MM_CFI_AT_FP) {
        uintptr_t cfa_at = fp.value + (uintptr_t)(intptr_t)rule->cfa;
        known->words[known->count++] = (struct word){cfa_at, at->sp};
    }
    known->words[known->count++] = (struct word){at->pc_at, at->pc_there};
    return true;
}

/* The dynamic linker asks for memory when it loads a module, before that is there. */
static inline void look_at_caller(uintptr_t pc)
{
    if (mm_unlikely(is_in(&linker, pc)))
        mm_loaded_changed();
}

static inline __attribute__((always_inline)) uint32_t *walk(struct mm_unwinder_memory *memory,
                                                            unsigned most, struct mm_frames *frames,
                                                            struct mm_peeker *strange)
{
    struct cursor at;
    begin_here(&at, memory != NULL ? &memory->home : NULL, strange);
    frames->count = 0;
    while (is_in(&own, at.pc)) {
        if (!follow(&at, rule_of(&at)))
            return NULL;
    }
    at.fp_at = 0;
    look_at_caller(at.pc);
    struct known *place = memory != NULL ? place_of(memory, &at) : NULL, *known = place;
    if (known != NULL && is_same(known, &at))
        return &known->note;
    if (known != NULL)
        forget(known, &at);
    for (;;) {
        frames->frames[frames->count++] = (const void *)address_of(&at);
        struct word fp = {at.fp_at, at.fp};
        if (frames->count == most)
            break;
        struct mm_cfi_rule rule = rule_of(&at);
        if (!follow(&at, rule))
            break;
        if (known != NULL && !remember(known, fp, &at, &rule))
            known = NULL;
    }
    if (place != NULL)
        place->may_change = at.passed.any;
    return known != NULL ? &known->note : NULL;
}

uint32_t *mm_unwinder_walk(struct mm_unwinder_memory *memory, unsigned most,
                           struct mm_frames *frames)
{
    unsigned char small[MM_PEEK_WINDOW];
    struct mm_peeker strange;
    bool has_page = memory != NULL && !memory->is_walking;
    if (has_page)
        memory->is_walking = true;
    mm_peeker_start(&strange, false, has_page ? memory->window : small,
                    has_page ? sizeof memory->window : sizeof small);
    uint32_t *note = walk(memory, most, frames, &strange);
    if (has_page)
        memory->is_walking = false;
    return note;
}

void mm_unwinder_walk_from(const void *caller, unsigned most, bool exactly,
                           struct mm_frames *frames)
{
    struct cursor at;
    unsigned steps = 0;
    frames->count = 0;
    if (caller == NULL)
        return;
    begin_here(&at, NULL, NULL);
    do {
        if (frames->count > 0 || at.pc == (uintptr_t)caller)
            frames->frames[frames->count++] = (const void *)address_of(&at);
    } while (frames->count < most && steps++ < STEPS_MOST && step_back(&at, exactly));
    if (frames->count == 0)
        frames->frames[frames->count++] = (const char *)caller - 1;
}
