/* pins.h - which batches' lines are looked at by threads that do not own them.
 *
 * A free by a thread that does not own the batch may be stopped at any step and for any time. A
 * good one keeps its batch open by itself, since its block is live. A second one does not: the
 * batch may be closed meanwhile, and its line describe another one, at another address and of other
 * slots, in which the bit that is set next would be somebody else's. So it pins the line: from
 * there on the line may be closed, but describes no other batch before the pin is gone.
 *
 *   whoever frees               the owner
 *     finds the line L            closes L: the units refer to a grave
 *     pins L                      fence
 *     fence                       L is pinned: it is left alone until the next look
 *     finds L once more           else: L may describe another batch
 *
 * Either the second look finds the grave, or the owner finds the pin: M. Michael, "Hazard Pointers:
 * Safe Memory Reclamation for Lock-Free Objects", 2004. */
#ifndef MM_PINS_H
#define MM_PINS_H

#include "slots/batch.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A place to say which line is pinned; stays where it is for good. */
struct mm_pin {
    _Atomic uint32_t line; /* MM_LINE_NONE: none */
    struct mm_pin *next;
};

/* From now on the owners of lines look at this one, too. */
void mm_pins_add(struct mm_pin *pin);
/* Forgets all but those that are always there. */
void mm_pins_reset(void);
/* In a fork()'s child: what threads without a place of their own pinned is nobody's. */
void mm_pins_drop_shared(void);

/* Pins the batch that spans an address of the arena, in `own`, which is the calling thread's, or,
 * where that is NULL or in use by what a signal handler interrupted, in another place. *batch is
 * NULL when no batch spans the address; nothing is pinned then. What is returned is to be dropped;
 * NULL: nothing. Waits when the system refuses memory for one more place. */
struct mm_pin *mm_pin_batch(struct mm_pin *own, uintptr_t address, struct mm_batch **batch);

static inline void mm_pin_drop(struct mm_pin *pin)
{
    /* Release pairs with the acquire of line_in(): what was done to the batch is over. */
    if (pin != NULL)
        atomic_store_explicit(&pin->line, MM_LINE_NONE, memory_order_release);
}

/* Which of a chain of closed batches (by `next`) are pinned: takes the others out of it, and gives
 * these as a chain. In time that grows with the number of threads. */
uint32_t mm_pins_take_unpinned(uint32_t *closed);
/* Whether somebody pins the line of a batch. What was set in its words before and is not any more
 * after this returned false was withdrawn. Takes as long. */
bool mm_pins_has(const struct mm_batch *batch);
/* How many places there are. */
uint32_t mm_pins_count(void);

#endif
