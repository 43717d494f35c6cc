/* owner.h - whose memory a pointer points to, in words. */
#ifndef MM_OWNER_H
#define MM_OWNER_H

#include "memory_manager.h"
#include "system/out.h"

/* For a pointer that was found to be a misuse of `kind`. Reads /proc/self/maps for a foreign one.
 * `program` is the path of the program; `text` is for what is told of a module. */
struct mm_place_text;
void mm_owner_describe(struct mm_out *out, enum mem_mngr_misuse_kind kind, const void *ptr,
                       const char *program, struct mm_place_text *text);

/* What stands before that and behind it: what was asked, and what is wrong with the block. No
 * history: NULL. */
struct mm_misuse;
struct mm_stack_history;
void mm_owner_begin(struct mm_out *out, const struct mm_misuse *misuse,
                    const struct mm_stack_history *history);
void mm_owner_end(struct mm_out *out, const struct mm_misuse *misuse);

#endif
