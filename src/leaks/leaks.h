/* leaks.h - looks for blocks that nothing points to, at exit and when asked, and tells of them. */
#ifndef MM_LEAKS_H
#define MM_LEAKS_H

#include "leaks/roots.h"
#include <stdbool.h>
#include <stddef.h>

struct mm_leaks_settings {
    bool on;     /* otherwise nobody will ask */
    bool strict; /* a pointer to a block's start alone reaches it */
    struct mm_roots_settings roots;
};

/* Before anything else is mapped. */
void mm_leaks_start(const struct mm_leaks_settings *settings);
/* Tells what there is; how many findings, without possible and suppressed ones. A live process goes
 * on meanwhile, but for the calling thread: a copy of it is looked through. No lock of ours may be
 * held. Not in a vfork()'s child, whose memory is its parent's. */
enum mm_leaks_when { MM_LEAKS_AT_EXIT, MM_LEAKS_LIVE };
size_t mm_leaks_look(const struct mm_here *here, enum mm_leaks_when when);
/* In a fork()'s child, before it allocates: what is there is its parent's. */
void mm_leaks_after_fork(void);

#endif
