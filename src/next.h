/* next.h - the allocator behind ours: libc's malloc family, or whatever comes next in the search
 * order of the dynamic linker. Requests that slots do not serve go there.
 *
 * The library calls libc's functions by their names (next_libc.c); the shim, which has these
 * names itself, looks them up (preload/next.c). Semantics are those of libc. */
#ifndef MM_NEXT_H
#define MM_NEXT_H

#include <stddef.h>

void *mm_next_malloc(size_t size);
void *mm_next_calloc(size_t count, size_t size);
void *mm_next_realloc(void *block, size_t size);
void *mm_next_memalign(size_t alignment, size_t size);
void mm_next_free(void *block);
size_t mm_next_usable_size(void *block);

#endif
