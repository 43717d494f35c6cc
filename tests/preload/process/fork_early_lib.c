/* A library that registers its handlers of fork() as it is loaded, before anyone asked for memory,
 * and allocates while it holds the lock that they take. */
#include "fork_early_lib.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
    pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void begin(void)
{
    pthread_atfork(lock, unlock, unlock);
}

void allocate_in_lock(unsigned round)
{
    lock();
    void *first = malloc(round % 2 ? 100000 : 3000), *second = malloc(20000);
    unlock();
    free(first);
    free(second);
}
