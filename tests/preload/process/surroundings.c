/* A process that its surroundings give little: no /proc, no file descriptor, a disk that is full,
 * no output at all. Bad frees are counted all the same, and told as far as can be. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int on_no_heap;

/* Each use is a place of its own, so each is reported. */
#define FREE_BADLY(pointer) free(hide(pointer))

static char *stack_of_main;

static void *free_badly_in_thread(void *unused)
{
    free(malloc(10));
    FREE_BADLY(stack_of_main);
    return unused;
}

/* What is foreign can be named no closer, nor can a thread; the rest is as ever. */
static void free_all_kinds(void)
{
    char here[32];
    char *small = malloc(100), *large = malloc(100000);
    pthread_t thread;

    stack_of_main = here;
    FREE_BADLY(&on_no_heap);
    FREE_BADLY(small + 8);
    FREE_BADLY(large + 16);
    free(small);
    FREE_BADLY(small);
    if (pthread_create(&thread, NULL, free_badly_in_thread, NULL) == 0)
        pthread_join(thread, NULL);
    free(large);
}

static void without_proc(void)
{
    if (chroot("/proc/self/fdinfo") != 0 || chdir("/") != 0) {
        printf("skipped: process.surroundings without /proc (no chroot here)\n");
        _exit(SKIPPED);
    }
    free_all_kinds();
}

static void without_file_descriptors(void)
{
    struct rlimit limit = {3, 3};

    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    free_all_kinds();
}

static void on_full_disk(void)
{
    free_all_kinds();
}

static void without_output(void)
{
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    free_all_kinds();
}

static const struct use {
    const char *name;
    void (*run)(void);
} uses[] = {
    {"without-proc", without_proc},
    {"without-file-descriptors", without_file_descriptors},
    {"on-full-disk", on_full_disk},
    {"without-output", without_output},
};
#define USE_COUNT (sizeof(uses) / sizeof(uses[0]))

static void test_without_maps(const char *use)
{
    static char err[1 << 16];
    int status = run_self(use, err, sizeof(err));

    if (exited_with(status, SKIPPED))
        return;
    CHECK(exited_with(status, 5));
    CHECK(occurrences(err, "ERROR: mmshim: ") == 5);
    CHECK(occurrences(err, "    unknown memory: /proc/self/maps cannot be read\n") == 2);
    CHECK(occurrences(err, "interior-free of 0x") == 2);
    CHECK(occurrences(err, "double-free of 0x") == 1);
    CHECK(occurrences(err, " mmshim: 5 bad frees: 1 double, 2 interior, 2 foreign\n") == 1);
}

/* Nothing of it arrives, and nothing else happens but for the exit status. */
static void test_in_silence(const char *use, const char *output)
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        CHECK(dup2(open(output, O_WRONLY), STDERR_FILENO) == STDERR_FILENO);
        execl("/proc/self/exe", "self", use, (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && exited_with(status, 5));
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < USE_COUNT; i++)
        if (strcmp(argv[1], uses[i].name) == 0) {
            uses[i].run();
            return 0;
        }
    CHECK(interposed());
    CHECK(setenv("MM_EXITCODE", "5", 1) == 0);
    test_without_maps("without-proc");
    test_without_maps("without-file-descriptors");
    test_in_silence("on-full-disk", "/dev/full");
    test_in_silence("without-output", "/dev/null");
    return 0;
}
