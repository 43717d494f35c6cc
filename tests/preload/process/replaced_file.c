/* Under MM_SYMBOLIZE, a plugin frees badly whose file is another one by then: lines of that other
 * file would be lies.
 * usage: replaced_file PLUGIN OTHER_PLUGIN */
#include "check.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COPY "./replaced_file.so"

static char text[1 << 15];

/* In a new file, under the name of the old one. */
static void copy(const char *path)
{
    static char bytes[1 << 16];
    ssize_t got;
    int from = open(path, O_RDONLY);
    int to = open(COPY ".new", O_WRONLY | O_CREAT | O_TRUNC, 0700);
    CHECK(from >= 0 && to >= 0);
    while ((got = read(from, bytes, sizeof bytes)) > 0)
        CHECK(write(to, bytes, (size_t)got) == got);
    CHECK(got == 0 && close(from) == 0 && close(to) == 0 && rename(COPY ".new", COPY) == 0);
}

static int free_badly(const char *replaced_by)
{
    void *plugin = dlopen(COPY, RTLD_NOW);
    CHECK(plugin != NULL);
    int (*free_twice)(void *, void (*)(void *)) =
        (int (*)(void *, void (*)(void *)))dlsym(plugin, "plugin_free_twice");
    CHECK(free_twice != NULL);
    if (replaced_by != NULL)
        copy(replaced_by);
    free_twice(hide(malloc(40)), free);
    return 3;
}

/* Its stderr is in `text` then. */
static void run(const char *replaced_by)
{
    int ends[2], status;
    size_t used = 0;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO && close(ends[0]) == 0);
        execl("/proc/self/exe", "self", replaced_by, (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)got;
    text[used] = '\0';
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child && exited_with(status, 3));
}

int main(int argc, char **argv)
{
    static const char note[] = "replaced_file.so is not the file that was loaded";
    if (argc < 3)
        return free_badly(argc > 1 ? argv[1] : NULL);
    if (!interposed())
        return SKIPPED;
    copy(argv[1]);
    run(NULL);
    CHECK(strstr(text, "double-free") != NULL && strstr(text, note) == NULL);
    bool has_lines = strstr(text, "strange_plugin.c:") != NULL;
    run(argv[2]);
    CHECK(strstr(text, "double-free") != NULL && strstr(text, "in plugin_free_twice") != NULL);
    CHECK(strstr(text, "strange_plugin.c:") == NULL);
    CHECK(!has_lines || occurrences(text, note) == 1);
    return has_lines ? 0 : SKIPPED;
}
