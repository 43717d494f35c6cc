/* access.h - what a function of libc's does to memory, told where that is a misuse. For the library
 * of bounds, which knows of the call. */
#ifndef MM_ENTRY_ACCESS_H
#define MM_ENTRY_ACCESS_H

#include "checks/bounds.h"

/* Looked at again, and told if it is one; `caller` is where the call returns to. Keeps errno. */
void mm_access_tell(const struct mm_access *access, const void *caller);

#endif
