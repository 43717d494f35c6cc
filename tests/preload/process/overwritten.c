/* Blocks over 64 KiB whose neighbour in libc's heap overflowed: what libc keeps in front of them is
 * gone. A call of theirs comes to what libc alone makes of it, to the letter, and what is told of
 * others beside them reads nothing of it. */
#include "check.h"

/* mallinfo2() is not in every libc. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum call { FREE, REALLOC, SHRINK, INTERIOR, BEHIND, BEFORE, FOREIGN, NEIGHBOURS, FIGURES, CALLS };

static const size_t sizes[] = {70000, 40 << 20};
static const int fills[] = {0xff, 'A', 0x7f, 0x01, 0};
enum { SIZES = sizeof sizes / sizeof sizes[0], FILLS = sizeof fills / sizeof fills[0] };
enum { RUNS = CALLS * SIZES * FILLS, TRIES = 20 };

static void call(enum call what, char *block, size_t size, char *neighbour)
{
    switch (what) {
    case FREE:
        free(block);
        break;
    case REALLOC:
        free(realloc(block, 2 * size));
        break;
    case SHRINK:
        free(realloc(block, 100));
        break;
    case INTERIOR:
        free(hide(block + 32));
        break;
    case BEHIND:
        free(hide(block + malloc_usable_size(neighbour) + 24));
        break;
    case BEFORE:
        free(hide(block - 24));
        break;
    case FOREIGN:
        free(hide(&size));
        break;
    case NEIGHBOURS:
        free(hide(neighbour + 32));
        break;
    default:
        mallinfo();
    }
}

static int run(int number)
{
    size_t size = sizes[number / CALLS % SIZES];
    char *neighbour = malloc(size), *block = malloc(size), *above = malloc(size);
    CHECK(neighbour != NULL && block != NULL && above != NULL);
    memset(block - 16, fills[number / CALLS / SIZES], 16);
    call((enum call)(number % CALLS), block, size, neighbour);
    return 3;
}

/* With the shim or, when it is `without`, as libc alone has it. */
static int run_again(int number, bool without, char *err, size_t size)
{
    char argument[16], shim[4096];
    const char *preload = getenv("LD_PRELOAD");
    CHECK(preload != NULL && strlen(preload) < sizeof shim);
    strcpy(shim, preload);
    snprintf(argument, sizeof argument, "%d", number);
    if (without)
        CHECK(unsetenv("LD_PRELOAD") == 0);
    int status = run_self(argument, err, size);
    CHECK(setenv("LD_PRELOAD", shim, 1) == 0);
    return status;
}

static void test_run(int number)
{
    static char err[1 << 14], libcs[1 << 14];
    int status = run_again(number, false, err, sizeof err);
    if (number % CALLS > SHRINK) {
        CHECK(exited_with(status, 3));
        CHECK(occurrences(err, "ERROR: mmshim: ") == (number % CALLS != FIGURES));
        return;
    }
    /* What libc makes of it may depend on the addresses that it got. */
    for (unsigned tries = 0; tries < TRIES; tries++) {
        if (run_again(number, true, libcs, sizeof libcs) == status && strcmp(err, libcs) == 0)
            return;
    }
    CHECK(false); /* libc alone comes to something else */
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return run(atoi(argv[1]));
    if (!interposed())
        return SKIPPED;
    for (int number = 0; number < RUNS; number++)
        test_run(number);
    return 0;
}
