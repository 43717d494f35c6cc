/* before.h - what a look found, by stack and by how it is reached, for the next one to compare
 * with. For one thread at a time, which has `hold`. */
#ifndef MM_BEFORE_H
#define MM_BEFORE_H

#include "leaks/look.h"
#include "system/os.h"

struct mm_before_found {
    uint64_t blocks, bytes;
};

struct mm_before {
    struct mm_hold hold;
    struct mm_before_place *places; /* NULL: there was no look */
    size_t capacity;                /* a power of two */
    uint64_t bytes;                 /* of all */
    uint64_t at;                    /* on the clock of mm_os_milliseconds() */
};

/* In place of what was kept before; false when memory is refused, and nothing is kept. */
bool mm_before_keep(struct mm_before *before, const struct mm_look *look, uint64_t now);
/* Of the same stack and kind; nothing where there was none. */
struct mm_before_found mm_before_find(const struct mm_before *before,
                                      const struct mm_look_group *group);
/* Milliseconds, at least one; 0: there was no look. */
uint64_t mm_before_since(const struct mm_before *before, uint64_t now);
/* In a fork()'s child, which has other blocks to tell of. */
void mm_before_renew(struct mm_before *before);

#endif
