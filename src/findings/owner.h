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

#endif
