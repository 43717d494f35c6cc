/* bounds.h - where the block around an address ends, and what a use of memory beyond that is told
 * as. For who knows how much will be read or written: the library of bounds, which stands before
 * libc's functions.
 *
 * Of a live block nothing changes while its owner uses it, so that nothing is locked and nothing
 * waits: what is found of one that another thread frees meanwhile is found of a misuse. By any
 * thread and in signal handlers at any time. */
#ifndef MM_BOUNDS_H
#define MM_BOUNDS_H

#include "memory_manager.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A function is about to use memory, or did. */
struct mm_access {
    const char *function; /* its name */
    uintptr_t start;      /* where it begins */
    size_t size;
    uintptr_t from; /* of an overlap: where the bytes come from; else 0 */
    bool is_write;
    bool is_at_least; /* it is of `size` bytes or more */
    /* What mm_bounds_judge() adds: the block. */
    uintptr_t block;
    size_t asked;
};

/* From now on forwarded blocks' comings and goings are counted (registry.h), and the size of a
 * block is what was asked of it wherever that is kept. */
void mm_bounds_start(void);
/* How many bytes from an address of the arena on are the program's; 0 where none is. And from one
 * of the pool of guarded slots on. */
size_t mm_bounds_room(uintptr_t address);
size_t mm_bounds_room_guarded(uintptr_t address);

/* The same elsewhere, for all addresses from `start` to `end`: they are of a forwarded block, of
 * one that is held, or of none. It holds until a forwarded block comes or goes (registry.h). False
 * when there is no telling at the moment. */
enum mm_bounds_of { MM_BOUNDS_OF_NONE, MM_BOUNDS_OF_BLOCK, MM_BOUNDS_OF_HELD };
struct mm_bounds_range {
    uintptr_t start, end;
    enum mm_bounds_of of;
};
/* A forwarded block is held from now on, or not any more. Of those that are held the last few can
 * be found by any address inside. */
void mm_bounds_held(uintptr_t start, size_t asked);
void mm_bounds_let_go(void);
bool mm_bounds_outside(uintptr_t address, struct mm_bounds_range *range);

/* Whether it is a misuse after all, and of which kind. */
bool mm_bounds_judge(struct mm_access *access, enum mem_mngr_misuse_kind *kind);

#endif
