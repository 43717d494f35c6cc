/* rules.h - what the call frame information says of an address (cfi.h), kept: a rule is worked out
 * once. Tables for all threads, read and written without a lock. Rules of modules that stay hold
 * for good; an entry is one word that says both which address it is about and what the rule is.
 * Those of modules that came later hold for one stamp (loaded.h). */
#ifndef MM_RULES_H
#define MM_RULES_H

#include "stacks/cfi.h"
#include "stacks/loaded.h"
#include "system/bitmap.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MM_RULES_BITS         16u /* the table has 2^16 entries */
#define MM_RULES_FEW_BITS     9u  /* that of the rules for bad calls */
#define MM_RULES_ADDRESS_BITS 48u

/* False when the system refuses memory; of `few` walks it is little. */
bool mm_rules_start(bool few);
void mm_rules_stop(void);
extern unsigned mm_rules_bits; /* of the first of these: */
extern _Atomic uint64_t *mm_rules, mm_few_rules[1u << MM_RULES_FEW_BITS];

/* What a walk came through that may be unloaded, but is not while its functions run. */
struct mm_passed {
    bool any;
    uint32_t stamp;
    struct mm_loaded last; /* with this stamp */
};

static inline bool mm_loaded_has(const struct mm_loaded *module, uintptr_t address)
{
    return address - module->start < module->end - module->start;
}

/* Packed in 32 bits; 0 is none:
 *
 *   bit   0-2   kind
 *         3-9   where the frame pointer was saved, in words below the frame's end; 0: unchanged
 *        10-15  the return address, likewise
 *        16-31  the frame's end, in words from the register that the kind names; signed */
static inline struct mm_cfi_rule mm_rule_unpack(uint32_t packed)
{
    return (struct mm_cfi_rule){(enum mm_cfi_kind)(packed & 7), ((int32_t)packed >> 16) * 8,
                                -(int32_t)(packed >> 3 & 127) * 8,
                                -(int32_t)(packed >> 10 & 63) * 8};
}

/* By the tables themselves, nothing kept. */
struct mm_cfi_rule mm_rule_exact(uintptr_t address);
/* What mm_rule_of() leaves over. */
struct mm_cfi_rule mm_rule_find(uintptr_t address, _Atomic uint64_t *entry, uint32_t tag,
                                struct mm_passed *passed);

/* Multiplying by an odd number only shuffles the addresses, so that place and tag together name one
 * exactly; in the small table all but exactly. */
static inline uint64_t mm_rule_mixed(uintptr_t address)
{
    return (address * 0x9e3779b97f4a7c15u) & (((uint64_t)1 << MM_RULES_ADDRESS_BITS) - 1);
}

static inline uint32_t mm_rule_in(const _Atomic uint64_t *entry, uint64_t mixed)
{
    uint64_t there = atomic_load_explicit(entry, memory_order_relaxed);
    return (uint32_t)(there >> 32) == (uint32_t)mixed ? (uint32_t)there : 0;
}

/* Packed, of a module that stays and where it is in its place; else 0. */
static inline uint32_t mm_rule_quick(uintptr_t address)
{
    uint64_t mixed = mm_rule_mixed(address);
    return mm_rule_in(&mm_rules[mixed >> (MM_RULES_ADDRESS_BITS - MM_RULES_BITS)], mixed);
}

static inline struct mm_cfi_rule mm_rule_of(_Atomic uint64_t *table, unsigned bits,
                                            uintptr_t address, struct mm_passed *passed)
{
    uint64_t mixed = mm_rule_mixed(address);
    _Atomic uint64_t *entry = &table[mixed >> (MM_RULES_ADDRESS_BITS - bits)];
    uint32_t packed = mm_rule_in(entry, mixed);
    return mm_likely(packed != 0) ? mm_rule_unpack(packed)
                                  : mm_rule_find(address, entry, (uint32_t)mixed, passed);
}

#endif
