/* A program linked with the shim, not started with it. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    static char err[1 << 14];
    char *block;

    CHECK(interposed() && getenv("LD_PRELOAD") == NULL);
    block = malloc(100);
    CHECK(block != NULL);
    block = realloc(block, 100000);
    CHECK(block != NULL);
    free(block);
    if (argc > 1) {
        CHECK(strcmp(argv[1], "free-twice") == 0);
        free(hide(block));
        return 0;
    }
    CHECK(exited_with(run_self("free-twice", err, sizeof(err)), 0));
    CHECK(occurrences(err, "ERROR: mmshim: double-free of 0x") == 1);
    return 0;
}
