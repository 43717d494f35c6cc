/* check_state.h - a walk over everything that the manager keeps: heaps, lists, batches, chunks and
 * units, bit by bit against the invariants that heap.c, batch.h and arena.h state.
 *
 * To be called while no other thread is inside the manager, and no slot was freed by its owner and
 * another thread at the same time since the last collection. */
#ifndef UNIT_CHECK_STATE_H
#define UNIT_CHECK_STATE_H

#include <stdbool.h>
#include <stddef.h>

struct check_sums {
    size_t heaps, batches;
    size_t live;    /* slots handed out */
    size_t waiting; /* slots freed by other threads that their owner has not collected yet */
};
struct check_sums check_state(void);
/* Set by a program whose threads forked: a request that met a fork() which did not end may have
 * kept chunks that are wholly free, rather than wait to give them back. */
extern bool check_forked;

#endif
