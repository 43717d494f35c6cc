/* bounds_each.c - the functions of libmmshim_bounds.so's table, one after the other: each goes one
 * unit too far in a child of its own, where that one finding is told, and no further in another,
 * where nothing is; and once more before the library's constructor ran. What is told in full is in
 * bounds.c. With the argument "pages" all blocks have pages of their own: it may be told by the
 * instruction then, but once. */
#include "bounds_each.h"
#include "misuse.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { TOLD_MOST = 1 << 16 };

struct functions libc;

/* --- the rows of the table --- */

static const char *const rows[] = {
#define BOUNDS_ROW(name) #name,
#include "bounds.def"
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void find_functions(void)
{
#define BOUNDS_ROW(name) libc.name = dlsym(RTLD_DEFAULT, #name);
#include "bounds.def"
}

/* This release of libc may not have it. */
static bool is_in_libc(const char *function)
{
    static void *handle;
    if (handle == NULL)
        handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    CHECK(handle != NULL);
    return dlsym(handle, function) != NULL;
}

static bool has_case(const char *row)
{
    size_t i = 0;
    while (i < case_count && (cases[i].kind == NULL || strcmp(cases[i].function, row) != 0))
        i++;
    return i < case_count;
}

static int tell_rows_without_case(void)
{
    int failed = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (!has_case(rows[i]))
            failed += printf("%s: has no case\n", rows[i]) > 0;
    }
    return failed;
}

/* --- the children --- */

static const struct each *case_of(const char *id)
{
    for (size_t i = 0; i < case_count; i++) {
        if (strcmp(cases[i].id, id) == 0)
            return &cases[i];
    }
    return NULL;
}

/* What is told at the end, of what was damaged, is not asked for. */
static void go_too_far(const struct each *each)
{
    run_case_in(each, WAY_EXACT, 1);
    int nowhere = open("/dev/null", O_WRONLY);
    CHECK(nowhere >= 0 && dup2(nowhere, STDERR_FILENO) >= 0);
    clean_up();
}

/* Memory with room is gone too far in, as well. */
static void go_as_far_as_is_right(const struct each *each)
{
    enum way last = each->kind != NULL && is_in_libc(each->function) ? WAYS : WAY_EXACT + 1;
    for (enum way way = WAY_EXACT; way < last; way++) {
        run_case_in(each, way, way >= WAY_STATIC);
        clean_up();
    }
}

/* "all": each one. */
static void be_child(const char *how, const char *id)
{
    static const struct {
        const char *how;
        void (*go)(const struct each *each);
    } ways[] = {
        {"wrong", go_too_far}, {"right", go_as_far_as_is_right}, {"alone", go_as_far_as_is_right}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        for (size_t j = 0; strcmp(how, ways[i].how) == 0 && j < case_count; j++) {
            if (strcmp(id, "all") == 0 || strcmp(id, cases[j].id) == 0)
                ways[i].go(&cases[j]);
        }
    }
}

/* Comes before the constructors of all libraries, but the shim's start, which calls some, may be
 * earlier: the one of bounds is alone then. */
static void begin(int argc, char **argv, char **environment)
{
    (void)environment;
    if (argc < 3)
        return;
    find_functions();
    if (strcmp(argv[1], "early") == 0)
        go_as_far_as_is_right(case_of(argv[2]));
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(int, char **,
                                                                              char **) = begin;

/* What a process tells on stderr, which it starts with; its status. */
static int run_in_child(const char *how, const char *id, char told[static TOLD_MOST])
{
    int pipes[2], status;
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(dup2(pipes[1], STDERR_FILENO) >= 0 && close(pipes[0]) == 0 && close(pipes[1]) == 0);
        bool is_alone = strcmp(how, "early") == 0 || strcmp(how, "alone") == 0;
        if (is_alone && getenv("BOUNDS_ALONE") != NULL)
            setenv("LD_PRELOAD", getenv("BOUNDS_ALONE"), 1);
        execl("/proc/self/exe", "bounds_each", how, id, (char *)NULL);
        _exit(STATUS_CHECK_FAILED);
    }
    close(pipes[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(pipes[0], told + length, TOLD_MOST - 1 - length)) > 0;)
        length += (size_t)got;
    told[length] = '\0';
    close(pipes[0]);
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

/* --- what they told --- */

static char told[TOLD_MOST];

static bool is_silent(const char *how, const char *id)
{
    return run_in_child(how, id, told) == 0 && told[0] == '\0';
}

/* As a program's own calls are named; its length. */
static size_t plain_name(const char *function, const char **start)
{
    size_t skipped = strncmp(function, "__isoc", 6) == 0 ? strlen("__isoc99_")
                     : strncmp(function, "__", 2) == 0   ? 2
                                                         : 0;
    *start = function + skipped;
    const char *end = strstr(*start, "_chk");
    return end != NULL ? (size_t)(end - *start) : strlen(*start);
}

static bool tells(const struct each *each, bool by_pages)
{
    char start[64], call[64];
    const char *name;
    int length = (int)plain_name(each->function, &name);
    snprintf(start, sizeof start, "mmshim: %s of ", each->kind);
    snprintf(call, sizeof call, " by %.*s in thread ", length, name);
    const char *first = strstr(told, "ERROR: ");
    const char *line = strstr(told, start);
    return first != NULL && line == first + strlen("ERROR: ") &&
           (by_pages || strstr(line, call) != NULL) && strstr(line, "ERROR: ") == NULL;
}

static int check_wrong(const struct each *each, bool by_pages)
{
    if (each->kind == NULL || !is_in_libc(each->function))
        return 0;
    int status = run_in_child("wrong", each->id, told);
    if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NOT_HERE) {
        printf("%s: skipped: %s", each->id, told);
        return 0;
    }
    if (status == 0 && tells(each, by_pages))
        return 0;
    return printf("%s: %s was to be told, and was not; status %#x:\n%s", each->id, each->kind,
                  (unsigned)status, told) > 0;
}

/* Which of them it was, if any told something. */
static int check_silent(const char *how)
{
    if (is_silent(how, "all"))
        return 0;
    printf("of all (%s):\n%s", how, told);
    int failed = 1;
    for (size_t i = 0; i < case_count; i++) {
        if (!is_silent(how, cases[i].id))
            failed += printf("%s: nothing was to be told (%s):\n%s", cases[i].id, how, told) > 0;
    }
    return failed;
}

static int check_early(const struct each *each)
{
    bool is_first = each == cases || strcmp(each->function, each[-1].function) != 0;
    if (!is_first || is_silent("early", each->id))
        return 0;
    return printf("%s: before the constructors:\n%s", each->id, told) > 0;
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        be_child(argv[1], argv[2]);
        return 0;
    }
    bool by_pages = argc == 2 && strcmp(argv[1], "pages") == 0;
    int failed = tell_rows_without_case() + check_silent("right") + check_silent("alone");
    for (size_t i = 0; i < case_count; i++)
        failed += check_wrong(&cases[i], by_pages) + (by_pages ? 0 : check_early(&cases[i]));
    return failed != 0;
}
