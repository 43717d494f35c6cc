/* quarantine.h - blocks that were freed and are held back for a while, first in first out over the
 * process. A row of addresses and how many bytes they come to; whose they are and what is done with
 * them it does not know.
 *
 * A ring of cells that any thread fills and empties, without a lock: of those who come at once each
 * gets a place of its own by one atomic addition, and a cell tells by its lap whether it was filled
 * yet. Whoever is stopped in the middle keeps blocks held for longer, and nobody waits. */
#ifndef MM_QUARANTINE_H
#define MM_QUARANTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `limit` in bytes; at most one block for 128 of these. False when memory is refused. */
bool mm_quarantine_start(size_t limit);
void mm_quarantine_stop(void);
/* False when there is no room: the block is not held. */
bool mm_quarantine_push(uintptr_t address, size_t bytes);
/* The oldest block, when more is held than should be, or in any case with `all`. Its bytes
 * count until mm_quarantine_took(). 0 when there is none to be had. */
uintptr_t mm_quarantine_pop(bool all);
void mm_quarantine_took(size_t bytes);

/* The block that is `further` places behind the oldest, to be fetched into the cache; 0: none. */
uintptr_t mm_quarantine_ahead(unsigned further);

/* Places in the row of what is held now: from..end-1. What is there, 0 where nothing is; and
 * whether it was still there after all that the caller read before. */
void mm_quarantine_span(uint64_t *from, uint64_t *end);
uintptr_t mm_quarantine_at(uint64_t place);
bool mm_quarantine_has(uint64_t place);
/* The first place of what this process put there itself; before it is its parent's. */
uint64_t mm_quarantine_own(void);

/* In a fork()'s child: what other threads had not filled yet stays empty. */
void mm_quarantine_after_fork(void);

#endif
