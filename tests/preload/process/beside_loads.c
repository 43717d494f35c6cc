/* Starts, many of them, beside threads that load and unload a module (loads.c). */
#include "check.h"

#include <dlfcn.h>
#include <unistd.h>

#define STARTS 200

/* What the threads of this process did so far; those of a start may not get that far. */
static unsigned loaded(void)
{
    const unsigned *count = dlsym(RTLD_DEFAULT, "modules_loaded");
    CHECK(count != NULL);
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
    static char err[1 << 12];
    (void)argv;
    if (argc > 1)
        _exit(0); /* libc's own end beside such threads is not what is looked at */
    unsigned before = loaded();
    for (int i = 0; i < STARTS; i++)
        CHECK(exited_with(run_self("again", err, sizeof err), 0));
    CHECK(loaded() != before);
    return 0;
}
