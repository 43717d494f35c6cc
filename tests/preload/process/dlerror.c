/* What dlerror() has to say waits for whoever asks: an allocator that looks something up with
 * dlsym() in the middle of a request would lose it. */
#include "check.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Large enough to be passed on to libc, which is when there is something to look up. */
#define LARGE ((size_t)100000)

static void fail(void)
{
    CHECK(dlsym(RTLD_DEFAULT, "no such name") == NULL);
}

static void check_error_kept(void)
{
    const char *error = dlerror();

    CHECK(error != NULL && strstr(error, "no such name") != NULL);
}

int main(void)
{
    void *blocks[3];

    fail();
    blocks[0] = malloc(LARGE);
    check_error_kept();
    fail();
    CHECK(malloc_usable_size(blocks[0]) >= LARGE);
    check_error_kept();
    fail();
    blocks[1] = calloc(1, LARGE);
    check_error_kept();
    fail();
    blocks[2] = memalign(256, LARGE);
    check_error_kept();
    fail();
    blocks[0] = realloc(blocks[0], 3 * LARGE);
    check_error_kept();
    fail();
    for (int i = 0; i < 3; i++)
        free(blocks[i]);
    check_error_kept();
    return 0;
}
