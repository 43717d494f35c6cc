/* What overlay.c tells of is found, by any handle, and the malloc family is still one. With an
 * argument, only that. */
#include "check.h"

#include <dlfcn.h>
#include <stdlib.h>

static int ask(void *handle)
{
    int (*answer)(void) = (int (*)(void))dlsym(handle, "overlay_answer");
    return answer != NULL ? answer() : 0;
}

int main(int argc, char **argv)
{
    (void)argv;
    void *libc = dlopen("libc.so.6", RTLD_LAZY);
    CHECK(libc != NULL);
    CHECK(argc > 1 || (ask(RTLD_DEFAULT) == 42 && ask(RTLD_NEXT) == 42 && ask(libc) == 42));
    void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(libc, "malloc");
    void (*release)(void *) = (void (*)(void *))dlsym(libc, "free");
    CHECK(allocate != NULL && release != NULL);
    free(allocate(100));
    release(malloc(100));
    return 0;
}
