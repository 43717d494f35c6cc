/* stress.h - what the stress tests share. Each test is built in two shapes:
 *
 *   plain         calls malloc() and free(): the shim's, when that is preloaded
 *   STRESS_CORE   calls mem_mngr_alloc() and mem_mngr_free(): for sanitizer builds, too
 *
 * STRESS_SCALE divides the work. STRESS_SANITIZED: memory use says nothing of the manager, and the
 * system allocator may be stopped half-way by a fork. */
#ifndef STRESS_H
#define STRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef STRESS_CORE
#include "check_state.h"
#include "memory_manager.h"
#define stress_alloc   mem_mngr_alloc
#define stress_calloc  mem_mngr_calloc
#define stress_realloc mem_mngr_realloc
#define stress_free    mem_mngr_free
#else
#define stress_alloc   malloc
#define stress_calloc  calloc
#define stress_realloc realloc
#define stress_free    free
#endif

_Noreturn static inline void stress_fail(const char *what)
{
    fprintf(stderr, "FAILED: %s\n", what);
    abort();
}

#ifdef STRESS_CORE
static inline void stress_on_misuse(const struct mem_mngr_misuse *misuse, void *user)
{
    (void)user;
    stress_fail(misuse->report);
}
#endif

static inline void stress_start(void)
{
    /* What was measured is seen even if abort() follows, and no child prints it again. */
    setvbuf(stdout, NULL, _IONBF, 0);
#ifdef STRESS_CORE
    struct mem_mngr_config config = {.slots_per_batch = 64, .on_misuse = stress_on_misuse};
    if (mem_mngr_init_with(&config) != 0)
        stress_fail("mem_mngr_init_with()");
#endif
}

/* The test forks beside threads. */
static inline void stress_forks(void)
{
#ifdef STRESS_CORE
    check_forked = true;
#endif
}

/* The manager is whole, bit by bit; while no other thread is inside. */
static inline void stress_walk(void)
{
#ifdef STRESS_CORE
    check_state();
#endif
}

/* The test has freed all its blocks. */
static inline void stress_end(void)
{
    stress_walk();
#ifdef STRESS_CORE
    if (mem_mngr_leave() != 0)
        stress_fail("blocks are live that nobody holds");
#endif
}

/* -- random numbers: xorshift, one state a thread -- */

static inline uint64_t stress_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline uint64_t stress_seed(unsigned number)
{
    return (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

static inline size_t stress_between(uint64_t *random, size_t low, size_t high)
{
    return low + stress_random(random) % (high - low + 1);
}

/* Sizes as programs ask for them: most are small, a few large, one in 200 over the slot limit. */
static inline size_t stress_size(uint64_t *random)
{
    unsigned share = (unsigned)(stress_random(random) % 200);
    if (share < 110)
        return stress_between(random, 8, 64);
    if (share < 170)
        return stress_between(random, 65, 256);
    if (share < 192)
        return stress_between(random, 257, 1024);
    if (share < 197)
        return stress_between(random, 1025, 4096);
    if (share < 199)
        return stress_between(random, 4097, 65536);
    return stress_between(random, 65537, 130000);
}

/* -- blocks: each tells its own size and a tag in its first word, from which all others follow, so
 *    that any thread can check a block that it is handed -- */

enum { STRESS_SIZE_BITS = 20, STRESS_WORD = 8, STRESS_DENSE = 512 };

static inline uint64_t stress_word(uint64_t header, size_t offset)
{
    return (header + offset) * UINT64_C(0x9E3779B97F4A7C15);
}

/* Every word of a small block, one in 64 of a large one: what counts is whether two overlap. */
static inline size_t stress_stride(size_t size)
{
    return size <= STRESS_DENSE ? STRESS_WORD : STRESS_DENSE;
}

static inline void stress_put(unsigned char *at, uint64_t word)
{
    memcpy(at, &word, sizeof word);
}

static inline uint64_t stress_get(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline void stress_fill(unsigned char *block, size_t size, uint64_t tag)
{
    uint64_t header = tag << STRESS_SIZE_BITS | size;
    size_t last = size - STRESS_WORD;
    stress_put(block, header);
    for (size_t at = STRESS_WORD; at + STRESS_WORD <= last; at += stress_stride(size))
        stress_put(block + at, stress_word(header, at));
    if (last >= STRESS_WORD)
        stress_put(block + last, stress_word(header, last));
}

/* Checks the first `limit` bytes, all that a realloc() to less kept, or the whole block. */
static inline void stress_check(const unsigned char *block, size_t limit)
{
    uint64_t header = stress_get(block);
    size_t size = header & ((1u << STRESS_SIZE_BITS) - 1);
    if (size < STRESS_WORD)
        stress_fail("a block's first word is not what was written");
    size_t last = size - STRESS_WORD;
    for (size_t at = STRESS_WORD; at + STRESS_WORD <= last && at + STRESS_WORD <= limit;
         at += stress_stride(size))
        if (stress_get(block + at) != stress_word(header, at))
            stress_fail("a block's content is not what was written");
    if (last >= STRESS_WORD && size <= limit &&
        stress_get(block + last) != stress_word(header, last))
        stress_fail("a block's end is not what was written");
}

/* A new block, by malloc() or, one in eight, calloc(). */
static inline unsigned char *stress_new(uint64_t *random, size_t size)
{
    uint64_t tag = stress_random(random);
    bool zeroed = tag % 8 == 0;
    unsigned char *block = zeroed ? stress_calloc(1, size) : stress_alloc(size);
    if (block == NULL)
        stress_fail("out of memory");
    if ((uintptr_t)block % 16 != 0)
        stress_fail("a block is not aligned to 16");
    if (zeroed) {
        for (size_t at = 0; at + STRESS_WORD <= size; at += stress_stride(size))
            if (stress_get(block + at) != 0)
                stress_fail("calloc() gave a block that is not zero");
    }
    stress_fill(block, size, tag);
    return block;
}

static inline unsigned char *stress_resize(uint64_t *random, unsigned char *block, size_t size)
{
    stress_check(block, SIZE_MAX);
    block = stress_realloc(block, size);
    if (block == NULL)
        stress_fail("out of memory");
    stress_check(block, size);
    stress_fill(block, size, stress_random(random));
    return block;
}

static inline void stress_delete(unsigned char *block)
{
    stress_check(block, SIZE_MAX);
    stress_free(block);
}

/* -- memory -- */

/* Counted page by page: the figures that the kernel keeps lag behind by some pages a thread. */
static inline size_t stress_resident(void)
{
    char line[256];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "Rss: %zu kB", &kib);
    if (kib == 0)
        stress_fail("can't read /proc/self/smaps_rollup");
    fclose(file);
    return kib * 1024;
}

static inline void stress_must_be_flat(size_t before, size_t after, size_t allowed)
{
    printf("resident: %zu KiB, then %zu KiB\n", before / 1024, after / 1024);
#ifdef STRESS_SANITIZED
    (void)allowed;
#else
    if (after > before + allowed)
        stress_fail("memory grows");
#endif
}

#endif
