/* cfi.h - what a module's call frame information (.eh_frame, DWARF's in the form of the Linux
 * Standard Base) says of one address: where its function's frame ends, and where in it the caller's
 * frame pointer and the return address are. Of the registers only these and the stack pointer are
 * followed; that is enough for what compilers make.
 *
 * Allocates nothing, takes no lock. Reads the module's tables and, on aarch64, the code at an
 * address that no table is about; through peek.h where the module does not stay. */
#ifndef MM_CFI_H
#define MM_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mm_cfi_kind {
    MM_CFI_SP = 1, /* the frame ends `cfa` above the stack pointer */
    MM_CFI_FP,     /* `cfa` above the frame pointer; what comes from here on is rarer */
    MM_CFI_END,    /* the outermost function, or one of which nothing is known */
    MM_CFI_AT_FP,  /* where the word at `cfa` above the frame pointer says, which itself was saved
                      where it points to: a function that aligned its stack */
    MM_CFI_SIGNAL, /* the kernel's frame below a signal handler's */
    MM_CFI_LEAF    /* as MM_CFI_SP, with nothing saved: the return address is where aarch64's calls
                      leave it, in the link register */
};

/* In bytes; fp and ra from the frame's end on, fp is 0 when the register is unchanged. */
struct mm_cfi_rule {
    enum mm_cfi_kind kind;
    int32_t cfa, fp, ra;
};
/* `module` is where the address is, NULL when it is in none; it was found to stay or not. False: it
 * could not be read, or is said to be longer than any is. */
struct mm_loaded;
bool mm_cfi_rule_of(uintptr_t address, const struct mm_loaded *module, bool stays,
                    struct mm_cfi_rule *rule);

/* A return address as it is stored, without a signature (aarch64's pointer authentication). */
static inline uintptr_t mm_cfi_plain_address(uintptr_t address)
{
#ifdef __aarch64__
    return address & (((uintptr_t)1 << 48) - 1);
#else
    return address;
#endif
}

#endif
