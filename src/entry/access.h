/* access.h - what a function of libc's does to memory, told where that is a misuse. For the library
 * of bounds, which knows of the call. */
#ifndef MM_ENTRY_ACCESS_H
#define MM_ENTRY_ACCESS_H

#include "checks/bounds.h"

/* Looked at again, and told if it is one; `caller` is where the call returns to. What is closed of
 * the pool of guarded slots there is opened, as the call goes on. Keeps errno. */
void mm_access_tell(const struct mm_access *access, const void *caller);
/* A fault of the calling thread on the way through such functions was told: what its call did to
 * that block is not told once more. `context` is the handler's. */
void mm_access_faulted(const void *context, uintptr_t block);
/* Said before a call that may use memory of the pool as far as that: it is told of afterwards, by
 * what it did, and a system call must not fail before. Keeps errno. */
void mm_access_begins(uintptr_t start, size_t size);

#endif
