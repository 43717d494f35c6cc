/* planted.c - the bug that a user is after: a handle is closed twice. */
#include <stdlib.h>

static inline __attribute__((always_inline)) void drop(void *handle)
{
    free(handle);
}

__attribute__((noinline)) static void close_handle(void *handle)
{
    drop(handle);
    __asm__ volatile(""); /* keeps the call from becoming a jump */
}

int main(int argc, char **argv)
{
    void *volatile handle = malloc(40);
    (void)argv;
    close_handle(handle);
    if (argc == 1)
        close_handle(handle); /* the line at fault */
    return 3;
}
