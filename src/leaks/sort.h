/* sort.h - sorts in place, without recursion or memory of its own. */
#ifndef MM_SORT_H
#define MM_SORT_H

#include <stdbool.h>
#include <stddef.h>

#define MM_SORT_MOST 64u /* bytes of an entry */

void mm_sort(void *entries, size_t count, size_t size,
             bool (*comes_before)(const void *one, const void *other));

#endif
