/* Blocks that are aligned to 8 only (aligned_to_8.c), good and bad frees of them. */
#include "check.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LARGE    ((size_t)100 << 10)
#define ODD_SIZE 123456u

static int free_badly(void)
{
    char *block = malloc(LARGE), *other = malloc(LARGE);
    CHECK((uintptr_t)block % 16 == 8 && (uintptr_t)other % 16 == 8);
    free(hide(block + 8));
    free(hide(block - 8));
    free(block);
    free(hide(block));
    free(hide(block + 8));
    free(other);
    return 3;
}

/* Not to be noted, and yet a block. */
static void test_odd(void)
{
    char *odd = malloc(ODD_SIZE);
    CHECK((uintptr_t)odd % 8 == 4 && malloc_usable_size(odd) >= ODD_SIZE);
    fill(odd, ODD_SIZE, 1);
    odd = realloc(odd, 2 * LARGE);
    CHECK(filled(odd, ODD_SIZE, 1));
    free(odd);
    free(malloc(ODD_SIZE));
}

int main(int argc, char **argv)
{
    static char err[1 << 14];
    void *blocks[50];
    (void)argv;
    if (argc > 1)
        return free_badly();
    for (unsigned i = 0; i < 50; i++) {
        blocks[i] = i % 2 ? malloc(LARGE + i * 8) : calloc(1, LARGE + i * 8);
        CHECK((uintptr_t)blocks[i] % 16 == 8);
        fill(blocks[i], LARGE, i);
    }
    for (unsigned i = 0; i < 50; i += 3)
        blocks[i] = realloc(blocks[i], i % 2 ? LARGE / 2 : 2 * LARGE);
    for (unsigned i = 0; i < 50; i++) {
        CHECK(filled(blocks[i], LARGE / 2, i));
        free(blocks[i]);
    }
    CHECK(exited_with(run_self("free-badly", err, sizeof err), 3));
    CHECK(occurrences(err, "ERROR: mmshim: ") == 4);
    CHECK(occurrences(err, "interior-free of") == 1 &&
          strstr(err, "    8 bytes inside a block of ") != NULL);
    CHECK(occurrences(err, "double-free of") == 1 && occurrences(err, "foreign-free of") == 2);
    CHECK(strstr(err, "anonymous memory, 8 bytes before a block of ") != NULL);
    test_odd();
    return 0;
}
