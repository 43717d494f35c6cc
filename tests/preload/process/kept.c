/* Beside an allocator that has blocks of its own: keeps.c. */
#include "check.h"

#include <dlfcn.h>
#include <stdlib.h>

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
    return 0;
}
