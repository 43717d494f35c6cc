/* pages.h - pages inside of batches that hold no live slot go back to the system. Contents of free
 * slots are nobody's, but where slots are known to read as zero, and zero is what comes back. */
#ifndef MM_PAGES_H
#define MM_PAGES_H

#include "slots/heap.h"

/* Gives back pages of the heap that were free the last time, too, some MiB further from where it
 * stopped, and sets `next_look`. For the thread that owns the heap, with no lock held. */
MM_COLD void mm_pages_look(struct mm_heap *heap, uint64_t now);

#endif
