/* fork() from a process whose threads are in the middle of malloc: the child allocates, frees the
 * parent's blocks of every thread, starts threads, forks again, and ends like any process. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUSY_THREADS    4
#define FORKS           40
#define ROUNDS_OF_FORKS 8
#define FORKING_THREADS 3
#define STABLE          300 /* blocks a busy thread that stay as they are until all is over */
#define CHANGING        128

static void *stable[BUSY_THREADS + 1][STABLE]; /* the last row is the main thread's */
static pthread_barrier_t stable_made;
static volatile bool stop;

/* Handlers that need malloc themselves. One set is registered before the shim can have registered
 * anything, the other after: libc runs them outside and inside of the shim's. */
static __thread void *handler_block[2];
static atomic_uint handler_calls[2];

static void replace_handler_block(int set)
{
    unsigned calls = handler_calls[set]++;

    free(handler_block[set]);
    handler_block[set] = malloc(40 + calls % 50 * 100);
    CHECK(handler_block[set] != NULL);
    free(malloc(100000));
}

static void first_handler(void)
{
    replace_handler_block(0);
}

static void second_handler(void)
{
    replace_handler_block(1);
}

static void register_first_handlers(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    (void)environment;
    CHECK(pthread_atfork(first_handler, first_handler, first_handler) == 0);
}

__attribute__((section(".preinit_array"),
               used)) static void (*const preinit)(int, char **, char **) = register_first_handlers;

static size_t stable_size(size_t number)
{
    return number % 50 == 49 ? 50000 : number * number % 3000;
}

static void make_stable(void **blocks)
{
    for (size_t i = 0; i < STABLE; i++) {
        blocks[i] = malloc(stable_size(i));
        CHECK(blocks[i] != NULL);
        fill(blocks[i], stable_size(i), (unsigned)i);
    }
}

static void free_all_stable(void)
{
    for (size_t row = 0; row <= BUSY_THREADS; row++)
        for (size_t i = 0; i < STABLE; i++) {
            CHECK(filled(stable[row][i], stable_size(i), (unsigned)i));
            free(stable[row][i]);
        }
}

static void change(void **blocks, unsigned *state)
{
    unsigned number = next_random(state) % CHANGING;
    size_t size = next_random(state) % 64 == 0 ? 60000 : next_random(state) % 2000;

    free(blocks[number]);
    blocks[number] = malloc(size);
    CHECK(blocks[number] != NULL);
}

static void *be_busy(void *row)
{
    void *blocks[CHANGING] = {NULL};
    unsigned state = 1;

    make_stable(row);
    pthread_barrier_wait(&stable_made);
    while (!stop)
        change(blocks, &state);
    for (size_t i = 0; i < CHANGING; i++)
        free(blocks[i]);
    return NULL;
}

static void *allocate_a_while(void *unused)
{
    void *blocks[CHANGING] = {NULL};
    unsigned state = 2;

    (void)unused;
    for (int i = 0; i < 5000; i++)
        change(blocks, &state);
    for (size_t i = 0; i < CHANGING; i++)
        free(blocks[i]);
    return NULL;
}

/* As many as there were: libc gives them the stacks of those that were left behind. */
static void run_threads(void)
{
    pthread_t threads[BUSY_THREADS];

    for (int i = 0; i < BUSY_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_a_while, NULL) == 0);
    for (int i = 0; i < BUSY_THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void wait_for(pid_t child)
{
    int status;

    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(exited_with(status, 0));
}

static void run_child(int number)
{
    allocate_a_while(NULL);
    if (number % 3 == 0)
        run_threads();
    if (number % 2 == 0) {
        pid_t grandchild = fork();

        if (grandchild == 0) {
            free_all_stable();
            allocate_a_while(NULL);
            exit(0);
        }
        wait_for(grandchild);
    }
    free_all_stable();
    allocate_a_while(NULL);
    if (number % 4 == 1)
        _exit(0);
    exit(0);
}

static void *fork_once(void *number)
{
    pid_t child = fork();

    if (child == 0)
        run_child(*(int *)number);
    wait_for(child);
    return NULL;
}

/* From threads that are not the main one, and at the same time. */
static void fork_from_threads(void)
{
    pthread_t threads[FORKING_THREADS];
    int numbers[FORKING_THREADS];

    for (int i = 0; i < FORKING_THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, fork_once, &numbers[i]) == 0);
    }
    for (int i = 0; i < FORKING_THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* _Fork() runs no handlers. As long as there is one thread, the child may do anything. */
static void test_fork_without_handlers(void)
{
#if __GLIBC_PREREQ(2, 34)
    void *block = malloc(100);
    pid_t child = _Fork();

    CHECK(child >= 0);
    if (child == 0) {
        free(block);
        allocate_a_while(NULL);
        run_threads();
        exit(0);
    }
    wait_for(child);
    free(block);
#endif
}

int main(void)
{
    pthread_t busy[BUSY_THREADS];
    unsigned calls;

    test_fork_without_handlers();
    CHECK(pthread_atfork(second_handler, second_handler, second_handler) == 0);
    pthread_barrier_init(&stable_made, NULL, BUSY_THREADS + 1);
    make_stable(stable[BUSY_THREADS]);
    for (size_t i = 0; i < BUSY_THREADS; i++)
        CHECK(pthread_create(&busy[i], NULL, be_busy, stable[i]) == 0);
    pthread_barrier_wait(&stable_made);
    for (int i = 0; i < FORKS; i++)
        fork_once(&i);
    for (int i = 0; i < ROUNDS_OF_FORKS; i++)
        fork_from_threads();
    stop = true;
    for (size_t i = 0; i < BUSY_THREADS; i++)
        CHECK(pthread_join(busy[i], NULL) == 0);
    free_all_stable();
    calls = 2 * (FORKS + ROUNDS_OF_FORKS * FORKING_THREADS);
    CHECK(handler_calls[0] == calls && handler_calls[1] == calls);
    return 0;
}
