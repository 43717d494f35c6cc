/* File descriptor 2 is the program's: reports go there only while it is the file that the
 * process was started with. */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Kept through execl(): a file that no report may reach. */
#define OWN_FILE 9

static int on_no_heap;

/* Each use is a place of its own, so each is reported. */
#define FREE_BADLY() free(hide(&on_no_heap))

static void leave_as_it_was(void)
{
    FREE_BADLY();
    FREE_BADLY();
}

static void close_it(void)
{
    close(STDERR_FILENO);
    FREE_BADLY();
}

static void close_it_and_open_a_file(void)
{
    close(STDERR_FILENO);
    FREE_BADLY();
    CHECK(dup(OWN_FILE) == STDERR_FILENO);
    FREE_BADLY();
}

static void open_a_file_over_it(void)
{
    CHECK(dup2(OWN_FILE, STDERR_FILENO) == STDERR_FILENO);
    FREE_BADLY();
}

/* What a shell does for a redirection. */
static void open_a_file_over_it_for_a_while(void)
{
    int saved = dup(STDERR_FILENO);

    FREE_BADLY();
    CHECK(dup2(OWN_FILE, STDERR_FILENO) == STDERR_FILENO);
    FREE_BADLY();
    CHECK(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
    FREE_BADLY();
}

static void start_without_it(void)
{
    close(STDERR_FILENO);
    execl("/proc/self/exe", "self", "started-without", (char *)NULL);
    _exit(1);
}

static void started_without_it(void)
{
    FREE_BADLY();
    CHECK(dup(OWN_FILE) == STDERR_FILENO);
    FREE_BADLY();
}

static const struct use {
    const char *name;
    void (*run)(void);
    size_t reports; /* on the stderr that it was started with */
    size_t counted; /* as told there at exit; 0 when nothing may be told */
} uses[] = {
    {"as-it-was", leave_as_it_was, 2, 2},
    {"closed", close_it, 0, 0},
    {"closed-and-reopened", close_it_and_open_a_file, 0, 0},
    {"replaced", open_a_file_over_it, 0, 0},
    {"replaced-for-a-while", open_a_file_over_it_for_a_while, 2, 3},
    {"start-without", start_without_it, 0, 0},
};
#define USE_COUNT (sizeof(uses) / sizeof(uses[0]))

static void test_use(const struct use *use, int expected_status)
{
    static char err[1 << 16];
    char count[100];
    struct stat own;

    CHECK(exited_with(run_self(use->name, err, sizeof(err)), expected_status));
    CHECK(occurrences(err, "ERROR: mmshim: foreign-free of 0x") == use->reports);
    if (use->counted != 0) {
        snprintf(count, sizeof(count), " mmshim: %zu bad frees: 0 double, 0 interior, %zu foreign",
                 use->counted, use->counted);
        CHECK(occurrences(err, count) == 1);
    } else {
        CHECK(err[0] == '\0');
    }
    CHECK(fstat(OWN_FILE, &own) == 0 && own.st_size == 0);
}

int main(int argc, char **argv)
{
    CHECK(errno == 0); /* whatever the start of the shim came upon */
    if (argc > 1) {
        if (strcmp(argv[1], "started-without") == 0)
            started_without_it();
        for (size_t i = 0; i < USE_COUNT; i++)
            if (strcmp(argv[1], uses[i].name) == 0)
                uses[i].run();
        return 0;
    }
    CHECK(dup2(memfd_create("own file", 0), OWN_FILE) == OWN_FILE);
    CHECK(interposed());
    for (size_t i = 0; i < USE_COUNT; i++)
        test_use(&uses[i], 0);
    /* Told or not, it is known. */
    CHECK(setenv("MM_EXITCODE", "5", 1) == 0);
    for (size_t i = 0; i < USE_COUNT; i++)
        test_use(&uses[i], 5);
    /* Nor may a snapshot go there. */
    CHECK(unsetenv("MM_EXITCODE") == 0 && setenv("MM_SNAPSHOT", "1", 1) == 0);
    for (size_t i = 1; i < 4; i++)
        test_use(&uses[i], 0);
    return 0;
}
