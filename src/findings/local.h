/* local.h - a pointer to the calling thread's stack: whose frame it lies in, and which variable is
 * there, as far as debugging information tells. */
#ifndef MM_LOCAL_H
#define MM_LOCAL_H

#include "findings/finding.h"
#include <stdbool.h>
#include <stdint.h>

struct mm_lookup;

/* From the function on that the bad call returns to. */
void mm_local_find(struct mm_local *local, const void *caller, uintptr_t address);

/* Adds it to the finding's description: by its variable, or else by its function. `lookup` NULL: no
 * tool was asked. */
void mm_local_describe(struct mm_finding *finding, const struct mm_lookup *lookup, bool briefly);

#endif
