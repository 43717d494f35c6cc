/* counting.h - how many slots were handed out, for who wants to know (MM_VERBOSE). Counted as they
 * are claimed, where heaps are watched: neither fast path, nor the claim of a heap that is not
 * watched, has an instruction for it. */
#ifndef MM_COUNTING_H
#define MM_COUNTING_H

#include <stdint.h>

/* When it is decided who watches, and before there is a heap: where nobody does, somebody does who
 * lets all go by. */
void mm_counting_start(void);

/* Slots of a batch are claimed; or given up unused. */
void mm_counting_claim(uint64_t slots);
void mm_counting_give_up(uint64_t slots);

/* So far. What other threads than the calling one have claimed for their next requests is among
 * them. */
uint64_t mm_counting_handed_out(void);

#endif
