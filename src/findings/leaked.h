/* leaked.h - how leaked blocks are reached, and since when they are not; or how fast they become
 * more. */
#ifndef MM_LEAKED_H
#define MM_LEAKED_H

#include "findings/finding.h"
#include "system/out.h"

/* Continues what is said of the blocks. */
void mm_leaked_write(struct mm_out *out, const struct mm_leak *leak);

#endif
