/* groups.h - what a look found, put into groups by the stack that allocated it. All state is the
 * caller's struct mm_look; for one thread. */
#ifndef MM_GROUPS_H
#define MM_GROUPS_H

#include "leaks/look.h"

#define MM_GROUPS ((size_t)1 << 16) /* a power of two */

struct mm_grouping {
    struct mm_look *look; /* with room for so many groups, all 0 */
    const struct mm_look_settings *settings;
};

/* One more block, for mm_marks_each(), or pointer, for mm_dangling_each(). */
void mm_groups_block(uintptr_t start, size_t size, enum mm_mark mark, void *grouping);
void mm_groups_pointer(const struct mm_dangling_pointer *pointer, void *grouping);
bool mm_groups_have_possible(const struct mm_look *look);
/* In the end: the order that look.h promises. */
void mm_groups_sort(struct mm_look *look);

#endif
