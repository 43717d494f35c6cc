/* mismatch.c - see mismatch.h. What a module brings is read from its own memory, by calls that
 * survive its going away meanwhile; whoever found it out keeps it for all. */
#include "checks/mismatch.h"

#include "blocks/record.h"
#include "stacks/loaded.h"
#include "system/bitmap.h"
#include "system/peek.h"
#include <stdatomic.h>
#include <string.h>

static bool names_other_family(mm_shape asked, mm_shape how)
{
    return mm_shape_family(asked) != mm_shape_family(how);
}

/* Who frees what new made must name its alignment; who frees by free(), may. */
static bool names_other_size(mm_shape asked, mm_shape how)
{
    size_t size = mm_shape_asked(how);
    bool is_other_size = size != 0 && size != mm_shape_asked(asked);
    bool tells = mm_shape_family(how) != MM_FAMILY_MALLOC || mm_shape_alignment(how) != 1;
    return is_other_size || (tells && mm_shape_alignment(asked) != mm_shape_alignment(how));
}

/* --- what a module mentions --- */

enum word {
    USES_EXCEPTIONS,
    USES_NEW,
    USES_NEW_ARRAY,
    USES_DELETE,
    USES_DELETE_ARRAY,
    USES_SIZED_DELETE,
    USES_SIZED_DELETE_ARRAY,
    HAS_BAD_ALLOC, /* the name in its type's description, which comes with operators linked in */
    WORDS
};
static const char *const words[WORDS] = {
    "__gxx_personality_v0", "_Znwm", "_Znam", "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm",
    "St9bad_alloc",
};
#define LONGEST sizeof "__gxx_personality_v0"
#define MOST    ((size_t)256 << 20) /* of a module that is looked through */

/* A whole text, ended by a zero on both sides or begun by what is no part of a name. */
static unsigned words_at(const char *at, char before)
{
    unsigned found = 0;
    bool is_begin = before != '_' && !(before >= 'A' && before <= 'Z') &&
                    !(before >= 'a' && before <= 'z') && !(before >= '0' && before <= '9');
    for (unsigned i = 0; i < WORDS && is_begin; i++) {
        if (strcmp(at, words[i]) == 0)
            found |= 1u << i;
    }
    return found;
}

static unsigned words_in(const char *text, size_t size)
{
    unsigned found = 0;
    for (size_t i = 1; i + LONGEST <= size; i++) {
        if (text[i] == '_' || text[i] == 'S')
            found |= words_at(text + i, text[i - 1]);
    }
    return found;
}

#define STEP ((size_t)2048) /* less than a page: a report may come on a small stack */

/* Texts that lie across two steps begin in what is kept of the first. */
static unsigned words_of(const struct mm_loaded *module)
{
    char text[LONGEST + 1 + STEP + 1];
    unsigned found = 0;
    size_t kept = 0, size = module->end - module->start < MOST ? module->end - module->start : MOST;
    for (uintptr_t at = module->start; at - module->start < size; at += STEP) {
        size_t all = kept + STEP;
        if (mm_peek(text + kept, at, STEP, STEP) != STEP) {
            kept = 0;
            continue;
        }
        text[all] = '\0';
        found |= words_in(text, all);
        kept = LONGEST + 1;
        memmove(text, text + all - kept, kept);
    }
    return found;
}

static bool brings_operators(const struct mm_loaded *module)
{
    const unsigned uses = 1u << USES_NEW | 1u << USES_NEW_ARRAY | 1u << USES_DELETE |
                          1u << USES_DELETE_ARRAY | 1u << USES_SIZED_DELETE |
                          1u << USES_SIZED_DELETE_ARRAY;
    unsigned found = words_of(module);
    bool is_cxx = found & 1u << USES_EXCEPTIONS;
    return (found & 1u << HAS_BAD_ALLOC) || (is_cxx && !(found & uses));
}

/* What was found of modules, which takes long: a hash of where one lies and of its stamp, and in
 * the lowest bit whether it may bring operators. Who frees otherwise than it allocates often does
 * so all the time. */
#define KEPT_BITS 8u
static _Atomic uint64_t kept[1u << KEPT_BITS] MM_SELDOM;

static bool may_bring_operators(uintptr_t address)
{
    struct mm_loaded module;
    uint32_t stamp = mm_loaded_stamp(address, &module);
    if (module.map == NULL)
        return true;
    uint64_t hash = mm_bits_mixed(mm_bits_mixed(module.start ^ stamp) + module.end) | 2;
    _Atomic uint64_t *place = &kept[hash >> (64 - KEPT_BITS)];
    uint64_t known = atomic_load_explicit(place, memory_order_relaxed);
    if ((known ^ hash) >> 1 == 0)
        return known & 1;
    bool brings = brings_operators(&module);
    if (stamp == 0 || mm_loaded_is_still(address, stamp))
        atomic_store_explicit(place, (hash & ~UINT64_C(1)) | brings, memory_order_relaxed);
    return brings;
}

/* --- all of it --- */

bool mm_checks_mismatch(const struct mm_block *block, mm_shape how, const void *caller,
                        enum mem_mngr_misuse_kind *kind)
{
    struct mm_stack_history history;
    if (!mm_checks.mismatch || block->record == NULL)
        return false;
    mm_shape asked = mm_record_shape(block->record);
    bool is_other = names_other_family(asked, how);
    if (!is_other && !names_other_size(asked, how))
        return false;
    *kind = is_other ? MEM_MNGR_MISMATCHED_FREE : MEM_MNGR_MISMATCHED_SIZE;
    return mm_stacks_history((const void *)block->start, &history) && history.has_allocated &&
           !may_bring_operators((uintptr_t)history.allocated.frames[0]) &&
           !may_bring_operators((uintptr_t)caller);
}
