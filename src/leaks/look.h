/* look.h - one look for blocks that nothing points to: all other threads stand, what is reached is
 * marked, and what is not is put into groups by the stack that allocated it. When it returns all go
 * on; where a copy of the process is looked through, others do as soon as that is made, and where
 * it is marked as it runs (beside.h) they stand for moments. */
#ifndef MM_LOOK_H
#define MM_LOOK_H

#include "leaks/dangling.h"
#include "leaks/mark.h"
#include "leaks/roots.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mm_look_settings {
    bool leaks, dangling; /* which are wanted; or instead */
    bool all;             /* every live block, as MM_MARK_INDIRECT; no roots are needed */
    bool strict;
    struct mm_roots_settings roots;
    bool in_copy; /* of the process, or beside it: it goes on meanwhile, if that can be done */
    /* Not 0: nor does the calling thread wait for the copy or the helper, which ends the text that
     * goes elsewhere by MM_ANSWER_LATER, and then itself: mm_look_take(). Only one such is at work
     * at a time; a copy in the process's first thread only, as it ends with that which made it. */
    int asker;
    uint32_t first_thread; /* blocks that threads before this one allocated are not told of */
};

struct mm_look_group {
    uint32_t stack;  /* number; 0: not known */
    uint32_t holder; /* of MM_MARK_FREED the same of what the pointers lie in */
    enum mm_mark mark;
    bool is_of_linker; /* not to be told of */
    uintptr_t first;   /* a block of it; 0: there is no such group */
    uint64_t blocks, bytes;
    /* Of MM_MARK_FREED `blocks` are pointers. Of one: where it lies, and where it points to. */
    uintptr_t at;
    size_t offset;
};

enum mm_look_result {
    MM_LOOK_DONE,
    MM_LOOK_LATER,     /* a copy that nobody waits for is at it */
    MM_LOOK_NO_LIST,   /* the system does not tell what is mapped, or which threads there are */
    MM_LOOK_NO_MEMORY, /* or refuses memory */
    MM_LOOK_BUSY       /* another thread is at it */
};

struct mm_look {
    struct mm_look_group *groups; /* the largest first, all possible ones behind the others */
    size_t count, capacity;
    /* All that was found is possible: */
    size_t unsure; /* threads whose registers are not known */
    bool is_cut;   /* or memory or threads that could not be listed or read */
};

static inline bool mm_look_is_unsure(const struct mm_look *look)
{
    return look->unsure != 0 || look->is_cut;
}

enum mm_look_result mm_look(struct mm_look *look, const struct mm_look_settings *settings,
                            const struct mm_here *here);
void mm_look_end(struct mm_look *look);

/* What was found while nobody waited, once it is; false when there is none, or nothing, for this
 * asker. */
bool mm_look_take(int asker, struct mm_look *look, enum mm_look_result *result);

/* In a fork()'s child. */
void mm_look_renew(void);

#endif
