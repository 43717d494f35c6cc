/* bitmap.c - each question to a word, asked bit by bit as well. */
#include "system/bitmap.h"

#include "check.h"

enum { WORDS = 20000 };

static uint64_t bit(unsigned index)
{
    return (uint64_t)1 << index;
}

/* Words of every density, and of runs. */
static uint64_t word_of(uint64_t *random, unsigned how)
{
    uint64_t word = check_random(random);
    for (unsigned i = 0; i < how % 4; i++)
        word |= check_random(random);
    for (unsigned i = 0; i < how / 4 % 4; i++)
        word &= check_random(random);
    unsigned from = (unsigned)check_below(random, MM_WORD_BITS);
    unsigned count = 1 + (unsigned)check_below(random, MM_WORD_BITS - from);
    return how / 16 % 2 == 0 ? word : word | mm_bits_below(count) << from;
}

static unsigned slow_count(uint64_t word)
{
    unsigned count = 0;
    for (unsigned i = 0; i < MM_WORD_BITS; i++)
        count += (unsigned)(word >> i & 1);
    return count;
}

static void counts(uint64_t word)
{
    CHECK_EQUAL(mm_bit_count(word), slow_count(word));
    CHECK_EQUAL(mm_bit_count(~word), MM_WORD_BITS - slow_count(word));
}

static void ends(void)
{
    for (unsigned i = 0; i < MM_WORD_BITS; i++) {
        CHECK_EQUAL(mm_bit_lowest(bit(i)), i);
        CHECK_EQUAL(mm_bit_lowest(UINT64_MAX << i), i);
        CHECK_EQUAL(mm_log2_floor(bit(i)), i);
        CHECK_EQUAL(mm_log2_floor(UINT64_MAX >> (MM_WORD_BITS - 1 - i)), i);
        CHECK_EQUAL(mm_log2_ceil(bit(i)), i);
        if (i > 0) {
            CHECK_EQUAL(mm_log2_floor(bit(i) - 1), i - 1);
            CHECK_EQUAL(mm_log2_ceil(bit(i) + 1), i + 1);
        }
        CHECK_EQUAL(mm_bits_below(i + 1), bit(i) | (bit(i) - 1));
    }
    CHECK_EQUAL(mm_log2_ceil(0), 0);
    CHECK_EQUAL(mm_log2_ceil(UINT64_MAX), MM_WORD_BITS);
}

static void taking(uint64_t word)
{
    for (unsigned i = 0; i < MM_WORD_BITS; i++) {
        uint64_t rest = word;
        CHECK_EQUAL(mm_bit_take(&rest, i), word >> i & 1);
        CHECK_EQUAL(rest, word & ~bit(i));
        CHECK(!mm_bit_take(&rest, i));
        CHECK_EQUAL(rest, word & ~bit(i));
    }
}

/* No two words that differ in one bit only come to one place of a table of 2^16. */
static void mixing(uint64_t word)
{
    uint64_t mixed = mm_bits_mixed(word);
    for (unsigned i = 0; i < MM_WORD_BITS; i++)
        CHECK(mm_bits_mixed(word ^ bit(i)) >> 48 != mixed >> 48);
}

/* Words that follow one another at a distance that blocks and functions have spread over a table's
 * places, be these told by the upper bits or by the lower ones. */
static void spreading(void)
{
    enum { PLACES = 1024 };
    for (unsigned shift = 0; shift < 32; shift++) {
        bool upper[PLACES] = {false}, lower[PLACES] = {false};
        unsigned uppers = 0, lowers = 0;
        for (uint64_t i = 0; i < PLACES; i++) {
            uint64_t mixed = mm_bits_mixed(i << shift);
            bool *place = &upper[mixed >> 54], *other = &lower[mixed % PLACES];
            uppers += !*place;
            lowers += !*other;
            *place = *other = true;
        }
        CHECK(uppers > PLACES / 4);
        CHECK(lowers > PLACES / 4);
    }
}

static bool run_is_set(uint64_t word, unsigned start, unsigned order)
{
    for (unsigned i = start; i < start + (1u << order); i++) {
        if (!(word >> i & 1))
            return false;
    }
    return true;
}

static void runs(uint64_t word)
{
    for (unsigned order = 0; order <= 6; order++) {
        unsigned expected = 0, found = MM_WORD_BITS;
        while (expected < MM_WORD_BITS && !run_is_set(word, expected, order))
            expected += 1u << order;
        CHECK_EQUAL(mm_bits_find_run(word, order, &found), expected < MM_WORD_BITS);
        CHECK_EQUAL(found, expected);
        if (expected < MM_WORD_BITS)
            CHECK_EQUAL(word & mm_bits_run(found, order), mm_bits_run(found, order));
    }
}

static void row(uint64_t word)
{
    uint64_t expected = 0;
    unsigned at = 0;
    while (at < MM_WORD_BITS && !(word >> at & 1))
        at++;
    for (; at < MM_WORD_BITS && word >> at & 1; at++)
        expected |= bit(at);
    CHECK_EQUAL(mm_bits_row(word), expected);
}

static void rounding(void)
{
    for (size_t multiple = 1; multiple <= 64; multiple *= 2) {
        for (uintptr_t value = 0, expected = 0; value <= 200; value++) {
            expected += value > expected ? multiple : 0;
            CHECK_EQUAL(mm_round_up(value, multiple), expected);
        }
    }
    CHECK_EQUAL(mm_round_up(UINTPTR_MAX - 4095, 4096), UINTPTR_MAX - 4095);
}

static void every_run(void)
{
    for (unsigned order = 0; order <= 6; order++) {
        for (unsigned start = 0; start < MM_WORD_BITS; start += 1u << order) {
            uint64_t run = mm_bits_run(start, order);
            CHECK_EQUAL(mm_bit_count(run), 1u << order);
            CHECK_EQUAL(mm_bit_lowest(run), start);
            CHECK_EQUAL(mm_log2_floor(run), start + (1u << order) - 1);
            row(run);
            row(~run);
            runs(run);
            runs(~run);
            runs(run ^ bit(start));
        }
    }
}

int main(void)
{
    uint64_t random = 1;
    ends();
    every_run();
    spreading();
    rounding();
    counts(0);
    row(0);
    taking(0);
    taking(UINT64_MAX);
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = word_of(&random, i);
        counts(word);
        runs(word);
        row(word);
        taking(word);
        mixing(word);
    }
    return 0;
}
