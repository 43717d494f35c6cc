#include "deepbind_lib.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(size_t size)
{
    return malloc(size);
}

static void *resize(void *block, size_t size)
{
    return realloc(block, size);
}

static void release(void *block)
{
    free(block);
}

static char *copy(const char *text)
{
    return strdup(text);
}

void deepbind_lib_get(struct deepbind_lib *functions);
void deepbind_lib_get(struct deepbind_lib *functions)
{
    *functions = (struct deepbind_lib){allocate, resize, release, copy, (void *)malloc};
}
