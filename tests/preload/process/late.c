/* The shim opened late, by a program that runs on libc's allocator: its thread-local data must fit
 * into what is left of the static TLS block. Closed again it must stay, as it still has to see the
 * end of threads and of the process.
 * usage: late SHIM (without LD_PRELOAD) */
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define BLOCKS 2000

typedef void *malloc_fn(size_t size);
typedef void free_fn(void *block);

static malloc_fn *shim_malloc;
static free_fn *shim_free;
static pthread_barrier_t used;
static pthread_barrier_t closed;

static void *use_shim(void *unused)
{
    static void *blocks[BLOCKS];

    (void)unused;
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = shim_malloc(i * 40);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, i * 40);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        shim_free(blocks[i]);
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return NULL;
}

int main(int argc, char **argv)
{
    void *shim;
    pthread_t thread;

    CHECK(argc == 2 && !interposed());
    shim = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(shim != NULL);
    shim_malloc = (malloc_fn *)dlsym(shim, "malloc");
    shim_free = (free_fn *)dlsym(shim, "free");
    CHECK(shim_malloc != NULL && shim_free != NULL);
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    CHECK(pthread_create(&thread, NULL, use_shim, NULL) == 0);
    pthread_barrier_wait(&used);
    CHECK(dlclose(shim) == 0);
    pthread_barrier_wait(&closed);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
