/* arena.h - the one reserved address range that all slots lie in, and its tables.
 *
 *   lines | chunks | pool words | marks | unit table | arena (chunks of 64 KiB, units of 1 KiB)
 *
 * Only address space is reserved; every part is committed from its start, in steps. A *unit* is
 * the smallest piece that a batch spans, a *chunk* the smallest that a heap takes from the arena,
 * a *line* the 64 bytes that describe a batch (struct mm_batch, batch.h) or are handed out in rows
 * for a heap. All of it is kept away from the slots, so that no overflow of the program reaches it.
 *
 * A chunk is in the pool (pool.h), taken, or just being purged. The pool belongs to the arena lock;
 * a taken chunk's struct and its part of the unit table belong to the heap that took it. Chunks
 * that come back still hold their memory (*dirty*) until they have been unused for two ticks of the
 * purge clock, or are more than the program may soon want; then it goes back to the system, with no
 * lock held. */
#ifndef MM_ARENA_H
#define MM_ARENA_H

#include "system/bitmap.h"
#include "system/os.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MM_UNIT_SHIFT     10u
#define MM_CHUNK_SHIFT    16u
#define MM_UNITS_A_CHUNK  64u
#define MM_CHUNK_ORDER    6u  /* a chunk is 2^6 units */
#define MM_SPAN_ORDER_MAX 10u /* the widest batch: 2^10 units, 1 MiB */
#define MM_LINE_SIZE      64u
#define MM_LINES_A_MARK   64u
#define MM_LINE_NONE      0u /* describes no batch: units refer to it that never were part of one */
#define MM_GRAVE_LINES    1024u /* lines from 1 on that are never handed out, see mm_batch_close() */
#define MM_PURGE_TICK_MS  250u

_Static_assert(MM_UNITS_A_CHUNK == MM_WORD_BITS, "the units of a chunk are the bits of one word");
_Static_assert(1u << (MM_CHUNK_SHIFT - MM_UNIT_SHIFT) == MM_UNITS_A_CHUNK, "chunk and unit agree");

struct mm_batch;
struct mm_heap;

/* A chunk that a heap took. A span wider than a chunk sets only the first one's heap. */
struct mm_chunk {
    uint64_t free_units;  /* no batch spans them */
    uint64_t fresh_units; /* never spanned since the chunk was taken known to be zero */
    uint64_t seen_units;  /* free at the last look of pages.c, too; and those whose memory */
    uint64_t given_units; /* went back there since they became free */
    struct mm_heap *_Atomic heap; /* NULL when in the pool; changed while others look for theirs */
    uint32_t next, prev;          /* chunks of the heap with free units, by index + 1; 0 ends it */
};

/* What the hot path needs of the arena; written before any slot is handed out. */
struct mm_arena {
    uintptr_t base;
    _Atomic size_t size; /* reserved, not committed; 0 when there is no arena; may only shrink */
    _Atomic uint32_t *unit_line; /* a unit's batch, by line; beyond what is committed it reads 0 */
    uintptr_t lines;             /* line 0 */
    _Atomic uint8_t *marks;      /* a byte for MM_LINES_A_MARK lines, see mm_arena_mark() */
};
extern struct mm_arena mm_arena;

static inline size_t mm_arena_size(void)
{
    return atomic_load_explicit(&mm_arena.size, memory_order_relaxed);
}

/* Whether an address lies in what is reserved. */
static inline bool mm_arena_has(uintptr_t address)
{
    size_t offset = address - mm_arena.base;
#ifdef __x86_64__
    /* Compilers keep an atomic load and its comparison apart. */
    bool below;
    __asm__("cmpq %1, %2" : "=@ccb"(below) : "m"(mm_arena.size), "r"(offset));
    return below;
#else
    return offset < mm_arena_size();
#endif
}

/* Other threads may have written to lines near this one, so that fork()'s child need not look at
 * all others. Comes before what it tells of: a child sees a thread's writes up to some moment. */
static inline void mm_arena_mark(uint32_t line)
{
    _Atomic uint8_t *mark = &mm_arena.marks[line / (MM_LINES_A_MARK * MM_LINE_SIZE)];
    if (atomic_load_explicit(mark, memory_order_relaxed) == 0)
        atomic_store_explicit(mark, 1, memory_order_relaxed);
}

/* The first line at or after `line` near which one was marked, or no less than `end`. */
uint32_t mm_arena_next_marked(uint32_t line, uint32_t end);

/* Reserves the arena: `size` bytes, or as much as the machine could fill when 0; less where that
 * is refused. False when none can be had at all. */
bool mm_arena_reserve(size_t size);
/* Gives everything back to the system; nobody may use any of it any more. */
void mm_arena_release(void);

/* Gives up address space, of the arena and its tables, until the arena has a quarter of `limit` or
 * just what is committed; for good. For a program about to limit its address space. A wild pointer
 * into what is given up that another thread frees at that very moment is the one thing that must
 * not be: it may be looked up in a table that just went. */
void mm_arena_shrink(size_t limit);

/* 2^order adjacent chunks, aligned to their length, order 0 to 4. *zero tells whether all of them
 * read as zero. NULL when the arena is used up or the system refuses memory. */
void *mm_arena_take_chunks(unsigned order, bool *zero);
/* False at a moment when it may not wait: the caller keeps them. */
bool mm_arena_give_chunks(void *start, unsigned order);
/* Whether the chunk around an address of the arena was ever given back: what is there now may read
 * as zero, and have been somebody's before. */
bool mm_arena_was_given(uintptr_t address);
/* `count` adjacent lines, zero; never given back. The first one, MM_LINE_NONE when refused. */
uint32_t mm_arena_take_lines(uint32_t count);
/* Behind the last one taken. */
uint32_t mm_arena_lines_end(void);

/* Purges some of what is more than need be kept, at most 4 MiB a call. No lock of ours may be held;
 * nor with the four below. */
void mm_arena_shed(void);
/* The same of what has been unused long enough, by a clock which may be another library's and
 * allocate. Cheap when it is not yet time. What the clock says, in milliseconds. */
uint64_t mm_arena_tick(void);
/* About what it said last, without asking. */
uint64_t mm_arena_last_tick(void);
/* The program holds `others` bytes beside what is taken here. Purges at once what is dirty beyond
 * the most that it ever held of both, but for some MiB: where it never used more before, in a
 * container with little memory, say, it may not be able to. */
void mm_arena_keep_within_most(size_t others);
/* Gives back pages of somebody's who knows that nobody needs what they hold. False when the system
 * refuses, and unasked when it refused before. */
bool mm_arena_purge_pages(void *start, size_t size);
/* Purges all that is unused; bytes purged. */
size_t mm_arena_trim(void);

struct mm_chunk *mm_arena_chunk(size_t index);
/* Chunks below the committed end: bound of a walk. */
size_t mm_arena_chunks(void);
/* Bytes in heaps. */
size_t mm_arena_taken(void);
static inline size_t mm_arena_chunk_index(uintptr_t address)
{
    return (address - mm_arena.base) >> MM_CHUNK_SHIFT;
}

struct mm_arena_usage {
    size_t reserved, committed; /* bytes of slots' address space and of what is usable of it */
    size_t taken, dirty;        /* bytes in heaps; in the pool and not yet purged */
    size_t pooled;              /* bytes in the pool, dirty or not */
    size_t lines;               /* bytes of lines taken */
    size_t metadata;            /* bytes committed for all tables */
    size_t chunks;              /* chunks below the committed end: bound of a walk */
};
struct mm_arena_usage mm_arena_usage(void);

/* For fork(); what its child makes whole again, where there were other threads. */
void mm_arena_after_fork(void);
extern struct mm_lock mm_arena_lock;

#endif
