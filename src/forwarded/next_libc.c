/* next_libc.c - forwarded/next.h for the library, which is never called by names of libc's. */
#include "forwarded/next.h"

#include <malloc.h>
#include <stdlib.h>

void *mm_next_allocate(enum mm_next_name name, size_t alignment, size_t size)
{
    return name == MM_NEXT_MALLOC   ? malloc(size)
           : name == MM_NEXT_CALLOC ? calloc(1, size)
                                    : memalign(alignment, size);
}

void *mm_next_realloc(enum mm_next_name name, void *block, size_t size)
{
    (void)name;
    return realloc(block, size);
}

void mm_next_free(enum mm_next_whose whose, void *block, size_t size)
{
    (void)whose;
    (void)size;
    free(block);
}

size_t mm_next_usable_size(void *block)
{
    return malloc_usable_size(block);
}

bool mm_next_knows_sizes(void)
{
    return true;
}

bool mm_next_has_keys(void)
{
    return true;
}

bool mm_next_key_create(pthread_key_t *key, void (*at_end)(void *))
{
    return pthread_key_create(key, at_end) == 0;
}

void mm_next_key_set(pthread_key_t key, const void *value)
{
    pthread_setspecific(key, value);
}

bool mm_next_may_call_back(void)
{
    return false;
}
