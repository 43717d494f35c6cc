/* os.c - the programs that it runs, and the files that it does not read. */
#include "system/os.h"

#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool run_for(uint64_t milliseconds, const char *path, const char *argument, char *output,
                    size_t size, size_t *length)
{
    static char stack[32 << 10];
    const char *const arguments[] = {path, argument, NULL};
    static const char *const environment[] = {NULL};
    struct mm_os_command command = {
        .path = path,
        .arguments = arguments,
        .environment = environment,
        .stack = stack,
        .stack_size = sizeof stack,
        .output = output,
        .output_size = size,
        .give_up = mm_os_milliseconds() + milliseconds,
    };
    struct mm_signals signals = mm_os_block_signals();
    bool ran = mm_os_run(&command, length);
    mm_os_restore_signals(&signals);
    return ran;
}

static bool run(const char *path, char *output, size_t size, size_t *length)
{
    return run_for(5000, path, "a word", output, size, length);
}

static volatile sig_atomic_t children_ended;

static void note_child(int number)
{
    (void)number;
    children_ended++;
}

/* A subreaper gets what the program of a report leaves behind. */
static void leaves_no_child(void)
{
    char output[64];
    size_t length;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    CHECK(signal(SIGCHLD, note_child) != SIG_ERR);
    CHECK(run("/bin/echo", output, sizeof output, &length));
    CHECK(length == 7 && memcmp(output, "a word\n", 7) == 0);
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    CHECK(!run("/etc/passwd", output, sizeof output, &length));
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

/* It is not waited for longer than its output is of use. */
static void cuts_output(void)
{
    char output[10];
    size_t length;
    uint64_t start = mm_os_milliseconds();
    CHECK(run("/usr/bin/yes", output, sizeof output, &length));
    CHECK(length == sizeof output && memcmp(output, "a word\na w", sizeof output) == 0);
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    CHECK(mm_os_milliseconds() - start < 4000);
    CHECK(run("/bin/echo", output, 7, &length) && length == 7);
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

static void ends_what_hangs(void)
{
    char output[10];
    size_t length;
    uint64_t start = mm_os_milliseconds();
    CHECK(!run_for(200, "/bin/sleep", "100", output, sizeof output, &length));
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    CHECK(mm_os_milliseconds() - start < 4000);
    CHECK_EQUAL(children_ended, 0);
}

/* The program's own files stay its own, and closed ones closed. */
static void keeps_files(void)
{
    char output[64];
    size_t length;
    int saved[3];
    for (int fd = 0; fd < 3; fd++)
        CHECK((saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10)) >= 10 && close(fd) == 0);
    CHECK(run("/bin/echo", output, sizeof output, &length) && length == 7);
    for (int fd = 0; fd < 3; fd++)
        CHECK(fcntl(fd, F_GETFD) == -1 && dup2(saved[fd], fd) == fd && close(saved[fd]) == 0);
}

static struct mm_hold hold;
static _Atomic unsigned held;

static void take_hold(unsigned number, void *unused)
{
    (void)unused;
    uint64_t start = mm_os_milliseconds();
    if (number == 0) {
        CHECK(mm_hold_take(&hold, 0) && !mm_hold_take(&hold, 10000));
        CHECK(mm_os_milliseconds() - start < 5000);
        held = 1;
        while (held != 2)
            check_yield();
        mm_hold_end(&hold); /* which is no longer its own */
        held = 3;
        return;
    }
    while (held != 1)
        check_yield();
    CHECK(mm_hold_take(&hold, 100));
    held = 2;
    while (held != 3)
        check_yield();
    CHECK(!mm_hold_try(&hold));
    mm_hold_end(&hold);
    CHECK(mm_hold_try(&hold));
    mm_hold_end(&hold);
}

/* A hold whose holder never comes back costs one wait. */
static void takes_holds_over(void)
{
    check_in_threads(2, take_hold, NULL);
}

static void reads_no_pipe(void)
{
    char folder[] = "/tmp/mmshim-os-XXXXXX", path[64];
    size_t size;
    CHECK(mkdtemp(folder) != NULL);
    CHECK(strlen(folder) + sizeof "/pipe" <= sizeof path);
    strcpy(path, folder);
    strcat(path, "/pipe");
    CHECK(mkfifo(path, 0600) == 0);
    CHECK(mm_os_read_file(path, &size) == NULL && errno == 0);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

/* Whether the kernel gave a mapping this mark, see proc(5) on smaps; or knows of none. */
static bool has_mark(const void *start, const char *mark)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool here = false, told = false, marked = false;
    CHECK(smaps != NULL);
    while (fgets(line, sizeof line, smaps) != NULL) {
        uintptr_t from, to;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2)
            here = (uintptr_t)start >= from && (uintptr_t)start < to;
        if (!here || strncmp(line, "VmFlags:", 8) != 0)
            continue;
        told = true;
        marked = strstr(line, mark) != NULL;
    }
    fclose(smaps);
    return marked || !told;
}

static void marks_mappings(void)
{
    bool huge_pages = access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0;
    size_t size = (size_t)4 << 20;
    char *table = mm_os_map(size), *range = mm_os_reserve(size);
    CHECK(table != NULL && range != NULL);
    CHECK(!huge_pages || has_mark(table, " nh"));
    CHECK(has_mark(range, " dd"));
    mm_os_set_dumped(table, size, false);
    CHECK(has_mark(table, " dd"));
    mm_os_release(table, size);
    mm_os_release(range, size);
}

/* --- stacks --- */

static void *find_home_stack(void *wanted)
{
    pthread_attr_t attributes;
    void *start;
    size_t size;
    uintptr_t low, top = mm_os_home_stack(&low);
    CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
    CHECK(pthread_attr_getstack(&attributes, &start, &size) == 0);
    pthread_attr_destroy(&attributes);
    CHECK(top > (uintptr_t)&low && top <= (uintptr_t)start + size);
    CHECK(low <= (uintptr_t)start && (uintptr_t)start - low <= 65536); /* but for a guard page */
    CHECK(wanted == NULL || low == (uintptr_t)wanted);
    return NULL;
}

static void in_a_thread(const pthread_attr_t *attributes, void *wanted)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, attributes, find_home_stack, wanted) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* What adjoins a stack is not of it, be it as readable. */
static void finds_home_stacks(void)
{
    size_t size = (size_t)1 << 20;
    char *slab = mm_os_map(3 * size);
    pthread_attr_t attributes;
    mm_os_own_memory();
    uintptr_t low, top = mm_os_home_stack(&low);
    CHECK(low < (uintptr_t)&low && top > (uintptr_t)&low);
    in_a_thread(NULL, NULL);
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setguardsize(&attributes, 0) == 0);
    in_a_thread(&attributes, NULL);
    CHECK(pthread_attr_setstack(&attributes, slab + size, size) == 0);
    in_a_thread(&attributes, slab + size);
    pthread_attr_destroy(&attributes);
    mm_os_release(slab, 3 * size);
}

int main(void)
{
    finds_home_stacks();
    marks_mappings();
    leaves_no_child();
    cuts_output();
    ends_what_hangs();
    keeps_files();
    takes_holds_over();
    reads_no_pipe();
    return 0;
}
