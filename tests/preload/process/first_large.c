/* The first large blocks of a process are asked for by its threads. glibc's malloc sets itself up
 * at its first call, and not for several threads at once; where it is done in time the main thread
 * has the main heap, and others have heaps of their own. */
#include "check.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 8
#define LARGE   100000 /* more than a slot, less than what libc maps by itself */

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

int main(void)
{
    pthread_t threads[THREADS];
    first_break = (uintptr_t)sbrk(0);
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_at_once, NULL) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}
