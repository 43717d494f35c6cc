/* More small blocks than a small arena holds. */
#include "check.h"

#include <stdint.h>
#include <stdlib.h>

enum { BLOCKS = 200000 };

int main(void)
{
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = i % 2 ? malloc(i % 9) : realloc(malloc(1), i % 8 + 1);
        CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % 16 == 0);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return 0;
}
