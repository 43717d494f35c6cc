/* mismatch.h - whether a block is freed by the family of functions that allocated it, and with the
 * size and alignment that it was asked for. Locks nothing. */
#ifndef MM_MISMATCH_H
#define MM_MISMATCH_H

#include "checks/checks.h"

/* `how` the block is freed, by a call that returns to `caller`; a size of 0 is none. False in any
 * doubt: where who allocated is not known, or a module of the two brings operators of its own,
 * which may end in malloc() and free(), or may bring them. */
bool mm_checks_mismatch(const struct mm_block *block, mm_shape how, const void *caller,
                        enum mem_mngr_misuse_kind *kind);

#endif
