/* kind.h - the kinds of finding, as kinds.def has them. Constant: nobody owns or locks anything. */
#ifndef MM_KIND_H
#define MM_KIND_H

#include "memory_manager.h"
#include <stdbool.h>

enum {
#define KIND(enumerator, ...) MM_INDEX_OF_##enumerator,
#include "findings/kinds.def"
#undef KIND
    MM_KINDS
};

#define MM_KINDS_OF_FREES 3u /* the first kinds, which are looked for always */

struct mm_kind {
    const char *name, *word;
    bool is_certain;
};
extern const struct mm_kind mm_kinds[MM_KINDS]; /* by enum mem_mngr_misuse_kind */

/* The names, each followed by ", ". */
#define MM_KIND_NAME(enumerator, name, ...) name ", "

#endif
