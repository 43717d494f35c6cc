/* A library preloaded beside the shim that has its own dlsym(), and functions which only that tells
 * of. */
#include <dlfcn.h>
#include <string.h>

#if defined __x86_64__
#define FIRST_VERSION "GLIBC_2.2.5"
#elif defined __aarch64__
#define FIRST_VERSION "GLIBC_2.17"
#endif

static int answer(void)
{
    return 42;
}

void *dlsym(void *handle, const char *name)
{
    static void *(*next)(void *, const char *);
    if (strcmp(name, "overlay_answer") == 0)
        return (void *)answer;
    if (next == NULL)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", FIRST_VERSION);
    return next(handle, name);
}
