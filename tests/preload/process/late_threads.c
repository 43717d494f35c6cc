/* Threads of a program that is not linked with libpthread: a library that it opens brings that.
 * Each thread's heap goes to the next one, whose count the snapshot at the exit tells. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 20

/* Before glibc 2.34 this is in libdl, which is not there either. */
extern void *__libc_dlopen_mode(const char *path, int mode) __attribute__((weak));
extern void *__libc_dlsym(void *handle, const char *name) __attribute__((weak));
extern void *dlopen(const char *path, int mode) __attribute__((weak));
extern void *dlsym(void *restrict handle, const char *restrict name) __attribute__((weak));

static void *function(const char *name)
{
    if (__libc_dlopen_mode == NULL)
        return dlsym(dlopen("libpthread.so.0", RTLD_NOW), name);
    return __libc_dlsym(__libc_dlopen_mode("libpthread.so.0", RTLD_NOW | (int)0x80000000), name);
}

/* What is kept makes a heap worth to be shown. */
static void *allocate(void *kept)
{
    *(void *volatile *)kept = malloc(100);
    return NULL;
}

int main(void)
{
    __typeof__(pthread_create) *create = (__typeof__(pthread_create) *)function("pthread_create");
    __typeof__(pthread_join) *join = (__typeof__(pthread_join) *)function("pthread_join");
    static void *kept[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (create == NULL || create(&thread, NULL, allocate, &kept[i]) != 0 ||
            join(thread, NULL) != 0)
            return puts("failed"), 1;
    }
    return 0;
}
