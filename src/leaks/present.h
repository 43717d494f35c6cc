/* present.h - which pages of memory hold anything: they are in memory, or swapped out. */
#ifndef MM_PRESENT_H
#define MM_PRESENT_H

#include "leaks/ranges.h"
#include <stdint.h>

#define MM_PRESENT_ENTRIES 4096u

/* Calls back for each row of such pages, in memory order. `fd` is /proc/self/pagemap, `entries` has
 * room for as many; all of it is one row where the system does not tell. Keeps and locks nothing.
 */
void mm_present_each(int fd, uint64_t *entries, struct mm_range range,
                     void (*row)(struct mm_range row, void *with), void *with);

#endif
