/* main.c - the command line of `mmshim`, and its first task: to become a program that runs under
 * libmmshim.so. Where the shim takes no effect, it becomes the program without it. */
#include "launcher/base.h"
#include "launcher/check.h"
#include "launcher/gdb.h"
#include "launcher/leaks.h"
#include "launcher/options.h"
#include "launcher/report.h"
#include "launcher/symbolize.h"
#include "launcher/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHIM   "libmmshim.so"
#define BOUNDS "libmmshim_bounds.so"

/* What a developer wants to know, where the environment says nothing else. */
static const struct {
    const char *name, *value;
} defaults[] = {
    {"MM_DEBUG", "1"}, {"MM_LEAKS", "sum"}, {"MM_SYMBOLIZE", "1"}, {"MM_EXITCODE", "99"}};
#define DEFAULTS (sizeof defaults / sizeof defaults[0])

/* Of --tree and what belongs to it. */
static struct launcher_tree tree = {.wait = LAUNCHER_TREE_WAIT};

static bool in_gdb;
static const char *log_option, *tree_option; /* the last that say how to log, what of --tree */

static const char usage[] =
    "Usage: mmshim [option...] program [argument...]      run a program under libmmshim.so\n"
    "       mmshim --gdb program [argument...]            the same, in gdb\n"
    "       mmshim --tree=DIR program [argument...]       the same, and gather what its tree "
    "finds\n"
    "       mmshim --check program [argument...]          say whether the shim takes effect in it\n"
    "       mmshim symbolize [--debug-dir=DIR]... <log    add function, file and line to reports\n"
    "       mmshim leaks PID                              ask a process that runs for its leaks\n"
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
           "  --no-bounds\n"
           "        leave out libmmshim_bounds.so, which holds libc's functions to the block that\n"
           "        they are given; under MM_DEBUG it is preloaded, too\n"
           "  --tree=DIR\n"
           "        gather the JSON reports of all processes in this folder, wait for them, tell\n"
           "        what was found, and end with MM_EXITCODE if any had findings\n"
           "  --wait=SECONDS\n"
           "        of --tree: at most so long for processes that outlive the first (default: %d)\n"
           "  --name=NAME\n"
           "        of --tree: a test's, say; its logs replace those of an earlier run\n"
           "  --abort\n"
           "        of --tree: after findings end by SIGABRT, which no test expects\n"
           "  --gdb\n"
           "        run it in gdb, which stops at each finding\n"
           "  --check, --help, --version\n"
           "        and run nothing\n"
           "\n"
           "Set where you do not set them:",
           LAUNCHER_TREE_WAIT);
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
    char *path = launcher_text("%s%s/%s", folder, below, SHIM);
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

static bool without_bounds;

/* Whether MM_DEBUG is on, set or by default. */
static bool is_debug(void)
{
    const char *value = getenv("MM_DEBUG");
    return value == NULL || strtol(value, NULL, 10) != 0;
}

/* The library of bounds that was made with the shim, beside it; NULL: it is not there, or not to
 * be. */
static char *find_bounds(const char *shim)
{
    const char *name = launcher_base_name(shim);
    char *path = launcher_text("%.*s%s", (int)(name - shim), shim, BOUNDS);
    bool is_wanted = !without_bounds && is_debug();
    return is_wanted && access(path, R_OK) == 0 ? path : NULL;
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
        const char *base = launcher_base_name(copy);
        bool is_shim = strcmp(base, SHIM) == 0 || strcmp(base, BOUNDS) == 0;
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
    const char *bounds = find_bounds(shim);
    return launcher_text("%s%s%s%s%s", shim, bounds != NULL ? ":" : "",
                         bounds != NULL ? bounds : "", *others != '\0' ? ":" : "", others);
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

static _Noreturn void become(const char *path, char **arguments)
{
    execv(path, arguments);
    if (errno == ENOEXEC && launcher_check_interpreter(path) != NULL)
        execvp(path, arguments); /* by /bin/sh */
    int error = errno;
    launcher_say("%s: %s", arguments[0], strerror(error));
    exit(error == ENOENT ? LAUNCHER_NOT_FOUND : LAUNCHER_NOT_EXECUTABLE);
}

/* gdb itself has no shim, of an image's environment or not. */
static _Noreturn void run_in_gdb(const char *others, const char *preload, const char *path,
                                 char **arguments)
{
    set_preload_without_shim(others);
    arguments[0] = launcher_text("%s", path);
    launcher_gdb(preload, arguments);
}

/* Becomes the program: terminal, signals and exit status are then its own. Or stays to watch it. */
static _Noreturn void run(char **arguments)
{
    if (tree.folder == NULL && tree_option != NULL)
        launcher_die("%s: only with --tree=DIR", tree_option);
    if (tree.folder != NULL && in_gdb)
        launcher_die("--gdb and --tree=DIR don't go together");
    if (tree.folder != NULL && log_option != NULL)
        launcher_die("%s: --tree has logs of its own", log_option);
    char *path = path_of(arguments[0]), *shim = find_shim(), *others = other_preloads();
    char *preload = with_shim(shim, others);
    struct launcher_verdict verdict = launcher_check(shim, preload, arguments);
    if (tree.folder != NULL)
        launcher_tree_begin(&tree);
    if (verdict.effect == LAUNCHER_NO_EFFECT) {
        launcher_say("the shim will have no effect: %s; it runs without", verdict.reason);
        set_preload_without_shim(others);
    } else {
        set_environment(preload);
    }
    if (in_gdb)
        run_in_gdb(others, verdict.effect == LAUNCHER_NO_EFFECT ? NULL : preload, path, arguments);
    if (tree.folder != NULL)
        launcher_tree_run(&tree, become, path, arguments);
    become(path, arguments);
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
    {"leaks", launcher_leaks, launcher_leaks_help},
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

/* What is no option of the shim's. */
static bool take_own_option(const char *argument)
{
    const char *value;
    if ((value = launcher_behind(argument, "--tree=")) != NULL && *value != '\0')
        tree.folder = value;
    else if ((value = launcher_behind(argument, "--wait=")) != NULL)
        tree.wait = launcher_tree_seconds(value), tree_option = argument;
    else if ((value = launcher_behind(argument, "--name=")) != NULL && *value != '\0')
        tree.name = value, tree_option = argument;
    else if (strcmp(argument, "--abort") == 0)
        tree.aborts = true, tree_option = argument;
    else if (strcmp(argument, "--gdb") == 0)
        in_gdb = true;
    else if (strcmp(argument, "--no-children") == 0)
        launcher_options_set("--children=0");
    else if (strcmp(argument, "--no-bounds") == 0)
        without_bounds = true;
    else
        return false;
    return true;
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
        if (take_own_option(argument))
            continue;
        if (argument[0] != '-')
            return command(arguments);
        launcher_options_set(argument);
        if (launcher_behind(argument, "--log=") != NULL ||
            launcher_behind(argument, "--format=") != NULL)
            log_option = argument;
    }
    launcher_die("no program (mmshim --help says more)");
}

/* The name that CMake knows valgrind by. */
static bool is_in_place_of_valgrind(const char *name)
{
    return strstr(launcher_base_name(name), "valgrind") != NULL;
}

int main(int count, char **arguments)
{
    char **rest = arguments + (count > 0);
    if (count > 0 && is_in_place_of_valgrind(arguments[0]))
        rest = launcher_tree_as_valgrind(&tree, rest);
    int status = obey(rest);
    if (fflush(stdout) != 0 || ferror(stdout))
        launcher_die("can't write: %s", strerror(errno));
    return status;
}
