/* bitmap.h - questions to one 64-bit word of bits, and what else is made of powers of two. */
#ifndef MM_BITMAP_H
#define MM_BITMAP_H

#include "system/assert.h"
#include "system/macros.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MM_WORD_BITS 64u

/* `word` must not be 0. Compilers clear the register before, which only processors older than the
 * instruction's fast form can use. */
static inline unsigned mm_bit_lowest(uint64_t word)
{
    MM_ASSERT(word != 0);
#ifdef __x86_64__
    uint64_t index;
    __asm__("rep bsfq %1, %0" : "=r"(index) : "r"(word) : "cc");
    if (index >= MM_WORD_BITS)
        __builtin_unreachable(); /* so that 64 bits of it can be had without an instruction */
    return (unsigned)index;
#else
    return (unsigned)__builtin_ctzll(word);
#endif
}

/* Spelled out because without an instruction for it, as on plain x86-64, the builtin is a call.
 * Sums of neighbours, ever wider: H. S. Warren, "Hacker's Delight", 5-1. */
static inline unsigned mm_bit_count(uint64_t word)
{
#ifdef __POPCNT__
    return (unsigned)__builtin_popcountll(word);
#else
    word -= word >> 1 & 0x5555555555555555;
    word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (unsigned)(word * 0x0101010101010101 >> 56);
#endif
}

/* Clears a bit; whether it was set. One instruction that compilers make two of. */
static inline bool mm_bit_take(uint64_t *word, uint64_t index)
{
    uint64_t rest = *word;
#ifdef __x86_64__
    bool was_set;
    __asm__("btrq %2, %0" : "+r"(rest), "=@ccc"(was_set) : "r"(index));
#else
    bool was_set = rest >> index & 1;
    rest &= ~((uint64_t)1 << index);
#endif
    *word = rest;
    return was_set;
}

/* The `count` lowest bits; count is 1 to 64. The remainder changes nothing, but a processor that
 * shifts modulo 64 then need not subtract. */
static inline uint64_t mm_bits_below(unsigned count)
{
    MM_ASSERT(count >= 1 && count <= MM_WORD_BITS);
    return UINT64_MAX >> (MM_WORD_BITS - count) % MM_WORD_BITS;
}

/* Largest power of two exponent with (1 << it) <= value; value must not be 0. */
static inline unsigned mm_log2_floor(uint64_t value)
{
    MM_ASSERT(value != 0);
    return MM_WORD_BITS - 1 - (unsigned)__builtin_clzll(value);
}

static inline unsigned mm_log2_ceil(uint64_t value)
{
    return value <= 1 ? 0 : mm_log2_floor(value - 1) + 1;
}

/* The lowest ones of a word that stand side by side; 0 when it has none. */
static inline uint64_t mm_bits_row(uint64_t word)
{
    uint64_t lowest = word & -word;
    return word & ~(word + lowest); /* carried over the row, into the zero behind it */
}

/* A run of 2^order bits that starts at a multiple of its length; order is 0 to 6. */
static inline uint64_t mm_bits_run(unsigned start, unsigned order)
{
    MM_ASSERT(order <= 6 && start % (1u << order) == 0 && start < MM_WORD_BITS);
    return mm_bits_below(1u << order) << start;
}

/* Finds the lowest such run in which every bit of `word` is set: the buddy system on one word.
 * Halving keeps, in each step, the starts whose next neighbour run of the same length is set too.
 */
static inline bool mm_bits_find_run(uint64_t word, unsigned order, unsigned *start)
{
    static const uint64_t aligned[] = {UINT64_MAX,         0x5555555555555555, 0x1111111111111111,
                                       0x0101010101010101, 0x0001000100010001, 0x0000000100000001,
                                       0x0000000000000001};
    for (unsigned step = 0; step < order; step++)
        word &= word >> (1u << step);
    word &= aligned[order];
    if (word == 0)
        return false;
    *start = mm_bit_lowest(word);
    return true;
}

/* To a multiple of a power of two. */
static inline uintptr_t mm_round_up(uintptr_t value, size_t multiple)
{
    MM_ASSERT(multiple != 0 && (multiple & (multiple - 1)) == 0);
    return (value + multiple - 1) & ~(uintptr_t)(multiple - 1);
}

/* For a place in a table: each bit of the word has its part in the upper ones. */
static inline uint64_t mm_bits_mixed(uint64_t word)
{
    word *= 0x9e3779b97f4a7c15u;
    return word ^ word >> 32;
}

#endif
