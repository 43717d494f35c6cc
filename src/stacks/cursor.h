/* cursor.h - a place on a stack, and the step from there to the caller's: what the walks of
 * unwinder.c have in common. All is the caller's, and nothing faults. */
#ifndef MM_CURSOR_H
#define MM_CURSOR_H

#include "stacks/cfi.h"
#include "stacks/rules.h"
#include "system/macros.h"
#include "system/os.h"
#include "system/peek.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#define FRAME_MOST ((uintptr_t)1 << 20) /* longer than any frame that is followed */
#define PAGE       ((uintptr_t)4096)    /* the smallest that there is */

/* Of functions that read other functions' frames, which address sanitizers guard. */
#define READS_STACK __attribute__((no_sanitize_address))

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
    struct mm_passed passed;
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

struct registers {
    uintptr_t pc, sp, fp;
};

/* In one statement: rules hold for one place, and the compiler moves the stack pointer. */
static inline __attribute__((always_inline)) struct registers registers_here(void)
{
    struct registers here;
#if defined __x86_64__
    __asm__ volatile("leaq 0(%%rip), %0\n\tmovq %%rsp, %1\n\tmovq %%rbp, %2"
                     : "=&r"(here.pc), "=&r"(here.sp), "=&r"(here.fp));
#elif defined __aarch64__
    __asm__ volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29"
                     : "=&r"(here.pc), "=&r"(here.sp), "=&r"(here.fp));
#endif
    return here;
}

/* In a function that has saved aarch64's link register. */
static inline void begin_at(struct cursor *at, struct registers from, struct home_stack *home,
                            struct mm_peeker *strange)
{
    *at = (struct cursor){.pc = from.pc,
                          .sp = from.sp,
                          .fp = from.fp,
                          .home = home,
                          .strange = strange,
                          .interrupted = true};
    begin_stack(at);
}

static inline void begin_at_context(struct cursor *at, const void *context)
{
    const ucontext_t *from = context;
    *at = (struct cursor){.interrupted = true};
#if defined __x86_64__
    at->pc = (uintptr_t)from->uc_mcontext.gregs[REG_RIP];
    at->sp = (uintptr_t)from->uc_mcontext.gregs[REG_RSP];
    at->fp = (uintptr_t)from->uc_mcontext.gregs[REG_RBP];
#elif defined __aarch64__
    at->pc = (uintptr_t)from->uc_mcontext.pc;
    at->sp = (uintptr_t)from->uc_mcontext.sp;
    at->fp = (uintptr_t)from->uc_mcontext.regs[29];
    at->link = (uintptr_t)from->uc_mcontext.regs[30];
#endif
    begin_stack(at);
    at->readable = 0; /* the page below may not be there */
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
static inline bool leave_signal(struct cursor *at)
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
static inline bool leave_leaf(struct cursor *at, int32_t size)
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

#endif
