/* fork() at moments when others, or the forking thread itself, are in the middle of things: in a
 * signal handler, beside a thread whose stream allocates inside of stdio, beside many threads whose
 * blocks are forwarded, and beside threads that allocate with a lock of libc's held which fork()
 * takes. What goes wrong here hangs. usage: fork_moments handler|stream|forwarding|registering */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic bool stop;

static void fork_once(void)
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0)
        _exit(0);
    CHECK(waitpid(child, &status, 0) == child && exited_with(status, 0));
}

/* --- in a signal handler, in the middle of a request --- */

static volatile sig_atomic_t forks;

static void fork_in_handler(int signal)
{
    (void)signal;
    fork_once();
    forks = forks + 1;
}

static void test_handler(void)
{
    static void *blocks[512]; /* few: each fork makes all their pages copies */
    struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};

    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &timer, NULL) == 0);
    while (forks < 600) {
        for (size_t i = 0; i < 512; i++)
            CHECK((blocks[i] = malloc(16000)) != NULL);
        for (size_t i = 0; i < 512; i++)
            free(blocks[i]);
    }
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
}

/* --- beside a stream whose functions allocate, under the lock of libc's list of streams --- */

static ssize_t allocate_and_write(void *unused, const char *text, size_t size)
{
    (void)unused;
    (void)text;
    for (int i = 0; i < 20; i++)
        free(hide(malloc(100000)));
    return (ssize_t)size;
}

static void *flush_all(void *stream)
{
    while (!stop) {
        CHECK(fputc('x', stream) == 'x');
        CHECK(fflush(NULL) == 0);
    }
    return NULL;
}

/* The child's stdio works, too: the lock is free there. */
static void fork_and_flush(void)
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0)
        _exit(fflush(NULL) == 0 ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && exited_with(status, 0));
}

static void test_stream(void)
{
    pthread_t thread;
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = allocate_and_write});

    CHECK(stream != NULL);
    CHECK(pthread_create(&thread, NULL, flush_all, stream) == 0);
    for (int i = 0; i < 500; i++)
        fork_and_flush();
    stop = true;
    CHECK(pthread_join(thread, NULL) == 0 && fclose(stream) == 0);
}

/* --- beside many threads that forward --- */

#define THREADS 64

static void *forward(void *unused)
{
    while (!stop) {
        char *block = hide(malloc(70000));

        CHECK(block != NULL);
        block[0] = 1;
        free(block);
    }
    return unused;
}

static void test_forwarding(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, forward, NULL) == 0);
    for (int i = 0; i < 20; i++)
        fork_once();
    stop = true;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* --- beside threads that register handlers of fork(): libc's list of these grows in its lock ---
 */

#define PROCESSES  40
#define FEW        3
#define REGISTERED 300

static pthread_barrier_t all_ready;

static void nothing(void)
{
}

static void *register_handlers(void *unused)
{
    pthread_barrier_wait(&all_ready);
    for (int i = 0; i < REGISTERED; i++)
        CHECK(pthread_atfork(nothing, nothing, nothing) == 0);
    return unused;
}

/* With slow.c behind: who waits for those inside of the next allocator waits long. */
static void *ask_slowly(void *unused)
{
    pthread_barrier_wait(&all_ready);
    while (!stop)
        free(hide(malloc(77777)));
    return unused;
}

static void fork_beside_registering(void)
{
    pthread_t threads[FEW];

    CHECK(pthread_barrier_init(&all_ready, NULL, FEW + 1) == 0);
    for (int i = 0; i < FEW; i++)
        CHECK(pthread_create(&threads[i], NULL, i == 0 ? ask_slowly : register_handlers, NULL) ==
              0);
    pthread_barrier_wait(&all_ready);
    for (int i = 0; i < 5; i++)
        fork_once();
    stop = true;
    for (int i = 0; i < FEW; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void test_registering(void)
{
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0) {
            fork_beside_registering();
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && exited_with(status, 0));
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    if (strcmp(argv[1], "handler") == 0)
        test_handler();
    else if (strcmp(argv[1], "stream") == 0)
        test_stream();
    else if (strcmp(argv[1], "forwarding") == 0)
        test_forwarding();
    else
        test_registering();
    return 0;
}
