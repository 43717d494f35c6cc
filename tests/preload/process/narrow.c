/* A process with little address space, under MM_STACKS: one that limits itself, and one that was
 * limited when it began. Its threads start, and its blocks come. */
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { THREADS = 8, BLOCKS = 40000, BLOCK = 1024, DONE = 3 };

static const size_t own_limit = (size_t)1 << 30, limit_before = (size_t)600000 << 10;

static pthread_barrier_t all_there;

static void *wait_for_all(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&all_there);
    return NULL;
}

static void start_threads(void)
{
    pthread_t threads[THREADS];
    CHECK(pthread_barrier_init(&all_there, NULL, THREADS + 1) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, wait_for_all, NULL) == 0);
    pthread_barrier_wait(&all_there);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void allocate(void)
{
    static char *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK);
        CHECK(blocks[i] != NULL);
        blocks[i][BLOCK - 1] = 1;
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

/* With a bad free, whose report tells the stacks that are kept. */
static int live_within(size_t limit)
{
    CHECK(address_space_kib() < limit / 2 / 1024);
    start_threads();
    allocate();
    void *freed = hide(malloc(40));
    free(freed);
    free(freed);
    return DONE;
}

static void set_limit(size_t limit)
{
    struct rlimit all;
    CHECK(getrlimit(RLIMIT_AS, &all) == 0);
    all.rlim_cur = limit;
    CHECK(setrlimit(RLIMIT_AS, &all) == 0);
}

static int limit_then_live(void)
{
    set_limit(own_limit);
    return live_within(own_limit);
}

static int begin_limited(char *program)
{
    set_limit(limit_before);
    execl("/proc/self/exe", program, "limited", (char *)NULL);
    return 1;
}

static void run(const char *name)
{
    static char err[1 << 14];
    CHECK(exited_with(run_self(name, err, sizeof err), DONE));
    CHECK(strstr(err, "first freed by free in thread") != NULL &&
          strstr(err, "allocated in thread") != NULL);
}

int main(int argc, char **argv)
{
    if (!interposed())
        return SKIPPED;
    if (argc == 1) {
        run("limits-itself");
        run("begins-limited");
        return 0;
    }
    return strcmp(argv[1], "limits-itself") == 0    ? limit_then_live()
           : strcmp(argv[1], "begins-limited") == 0 ? begin_limited(argv[0])
                                                    : live_within(limit_before);
}
