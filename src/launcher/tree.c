/* tree.c - starts a program, waits for its tree, and ends with what the tree's logs say; see
 * tree.h. Whoever belongs to the tree is known by MM_LOG in its environment, or by the shim's
 * mark. Signals to the launcher go on to the program; `program` is all that the handler needs. */
#include "launcher/tree.h"

#include "launcher/base.h"
#include "launcher/outcome.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENDING    "@%p.jsonl"
#define PROCESSES "processes-" /* behind a stem: a list of them; then whose it is */
#define NAME_MOST 120u         /* bytes of a name; a file's has 255 */
#define TRIES     100u

static char *stem;            /* of all logs' names, in the folder: up to the @, and with it */
static char *pattern;         /* MM_LOG up to there */
static char *lists;           /* how the paths of this tree's lists begin, and of those in it */
static char *started;         /* MM_PROCESSES; of this tree alone; NULL: it could not be made */
static char *started_outside; /* of the tree that this one is a part of; NULL: it is none */

/* --- the logs' names --- */

/* What may be in a file's name, and is neither a part's end nor a % to MM_LOG. */
static char *encoded(const char *name)
{
    char *text = launcher_resize(NULL, 3 * strlen(name) + 1), *to = text;
    for (; *name != '\0'; name++) {
        if (isalnum((unsigned char)*name) || strchr("._-", *name) != NULL)
            *to++ = *name;
        else
            to += sprintf(to, "+%02x", (unsigned char)*name);
    }
    *to = '\0';
    if (strlen(text) <= NAME_MOST)
        return text;
    return launcher_text("%.*s+%016" PRIx64, (int)NAME_MOST, text, launcher_hash(0, text));
}

static char *name_of(const struct launcher_tree *tree)
{
    if (tree->name != NULL)
        return encoded(tree->name);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return launcher_text("%lld.%03ld-%ld", (long long)now.tv_sec, now.tv_nsec / 1000000,
                         (long)getpid());
}

static char *percents_doubled(const char *path)
{
    char *text = launcher_resize(NULL, 2 * strlen(path) + 1), *to = text;
    for (; *path != '\0'; path++) {
        *to++ = *path;
        if (*path == '%')
            *to++ = '%';
    }
    *to = '\0';
    return text;
}

/* The stem of the tree that this one is a part of; "" when there is none that shares the folder. */
static char *outer_stem(const char *folder)
{
    const char *log = getenv("MM_LOG");
    const char *name = log != NULL ? launcher_behind(log, folder) : NULL;
    const char *end = name != NULL ? strstr(name, ENDING) : NULL;
    if (end == NULL || *name != '/' || strchr(name + 1, '/') != NULL)
        return launcher_text("%s", "");
    return launcher_text("%.*s@", (int)(end - name - 1), name + 1);
}

/* --- before the start --- */

static void make_folder(const char *path)
{
    char *part = launcher_text("%s", path);
    for (char *slash = part; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        mkdir(part, 0777);
    }
    free(part);
    if (mkdir(path, 0777) == 0) {
        /* A server that gives up root is to write there still. */
        if (geteuid() == 0 && chmod(path, 01777) != 0)
            launcher_die("%s: %s", path, strerror(errno));
    } else if (errno != EEXIST) {
        launcher_die("%s: %s", path, strerror(errno));
    }
}

/* Whether a file is the list of a run by the same name that goes on. */
static bool is_in_use(const char *list)
{
    const char *id = launcher_behind(list, PROCESSES);
    pid_t launcher = id != NULL ? (pid_t)strtol(id, NULL, 10) : 0;
    return launcher > 0 && launcher != getpid() && (kill(launcher, 0) == 0 || errno == EPERM);
}

static void remove_logs(const char *folder)
{
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        const char *part = launcher_behind(entry->d_name, stem);
        if (part != NULL && !is_in_use(part))
            unlinkat(dirfd(entries), entry->d_name, 0);
    }
    if (entries != NULL)
        closedir(entries);
}

/* Several runs may have one name, and one that was killed leaves its list. Nobody else's file or
 * link is taken for it. */
static int make_list(void)
{
    for (unsigned i = 0; i < TRIES; i++) {
        started = launcher_text("%s" PROCESSES "%ld-%u", lists, (long)getpid(), i);
        int file = open(started, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0)
            return file;
        free(started);
        started = NULL;
        if (errno != EEXIST)
            break;
    }
    return -1;
}

/* Who gives up root is to write there still. Without a list of its own the tree does all else, and
 * those around it get the lines at once. */
static void count_processes(const char *folder)
{
    const char *before = getenv("MM_PROCESSES");
    started_outside = before != NULL ? launcher_text("%s", before) : NULL;
    lists = launcher_text("%s/%s", folder, stem);
    int file = make_list();
    if (file < 0)
        return;
    if (geteuid() == 0)
        fchmod(file, 0666);
    close(file);
    setenv("MM_PROCESSES", started, 1);
}

long launcher_tree_seconds(const char *text)
{
    char *end;
    errno = 0;
    long seconds = strtol(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end != '\0' || errno != 0 || seconds > INT_MAX)
        launcher_die("--wait=%s: takes seconds, 0 to %d", text, INT_MAX);
    return seconds;
}

void launcher_tree_begin(struct launcher_tree *tree)
{
    make_folder(tree->folder);
    tree->folder = realpath(tree->folder, NULL);
    if (tree->folder == NULL || access(launcher_text("%s/.", tree->folder), W_OK) != 0)
        launcher_die("--tree: %s", strerror(errno));
    char *folder = percents_doubled(tree->folder);
    stem = launcher_text("%s%s@", outer_stem(folder), name_of(tree));
    pattern = launcher_text("%s/%s", folder, stem);
    char *log = launcher_text("%s%s", pattern, &ENDING[1]);
    if (strlen(log) >= 1000)
        launcher_die("--tree=%s: too long a path", tree->folder);
    setenv("MM_LOG", log, 1);
    setenv("MM_FORMAT", "json", 1);
    if (tree->name != NULL)
        remove_logs(tree->folder);
    count_processes(tree->folder);
}

/* --- who still runs --- */

static char *read_of_process(const char *id, const char *file, size_t *size)
{
    char *path = launcher_text("/proc/%s/%s", id, file), *text = NULL;
    FILE *opened = fopen(path, "r");
    if (opened != NULL) {
        text = launcher_read_all(opened, size);
        fclose(opened);
    }
    free(path);
    return text;
}

/* Of which the environment tells it. A zombie has none any more. */
static bool has_log(const char *id)
{
    size_t size, length = strlen("MM_LOG=");
    char *variables = read_of_process(id, "environ", &size);
    bool found = false;
    for (char *at = variables; at != NULL && at < variables + size && !found; at += strlen(at) + 1)
        found =
            strncmp(at, "MM_LOG=", length) == 0 && launcher_behind(at + length, pattern) != NULL;
    free(variables);
    return found;
}

/* Where a program shows its title, its environment was: the shim's mark, see mm_os_map_mark(), of
 * the list of this tree or of one in it. */
static bool has_mark(const char *id)
{
    size_t size;
    char *maps = read_of_process(id, "maps", &size), *rest;
    bool found = false;
    for (char *line = maps != NULL ? strtok_r(maps, "\n", &rest) : NULL; line != NULL && !found;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *path = strstr(line, lists);
        found = path != NULL && strstr(path, PROCESSES) != NULL;
    }
    free(maps);
    return found;
}

/* In ticks since the system's start; 0: not known. */
static unsigned long long began_at(const char *id)
{
    size_t size;
    unsigned long long ticks = 0;
    char *text = read_of_process(id, "stat", &size);
    const char *behind_name = text != NULL ? strrchr(text, ')') : NULL;
    if (behind_name != NULL)
        sscanf(behind_name,
               ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
               &ticks);
    free(text);
    return ticks;
}

static bool is_of_tree(const char *id)
{
    return has_log(id) || (began_at(id) >= began_at("self") && has_mark(id));
}

/* Their names and ids, ", " between; NULL: none. */
static char *who_still_runs(void)
{
    char *list = NULL;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; processes != NULL && (entry = readdir(processes)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0]) || atol(entry->d_name) == getpid() ||
            !is_of_tree(entry->d_name))
            continue;
        size_t size = 0;
        char *name = read_of_process(entry->d_name, "comm", &size), *before = list;
        int length = name != NULL ? (int)strcspn(name, "\n") : 0;
        list = launcher_text("%s%s%.*s (%s)", before != NULL ? before : "",
                             before != NULL ? ", " : "", length, name, entry->d_name);
        free(before);
        free(name);
    }
    if (processes != NULL)
        closedir(processes);
    return list;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#define LOOKS 3

/* Who is just becoming another program has no environment for a moment: none is none three times.
 */
static char *who_surely_runs(void)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    char *list = who_still_runs();
    for (unsigned look = 1; look < LOOKS && list == NULL; look++) {
        nanosleep(&pause, NULL);
        list = who_still_runs();
    }
    return list;
}

/* False when some still run. */
static bool wait_for_rest(long seconds)
{
    int64_t end = milliseconds() + (int64_t)seconds * 1000;
    char *list;
    for (long nap = 10; (list = who_surely_runs()) != NULL && milliseconds() < end;) {
        struct timespec pause = {.tv_nsec = nap * 1000000};
        nanosleep(&pause, NULL);
        nap = nap < 200 ? 2 * nap : nap;
        free(list);
    }
    if (list == NULL)
        return true;
    launcher_say("still running after %ld s (--wait): %s; what they find from here on has no part "
                 "in the exit status",
                 seconds, list);
    free(list);
    return false;
}

/* --- the program --- */

static volatile pid_t program;

/* What a terminal sends, it sends to the program, too. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code <= 0 && program > 0)
        kill(program, number);
}

static const int passed_on[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                                SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};

/* What is ignored stays so. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++) {
        if (sigaction(passed_on[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(passed_on[i], &action, NULL);
    }
}

static pid_t start(void (*become)(const char *path, char **arguments), const char *path,
                   char **arguments)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    /* Where SIGCHLD is ignored, the system keeps no status. */
    void (*child_handler)(int) = signal(SIGCHLD, SIG_DFL);
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        launcher_die("can't start a process: %s", strerror(errno));
    if (child == 0) {
        signal(SIGCHLD, child_handler);
        sigprocmask(SIG_SETMASK, &before, NULL);
        become(path, arguments);
    }
    program = child;
    catch_signals();
    sigprocmask(SIG_SETMASK, &before, NULL);
    return child;
}

static int wait_for(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            launcher_die("can't wait for the program: %s", strerror(errno));
    }
    program = 0;
    return status;
}

/* --- the end --- */

#ifdef MM_COVERAGE
void __gcov_dump(void);
#endif

/* The core, if any, is to be the program's. */
static _Noreturn void end_by(int number)
{
    sigset_t none;
    struct rlimit no_core = {0, 0};
    fflush(NULL);
    setrlimit(RLIMIT_CORE, &no_core);
    signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
#ifdef MM_COVERAGE
    __gcov_dump(); /* else an end by a signal leaves no counts */
#endif
    raise(number);
    exit(128 + number);
}

/* Of what cmake -T memcheck knows of valgrind's findings, by the start of their line. */
static const char *as_valgrind_says(const char *kind)
{
    if (strstr(kind, "mismatched") != NULL)
        return "Mismatched free() / delete / delete []";
    if (strstr(kind, "-free") != NULL && strcmp(kind, "use-after-free") != 0)
        return "Invalid free() / delete / delete[]";
    return "Invalid write of size 1";
}

static void write_memcheck_log(const char *path, const struct launcher_findings *findings)
{
    FILE *log = fopen(path, "w");
    if (log == NULL)
        launcher_die("%s: %s", path, strerror(errno));
    for (size_t i = 0; i < findings->bug_count; i++) {
        const struct launcher_bug *bug = &findings->bugs[i];
        char *margin = launcher_text("==%lld== ", findings->processes[bug->processes[0]].id);
        fprintf(log, "%s%s\n%s%s\n%s\n%s\n", margin,
                as_valgrind_says(launcher_text_of(bug->finding, "kind", "?")), margin,
                launcher_bug_title(bug), launcher_bug_text(findings, bug, margin), margin);
    }
    if (fclose(log) != 0)
        launcher_die("%s: %s", path, strerror(errno));
}

/* MM_EXITCODE, if it is one. */
static int exit_code(void)
{
    const char *text = getenv("MM_EXITCODE");
    char *end;
    long code = text != NULL ? strtol(text, &end, 10) : 0;
    return code > 0 && code < 256 && *end == '\0' ? (int)code : 0;
}

static _Noreturn void end_with(const struct launcher_tree *tree, bool is_guilty, int status)
{
    if (is_guilty && tree->aborts)
        end_by(SIGABRT);
    if (is_guilty && exit_code() != 0)
        exit(exit_code());
    if (WIFSIGNALED(status))
        end_by(WTERMSIG(status));
    exit(WEXITSTATUS(status));
}

void launcher_tree_run(const struct launcher_tree *tree,
                       void (*become)(const char *path, char **arguments), const char *path,
                       char **arguments)
{
    int status = wait_for(start(become, path, arguments));
    bool have_all_ended = wait_for_rest(tree->wait);
    char *const folders[] = {(char *)(uintptr_t)tree->folder, NULL};
    struct launcher_findings findings = launcher_findings_read(folders, stem);
    struct launcher_processes processes = launcher_processes_read(started, &findings);
    launcher_outcome_tell(&(struct launcher_outcome){tree->folder, &findings, &processes, status});
    if (started != NULL && started_outside != NULL)
        launcher_processes_hand_on(started, started_outside);
    if (started != NULL && have_all_ended)
        unlink(started);
    if (tree->memcheck_log != NULL)
        write_memcheck_log(tree->memcheck_log, &findings);
    end_with(tree, launcher_findings_guilty(&findings) > 0, status);
}

/* --- as valgrind --- */

/* Its log's folder gets one for ours. */
char **launcher_tree_as_valgrind(struct launcher_tree *tree, char **arguments)
{
    for (; *arguments != NULL && **arguments == '-'; arguments++) {
        const char *path = launcher_behind(*arguments, "--log-file=");
        if (path == NULL)
            continue;
        const char *name = launcher_base_name(path);
        tree->memcheck_log = path;
        tree->folder =
            name > path ? launcher_text("%.*smmshim", (int)(name - path), path) : "mmshim";
        tree->name = name;
    }
    if (tree->memcheck_log == NULL)
        launcher_die("in valgrind's place it needs --log-file=PATH, as ctest sets it");
    tree->aborts = true;
    return arguments;
}
