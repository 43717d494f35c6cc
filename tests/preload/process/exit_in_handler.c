/* A process of one thread that ends by exit() in a signal handler, wherever the signal came in
 * between, and frees blocks as it does: not allowed, often done, and no problem with libc's malloc,
 * which takes no lock in such a process. */
#include "check.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 60
#define BLOCKS    512

static void *blocks[BLOCKS];

static void end(int signal)
{
    (void)signal;
    exit(0);
}

__attribute__((destructor)) static void free_all(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

/* Large slots, so that most of the time something is taken from the arena or given back. */
static void work_until_signal(unsigned microseconds)
{
    struct sigaction action = {.sa_handler = end};
    struct itimerval timer = {.it_value.tv_usec = microseconds};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (;;) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            void *block = malloc(40000);
            blocks[i] = block;
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            void *block = blocks[i];
            blocks[i] = NULL;
            free(block);
        }
    }
}

int main(void)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            work_until_signal(5000 + 137 * i);
        CHECK(waitpid(child, &status, 0) == child && exited_with(status, 0));
    }
    return 0;
}
