/* main.c - the command line of `mmshim`, and its first task: to become a program that runs under
 * libmmshim.so. Where the shim takes no effect, it becomes the program without it. */
#include "launcher/base.h"
#include "launcher/check.h"
#include "launcher/options.h"
#include "launcher/report.h"
#include "launcher/symbolize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a developer wants to know, where the environment says nothing else. */
static const struct {
    const char *name, *value;
} defaults[] = {{"MM_DEBUG", "1"}, {"MM_SYMBOLIZE", "1"}, {"MM_EXITCODE", "99"}};
#define DEFAULTS (sizeof defaults / sizeof defaults[0])

static const char usage[] =
    "Usage: mmshim [option...] program [argument...]      run a program under libmmshim.so\n"
    "       mmshim --check program [argument...]          say whether the shim takes effect in it\n"
    "       mmshim symbolize [--debug-dir=DIR]... <log    add function, file and line to reports\n"
    "       mmshim report [--junit|--sarif|--github|--prometheus] [PATH...]\n"
    "                                                     tell JSON reports grouped by bug\n"
    "       mmshim sarif [--source-root=DIR] <log.jsonl   turn JSON reports into SARIF 2.1.0\n";

static int help(void)
{
    printf("%s\n"
           "Options; each is also a variable of the environment, --on-error=abort being "
           "MM_ON_ERROR=abort:\n",
           usage);
    launcher_options_help();
    printf("  --no-children\n"
           "        the same as --children=0\n"
           "  --check, --help, --version\n"
           "        and run nothing\n"
           "\n"
           "Set where you do not set them:");
    for (size_t i = 0; i < DEFAULTS; i++)
        printf(" %s=%s", defaults[i].name, defaults[i].value);
    putchar('\n');
    return 0;
}

/* --- the shim --- */

/* The dynamic linker takes these for an end, or for more than they are. */
static bool fits_preload(const char *path)
{
    return strpbrk(path, " :$") == NULL;
}

/* Without links if LD_PRELOAD can hold that, so that it stays right when a link changes. */
static char *shim_at(const char *folder, const char *below)
{
    char *path = launcher_text("%s%s/libmmshim.so", folder, below);
    char *real = realpath(path, NULL);
    if (real == NULL || access(real, R_OK) != 0)
        return NULL;
    if (fits_preload(real))
        return real;
    if (fits_preload(path))
        return path;
    launcher_die("LD_PRELOAD can't hold a path with a space, a colon or a dollar sign: %s", real);
}

/* Beside this program, above it in a build directory, in the lib folder of the same prefix, or
 * where libraries are. */
static char *find_shim(void)
{
    static const char *const libs[] = {"/lib/" MM_TRIPLET, "/lib64", "/lib", NULL};
    const char *home = launcher_home(),
               *prefixes[] = {launcher_text("%s/..", home), "/usr/local", "/usr", NULL};
    char *shim = shim_at(home, "");
    if (shim == NULL)
        shim = shim_at(home, "/..");
    for (const char **prefix = prefixes; *prefix != NULL; prefix++) {
        for (const char *const *lib = libs; *lib != NULL && shim == NULL; lib++)
            shim = shim_at(*prefix, *lib);
    }
    if (shim == NULL)
        launcher_die("libmmshim.so is neither near %s nor where libraries are", home);
    return shim;
}

/* What is preloaded besides, in its order and with what separates it; no shim, whether of an
 * image's environment or another copy. */
static char *other_preloads(void)
{
    const char *all = getenv("LD_PRELOAD");
    char *others = launcher_resize(NULL, all != NULL ? strlen(all) + 1 : 1), *end = others;
    for (const char *name = all; name != NULL && *name != '\0'; name += strspn(name, " :")) {
        size_t length = strcspn(name, " :");
        char *copy = launcher_copy(name, length);
        bool is_shim = strcmp(launcher_base_name(copy), "libmmshim.so") == 0;
        free(copy);
        if (!is_shim && length > 0) {
            if (end > others)
                *end++ = name[-1];
            end = stpncpy(end, name, length);
        }
        name += length;
    }
    *end = '\0';
    return others;
}

static char *with_shim(const char *shim, const char *others)
{
    return launcher_text("%s%s%s", shim, *others != '\0' ? ":" : "", others);
}

/* --- running --- */

static char *path_of(const char *name)
{
    struct stat status;
    char *path =
        strchr(name, '/') != NULL ? launcher_copy(name, strlen(name)) : launcher_in_path(name);
    if (path == NULL || stat(path, &status) != 0) {
        launcher_say("%s: not found", name);
        exit(LAUNCHER_NOT_FOUND);
    }
    if (S_ISDIR(status.st_mode) || access(path, X_OK) != 0) {
        launcher_say("%s: not executable", name);
        exit(LAUNCHER_NOT_EXECUTABLE);
    }
    return path;
}

static void set_environment(const char *preload)
{
    for (size_t i = 0; i < DEFAULTS; i++)
        setenv(defaults[i].name, defaults[i].value, 0);
    setenv("LD_PRELOAD", preload, 1);
}

static void set_preload_without_shim(const char *others)
{
    if (*others != '\0')
        setenv("LD_PRELOAD", others, 1);
    else
        unsetenv("LD_PRELOAD");
}

/* Becomes the program: terminal, signals and exit status are then its own. */
static _Noreturn void run(char **arguments)
{
    char *path = path_of(arguments[0]), *shim = find_shim(), *others = other_preloads();
    char *preload = with_shim(shim, others);
    struct launcher_verdict verdict = launcher_check(shim, preload, arguments);
    if (verdict.effect == LAUNCHER_NO_EFFECT) {
        launcher_say("the shim will have no effect: %s; it runs without", verdict.reason);
        set_preload_without_shim(others);
    } else {
        set_environment(preload);
    }
    execv(path, arguments);
    if (errno == ENOEXEC && launcher_check_interpreter(path) != NULL)
        execvp(path, arguments); /* by /bin/sh */
    int error = errno;
    launcher_say("%s: %s", arguments[0], strerror(error));
    exit(error == ENOENT ? LAUNCHER_NOT_FOUND : LAUNCHER_NOT_EXECUTABLE);
}

/* --- the command line --- */

static bool is_help(const char *argument)
{
    return argument != NULL && (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0);
}

static int check(char **arguments)
{
    if (arguments[0] == NULL)
        launcher_die("--check takes a program");
    if (is_help(arguments[0]))
        return help();
    char *shim = find_shim();
    struct launcher_verdict verdict =
        launcher_check(shim, with_shim(shim, other_preloads()), arguments);
    return launcher_check_tell(arguments[0], &verdict);
}

static const struct subcommand {
    const char *name;
    int (*run)(char *const *arguments);
    const char *help;
} subcommands[] = {
    {"symbolize", launcher_symbolize, launcher_symbolize_help},
    {"report", launcher_report, launcher_report_help},
    {"sarif", launcher_sarif, launcher_sarif_help},
};

static int command(char **arguments)
{
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++) {
        const struct subcommand *subcommand = &subcommands[i];
        if (strcmp(arguments[0], subcommand->name) != 0)
            continue;
        if (!is_help(arguments[1]))
            return subcommand->run(arguments + 1);
        printf("%s", subcommand->help);
        return 0;
    }
    run(arguments);
}

static int obey(char **arguments)
{
    for (; *arguments != NULL; arguments++) {
        const char *argument = *arguments;
        if (is_help(argument))
            return help();
        if (strcmp(argument, "--version") == 0) {
            printf("mmshim %s\n", MM_VERSION);
            return 0;
        }
        if (strcmp(argument, "--check") == 0)
            return check(arguments + 1);
        if (strcmp(argument, "--") == 0 && arguments[1] != NULL)
            run(arguments + 1);
        if (strcmp(argument, "--no-children") == 0)
            launcher_options_set("--children=0");
        else if (argument[0] == '-')
            launcher_options_set(argument);
        else
            return command(arguments);
    }
    launcher_die("no program (mmshim --help says more)");
}

int main(int count, char **arguments)
{
    int status = obey(arguments + (count > 0));
    if (fflush(stdout) != 0 || ferror(stdout))
        launcher_die("can't write: %s", strerror(errno));
    return status;
}
