/* A thread that is gone has in reports the name that it last had, by either way to give one. What
 * the child of a vfork() calls itself is not its parent's name, though the memory is. */
#include "check.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bool by_prctl;

static void name_myself(const char *name)
{
    CHECK((by_prctl ? prctl(PR_SET_NAME, name) : pthread_setname_np(pthread_self(), name)) == 0);
}

static void start_child(void)
{
    int status;
    pid_t child = vfork();
    if (child == 0) {
        name_myself("a-child");
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && exited_with(status, 0));
}

static void *allocate(void *has_child)
{
    name_myself("a-parent");
    void *block = hide(malloc(40));
    free(block);
    if (has_child != NULL)
        start_child();
    return block;
}

static void free_again(bool has_child)
{
    pthread_t thread;
    void *block;
    CHECK(pthread_create(&thread, NULL, allocate, has_child ? &thread : NULL) == 0);
    CHECK(pthread_join(thread, &block) == 0);
    free(hide(block));
}

static int run_badly(const char *how)
{
    by_prctl = how[0] == 'p';
    free_again(how[1] == 'c');
    return 0;
}

int main(int count, char **arguments)
{
    static const char *const ways[] = {"p-", "pc", "t-", "tc"};
    static char err[1 << 14];
    if (count > 1)
        return run_badly(arguments[1]);
    if (!interposed()) {
        printf("skipped: process.thread_names (it is about reports)\n");
        return SKIPPED;
    }
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        CHECK(exited_with(run_self(ways[i], err, sizeof err), 0));
        CHECK(occurrences(err, "double-free") == 2);
        CHECK(occurrences(err, "first freed by free in thread ") == 1 &&
              occurrences(err, "(a-parent)") == 2);
    }
    return 0;
}
