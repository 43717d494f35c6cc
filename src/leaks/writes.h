/* writes.h - which pages of the process are written to while it runs: the kernel protects what is
 * watched, and takes that back for each page that is written to, without a signal or a thread that
 * waits (userfaultfd(2), UFFD_FEATURE_WP_ASYNC, and PAGEMAP_SCAN, ioctl_pagemap_scan(2):
 * Linux 6.7). What is not watched counts as written, as does what was mapped or moved since.
 *
 * For one thread, in whose descriptors all is. Nothing is locked. What a device writes to memory
 * that was pinned for it before is not seen. */
#ifndef MM_WRITES_H
#define MM_WRITES_H

#include "leaks/ranges.h"
#include <stdbool.h>
#include <stddef.h>

struct mm_writes_region;

struct mm_writes {
    int watch_fd, pages_fd;
    struct mm_writes_region *regions; /* as the system tells of them */
};

/* False where the system has no such thing, or refuses it; nothing need be ended then. */
bool mm_writes_start(struct mm_writes *writes);
/* What can't be watched is not; false where somebody else watches. */
bool mm_writes_watch(const struct mm_writes *writes, struct mm_range range);
/* Of what is watched the next write counts, and none before. */
bool mm_writes_forget(const struct mm_writes *writes, struct mm_range range);
/* No write is slowed down any more. In steps, as each keeps others from mapping anything. */
void mm_writes_unwatch(const struct mm_writes *writes, struct mm_range range);
void mm_writes_end(struct mm_writes *writes);

/* Bytes in huge pages. Those are taken apart where they are watched and written to. */
size_t mm_writes_huge(const struct mm_writes *writes, struct mm_range range);

/* Pages that are there and were written to. `anew`: from now on they count as not written, before
 * the callback has them, if they are watched. */
struct mm_writes_search {
    bool anew;
    size_t most; /* pages of either kind, or one more: whatever else there is may be missing then */
    void (*each)(struct mm_range pages, void *with);
    void *with;
};
/* How many there were; SIZE_MAX: the system does not tell. */
struct mm_writes_count {
    size_t watched, others;
};
struct mm_writes_count mm_writes_each(const struct mm_writes *writes, struct mm_range range,
                                      const struct mm_writes_search *search);

#endif
