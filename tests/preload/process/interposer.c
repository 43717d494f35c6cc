/* A library preloaded beside the shim, with functions of libc's that allocate: all as they look for
 * libc's own the first time, since dlsym() makes a message when it does not find a name, and those
 * that ask for memory or the time at each call. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

static void *next(const char *name)
{
    dlsym(RTLD_NEXT, "an_older_name_that_is_gone");
    return dlsym(RTLD_NEXT, name);
}

int fstat(int fd, struct stat *status)
{
    static int (*function)(int, struct stat *);
    if (function == NULL)
        function = (int (*)(int, struct stat *))next("fstat");
    return function(fd, status);
}

pid_t getpid(void)
{
    static pid_t (*function)(void);
    if (function == NULL)
        function = (pid_t(*)(void))next("getpid");
    return function();
}

int fstatat(int dir, const char *path, struct stat *status, int flags)
{
    static int (*function)(int, const char *, struct stat *, int);
    if (function == NULL)
        function = (int (*)(int, const char *, struct stat *, int))next("fstatat");
    return function(dir, path, status, flags);
}

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    static int (*function)(pthread_key_t *, void (*)(void *));
    if (function == NULL)
        function = (int (*)(pthread_key_t *, void (*)(void *)))next("pthread_key_create");
    return function(key, destructor);
}

/* Small blocks of many sizes, and one that the shim forwards; libc's own calls of mmap() do not
 * come here. */
static void take_note(void)
{
    void *small[64], *large = malloc(100000);
    for (unsigned i = 0; i < 64; i++)
        small[i] = malloc(16 + i * 61);
    free(large);
    for (unsigned i = 0; i < 64; i++)
        free(small[i]);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*function)(clockid_t, struct timespec *);
    static _Thread_local int inside;
    if (!inside) {
        inside = 1;
        take_note();
        inside = 0;
    }
    if (function == NULL)
        function = (int (*)(clockid_t, struct timespec *))next("clock_gettime");
    return function(clock, now);
}

void *mmap(void *at, size_t size, int access, int flags, int fd, off_t offset)
{
    static void *(*function)(void *, size_t, int, int, int, off_t);
    take_note();
    if (function == NULL)
        function = (void *(*)(void *, size_t, int, int, int, off_t))next("mmap");
    return function(at, size, access, flags, fd, offset);
}

int munmap(void *start, size_t size)
{
    static int (*function)(void *, size_t);
    take_note();
    if (function == NULL)
        function = (int (*)(void *, size_t))next("munmap");
    return function(start, size);
}

int mprotect(void *start, size_t size, int access)
{
    static int (*function)(void *, size_t, int);
    take_note();
    if (function == NULL)
        function = (int (*)(void *, size_t, int))next("mprotect");
    return function(start, size, access);
}

int madvise(void *start, size_t size, int advice)
{
    static int (*function)(void *, size_t, int);
    take_note();
    if (function == NULL)
        function = (int (*)(void *, size_t, int))next("madvise");
    return function(start, size, advice);
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    static int (*function)(__rlimit_resource_t, struct rlimit *);
    take_note();
    if (function == NULL)
        function = (int (*)(__rlimit_resource_t, struct rlimit *))next("getrlimit");
    return function(resource, limit);
}

int sysinfo(struct sysinfo *info)
{
    static int (*function)(struct sysinfo *);
    take_note();
    if (function == NULL)
        function = (int (*)(struct sysinfo *))next("sysinfo");
    return function(info);
}
