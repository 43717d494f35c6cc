/* unwanted.h - which findings are not to be told, by rules (suppress.h) and by where they are. */
#ifndef MM_UNWANTED_H
#define MM_UNWANTED_H

#include "findings/finding.h"
#include <stdbool.h>
#include <stddef.h>

/* `only`: the patterns of MM_ONLY, kept for good; NULL: findings of all modules are wanted. */
void mm_unwanted_start(const char *only);
/* One more text of rules, kept for good. In the start, by its thread. */
void mm_unwanted_add(const char *rules, size_t size);

/* Whether any may be unwanted. */
bool mm_unwanted_any(void);
/* Whether this one is, by the names that are known of its frames so far. */
bool mm_unwanted(const struct mm_finding *finding);

#endif
