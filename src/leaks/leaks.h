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
/* The same of a live process, whose first thread does not wait for the copy: where this is true
 * leaks are not told yet. When the copy is done it sends the signal, and whoever then takes what it
 * found tells it: how many findings. */
struct mm_leaks_asked {
    int signal, asker; /* the latter is found again in what is taken, as look.asker */
};
bool mm_leaks_begin(const struct mm_here *here, enum mm_leaks_when when,
                    struct mm_leaks_asked asked);
struct mm_leaks_found {
    struct mm_look look;
    enum mm_look_result result;
};
/* False as long as there is nothing to take. */
bool mm_leaks_take(struct mm_leaks_found *found);
size_t mm_leaks_tell(struct mm_leaks_found *found, enum mm_leaks_when when);

/* In a fork()'s child, before it allocates: what is there is its parent's. */
void mm_leaks_after_fork(void);

#endif
