/* dangling.h - pointers that are left to blocks that were freed, in memory that is in use. */
#ifndef MM_DANGLING_H
#define MM_DANGLING_H

#include "leaks/mark.h"
#include "leaks/roots.h"

struct mm_dangling_pointer {
    uintptr_t at;     /* where it lies, */
    uintptr_t holder; /* in the block that starts there; 0: in none */
    uintptr_t block;  /* the start of what was freed */
    size_t offset;    /* where in that it points to */
};

/* Calls back for each pointer into what was freed, in blocks that are marked and in roots but for
 * stacks, as far as blocks' records tell. False when memory is refused. */
bool mm_dangling_each(struct mm_marks *marks, struct mm_roots *roots,
                      void (*each)(const struct mm_dangling_pointer *pointer, void *with),
                      void *with);

#endif
