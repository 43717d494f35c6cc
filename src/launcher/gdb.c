/* gdb.c - see gdb.h. gdb starts the program by a shell, which a wrapper's text goes to as it is. */
#include "launcher/gdb.h"

#include "launcher/base.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As one word of a shell's, with a space in front. */
static char *with_word(char *text, const char *word)
{
    char *all = launcher_text("%s '", text);
    free(text);
    for (; *word != '\0'; word++) {
        char *shorter = all;
        all = launcher_text(*word == '\'' ? "%s'\\%c'" : "%s%c", shorter, *word);
        free(shorter);
    }
    char *ended = launcher_text("%s'", all);
    free(all);
    return ended;
}

/* Moves the options' variables from the environment to the program's alone. */
static char *take_options(char *wrapper)
{
    for (char **variable = environ; *variable != NULL;) {
        if (launcher_behind(*variable, "MM_") == NULL) {
            variable++;
            continue;
        }
        wrapper = with_word(wrapper, *variable);
        char *name = launcher_copy(*variable, strcspn(*variable, "="));
        unsetenv(name);
        free(name);
    }
    return wrapper;
}

void launcher_gdb(const char *preload, char *const *arguments)
{
    size_t count = 0;
    while (arguments[count] != NULL)
        count++;
    char *wrapper = launcher_text("set exec-wrapper env");
    if (preload != NULL)
        wrapper = take_options(with_word(wrapper, launcher_text("LD_PRELOAD=%s", preload)));
    const char *fixed[] = {"gdb",
                           "-ex",
                           wrapper,
                           "-ex",
                           "set breakpoint pending on",
                           "-ex",
                           "break mmshim_on_finding",
                           "-ex",
                           "set breakpoint pending auto",
                           "--args"};
    size_t fixed_count = sizeof fixed / sizeof fixed[0];
    const char **all = launcher_resize(NULL, (fixed_count + count + 1) * sizeof *all);
    memcpy(all, fixed, sizeof fixed);
    memcpy(all + fixed_count, arguments, (count + 1) * sizeof *all);
    char *path = launcher_in_path("gdb");
    if (path != NULL)
        execv(path, (char *const *)all);
    launcher_die("--gdb needs gdb in PATH%s%s", path != NULL ? ": " : "",
                 path != NULL ? strerror(errno) : "");
}
