/* rules.c - see rules.h. Allocates nothing but the table, and locks nothing. */
#include "stacks/rules.h"

#include "system/os.h"

#define LATER_BITS 12u /* the table for modules that came later */
#define LATER_FEW  8u  /* and as far as it is used for few walks */

/* Of two writers at the same time neither may be believed: the name is of both words. */
struct later_rule {
    _Atomic uint64_t name, content;
};

_Atomic uint64_t *mm_rules, mm_few_rules[1u << MM_RULES_FEW_BITS] MM_SELDOM;
unsigned mm_rules_bits;
static unsigned later_bits = LATER_BITS;
static struct later_rule later_rules[1u << LATER_BITS] MM_SELDOM;

bool mm_rules_start(bool few)
{
    mm_rules_bits = few ? MM_RULES_FEW_BITS : MM_RULES_BITS;
    later_bits = few ? LATER_FEW : LATER_BITS;
    mm_rules = few ? mm_few_rules : mm_os_map(sizeof *mm_rules << MM_RULES_BITS);
    return mm_rules != NULL;
}

void mm_rules_stop(void)
{
    if (mm_rules != NULL && mm_rules != mm_few_rules)
        mm_os_release(mm_rules, sizeof *mm_rules << MM_RULES_BITS);
    mm_rules = NULL;
}

/* Walks take a packed rule that counts from the stack pointer as it is: what it leads to lies in
 * the frame. One that counts from the frame pointer is looked at each time. */
static uint32_t pack(const struct mm_cfi_rule *rule)
{
    uint32_t packed = rule->kind | (uint32_t)(-rule->fp / 8) << 3 |
                      (uint32_t)(-rule->ra / 8) << 10 | (uint32_t)(rule->cfa / 8) << 16;
    bool fits = rule->fp % 8 == 0 && rule->fp <= 0 && rule->fp > -8 * 128 && rule->ra % 8 == 0 &&
                rule->ra <= 0 && rule->ra > -8 * 64 && rule->cfa % 8 == 0 &&
                rule->cfa / 8 == (int16_t)(rule->cfa / 8);
    if (rule->kind == MM_CFI_SP || rule->kind == MM_CFI_FP)
        fits = fits && rule->ra < 0;
    if (rule->kind == MM_CFI_SP)
        fits = fits && -rule->ra <= rule->cfa && -rule->fp <= rule->cfa;
    return fits ? packed : 0;
}

struct mm_cfi_rule mm_rule_exact(uintptr_t address)
{
    struct mm_loaded module;
    struct mm_cfi_rule rule = {.kind = MM_CFI_END};
    bool is_there = mm_loaded_find(address, &module);
    mm_cfi_rule_of(address, is_there ? &module : NULL, is_there && mm_loaded_stays(&module), &rule);
    return rule;
}

static struct later_rule *later_of(uintptr_t address)
{
    return &later_rules[mm_bits_mixed(address) >> (64 - later_bits)];
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

static uint32_t stamp_of(uintptr_t address, struct mm_passed *passed)
{
    uint32_t stamp = passed->stamp;
    if (stamp == 0 || !mm_loaded_has(&passed->last, address))
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

MM_COLD struct mm_cfi_rule mm_rule_find(uintptr_t address, _Atomic uint64_t *entry, uint32_t tag,
                                        struct mm_passed *passed)
{
    const struct later_rule *later = later_of(address);
    uint32_t packed = find_later(later, address, 0);
    if (packed != 0)
        return mm_rule_unpack(packed);
    uint32_t stamp = mm_loaded_quick_stamp();
    packed = stamp != 0 ? find_later(later, address, stamp) : 0;
    passed->any |= packed != 0;
    if (packed == 0) {
        stamp = stamp_of(address, passed);
        packed = stamp != 0 ? find_later(later, address, stamp) : 0;
    }
    return packed != 0 ? mm_rule_unpack(packed)
                       : work_out(address, entry, tag, &passed->last, stamp);
}
