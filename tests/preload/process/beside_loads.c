/* Starts, many of them, beside threads that load and unload a module (loads.c). */
#include "check.h"

#include <unistd.h>

#define STARTS 200

int main(int argc, char **argv)
{
    static char err[1 << 12];
    (void)argv;
    if (argc > 1)
        _exit(0); /* libc's own end beside such threads is not what is looked at */
    for (int i = 0; i < STARTS; i++)
        CHECK(exited_with(run_self("again", err, sizeof err), 0));
    return 0;
}
