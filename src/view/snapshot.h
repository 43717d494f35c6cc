/* snapshot.h - the state of the manager as text. */
#ifndef MM_SNAPSHOT_H
#define MM_SNAPSHOT_H

#include "system/out.h"
#include <stddef.h>

/* Copies the state, then writes it: totals, then per heap its lists, batches and live bitmaps.
 * Other threads may run meanwhile. `head` starts the first line; of each list at most
 * `batches_shown` batches get a line of their own, 0 means all. */
void mm_snapshot_write(struct mm_out *out, const char *head, size_t batches_shown);

struct mm_snapshot_sums {
    size_t live, live_bytes; /* slots handed out now */
};
struct mm_snapshot_sums mm_snapshot_sums(void);

#endif
