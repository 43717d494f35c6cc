/* guarded.h - the pool of *guarded slots*: each lies between two pages that nobody may touch, its
 * *fences*, and is closed like them once its block is freed, until it is handed out again, the
 * oldest first. What touches a fence or a closed slot faults there and then.
 *
 *   fence | slot | fence | slot | fence ...      one row for each size: 1, 2, 4 ... pages
 *
 * The pool is made when the first slot is wanted. Pages are closed in one of two ways. By markers
 * (MADV_GUARD_INSTALL), which split no mapping, but drop what is in the page; so what a freed block
 * held is kept aside, as long as that has room. Or by mprotect(), which keeps pages and content,
 * and costs a mapping or two for each slot in use: the number of slots is bounded by a part of the
 * mappings that a process may have.
 *
 * By any thread at any time, nothing is locked: who has a slot, by one atomic step of its state, is
 * alone with it. */
#ifndef MM_GUARDED_H
#define MM_GUARDED_H

#include "system/os.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MM_GUARDED_MOST  ((size_t)64 << 10) /* the largest block that is guarded */
#define MM_GUARDED_SLOTS 16384u             /* more than any pool has */

struct mm_guarded_settings {
    size_t least; /* bytes of all one-page slots; */
    size_t other; /* and of those of each larger size */
    bool marks;   /* closed by markers, where the kernel has them */
    unsigned
        few; /* slots that are made at once; more as time passes, or as there is none to be had */
};
void mm_guarded_start(const struct mm_guarded_settings *settings);
void mm_guarded_stop(void);

extern struct mm_guarded_pool {
    uintptr_t base;
    _Atomic size_t size; /* 0: there is none (yet) */
} mm_guarded;

/* Acquire pairs with the release of who made it. */
static inline bool mm_guarded_has(uintptr_t address)
{
    size_t size = atomic_load_explicit(&mm_guarded.size, memory_order_acquire);
    return size != 0 && address - mm_guarded.base < size;
}

/* A slot's life; each step is one thread's. */
enum mm_guarded_state {
    MM_GUARDED_UNUSED,
    MM_GUARDED_TAKEN, /* about to be handed out */
    MM_GUARDED_LIVE,
    MM_GUARDED_FREED
};

struct mm_guarded_slot {
    unsigned number;      /* of all rows together */
    uintptr_t start, end; /* its pages */
    uintptr_t block;      /* where the block starts; 0: it never had one */
    uintptr_t before;     /* and the one before; 0: none */
    size_t asked;         /* by the block */
    enum mm_guarded_state state;
};

/* Whether there may be one for so many bytes: false while all are live, and after giving up. */
bool mm_guarded_has_room(size_t size);
/* A slot for so many bytes, open, and both fences closed: TAKEN; false when there is none to be
 * had. `may_reuse`: else only one that never was used. */
bool mm_guarded_take(size_t size, size_t alignment, bool may_reuse, struct mm_guarded_slot *slot);
/* The block that is put into it, which ends as near to the slot's end as its alignment allows, or
 * starts where the slot does; and it is live. */
void mm_guarded_place(struct mm_guarded_slot *slot, size_t asked, size_t alignment, bool at_start);
void mm_guarded_hand_out(const struct mm_guarded_slot *slot);
/* True for the first of several frees of a live block. */
bool mm_guarded_strike(const struct mm_guarded_slot *slot);
/* What was struck is closed, and may be handed out again from now on. */
void mm_guarded_close(const struct mm_guarded_slot *slot);

/* The slot that an address of the pool is in; or is beside, in a fence: then `beside` is the one
 * above. Its number is MM_GUARDED_SLOTS where there is none. */
void mm_guarded_find(uintptr_t address, struct mm_guarded_slot *slot,
                     struct mm_guarded_slot *beside);
/* The one whose block is nearest to an address of the pool: between two, in a fence, their
 * distances count. False where none ever had a block. */
bool mm_guarded_nearest(uintptr_t address, struct mm_guarded_slot *slot);
/* The page, or the whole slot, is made accessible, with what was in it. False when the system
 * refuses. */
bool mm_guarded_open(uintptr_t address);
/* The same of all that is closed in a range, of whatever memory: for who passes it to a system
 * call, which faults without a signal. */
void mm_guarded_open_range(uintptr_t start, size_t size);

/* All is open from now on, and no slot is taken any more. */
void mm_guarded_give_up(void);
bool mm_guarded_gave_up(void);
/* In a fork()'s child: slots that another thread was about to open are open, and not used again. */
void mm_guarded_after_fork(void);

/* Calls back for each live block. */
void mm_guarded_each(void (*each)(const struct mm_guarded_slot *slot, void *with), void *with);
/* Live blocks, and the bytes that these asked for. */
size_t mm_guarded_live(size_t *bytes);

#endif
