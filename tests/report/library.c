/* library.c - whose constructor, inside dlopen(), waits for a thread that frees badly, and which
 * may be unloaded after it allocated. */
#include <pthread.h>
#include <stdlib.h>

static void *release(void *ptr)
{
    __asm__ volatile("" : "+r"(ptr));
    free(ptr);
    return NULL;
}

__attribute__((constructor)) static void wait_for_thread(void)
{
    static char a_global[16];
    pthread_t thread;
    if (getenv("RELEASE") != NULL && pthread_create(&thread, NULL, release, a_global) == 0)
        pthread_join(thread, NULL);
}

void *allocate_in_library(size_t size)
{
    void *block = malloc(size);
    __asm__ volatile("" : "+r"(block));
    return block;
}
