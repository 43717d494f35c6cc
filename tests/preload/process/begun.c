/* Behind the shim is an allocator (begins.c) that registered handlers of fork() when the shim
 * started: the start comes to its end, and they are called. */
#include "check.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern unsigned begins_prepared __attribute__((weak)), begins_in_parent __attribute__((weak)),
    begins_in_child __attribute__((weak));

int main(void)
{
    int status;
    free(malloc(100000));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(begins_prepared == 1 && begins_in_child == 1 ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && exited_with(status, 0));
    CHECK(begins_prepared == 1 && begins_in_parent == 1 && begins_in_child == 0);
    return 0;
}
