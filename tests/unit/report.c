/* report.c - what a report says and to whom, which ones are shown, and what follows from one. */
#include "findings/report.h"

#include "check.h"
#include "findings/sink.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CAPACITY = 8192, CALLERS = 5, AGAIN = 10 };

/* Below whatever programs and sanitizers map. */
#define WILD ((void *)(uintptr_t)0xBEEF0)

static void tell(enum mem_mngr_misuse_kind kind, const void *ptr, const void *caller)
{
    mm_report(&(struct mm_misuse){.kind = kind, .ptr = ptr, .caller = caller});
}

static struct check_pipe caught;

/* Places in code, to be reported as callers. */
__attribute__((noinline)) static void *here(void)
{
    return __builtin_return_address(0);
}

static void start_with(mem_mngr_misuse_fn *on_misuse, bool once, uint64_t most)
{
    struct mm_report_settings settings = {
        .on_misuse = on_misuse, .user = &caught, .once = once, .most = most};
    mm_report_forget();
    mm_report_start(&settings);
}

static void start(mem_mngr_misuse_fn *on_misuse, bool once)
{
    start_with(on_misuse, once, 100);
}

static void take_text(char *text)
{
    check_pipe_take(&caught, text, CAPACITY);
}

static unsigned lines_that_start(const char *text, const char *with)
{
    unsigned count = 0;
    for (const char *line = text; line[0] != '\0'; line = strchr(line, '\n') + 1)
        count += strncmp(line, with, strlen(with)) == 0;
    return count;
}

/* The first two lines in full, then frames numbered from 0, then the summary of the first frame. */
static void check_shape(const char *text, const char *kind, const char *details)
{
    char expected[CAPACITY];
    snprintf(expected, sizeof expected,
             "==%d==ERROR: mmshim: %s of 0xbeef0 by free in thread %d (unit_report)\n    %s\n",
             getpid(), kind, gettid(), details);
    CHECK(strncmp(text, expected, strlen(expected)) == 0);
    const char *line = text + strlen(expected), *first_frame = NULL;
    for (unsigned frame = 0; strncmp(line, "    #", 5) == 0; frame++) {
        char start_of_frame[32];
        int length = snprintf(start_of_frame, sizeof start_of_frame, "    #%u 0x", frame);
        CHECK(strncmp(line, start_of_frame, (size_t)length) == 0);
        if (frame == 0)
            first_frame = line + length;
        line = strchr(line, '\n') + 1;
    }
    CHECK(first_frame != NULL);
    const char *place = first_frame + strspn(first_frame, "0123456789abcdef");
    size_t length = strcspn(place, "\n");
    const char *build_id = strstr(place, " (BuildId: ");
    if (build_id != NULL && build_id < place + length)
        length = (size_t)(build_id - place);
    snprintf(expected, sizeof expected, "SUMMARY: mmshim: %s%.*s\n", kind, (int)length, place);
    CHECK_TEXT(line, expected);
}

static void shape(void)
{
    char text[CAPACITY];
    start(NULL, false);
    tell(MEM_MNGR_DOUBLE_FREE, WILD, here());
    take_text(text);
    check_shape(text, "double-free", "a block of the system allocator, freed before");
    tell(MEM_MNGR_FOREIGN_FREE, WILD, here());
    take_text(text);
    check_shape(text, "foreign-free", "nothing mapped there");
}

/* Nobody knows any more who it was: no frames. */
static void without_caller(void)
{
    char text[CAPACITY], expected[CAPACITY];
    start(NULL, false);
    tell(MEM_MNGR_DOUBLE_FREE, WILD, NULL);
    take_text(text);
    snprintf(expected, sizeof expected,
             "==%d==ERROR: mmshim: double-free of 0xbeef0 by two threads at the same time\n"
             "    a block of the system allocator, freed before\n"
             "SUMMARY: mmshim: double-free\n",
             getpid());
    CHECK_TEXT(text, expected);
}

/* --- the callback --- */

static void note(const struct mem_mngr_misuse *misuse, void *user)
{
    CHECK(user == &caught);
    check_on_misuse(misuse, user);
    errno = EDOM;
}

static void callback(void)
{
    char text[CAPACITY];
    start(note, false);
    errno = EXDEV;
    tell(MEM_MNGR_FOREIGN_FREE, WILD, here());
    CHECK_EQUAL(errno, EXDEV);
    CHECK_MISUSE(MEM_MNGR_FOREIGN_FREE, WILD);
    check_shape(check_misuse.report, "foreign-free", "nothing mapped there");
    take_text(text);
    CHECK_TEXT(text, "");
    tell(MEM_MNGR_DOUBLE_FREE, WILD, NULL);
    CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, WILD);
    CHECK_EQUAL(mm_report_count(), 2);
}

static void keeps_errno(void)
{
    char text[CAPACITY];
    start(NULL, true);
    for (unsigned i = 0; i < 2; i++) {
        errno = EXDEV;
        tell(MEM_MNGR_FOREIGN_FREE, WILD, WILD);
        CHECK_EQUAL(errno, EXDEV);
    }
    take_text(text);
}

/* --- how many are shown --- */

static void check_summary(const char *expected)
{
    char text[CAPACITY], line[CAPACITY] = "";
    if (expected[0] != '\0')
        snprintf(line, sizeof line, "==%d== mmshim: %s\n", getpid(), expected);
    mm_report_summary();
    take_text(text);
    CHECK_TEXT(text, line);
}

static void report_from_several(void)
{
    const char *caller = here();
    for (unsigned i = 0; i < CALLERS * AGAIN; i++)
        tell(i % 2 == 0 ? MEM_MNGR_DOUBLE_FREE : MEM_MNGR_FOREIGN_FREE, WILD, caller + i % CALLERS);
}

static void each_once(void)
{
    char text[CAPACITY];
    start(NULL, true);
    check_summary("");
    report_from_several();
    take_text(text);
    /* Five callers, of two kinds each. */
    CHECK_EQUAL(lines_that_start(text, "SUMMARY: "), 2 * CALLERS);
    CHECK_EQUAL(mm_report_count(), CALLERS * AGAIN);
    check_summary("50 bad frees: 25 double, 0 interior, 25 foreign; 40 not shown");
    mm_report_forget();
    check_summary("");
}

static void each_time(void)
{
    char text[CAPACITY * 8];
    start(NULL, false);
    report_from_several();
    check_pipe_take(&caught, text, sizeof text);
    CHECK_EQUAL(lines_that_start(text, "SUMMARY: "), CALLERS * AGAIN);
    check_summary("50 bad frees: 25 double, 0 interior, 25 foreign");
}

static void at_most(void)
{
    char text[CAPACITY];
    start_with(NULL, true, 3);
    report_from_several();
    take_text(text);
    CHECK_EQUAL(lines_that_start(text, "SUMMARY: "), 3);
    check_summary("50 bad frees: 25 double, 0 interior, 25 foreign; 47 not shown");
    start_with(NULL, false, 0);
    report_from_several();
    take_text(text);
    CHECK_TEXT(text, "");
    check_summary("50 bad frees: 25 double, 0 interior, 25 foreign; 50 not shown");
}

static void uncertain(void)
{
    char text[CAPACITY];
    start(NULL, true);
    mm_report_uncertain(); /* of a process that is forgotten, though it misused nothing */
    start(NULL, true);
    mm_report_uncertain();
    check_summary("");
    tell(MEM_MNGR_DOUBLE_FREE, WILD, here());
    take_text(text);
    mm_report_summary();
    take_text(text);
    CHECK_EQUAL(lines_that_start(text, "=="), 2);
    CHECK(strstr(text, "1 free of a block of threads that fork() left behind was") != NULL);
}

/* --- stderr --- */

static void note_line(void)
{
    char text[CAPACITY], expected[64];
    start(NULL, true);
    mm_report_note("a line");
    take_text(text);
    snprintf(expected, sizeof expected, "==%d== mmshim: a line\n", getpid());
    CHECK_TEXT(text, expected);
}

/* Another file under the same number belongs to the program. */
static void not_stderr_any_more(void)
{
    char text[CAPACITY];
    int saved = dup(STDERR_FILENO), file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CHECK(saved >= 0 && file >= 0);
    start(NULL, false);
    CHECK(mm_sink_has_stderr());
    CHECK(dup2(file, STDERR_FILENO) == STDERR_FILENO);
    CHECK(!mm_sink_has_stderr());
    CHECK(close(STDERR_FILENO) == 0);
    CHECK(!mm_sink_has_stderr());
    tell(MEM_MNGR_DOUBLE_FREE, WILD, here());
    CHECK(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
    CHECK(mm_sink_has_stderr());
    take_text(text);
    CHECK_TEXT(text, "");
    tell(MEM_MNGR_DOUBLE_FREE, WILD, here());
    take_text(text);
    CHECK_EQUAL(lines_that_start(text, "SUMMARY: "), 1);
    CHECK(close(saved) == 0 && close(file) == 0);
}

/* --- what follows --- */

static int status_of_report(void)
{
    char text[CAPACITY];
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        tell(MEM_MNGR_FOREIGN_FREE, WILD, here());
        _exit(23);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    take_text(text);
    CHECK_EQUAL(lines_that_start(text, "SUMMARY: "), 1);
    return status;
}

static void obey(struct mm_report_settings settings)
{
    settings.once = true;
    settings.most = 100;
    mm_report_start(&settings);
}

static void consequences(void)
{
    start(NULL, true);
    int status = status_of_report();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 23);
    obey((struct mm_report_settings){.then = MM_THEN_ABORT});
    status = status_of_report();
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    obey((struct mm_report_settings){.then = MM_THEN_EXIT});
    status = status_of_report();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    obey((struct mm_report_settings){
        .then = MM_THEN_EXIT, .has_exit_status = true, .exit_status = 42});
    status = status_of_report();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    start(NULL, true);
}

int main(void)
{
    check_pipe_open(&caught, STDERR_FILENO);
    shape();
    without_caller();
    callback();
    keeps_errno();
    each_once();
    each_time();
    at_most();
    uncertain();
    note_line();
    not_stderr_any_more();
    consequences();
    check_pipe_close(&caught);
    return 0;
}
