/* Built with -D_FORTIFY_SOURCE=3, where libc stops a write beyond what the compiler knows was asked
 * for. What malloc_usable_size() promises is there all the same, for those who ask for it first. */
#include "check.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* What was asked for, and not a byte more, to all that a fortified function does with it. */
static void test_asked(size_t size)
{
    char *block = malloc(size), *text = calloc(2, size);

    CHECK(block != NULL && text != NULL);
    memset(block, 'a', size);
    memcpy(text, block, size);
    block[size - 1] = '\0';
    CHECK(strlen(strcpy(text, block)) == size - 1);
    free(text);
    free(block);
}

/* All that is usable, once the compiler no longer knows better; then by the book: asked for with
 * realloc(), which finds in the slack what was put there, and need not move. */
static void test_usable(size_t size)
{
    char *block = malloc(size);
    size_t usable = malloc_usable_size(block);

    CHECK(block != NULL && usable >= size);
    fill(hide(block), usable, (unsigned)size);
    char *whole = realloc(block, usable);
    CHECK(whole != NULL && malloc_usable_size(whole) >= usable);
    CHECK(filled(whole, usable, (unsigned)size));
    memset(whole, 'b', usable);
    memmove(whole, whole + usable / 2, usable / 2);
    free(whole);
}

int main(void)
{
    for (size_t size = 2; size < 40000; size += size / 50 + 1) {
        test_asked(size);
        test_usable(size);
    }
    test_asked(300000);
    test_usable(300000);
    return 0;
}
