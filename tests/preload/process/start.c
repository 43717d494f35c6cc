/* Before main() and after it: calls that come before any constructor, a library whose static
 * initialisers allocate, and whose destructors free. */
#include "check.h"
#include "start_lib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *early_small;
static char *early_large;
static char *early_array;

/* Three bad frees; what they are called with is the caller's own stack, and blocks freed before. */
static void free_badly(void)
{
    int on_stack = 0;
    void *small = malloc(40);
    void *large = malloc(100000);

    free(hide(&on_stack));
    free(small);
    free(hide(small));
    free(large);
    free(hide(large));
}

static void before_all_constructors(int argc, char **argv, char **environment)
{
    (void)environment;
    free(NULL);
    if (argc > 1 && strcmp(argv[1], "bad-frees") == 0)
        free_badly();
    early_small = malloc(40);
    early_large = malloc(100000);
    early_array = calloc(10, 100);
    CHECK(early_small != NULL && early_large != NULL && early_array != NULL);
    CHECK(all_zero(early_array, 1000));
    early_small = realloc(early_small, 4000);
    CHECK(early_small != NULL);
    memset(early_small, 1, 4000);
    memset(early_large, 1, 100000);
    free(malloc(1));
    CHECK(dlsym(RTLD_DEFAULT, "no such name") == NULL);
}

__attribute__((section(".preinit_array"),
               used)) static void (*const preinit)(int, char **, char **) = before_all_constructors;

static void *use_thread_locals(void *unused)
{
    (void)unused;
    CHECK(start_lib_touch_thread() == 1);
    CHECK(dlsym(RTLD_DEFAULT, "no such name") == NULL);
    CHECK(dlerror() != NULL); /* a string that libc keeps for the thread, and frees after it */
    return NULL;
}

static void free_at_exit(void)
{
    free(early_array);
    free(malloc(100));
}

static void check_reports_before_constructors(void)
{
    static char err[1 << 16];

    CHECK(exited_with(run_self("bad-frees", err, sizeof(err)), 0));
    CHECK(occurrences(err, "ERROR: mmshim: foreign-free of 0x") == 1);
    CHECK(occurrences(err, "ERROR: mmshim: double-free of 0x") == 2);
    CHECK(occurrences(err, "3 bad frees: 2 double, 0 interior, 1 foreign\n") == 1);

    /* Options hold from the first call on, though libc sets environ only later. */
    CHECK(setenv("MM_ON_ERROR", "exit", 1) == 0 && setenv("MM_EXITCODE", "7", 1) == 0);
    CHECK(exited_with(run_self("bad-frees", err, sizeof(err)), 7));
    CHECK(occurrences(err, "ERROR: mmshim: ") == 1);
}

int main(int argc, char **argv)
{
    bool again = argc > 1 && strcmp(argv[1], "bad-frees") == 0;

    for (unsigned i = 1; i < START_BLOCKS; i += 2) {
        CHECK(filled(start_lib_blocks[i], start_lib_block_size(i), i));
        free(start_lib_blocks[i]);
    }
    CHECK(start_lib_words() == 500);
    for (int i = 0; i < 8; i++) {
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, use_thread_locals, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(early_small[3999] == 1 && early_large[99999] == 1);
    free(early_small);
    free(early_large);
    CHECK(atexit(free_at_exit) == 0);
    if (interposed() && !again)
        check_reports_before_constructors();
    return 0;
}
