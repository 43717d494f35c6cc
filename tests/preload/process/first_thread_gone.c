/* A report after the first thread has ended: what the kernel tells of the process by that thread's
 * id is nothing by then. */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static int global[4];

static void *free_badly(void *first)
{
    CHECK(pthread_join(*(pthread_t *)first, NULL) == 0);
    free(hide(global));
    exit(0);
}

int main(void)
{
    static pthread_t first;
    pthread_t thread;

    first = pthread_self();
    CHECK(pthread_create(&thread, NULL, free_badly, &first) == 0);
    pthread_exit(NULL);
}
