#include "forwarded/next.h"

#include <malloc.h>
#include <stdlib.h>

void *mm_next_malloc(size_t size)
{
    return malloc(size);
}

void *mm_next_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

void *mm_next_realloc(void *block, size_t size)
{
    return realloc(block, size);
}

void *mm_next_memalign(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

void mm_next_free(void *block, size_t size)
{
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
