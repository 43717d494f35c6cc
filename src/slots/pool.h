/* pool.h - the chunks that no heap has: what arena.c, which takes them and gets them back, and
 * purge.c, which gives their memory back to the system, both know of.
 *
 * Invariants, under mm_arena_lock:
 *   a chunk that is not taken is in exactly one of `free` and `purging`;
 *   dirty chunks are free, and still hold memory; of these, `old` ones were there when the purge
 *   clock last came by, and `refused` ones the system would not take back since they came;
 *   those in `purging` belong to the thread that gives their memory back, with no lock held;
 *   `given` is what was ever dirty, and only grows;
 *   the bits of chunks beyond the committed end of the arena are clear in all words. */
#ifndef MM_POOL_H
#define MM_POOL_H

#include "slots/arena.h"
#include "system/patience.h"
#include <stdatomic.h>

#define MM_POOL_WORDS 6u /* of a group: the words below */

struct mm_pool {
    /* A word a group: 64 chunks, 4 MiB. Changed under the lock only; who only looks whether there
     * is anything reads them without. */
    _Atomic uint64_t *free, *dirty, *old, *refused, *purging, *given;
    size_t first_group; /* no group below it has a free chunk */
    _Atomic size_t dirty_chunks, refused_chunks, taken_chunks;
    _Atomic size_t others; /* bytes that the program holds beside the arena's */
    _Atomic size_t most;   /* bytes that it ever held of both */
    /* How many chunks may be dirty as long as somebody may come who wants them; see purge.c. */
    _Atomic size_t allowed;
    size_t learned; /* part of it */
    size_t early;   /* chunks that went back as more than that, and may prove to be wanted */
    struct mm_patience patience; /* see may_ask() in purge.c */
    size_t picked;               /* group where more than that was looked for last */
    size_t cursor;               /* group where the purge clock comes by next */
    uint64_t round_started;
    _Atomic uint64_t next_look;
};
extern struct mm_pool mm_pool;

/* Written under the lock, also read without; relaxed, as they tell of nothing but themselves. */
static inline size_t mm_pool_get(const _Atomic size_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static inline void mm_pool_add(_Atomic size_t *count, size_t more)
{
    atomic_store_explicit(count, mm_pool_get(count) + more, memory_order_relaxed);
}

static inline uint64_t mm_pool_bits(const _Atomic uint64_t *words, size_t group)
{
    return atomic_load_explicit(&words[group], memory_order_relaxed);
}

static inline void mm_pool_set_bits(_Atomic uint64_t *words, size_t group, uint64_t bits)
{
    atomic_store_explicit(&words[group], mm_pool_bits(words, group) | bits, memory_order_relaxed);
}

static inline void mm_pool_clear_bits(_Atomic uint64_t *words, size_t group, uint64_t bits)
{
    atomic_store_explicit(&words[group], mm_pool_bits(words, group) & ~bits, memory_order_relaxed);
}

/* Groups below the committed end. */
size_t mm_pool_groups(void);
/* Bytes that the program holds now; and notes whether it is more than ever. */
size_t mm_pool_held(void);
/* `allowed` anew, as a part of it has changed; under the lock. */
void mm_pool_allow(void);
/* Chunks of a group are taken out of `free`, or come into it; under the lock. */
void mm_pool_remove(size_t group, uint64_t run);
void mm_pool_put(size_t group, uint64_t run, uint64_t dirty);

#endif
