/* Threads that first ask for memory when it is too late to be told of their end: in the last round
 * of the destructors of their keys. What each of them took is used again. */
#include "check.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#define AT_ONCE 8
#define ROUNDS  300

static pthread_key_t key;
static size_t size;

static void destroy(void *round)
{
    if ((size_t)round < PTHREAD_DESTRUCTOR_ITERATIONS)
        CHECK(pthread_setspecific(key, (char *)round + 1) == 0);
    else
        free(hide(malloc(size)));
}

static void *begin(void *unused)
{
    CHECK(pthread_setspecific(key, (char *)1) == 0);
    return unused;
}

static void run_threads(unsigned rounds)
{
    pthread_t threads[AT_ONCE];
    for (unsigned round = 0; round < rounds; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            CHECK(pthread_create(&threads[i], NULL, begin, NULL) == 0);
        for (int i = 0; i < AT_ONCE; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

int main(void)
{
    CHECK(pthread_key_create(&key, destroy) == 0);
    for (size = 100; size <= 10000; size *= 10) {
        run_threads(ROUNDS / 10);
        size_t before = resident_kib();
        run_threads(ROUNDS);
        CHECK(resident_kib() < before + 1024);
    }
    return 0;
}
