/* blocks.h - blocks of malloc() for the rows in C. A block is written to as soon as it is there and
 * read before it is freed, as programs do. */
#ifndef BENCH_BLOCKS_H
#define BENCH_BLOCKS_H

#include "bench.h"

enum { BENCH_PAGE = 4096 };

static inline void *bench_must(void *block)
{
    if (block == NULL) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return block;
}

static inline void *bench_new(size_t size)
{
    uint64_t *block = bench_must(malloc(size));
    *block = size;
    bench_keep(block);
    return block;
}

/* A byte of every page: what it costs to have the memory is counted in, filling it is not. */
static inline void *bench_new_large(size_t size)
{
    char *block = bench_new(size);
    for (size_t at = BENCH_PAGE; at < size; at += BENCH_PAGE)
        block[at] = 1;
    return block;
}

static inline void bench_delete(void *block)
{
    bench_keep((void *)*(volatile uintptr_t *)block);
    free(block);
}

typedef size_t bench_size_fn(uint64_t random);
typedef void *bench_new_fn(size_t size);

/* Replaces blocks at random out of `live` of them, `count` times: the usual picture of a program
 * that has been running for a while. */
__attribute__((always_inline)) static inline void bench_replace(uint64_t *random, void **blocks,
                                                                size_t live, uint64_t count,
                                                                bench_size_fn *size,
                                                                bench_new_fn *new_block)
{
    while (count-- > 0) {
        uint64_t drawn = bench_random(random);
        void **place = &blocks[bench_below(drawn, live)];
        bench_delete(*place);
        *place = new_block(size(drawn));
    }
}

__attribute__((always_inline)) static inline void bench_fill(uint64_t *random, void **blocks,
                                                             size_t live, bench_size_fn *size,
                                                             bench_new_fn *new_block)
{
    for (size_t i = 0; i < live; i++)
        blocks[i] = new_block(size(bench_random(random)));
}

static inline void bench_empty(void **blocks, size_t live)
{
    for (size_t i = 0; i < live; i++)
        bench_delete(blocks[i]);
}

#endif
