/* registry_leaf.h - how the registry keeps what it knows: for registry.c, which notes and strikes
 * out, and registry_near.c, which looks around. */
#ifndef MM_REGISTRY_LEAF_H
#define MM_REGISTRY_LEAF_H

#include "system/bitmap.h"
#include "system/pieces.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MM_LEAF_ADDRESS_BITS                                                                       \
    48u /* user space of x86-64 and aarch64, but for what is asked for by hints */
#define MM_LEAF_BITS         28u /* a leaf covers 256 MiB */
#define MM_LEAF_PART_BITS    24u /* a part of it 16 MiB */
#define MM_LEAF_GRANULE_BITS 4u
#define MM_LEAF_HALF_BITS    3u /* blocks start at multiples of half a granule */
#define MM_LEAF_HALF         ((size_t)1 << MM_LEAF_HALF_BITS)
#define MM_LEAVES            ((size_t)1 << (MM_LEAF_ADDRESS_BITS - MM_LEAF_BITS))
#define MM_LEAF_WORDS        ((size_t)1 << (MM_LEAF_BITS - MM_LEAF_GRANULE_BITS - 6))
#define MM_LEAF_GROUP_WORDS  64u /* words that one bit of a leaf's `groups` stands for */
#define MM_LEAF_GROUP        ((size_t)MM_LEAF_GROUP_WORDS << (MM_LEAF_GRANULE_BITS + 6)) /* 64 KiB */
#define MM_LEAF_GROUPS       (MM_LEAF_WORDS / MM_LEAF_GROUP_WORDS)
#define MM_LEAF_PARTS        ((size_t)1 << (MM_LEAF_BITS - MM_LEAF_PART_BITS))
#define MM_LEAF_PART_WORDS   (MM_LEAF_WORDS / MM_LEAF_PARTS)
#define MM_LEAF_PART_ENDS    ((size_t)1 << (MM_LEAF_PART_BITS - MM_LEAF_HALF_BITS - 6))
#define MM_LEAF_END_BYTES    (MM_LEAF_HALF * MM_WORD_BITS) /* the bytes that one stands for */

/* The words of both bits lie side by side, so that a free touches one cache line. */
struct mm_leaf_word {
    _Atomic uint64_t live, once;
};

/* Blocks that start in the second half of a granule have words of their own. Two blocks of a
 * group's size or more start in different groups: `sizes` has the one of each, see large_size().
 * The end of a smaller one is a bit of `ends`, that of its last half granule. What few programs
 * need is made on demand: all of a leaf counts against RLIMIT_DATA.
 *
 * `groups` is for the search for the block below an address. A group's bit is set after the live
 * bit of a block; whoever looks around clears it where the group turns out to be empty, see
 * forget_group(). */
struct mm_leaf {
    mm_piece words[2][MM_LEAF_PARTS]; /* MM_LEAF_WORDS_SIZE bytes each */
    mm_piece ends[MM_LEAF_PARTS];     /* MM_LEAF_ENDS_SIZE */
    _Atomic uint64_t sizes[MM_LEAF_GROUPS];
    _Atomic uint64_t groups[MM_LEAF_GROUPS / MM_WORD_BITS];
    _Atomic size_t number;
    struct mm_leaf *_Atomic below; /* the next lower one that there is */
};

/* Which of the address space's leaves it is. Relaxed: written before the leaf can be found. */
static inline size_t mm_leaf_number(struct mm_leaf *leaf)
{
    return atomic_load_explicit(&leaf->number, memory_order_relaxed);
}

static inline size_t mm_leaf_index(uintptr_t address)
{
    return (address >> (MM_LEAF_GRANULE_BITS + 6)) % MM_LEAF_WORDS;
}

static inline uint64_t mm_leaf_bit(uintptr_t address)
{
    return (uint64_t)1 << (address >> MM_LEAF_GRANULE_BITS) % MM_WORD_BITS;
}

#define MM_LEAF_WORDS_SIZE (MM_LEAF_PART_WORDS * sizeof(struct mm_leaf_word))
#define MM_LEAF_ENDS_SIZE  (MM_LEAF_PART_ENDS * sizeof(uint64_t))

static inline size_t mm_leaf_part(uintptr_t address)
{
    return (address >> MM_LEAF_PART_BITS) % MM_LEAF_PARTS;
}

static inline mm_piece *mm_leaf_words(struct mm_leaf *leaf, uintptr_t address)
{
    return &leaf->words[address >> MM_LEAF_HALF_BITS & 1][mm_leaf_part(address)];
}

static inline struct mm_leaf_word *mm_leaf_word_in(struct mm_leaf_word *words, uintptr_t address)
{
    return mm_likely(words != NULL) ? &words[mm_leaf_index(address) % MM_LEAF_PART_WORDS] : NULL;
}

/* NULL when no block ever started near there. */
static inline struct mm_leaf_word *mm_leaf_word(struct mm_leaf *leaf, uintptr_t address)
{
    return mm_leaf_word_in(mm_piece_at(mm_leaf_words(leaf, address)), address);
}

/* NULL where there is none. */
struct mm_leaf *mm_registry_leaf(uintptr_t address);
/* Of all that there are; NULL when there is none. */
struct mm_leaf *mm_registry_highest_leaf(void);
/* Of a block that starts in a leaf: 0 when it is not known. */
size_t mm_registry_size(struct mm_leaf *leaf, uintptr_t address);

extern _Atomic bool mm_registry_is_looked_at; /* one thread at a time looks around */

#endif
