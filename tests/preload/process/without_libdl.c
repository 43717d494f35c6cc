/* A program that uses dlopen() where there is one. Before glibc 2.34 there is none in a program
 * without libdl, but for the shim's: then it says that nothing can be opened. */
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>

#pragma weak dlopen
#pragma weak dlmopen
#pragma weak dlsym

int main(void)
{
    int minor = atoi(gnu_get_libc_version() + 2);
    void *self = dlopen != NULL ? dlopen(NULL, RTLD_LAZY) : NULL;
    void *found = dlsym != NULL ? dlsym(self, "getpid") : NULL;
    void *other = dlmopen != NULL ? dlmopen(LM_ID_BASE, "libc.so.6", RTLD_LAZY) : NULL;
    int works = self != NULL && found != NULL && other != NULL;
    int fails = self == NULL && found == NULL && other == NULL;
    if (minor >= 34 ? !works : !fails) {
        printf("dlopen: %p, dlsym: %p, dlmopen: %p\n", self, found, other);
        return 1;
    }
    return 0;
}
