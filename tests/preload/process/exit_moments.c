/* A signal handler that ends the process by exit(), in the middle of what is seldom: a large block
 * where none was before, a thread's first request, and a request of its last destructors. What runs
 * at exit asks for memory in turn. What goes wrong here hangs.
 * usage: exit_moments large|first|last */
#include "check.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 150
#define LARGE     ((size_t)256 << 20)

static volatile sig_atomic_t is_time;

/* Signals that wait until they are let through come too early. */
static void end(int signal)
{
    (void)signal;
    if (is_time)
        exit(3);
}

static void allocate_at_exit(void)
{
    free(hide(malloc(LARGE)));
    free(hide(malloc(70000)));
    for (size_t size = 1; size < 70000; size += size / 2 + 1)
        free(hide(malloc(size)));
}

static void set_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    CHECK(pthread_sigmask(how, &set, NULL) == 0);
}

/* Each lies elsewhere. */
static void ask_for_large(void)
{
    is_time = 1;
    for (;;)
        if (hide(malloc(LARGE)) == NULL)
            pause();
}

static void *ask_once(void *unused)
{
    set_signals(SIG_UNBLOCK);
    is_time = 1;
    free(hide(malloc(100)));
    is_time = 0;
    return unused;
}

static pthread_key_t key;

/* The round after that in which the manager's own destructor was called. */
static void ask_for_ever(void *round)
{
    if (round == (void *)1) {
        CHECK(pthread_setspecific(key, (void *)2) == 0);
        return;
    }
    set_signals(SIG_UNBLOCK);
    is_time = 1;
    for (;;)
        free(hide(malloc(100)));
}

static void *end_slowly(void *unused)
{
    free(hide(malloc(100)));
    CHECK(pthread_setspecific(key, (void *)1) == 0);
    return unused;
}

static void work_in_threads(void *(*body)(void *))
{
    pthread_t thread;
    set_signals(SIG_BLOCK);
    CHECK(pthread_key_create(&key, ask_for_ever) == 0);
    for (;;) {
        CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

static void work_until_signal(const char *what, unsigned microseconds)
{
    struct sigaction action = {.sa_handler = end};
    struct itimerval timer = {{0, 53}, {0, microseconds}};
    free(hide(malloc(80000))); /* libc's malloc takes a lock the first time */
    CHECK(atexit(allocate_at_exit) == 0);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &timer, NULL) == 0);
    if (strcmp(what, "large") == 0)
        ask_for_large();
    work_in_threads(strcmp(what, "first") == 0 ? ask_once : end_slowly);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            work_until_signal(argv[1], 1000 + 37 * i);
        CHECK(waitpid(child, &status, 0) == child && exited_with(status, 3));
    }
    return 0;
}
