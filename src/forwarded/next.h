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

/* The functions that hand out memory: its own, and libc's own where these have other names. */
enum mm_next_name {
    MM_NEXT_MALLOC,
    MM_NEXT_CALLOC,
    MM_NEXT_REALLOC, /* of NULL, to hand out */
    MM_NEXT_REALLOCARRAY,
    MM_NEXT_MEMALIGN,
    MM_NEXT_ALIGNED_ALLOC,
    MM_NEXT_POSIX_MEMALIGN,
    MM_NEXT_VALLOC,
    MM_NEXT_PVALLOC,
    MM_NEXT_LIBC_MALLOC,
    MM_NEXT_LIBC_CALLOC,
    MM_NEXT_LIBC_REALLOC,
    MM_NEXT_LIBC_MEMALIGN
};
/* The alignment is for those that take one. */
void *mm_next_allocate(enum mm_next_name name, size_t alignment, size_t size);
/* One of the three names of it. */
void *mm_next_realloc(enum mm_next_name name, void *block, size_t size);

enum mm_next_whose { MM_NEXT_ITS, MM_NEXT_LIBCS };
/* `size` is what is known of it: what mm_next_size() said, or 0. */
void mm_next_free(enum mm_next_whose whose, void *block, size_t size);
/* Reads what libc keeps before the block: not for a block that the program may have overflowed. */
size_t mm_next_usable_size(void *block);
/* False when somebody else's malloc_usable_size() would answer than whose the blocks are. */
bool mm_next_knows_sizes(void);
/* Whether another library's functions stand there, which may call each other, and so us, by their
 * exported names. */
bool mm_next_may_call_back(void);

/* Whether there are keys for what each thread has of its own: before glibc 2.34 they come with
 * libpthread, which a program may load late. Looks again each time, while there are none. */
bool mm_next_has_keys(void);
bool mm_next_key_create(pthread_key_t *key, void (*at_end)(void *));
void mm_next_key_set(pthread_key_t key, const void *value);

/* Of a block that was handed out just now: 0 when not known. */
static inline size_t mm_next_size(void *block)
{
    return mm_next_knows_sizes() ? mm_next_usable_size(block) : 0;
}

#endif
