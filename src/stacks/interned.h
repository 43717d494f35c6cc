/* interned.h - call stacks, each kept once and known by a number. They are up to 2^24 words, and
 * memory is taken as they come. Nothing here takes a lock or calls malloc. */
#ifndef MM_INTERNED_H
#define MM_INTERNED_H

#include "stacks/unwinder.h"
#include <stdbool.h>
#include <stdint.h>

#define MM_INTERNED_BITS 24u /* of an id */

/* False when the system refuses memory; of `few` stacks it is little. */
bool mm_interned_start(bool few);
void mm_interned_stop(void);
/* The id of a stack, 0 when the table is full. */
uint32_t mm_interned_id(const struct mm_frames *stack);
/* How many frames the stack of this id has; 0 when there is none. They are told at `frames`. */
unsigned mm_interned_frames(uint32_t id, const void *frames[static MM_UNWINDER_MOST]);

#endif
