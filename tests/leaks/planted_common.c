/* planted_common.c - see planted.h. */
#include "planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) void **take(size_t size)
{
    void **block = malloc(size);
    if (block == NULL)
        abort();
    memset(block, 0, size);
    return hidden(block);
}

__attribute__((noinline)) void wipe(void)
{
    volatile char below[32768];
    for (size_t i = 0; i < sizeof below; i++)
        below[i] = 0;
#ifdef __x86_64__
    __asm__ volatile("xor %%ebx, %%ebx\n\txor %%r12d, %%r12d\n\txor %%r13d, %%r13d\n\t"
                     "xor %%r14d, %%r14d\n\txor %%r15d, %%r15d" ::
                         : "rbx", "r12", "r13", "r14", "r15");
#endif
}

int planted_main(const struct planted *cases, size_t count, int argc, char **argv)
{
    for (size_t i = 0; i < count; i++) {
        if (argc == 1)
            puts(cases[i].name);
        else if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run();
            wipe();
            return 0;
        }
    }
    return argc == 1 ? 0 : 99;
}
