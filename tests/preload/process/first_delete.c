/* first_delete PLUGIN - a program in C opens a plugin in C++ that waits, as it is loaded, for a
 * thread of its own: the end of that is the process's first delete of some kind, while the loader's
 * lock is held. */
#include "check.h"

#include <dlfcn.h>

int main(int argc, char **argv)
{
    CHECK(argc == 2 && dlopen(argv[1], RTLD_NOW) != NULL);
    return 0;
}
