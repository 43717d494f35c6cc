/* The first large blocks of a process are asked for by its threads. glibc's malloc sets itself up
 * at its first call, and not for several threads at once; where it is done in time the main thread
 * has the main heap, and others have heaps of their own. Nor are these given back and taken again
 * around every few blocks. */
#include "check.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREADS 8
#define LARGE   100000 /* more than a slot, less than what libc maps by itself */
#define BLOCKS  5
#define ROUNDS  500

static pthread_barrier_t barrier;
static uintptr_t first_break;

static void *allocate_at_once(void *unused)
{
    pthread_barrier_wait(&barrier);
    char *block = malloc(LARGE);
    CHECK(block != NULL);
    fill(block, LARGE, 1);
    CHECK((uintptr_t)block < first_break || (uintptr_t)block >= (uintptr_t)sbrk(0));
    free(block);
    return unused;
}

static long page_faults(void)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_minflt;
}

static void *go_round(void *unused)
{
    char *blocks[BLOCKS];
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(LARGE + i * LARGE / 5);
            CHECK(blocks[i] != NULL);
            memset(blocks[i], 1, LARGE);
        }
        for (unsigned i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
    return unused;
}

static void stay_large(void)
{
    pthread_t thread;
    long before = page_faults();
    CHECK(pthread_create(&thread, NULL, go_round, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(page_faults() - before < BLOCKS * ROUNDS); /* of 25 pages each */
}

int main(void)
{
    pthread_t threads[THREADS];
    first_break = (uintptr_t)sbrk(0);
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_at_once, NULL) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    stay_large();
    return 0;
}
