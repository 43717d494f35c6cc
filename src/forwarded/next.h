/* next.h - the allocator behind ours: libc's malloc family, or whatever comes next in the search
 * order of the dynamic linker. Requests that slots do not serve go there. And how libc tells that a
 * thread ends.
 *
 * The library calls libc's functions by their names (next_libc.c); the shim, which has the names of
 * the first itself and may find nobody who has those of the second, looks them up (preload/next.c).
 * Semantics are those of libc. */
#ifndef MM_NEXT_H
#define MM_NEXT_H

#include "system/os.h"
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mm_next_malloc(size_t size);
void *mm_next_calloc(size_t count, size_t size);
void *mm_next_realloc(void *block, size_t size);
void *mm_next_memalign(size_t alignment, size_t size);
/* `size` is what mm_next_size() says of it. */
void mm_next_free(void *block, size_t size);
size_t mm_next_usable_size(void *block);
/* False when somebody else's malloc_usable_size() would answer than whose the blocks are. */
bool mm_next_knows_sizes(void);

/* Whether there are keys for what each thread has of its own: before glibc 2.34 they come with
 * libpthread, which a program may load late. Looks again each time, while there are none. */
bool mm_next_has_keys(void);
bool mm_next_key_create(pthread_key_t *key, void (*at_end)(void *));
void mm_next_key_set(pthread_key_t key, const void *value);

/* For our own account: 0 when not known. */
static inline size_t mm_next_size(void *block)
{
    return mm_next_knows_sizes() ? mm_next_usable_size(block) : 0;
}

/* For mm_registry_around(): the size of a block that may be gone, because somebody gave it back
 * round us (MM_DEEPBIND=keep). 0 when its start, next to which libc keeps the size, is unmapped. */
static inline size_t mm_next_size_if_there(void *block)
{
    return mm_os_is_readable(block) ? mm_next_size(block) : 0;
}

#endif
