/* A program whose own functions have names of libc's and do other things: a report calls none of
 * them. Nothing of check.h here, which needs libc's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *called;

#define OWN(name)                                                                                  \
    int name(void);                                                                                \
    int name(void)                                                                                 \
    {                                                                                              \
        called = #name;                                                                            \
        return -1;                                                                                 \
    }

OWN(access)
OWN(alarm)
OWN(clone)
OWN(close)
OWN(dup2)
OWN(execve)
OWN(fcntl)
OWN(fstat)
OWN(fstatat)
OWN(gethostname)
OWN(getpid)
OWN(gettid)
OWN(madvise)
OWN(mmap)
OWN(mprotect)
OWN(munmap)
OWN(nanosleep)
OWN(open)
OWN(pipe)
OWN(pipe2)
OWN(poll)
OWN(prctl)
OWN(pthread_sigmask)
OWN(read)
OWN(readlink)
OWN(stat)
OWN(sigprocmask)
OWN(statx)
OWN(syscall)
OWN(sysinfo)
OWN(uname)
OWN(waitpid)
OWN(write)

static void need(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s; called: %s\n", what, called != NULL ? called : "nothing");
    exit(1);
}

int main(void)
{
    static char text[1 << 14];
    static int no_block;
    void *volatile pointer = &no_block;
    const char *log = getenv("MM_LOG");
    need(log != NULL, "MM_LOG is set");
    remove(log);
    free(pointer);
    FILE *stream = fopen(log, "r");
    need(stream != NULL, "the report was written");
    fread(text, 1, sizeof(text) - 1, stream);
    fclose(stream);
    need(strstr(text, "foreign-free") != NULL, "the report is there");
    need(strstr(text, "in main") != NULL, "it has the names of functions");
    need(called == NULL, "no function of the program's was called");
    return 0;
}
