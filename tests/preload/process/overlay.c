/* A library preloaded beside the shim that has its own dlsym(), and functions which only that tells
 * of. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#if defined __x86_64__
#define FIRST_VERSION "GLIBC_2.2.5"
#elif defined __aarch64__
#define FIRST_VERSION "GLIBC_2.17"
#endif

#ifdef BY_REFERENCE /* which, in the dynamic linker's order, is the shim's */
extern void *dlsym_of_libc(void *handle, const char *name);
__asm__(".symver dlsym_of_libc, dlsym@" FIRST_VERSION);
#else
static void *dlsym_of_libc(void *handle, const char *name)
{
    static void *(*function)(void *, const char *);
    if (function == NULL)
        function = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", FIRST_VERSION);
    return function(handle, name);
}
#endif

static int answer(void)
{
    return 42;
}

#ifdef WITH_THREAD /* of its own, which looks for something meanwhile */
static void *look_for_something(void *unused)
{
    __typeof__(answer) *found = (__typeof__(answer) *)dlsym(RTLD_DEFAULT, "getppid");
    return found != NULL ? unused : NULL;
}

static void look_in_thread(void)
{
    static bool done;
    pthread_t thread;
    if (!done) {
        done = true;
        if (pthread_create(&thread, NULL, look_for_something, NULL) == 0)
            pthread_join(thread, NULL);
    }
}
#else
static void look_in_thread(void)
{
}
#endif

void *dlsym(void *handle, const char *name)
{
    look_in_thread();
    return strcmp(name, "overlay_answer") == 0 ? (void *)answer : dlsym_of_libc(handle, name);
}
