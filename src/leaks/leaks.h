/* leaks.h - looks for blocks that nothing points to, at exit and when asked, and tells of them. */
#ifndef MM_LEAKS_H
#define MM_LEAKS_H

#include "leaks/look.h"
#include <stdbool.h>
#include <stddef.h>

struct mm_leaks_settings {
    bool on;              /* otherwise nobody will ask */
    bool leaks, dangling; /* what is looked for */
    bool strict;          /* a pointer to a block's start alone reaches it */
    bool in_sum;          /* at exit, in a line; nothing counts anywhere */
    bool growth;          /* and what has become more since the last look, by who allocated it */
    struct mm_roots_settings roots;
};

/* Before anything else is mapped. */
void mm_leaks_start(const struct mm_leaks_settings *settings);
/* Tells what there is; how many findings, without possible and suppressed ones. A live process goes
 * on meanwhile, but for the calling thread: a copy of it is looked through. No lock of ours may be
 * held. Not in a vfork()'s child, whose memory is its parent's. */
enum mm_leaks_when {
    MM_LEAKS_AT_EXIT,
    MM_LEAKS_LIVE,
    MM_LEAKS_ANSWER /* live, for somebody who asked: all is told, that there is none, too */
};
size_t mm_leaks_look(const struct mm_here *here, enum mm_leaks_when when);
/* The same for somebody who will ask again, by this number, which is not 0. Where it is true leaks
 * are not told yet: the process's first thread does not wait for the copy. */
bool mm_leaks_begin(const struct mm_here *here, int asker);
struct mm_leaks_found {
    struct mm_look look;
    enum mm_look_result result;
};
/* When the same asks again: what was found, which is to be told. False when there is no such. */
bool mm_leaks_take(int asker, struct mm_leaks_found *found);
size_t mm_leaks_tell(struct mm_leaks_found *found, enum mm_leaks_when when);

/* In a fork()'s child, before it allocates: what is there is its parent's. */
void mm_leaks_after_fork(void);

#endif
