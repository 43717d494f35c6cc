/* A library preloaded beside the shim, with functions of libc's that allocate as they look for
 * libc's own the first time: dlsym() makes a message when it does not find a name. */
#include <dlfcn.h>
#include <sys/stat.h>
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

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*function)(clockid_t, struct timespec *);
    if (function == NULL)
        function = (int (*)(clockid_t, struct timespec *))next("clock_gettime");
    return function(clock, now);
}
