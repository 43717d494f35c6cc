/* registry_near.c - the registry's blocks around an address. Who looks, looks alone: only others
 * who look wait for that. */
#include "forwarded/registry.h"

#include "forwarded/registry_leaf.h"

/* A place to search down from: words up to `index`, of that one only the bits of `mask`, by the
 * half of the granule that a block starts in. */
struct place {
    size_t index;
    uint64_t mask[2];
};

static const struct place end_of_leaf = {MM_LEAF_WORDS - 1, {UINT64_MAX, UINT64_MAX}};

static struct place place_of(uintptr_t address)
{
    uint64_t bit = mm_leaf_bit(address), below = bit - 1;
    return (struct place){mm_leaf_index(address),
                          {below | bit, below | (address & MM_LEAF_HALF ? bit : 0)}};
}

static uint64_t live_at(struct mm_leaf *leaf, struct place place, unsigned half)
{
    struct mm_leaf_word *words = mm_piece_at(&leaf->words[half][place.index / MM_LEAF_PART_WORDS]);
    if (words == NULL)
        return 0;
    return atomic_load(&words[place.index % MM_LEAF_PART_WORDS].live) & place.mask[half];
}

/* Of the blocks that start in a word's bytes, as an offset in the leaf. */
static uintptr_t offset_of(struct place place, unsigned bit, uint64_t in_second_half)
{
    uintptr_t offset = (uintptr_t)(place.index * MM_WORD_BITS + bit) << MM_LEAF_GRANULE_BITS;
    return offset + (in_second_half >> bit & 1 ? MM_LEAF_HALF : 0);
}

/* The highest block that starts in a group, at `from` or below; false when there is none. */
static bool highest_in_group(struct mm_leaf *leaf, size_t group, struct place from,
                             uintptr_t *offset)
{
    while (from.index + 1 > group * MM_LEAF_GROUP_WORDS) {
        uint64_t first = live_at(leaf, from, 0), second = live_at(leaf, from, 1);
        if ((first | second) != 0) {
            *offset = offset_of(from, mm_log2_floor(first | second), second);
            return true;
        }
        from = (struct place){from.index - 1, {UINT64_MAX, UINT64_MAX}};
    }
    return false;
}

static struct place end_of_group(size_t group)
{
    return (struct place){group * MM_LEAF_GROUP_WORDS + MM_LEAF_GROUP_WORDS - 1,
                          {UINT64_MAX, UINT64_MAX}};
}

/* No block was found in it; nor will the next search look there, unless one came meanwhile. Nobody
 * else searches between the two steps. */
static void forget_group(struct mm_leaf *leaf, size_t group)
{
    _Atomic uint64_t *groups = &leaf->groups[group / MM_WORD_BITS];
    uint64_t bit = (uint64_t)1 << group % MM_WORD_BITS;
    uintptr_t unused;
    MM_ASSERT(atomic_load(&mm_registry_is_looked_at));
    atomic_fetch_and(groups, ~bit);
    if (highest_in_group(leaf, group, end_of_group(group), &unused))
        atomic_fetch_or(groups, bit);
}

/* The same in a leaf. Who does not look alone has `is_empty` set, and false, where a group turns
 * out to be empty. */
static bool highest_in_leaf(struct mm_leaf *leaf, struct place from, uintptr_t *offset,
                            bool *is_empty)
{
    size_t last = from.index / MM_LEAF_GROUP_WORDS;
    uint64_t mask = mm_bits_below(last % MM_WORD_BITS + 1);
    for (size_t i = last / MM_WORD_BITS + 1; i-- > 0; mask = UINT64_MAX) {
        uint64_t groups = atomic_load(&leaf->groups[i]) & mask;
        while (groups != 0) {
            size_t group = i * MM_WORD_BITS + mm_log2_floor(groups);
            if (highest_in_group(leaf, group, group == last ? from : end_of_group(group), offset))
                return true;
            if (group != last && is_empty != NULL) {
                *is_empty = true;
                return false;
            }
            if (group != last)
                forget_group(leaf, group);
            groups &= ~((uint64_t)1 << group % MM_WORD_BITS);
        }
    }
    return false;
}

/* The nearest live block that starts at `address` or below; 0 when there is none. */
static uintptr_t find_below(uintptr_t address, bool *is_empty)
{
    size_t index = address >> MM_LEAF_BITS;
    struct mm_leaf *leaf = mm_registry_highest_leaf();
    for (; leaf != NULL; leaf = atomic_load_explicit(&leaf->below, memory_order_acquire)) {
        uintptr_t number = mm_leaf_number(leaf), offset;
        if (number <= index &&
            highest_in_leaf(leaf, number == index ? place_of(address) : end_of_leaf, &offset,
                            is_empty))
            return (number << MM_LEAF_BITS) + offset;
        if (is_empty != NULL && *is_empty)
            return 0;
    }
    return 0;
}

/* The nearest that starts above it, within a group's size; 0 when there is none. */
static uintptr_t find_above(uintptr_t address)
{
    struct place place = place_of(address);
    place.mask[0] = ~place.mask[0];
    place.mask[1] = ~place.mask[1];
    for (uintptr_t at = address; at - address < MM_LEAF_GROUP;
         at += MM_LEAF_GROUP / MM_LEAF_GROUP_WORDS) {
        struct mm_leaf *leaf = mm_registry_leaf(at);
        place.index = mm_leaf_index(at);
        uint64_t first = leaf != NULL ? live_at(leaf, place, 0) : 0;
        uint64_t second = leaf != NULL ? live_at(leaf, place, 1) : 0;
        if ((first | second) != 0) {
            unsigned bit = mm_bit_lowest(first | second);
            return (at & ~(((uintptr_t)1 << MM_LEAF_BITS) - 1)) +
                   offset_of(place, bit, first >> bit & 1 ? 0 : second);
        }
        place.mask[0] = place.mask[1] = UINT64_MAX;
    }
    return 0;
}

static struct mm_forwarded described(uintptr_t address)
{
    size_t size = address != 0 ? mm_registry_size(mm_registry_leaf(address), address) : 0;
    return (struct mm_forwarded){address, size};
}

static void look_alone(void)
{
    for (unsigned round = 0;
         atomic_exchange_explicit(&mm_registry_is_looked_at, true, memory_order_acquire); round++)
        mm_os_wait(round);
}

/* A signal handler that frees badly must not come while its own thread looks. */
struct mm_near mm_registry_near(const void *pointer)
{
    uintptr_t address = mm_os_untagged(pointer);
    if (mm_registry_highest_leaf() == NULL || address >> MM_LEAF_ADDRESS_BITS != 0)
        return (struct mm_near){0};
    struct mm_signals signals = mm_os_block_signals();
    look_alone();
    uintptr_t below = find_below(address, NULL);
    /* Release pairs with the acquire in look_alone(). */
    atomic_store_explicit(&mm_registry_is_looked_at, false, memory_order_release);
    mm_os_restore_signals(&signals);
    return (struct mm_near){described(below), described(find_above(address))};
}

bool mm_registry_around(const void *pointer, struct mm_forwarded *block)
{
    *block = mm_registry_near(pointer).below;
    return mm_os_untagged(pointer) - block->start < block->size &&
           mm_os_is_readable((const void *)block->start);
}

/* First without a lock, which tells all but what groups that turn out to be empty hide. These are
 * forgotten, once, by who gets to look alone at once. */
bool mm_registry_below(uintptr_t address, struct mm_forwarded *block)
{
    bool is_empty = false;
    *block = (struct mm_forwarded){0};
    if (mm_registry_highest_leaf() == NULL || address >> MM_LEAF_ADDRESS_BITS != 0)
        return true;
    uintptr_t below = find_below(address, &is_empty);
    if (mm_unlikely(is_empty)) {
        struct mm_signals signals = mm_os_block_signals();
        is_empty = atomic_exchange_explicit(&mm_registry_is_looked_at, true, memory_order_acquire);
        if (!is_empty) {
            below = find_below(address, NULL);
            atomic_store_explicit(&mm_registry_is_looked_at, false, memory_order_release);
        }
        mm_os_restore_signals(&signals);
    }
    *block = described(below);
    return !is_empty;
}
