/* Beside an allocator that has blocks of its own: keeps.c. */
#include "check.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

/* malloc() is declared to call nothing of this file. */
static void *volatile small, *volatile large;

/* Blocks of the program's, in the middle of the allocator's call. */
static void handle(void)
{
    CHECK(malloc_usable_size(small) >= 100);
    free(small);
    free(large);
    large = malloc(300000);
    small = realloc(malloc(10), 5000);
}

static void test_handler(void)
{
    void (**handler)(void) = (void (**)(void))dlsym(RTLD_DEFAULT, "keeps_handler");
    CHECK(handler != NULL);
    small = malloc(100);
    large = malloc(200000);
    void *small_before = small;
    *handler = handle;
    free(malloc(100000));
    CHECK(*handler == NULL && small != small_before && malloc_usable_size(small_before) == 0);
    CHECK(malloc_usable_size(large) >= 300000 && malloc_usable_size(small) >= 5000);
    free(small);
    free(large);
}

int main(void)
{
    void (*give_back)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "keeps_give_back");
    CHECK(give_back != NULL);
    for (int round = 0; round < 3; round++) {
        void *block = malloc(200000);
        CHECK(block != NULL);
        free(block);
        give_back();
    }
    test_handler();
    return 0;
}
