/* bench.h - what the benchmark's programs share, C and C++: random numbers, sizes, and main(). Each
 * is called with the name of a row and how much work to do; the row's comment says what it is for
 * or where it comes from. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keeps the compiler from dropping a block that nobody reads, or what was written to it. */
static inline void bench_keep(void *block)
{
    __asm__ volatile("" : : "r"(block) : "memory");
}

/* -- random numbers: the multiply-add generator of Knuth's MMIX, whose upper half is good enough,
 *    and so cheap that a row is all malloc and free -- */

static inline uint64_t bench_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state;
}

/* Two numbers below a limit from one random number: from its upper half, and from bits below it. */
static inline size_t bench_below(uint64_t random, size_t limit)
{
    return (random >> 32) * limit >> 32;
}

static inline size_t bench_also_below(uint64_t random, size_t limit)
{
    return (random >> 16 & 0xffff) * limit >> 16;
}

/* -- sizes: each takes a random number -- */

/* As programs ask for: of the requests of g++, python3, perl, lua, sqlite3 and redis-server, each
 * counted while it did typical work and weighted the same, the middle of each 64th. */
static inline size_t bench_real_size(uint64_t random)
{
    static const uint16_t sizes[64] = {10, 10, 10, 10, 10, 12,  16,  16,  16,  16,  16,   16,  16,
                                       21, 23, 24, 24, 24, 24,  24,  24,  24,  24,  25,   26,  28,
                                       29, 30, 31, 32, 32, 32,  32,  32,  32,  35,  35,   36,  39,
                                       40, 40, 40, 40, 48, 52,  54,  56,  56,  56,  56,   56,  63,
                                       64, 66, 68, 80, 96, 104, 120, 154, 248, 944, 1094, 4368};
    return sizes[bench_also_below(random, 64)];
}

/* All sizes of a doubling alike, all doublings from 2^low to 2^high alike. */
static inline size_t bench_doublings(uint64_t random, unsigned low, unsigned high)
{
    size_t base = (size_t)1 << (low + bench_also_below(random, high - low));
    return base + ((random >> 36 & (base - 1)));
}

/* -- rows -- */

struct bench_row {
    const char *name;
    void (*run)(uint64_t count);
};

/* The main() of a program: ROW COUNT. */
static inline int bench_main(int argc, char **argv, const struct bench_row *rows, size_t row_count)
{
    if (argc == 3) {
        for (size_t i = 0; i < row_count; i++) {
            if (strcmp(argv[1], rows[i].name) == 0) {
                rows[i].run(strtoull(argv[2], NULL, 10));
                return 0;
            }
        }
    }
    fprintf(stderr, "usage: %s ROW COUNT\nrows:", argv[0]);
    for (size_t i = 0; i < row_count; i++)
        fprintf(stderr, " %s", rows[i].name);
    fputc('\n', stderr);
    return 2;
}

#endif
