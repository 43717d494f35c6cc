/* A C program that opens a C++ library whose news fail: it gets its std::bad_alloc.
 * usage: operators_local LIBRARY */
#include "check.h"

#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    void *library;
    int (*work)(void);
    int failed_line;

    CHECK(argc == 2);
    CHECK(dlsym(RTLD_DEFAULT, "__cxa_throw") == NULL);
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    work = (int (*)(void))dlsym(library, "operators_plugin_work");
    CHECK(work != NULL);
    failed_line = work();
    if (failed_line != 0)
        fprintf(stderr, "operators_plugin.cc:%d: not so\n", failed_line);
    CHECK(failed_line == 0);
    return 0;
}
