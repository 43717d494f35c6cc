/* registry_each.c - all live blocks of the registry, for who looks through all memory. Others may
 * add and remove meanwhile; keeps nothing. */
#include "forwarded/registry.h"

#include "forwarded/registry_leaf.h"

struct visit {
    void (*each)(uintptr_t start, size_t size, void *with);
    void *with;
    struct mm_leaf *leaf;
};

static void visit_word(const struct visit *visit, unsigned half, size_t index)
{
    struct mm_leaf_word *words = mm_piece_at(&visit->leaf->words[half][index / MM_LEAF_PART_WORDS]);
    uint64_t live = words != NULL ? atomic_load_explicit(&words[index % MM_LEAF_PART_WORDS].live,
                                                         memory_order_relaxed)
                                  : 0;
    for (; live != 0; live &= live - 1) {
        uintptr_t granule = index * MM_WORD_BITS + mm_bit_lowest(live);
        uintptr_t start = (mm_leaf_number(visit->leaf) << MM_LEAF_BITS) +
                          (granule << MM_LEAF_GRANULE_BITS) + half * MM_LEAF_HALF;
        visit->each(start, mm_registry_size(visit->leaf, start), visit->with);
    }
}

static void visit_group(const struct visit *visit, size_t group)
{
    size_t first = group * MM_LEAF_GROUP_WORDS;
    for (size_t index = first; index < first + MM_LEAF_GROUP_WORDS; index++) {
        visit_word(visit, 0, index);
        visit_word(visit, 1, index);
    }
}

void mm_registry_each(void (*each)(uintptr_t start, size_t size, void *with), void *with)
{
    struct visit visit = {each, with, mm_registry_highest_leaf()};
    for (; visit.leaf != NULL;
         visit.leaf = atomic_load_explicit(&visit.leaf->below, memory_order_acquire)) {
        for (size_t i = 0; i < MM_LEAF_GROUPS / MM_WORD_BITS; i++) {
            uint64_t groups = atomic_load(&visit.leaf->groups[i]);
            for (; groups != 0; groups &= groups - 1)
                visit_group(&visit, i * MM_WORD_BITS + mm_bit_lowest(groups));
        }
    }
}
