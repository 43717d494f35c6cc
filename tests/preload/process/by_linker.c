/* A program that the dynamic linker was asked to run, as wrappers do: reports are of the program,
 * in text, as JSON and in the name of the file that they go to. */
#include "check.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

static char self[PATH_MAX], text[1 << 14];

static int free_twice(void)
{
    void *freed = hide(malloc(40));
    free(freed);
    free(freed);
    return 3;
}

/* Reports go to a file in the current folder, named for the program. */
static void run_by_linker(const char *linker, const char *format)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(setenv("MM_FORMAT", format, 1) == 0 && setenv("MM_LOG", "by_linker.%e", 1) == 0);
        execl(linker, linker, self, "free-twice", (char *)NULL);
        _exit(SKIPPED);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (exited_with(status, SKIPPED))
        exit(SKIPPED); /* emulated: what the emulator shows cannot be run */
    CHECK(exited_with(status, 3));
}

static void read_log(void)
{
    char path[NAME_MAX];
    snprintf(path, sizeof path, "by_linker.%s", strrchr(self, '/') + 1);
    int log = open(path, O_RDONLY);
    CHECK(log >= 0);
    ssize_t got = read(log, text, sizeof text - 1);
    CHECK(got > 0 && unlink(path) == 0);
    text[got] = '\0';
    close(log);
}

int main(int argc, char **argv)
{
    char expected[PATH_MAX + 16];
    Dl_info linker;
    (void)argv;
    if (argc > 1)
        return free_twice();
    if (!interposed())
        return SKIPPED;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    CHECK(dladdr((void *)getauxval(AT_BASE), &linker) != 0);
    run_by_linker(linker.dli_fname, "text");
    read_log();
    snprintf(expected, sizeof expected, "(%s+0x", self);
    CHECK(strstr(text, expected) != NULL);
    CHECK(strstr(text, "/ld-") == NULL);
    run_by_linker(linker.dli_fname, "json");
    read_log();
    snprintf(expected, sizeof expected, "\"program\":\"%s\"", self);
    CHECK(strstr(text, expected) != NULL);
    return 0;
}
