/* Large blocks without a question for their sizes, and bad frees of them. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#define LARGE ((size_t)100 << 10)

static int free_badly(void)
{
    char *block = malloc(LARGE);
    free(hide(block + 64));
    free(block);
    free(hide(block));
    return 3;
}

int main(int argc, char **argv)
{
    static char err[1 << 13];
    (void)argv;
    if (argc > 1)
        return free_badly();
    for (size_t size = LARGE; size < 20 * LARGE; size += LARGE / 3) {
        void *block = malloc(size);
        fill(block, size, 1);
        block = realloc(block, 2 * size);
        CHECK(filled(block, size, 1));
        block = realloc(block, size / 2);
        CHECK(filled(block, size / 2, 1));
        free(block);
        block = calloc(1, size);
        CHECK(all_zero(block, size));
        free(block);
        CHECK(posix_memalign(&block, 4096, size) == 0);
        free(block);
    }
    if (!interposed())
        return SKIPPED;
    CHECK(exited_with(run_self("free-badly", err, sizeof err), 3));
    CHECK(occurrences(err, "ERROR: mmshim: ") == 2 && strstr(err, "double-free") != NULL);
    CHECK(strstr(err, "    64 bytes inside a block of ") != NULL);
    return 0;
}
