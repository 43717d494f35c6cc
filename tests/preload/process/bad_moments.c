/* Bad frees at bad moments: in a thread that is being cancelled, in a function whose name is longer
 * than a report, and in a process that ends while another thread sits in stdio. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *freed_block(void)
{
    void *block = malloc(48);
    free(block);
    return hide(block);
}

/* --- free is no cancellation point --- */

static _Atomic bool requested;
static bool came_back;

static void *free_with_request_pending(void *block)
{
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    while (!atomic_load(&requested))
        usleep(1000);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    free(block);
    came_back = true;
    pthread_testcancel();
    return NULL;
}

static void cancelled(void)
{
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, free_with_request_pending, freed_block()) == 0);
    CHECK(pthread_cancel(thread) == 0);
    atomic_store(&requested, true);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED && came_back);
}

/* --- a long name --- */

#define FIVE(text) text text text text text
#define LONG_NAME  "named_" FIVE(FIVE(FIVE("a_name_as_compilers_make_of_templates__")))

/* Exported under a name of some 5000 characters, which fits into no report. */
__attribute__((visibility("default"), noinline)) void named(void *block) __asm__(LONG_NAME);
void named(void *block)
{
    free(block);
    __asm__ volatile("");
}

static void long_name(void)
{
    named(freed_block());
}

/* --- MM_EXITCODE, while stdin's lock is held --- */

static void *read_for_ever(void *unused)
{
    char line[10];
    if (fgets(line, sizeof line, stdin) != NULL)
        check_failed(__FILE__, __LINE__, "nothing to read");
    return unused;
}

static void exit_beside_a_reader(void (*end)(int))
{
    pthread_t thread;
    int ends[2];
    CHECK(pipe(ends) == 0 && dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    CHECK(pthread_create(&thread, NULL, read_for_ever, NULL) == 0);
    usleep(100000); /* until it waits in there; a test that comes too early passes */
    if (interposed())
        free(freed_block());
    end(0);
}

/* From 2.41 on glibc's exit() waits for that lock, with or without a bad free. */
static void test_exit_beside_a_reader(void)
{
    static char err[1 << 16];
    CHECK(setenv("MM_EXITCODE", "77", 1) == 0);
    if (exited_with(run_self_alone("reader", err, sizeof err), 0))
        CHECK(exited_with(run_self("reader", err, sizeof err), interposed() ? 77 : 0));
    CHECK(exited_with(run_self("quick-reader", err, sizeof err), interposed() ? 77 : 0));
}

int main(int argc, char **argv)
{
    static char err[1 << 16];
    if (argc > 1) {
        if (strcmp(argv[1], "cancelled") == 0)
            cancelled();
        else if (strcmp(argv[1], "long-name") == 0)
            long_name();
        else
            exit_beside_a_reader(strcmp(argv[1], "quick-reader") == 0 ? quick_exit : exit);
        return 0;
    }
    CHECK(exited_with(run_self("cancelled", err, sizeof err), 0));
    CHECK(!interposed() || occurrences(err, "SUMMARY: mmshim: double-free") == 1);
    CHECK(exited_with(run_self("long-name", err, sizeof err), 0));
    CHECK(!interposed() || occurrences(err, "SUMMARY: mmshim: double-free in ") == 1);
    CHECK(!interposed() || occurrences(err, "\n==") >= 1); /* each line ends */
    test_exit_beside_a_reader();
    return 0;
}
