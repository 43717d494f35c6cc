/* unwinder.c - see unwinder.h. The rules lie in one table for all threads, read and written without
 * a lock: an entry is one word that says both which address it is about and what the rule is. */
#include "stacks/unwinder.h"

#include "stacks/cfi.h"
#include "system/bitmap.h"
#include "system/os.h"
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

#define RULE_BITS    16u /* the table has 2^16 entries */
#define FEW_BITS     9u  /* that of the rules for bad calls */
#define ADDRESS_BITS 48u
#define FRAME_MOST   ((uintptr_t)1 << 20) /* longer than any frame that is followed */
#define KNOWN_BITS   6u                   /* stacks that a thread remembers */
#define WORDS_MOST   40u                  /* words of memory that lead through one of them */
#define PAGE         ((uintptr_t)4096)    /* the smallest that there is */
#define HOME_MOST    ((uintptr_t)1 << 30) /* a larger stack is not known as a thread's own */
#define ASK_MOST     256u                 /* pages that one walk asks for to know it */
#define ALL          UINTPTR_MAX

/* Of functions that read other functions' frames, which address sanitizers guard. */
#define READS_STACK __attribute__((no_sanitize_address))

static _Atomic uint64_t *rules, few_rules[1u << FEW_BITS] MM_SELDOM;
static _Atomic uint32_t generation; /* of the modules, see mm_unwinder_forget() */
static bool use_frame_pointers;
static struct mm_cfi_module own;

bool mm_unwinder_start(const struct mm_unwinder_settings *settings)
{
    use_frame_pointers = settings->frame_pointers;
    if (settings->own == NULL || !mm_cfi_find_module((uintptr_t)settings->own, &own))
        own = (struct mm_cfi_module){0};
    rules = mm_os_map(sizeof *rules << RULE_BITS);
    return rules != NULL;
}

void mm_unwinder_stop(void)
{
    if (rules != NULL)
        mm_os_release(rules, sizeof *rules << RULE_BITS);
    rules = NULL;
}

void mm_unwinder_forget(void)
{
    if (rules == NULL)
        return;
    mm_os_purge(rules, sizeof *rules << RULE_BITS);
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
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

static bool is_own(uintptr_t address)
{
    return address - own.start < own.end - own.start;
}

__attribute__((noinline)) static struct mm_cfi_rule find_rule(uintptr_t address,
                                                              _Atomic uint64_t *entry, uint32_t tag)
{
    struct mm_cfi_rule rule = mm_cfi_rule_of(address);
    uint32_t packed = pack(&rule);
    if (packed != 0)
        atomic_store_explicit(entry, (uint64_t)tag << 32 | packed, memory_order_relaxed);
    return rule;
}

/* Multiplying by an odd number only shuffles the addresses, so that place and tag together name one
 * exactly; in the small table all but exactly. */
static inline struct mm_cfi_rule look_up(_Atomic uint64_t *table, unsigned bits, uintptr_t address)
{
    uint64_t mixed = (address * 0x9e3779b97f4a7c15u) & (((uint64_t)1 << ADDRESS_BITS) - 1);
    _Atomic uint64_t *entry = &table[mixed >> (ADDRESS_BITS - bits)];
    uint64_t there = atomic_load_explicit(entry, memory_order_relaxed);
    if ((uint32_t)(there >> 32) == (uint32_t)mixed && (uint32_t)there != 0)
        return unpack((uint32_t)there);
    return find_rule(address, entry, (uint32_t)mixed);
}

static inline struct mm_cfi_rule rule_of(uintptr_t address)
{
    /* Pushed one after the other: the caller's frame pointer and, above it, the return address. */
    static const struct mm_cfi_rule by_frame_pointer = {MM_CFI_FP, 16, -16, -8};
    if (use_frame_pointers && !is_own(address))
        return by_frame_pointer;
    return look_up(rules, RULE_BITS, address);
}

/* --- what may be read ---
 *
 * A stack that the program made itself may end anywhere, before a page that must not be read, and
 * what lies at its end need not be what a call left. Of the stack that the thread came with all is
 * readable from where it stands on, once that is known to be where it stands. */

struct home_stack {
    uintptr_t low, top; /* readable from here to there; top 0: nothing known yet */
    uintptr_t floor;    /* below here it is another stack */
};

/* A place on the stack: in a function, and how its caller would find its registers. */
struct cursor {
    uintptr_t pc, sp, fp;
    const uintptr_t *pc_at, *fp_at; /* where they were loaded from; NULL: from a register */
    uintptr_t link;                 /* aarch64's link register if `interrupted`; else 0 */
    uintptr_t top;                  /* above the whole stack, or above others too */
    uintptr_t readable;             /* up to here it may be read without asking */
    struct home_stack *home;        /* that the thread remembers; or NULL */
    bool interrupted;               /* by a signal: pc is not where a call returns to */
};

static inline uintptr_t page_end(uintptr_t address)
{
    return (address | (PAGE - 1)) + 1;
}

/* Further down than it was so far? Then the pages in between are asked for, once, from above: the
 * first that is not readable is the stack's end. */
MM_COLD static bool has_grown(struct home_stack *home, uintptr_t sp)
{
    if (sp < home->floor || home->low - sp > HOME_MOST)
        return false;
    for (unsigned asked = 0; home->low > sp && asked < ASK_MOST; asked++) {
        uintptr_t next = page_end(home->low - 1) - PAGE;
        if (!mm_os_is_readable((const void *)next)) {
            home->floor = home->low;
            return false;
        }
        home->low = next;
    }
    return home->low <= sp;
}

/* On other stacks a walk asks once a page; but not of the one below `sp`, which was written to. */
static void begin_stack(struct cursor *at)
{
    struct home_stack *home = at->home;
    at->top = mm_os_stack_top(at->sp);
    at->readable = page_end(at->sp - 1);
    if (home != NULL && at->top == home->top &&
        (mm_likely(at->sp >= home->low) || has_grown(home, at->sp)))
        at->readable = ALL;
}

static bool may_read(struct cursor *at, uintptr_t address)
{
    if (mm_likely(address < at->readable))
        return true;
    if (!mm_os_is_readable((const void *)address))
        return false;
    at->readable = page_end(address);
    return true;
}

/* In ascending order, as the pages are. */
static inline bool may_read_both(struct cursor *at, uintptr_t one, uintptr_t other)
{
    return may_read(at, one < other ? one : other) && may_read(at, one < other ? other : one);
}

/* --- steps --- */

/* In one statement: rules hold for one place, and the compiler moves the stack pointer. */
static inline __attribute__((always_inline)) struct cursor here(struct home_stack *home)
{
    struct cursor at;
#if defined __x86_64__
    __asm__ volatile("leaq 0(%%rip), %0\n\tmovq %%rsp, %1\n\tmovq %%rbp, %2"
                     : "=&r"(at.pc), "=&r"(at.sp), "=&r"(at.fp));
#elif defined __aarch64__
    __asm__ volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29"
                     : "=&r"(at.pc), "=&r"(at.sp), "=&r"(at.fp));
#endif
    at.pc_at = at.fp_at = NULL;
    at.link = 0; /* the function that this is in has saved it */
    at.interrupted = true;
    at.home = home;
    begin_stack(&at);
    return at;
}

static inline uintptr_t address_of(const struct cursor *at)
{
    return at->interrupted ? at->pc : at->pc - 1;
}

/* What the kernel saved when it called a signal handler lies above the handler's frame. */
READS_STACK static void leave_signal(struct cursor *at)
{
#if defined __x86_64__
    const ucontext_t *context = (const ucontext_t *)at->sp;
    const greg_t *registers = context->uc_mcontext.gregs;
    *at = (struct cursor){.pc = (uintptr_t)registers[REG_RIP],
                          .sp = (uintptr_t)registers[REG_RSP],
                          .fp = (uintptr_t)registers[REG_RBP],
                          .home = at->home};
#elif defined __aarch64__
    const ucontext_t *context = (const ucontext_t *)(at->sp + sizeof(siginfo_t));
    const mcontext_t *registers = &context->uc_mcontext;
    *at = (struct cursor){.pc = registers->pc,
                          .sp = registers->sp,
                          .fp = registers->regs[29],
                          .link = registers->regs[30],
                          .home = at->home};
#endif
    at->interrupted = true;
    begin_stack(at);
}

/* Out of a function that a signal interrupted while it had saved nothing: its frame may be empty.
 */
static bool leave_leaf(struct cursor *at, int32_t size)
{
    if (at->link == 0 || size < 0 || (uintptr_t)size >= FRAME_MOST)
        return false;
    *at = (struct cursor){.pc = mm_cfi_plain_address(at->link),
                          .sp = at->sp + (uintptr_t)size,
                          .fp = at->fp,
                          .top = at->top,
                          .readable = at->readable,
                          .home = at->home};
    return true;
}

/* To the caller; false at the end, or where nothing is known. */
READS_STACK static inline __attribute__((always_inline)) bool follow(struct cursor *at,
                                                                     struct mm_cfi_rule rule)
{
    uintptr_t cfa = (rule.kind == MM_CFI_SP ? at->sp : at->fp) + (uintptr_t)(intptr_t)rule.cfa;
    if (mm_unlikely(rule.kind > MM_CFI_FP)) {
        if (rule.kind == MM_CFI_SIGNAL) {
            leave_signal(at);
            return true;
        }
        if (rule.kind == MM_CFI_LEAF)
            return leave_leaf(at, rule.cfa);
        if (rule.kind != MM_CFI_AT_FP || cfa <= at->sp || cfa >= at->top ||
            cfa % sizeof(uintptr_t) != 0 || !may_read_both(at, cfa, at->fp))
            return false;
        cfa = *(const uintptr_t *)cfa;
    }
    if (mm_unlikely(cfa - at->sp - 1 >= FRAME_MOST || cfa > at->top ||
                    cfa % sizeof(uintptr_t) != 0 ||
                    !may_read_both(at, cfa + (uintptr_t)(intptr_t)rule.fp,
                                   cfa + (uintptr_t)(intptr_t)rule.ra)))
        return false;
    if (rule.kind == MM_CFI_AT_FP || rule.fp != 0) {
        uintptr_t saved = cfa + (uintptr_t)(intptr_t)rule.fp;
        at->fp_at = (const uintptr_t *)(rule.kind == MM_CFI_AT_FP ? at->fp : saved);
        at->fp = *at->fp_at;
    }
    at->pc_at = (const uintptr_t *)(cfa + (uintptr_t)(intptr_t)rule.ra);
    at->pc = mm_cfi_plain_address(*at->pc_at);
    at->sp = cfa;
    at->interrupted = false;
    return at->pc != 0;
}

READS_STACK static inline bool step(struct cursor *at)
{
    return follow(at, rule_of(address_of(at)));
}

/* The same for a bad call's stack. */
READS_STACK static bool step_back(struct cursor *at, bool exactly)
{
    uintptr_t address = address_of(at);
    return follow(at, exactly ? mm_cfi_rule_of(address) : look_up(few_rules, FEW_BITS, address));
}

/* --- stacks that a thread remembers --- */

struct word {
    const uintptr_t *at;
    uintptr_t value;
};

/* All that the walk from `pc`, `sp` and perhaps `fp` on depended on besides the rules. The same
 * words lead to the same stack: each step's place follows from the words before. */
struct known {
    uintptr_t pc, sp, fp;
    uint32_t generation;
    uint32_t note;
    bool uses_fp;
    uint8_t count;
    struct word words[WORDS_MOST];
};

struct mm_unwinder_memory {
    struct known stacks[1u << KNOWN_BITS];
    struct home_stack home;
};
const size_t mm_unwinder_memory_size = sizeof(struct mm_unwinder_memory);

void mm_unwinder_thread_starts(struct mm_unwinder_memory *memory)
{
    struct home_stack *home = &memory->home;
    home->top = mm_os_home_stack(&home->low);
    home->floor = home->low < home->top ? home->low : 0;
}

static struct known *place_of(struct mm_unwinder_memory *memory, const struct cursor *at)
{
    uint64_t mixed = (at->pc ^ at->sp << 16) * 0x9e3779b97f4a7c15u;
    return &memory->stacks[mixed >> (64 - KNOWN_BITS)];
}

/* In order: while the words are the same, the next one is where a walk would look, too. */
READS_STACK static bool is_same(const struct known *known, struct cursor *at)
{
    if (known->pc != at->pc || known->sp != at->sp || known->note == 0 ||
        (known->uses_fp && known->fp != at->fp) ||
        known->generation != atomic_load_explicit(&generation, memory_order_relaxed))
        return false;
    for (unsigned i = 0; i < known->count; i++) {
        if (!may_read(at, (uintptr_t)known->words[i].at) ||
            *known->words[i].at != known->words[i].value)
            return false;
    }
    return true;
}

static void forget(struct known *known, const struct cursor *at)
{
    known->pc = at->pc;
    known->sp = at->sp;
    known->fp = at->fp;
    known->generation = atomic_load_explicit(&generation, memory_order_relaxed);
    known->note = 0;
    known->uses_fp = false;
    known->count = 0;
}

/* False when it depends on more than is remembered. */
READS_STACK static bool remember(struct known *known, const struct cursor *before,
                                 const struct cursor *at)
{
    struct mm_cfi_rule rule = rule_of(address_of(before));
    bool by_fp = rule.kind != MM_CFI_SP;
    if (at->interrupted || known->count + 3u > WORDS_MOST)
        return false;
    if (by_fp && before->fp_at == NULL)
        known->uses_fp = true;
    else if (by_fp)
        known->words[known->count++] = (struct word){before->fp_at, before->fp};
    if (rule.kind == MM_CFI_AT_FP) {
        const uintptr_t *cfa_at = (const uintptr_t *)(before->fp + (uintptr_t)(intptr_t)rule.cfa);
        known->words[known->count++] = (struct word){cfa_at, at->sp};
    }
    known->words[known->count++] = (struct word){at->pc_at, *at->pc_at};
    return true;
}

uint32_t *mm_unwinder_walk(struct mm_unwinder_memory *memory, unsigned most,
                           struct mm_frames *frames)
{
    struct cursor at = here(memory != NULL ? &memory->home : NULL);
    frames->count = 0;
    while (is_own(at.pc)) {
        if (!step(&at))
            return NULL;
    }
    at.fp_at = NULL;
    struct known *known = memory != NULL ? place_of(memory, &at) : NULL;
    if (known != NULL && is_same(known, &at))
        return &known->note;
    if (known != NULL)
        forget(known, &at);
    for (;;) {
        frames->frames[frames->count++] = (const void *)address_of(&at);
        struct cursor before = at;
        if (frames->count == most || !step(&at))
            break;
        if (known != NULL && !remember(known, &before, &at))
            known = NULL;
    }
    return known != NULL ? &known->note : NULL;
}

void mm_unwinder_walk_from(const void *caller, unsigned most, bool exactly,
                           struct mm_frames *frames)
{
    struct cursor at = here(NULL);
    frames->count = 0;
    if (caller == NULL)
        return;
    do {
        if (frames->count > 0 || at.pc == (uintptr_t)caller)
            frames->frames[frames->count++] = (const void *)address_of(&at);
    } while (frames->count < most && step_back(&at, exactly));
    if (frames->count == 0)
        frames->frames[frames->count++] = (const char *)caller - 1;
}
