/* A library with a search path of its own, on whose behalf libc looks for what it opens. */
#include <dlfcn.h>

void *dlopen_outer_open(const char *name);
void *dlopen_outer_open(const char *name)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

    /* Keeps the call above from becoming a jump: libc must see this library as the caller. */
    __asm__ volatile("" : : : "memory");
    return library;
}

void *dlopen_outer_open_in(Lmid_t name_space, const char *name);
void *dlopen_outer_open_in(Lmid_t name_space, const char *name)
{
    void *library = dlmopen(name_space, name, RTLD_NOW | RTLD_LOCAL);

    __asm__ volatile("" : : : "memory");
    return library;
}
