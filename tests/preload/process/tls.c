/* Libraries with thread-local data, opened and closed while threads run.
 * usage: tls PLUGIN STATIC_PLUGIN */
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#define THREADS 8
#define ROUNDS  30

typedef int touch_fn(void);

static touch_fn *touch;
static pthread_barrier_t opened;
static pthread_barrier_t touched;
static pthread_barrier_t closed;

/* Every other thread lives on after the library is closed, and so through ld.so's clean-up. */
static void *use_plugin(void *stay)
{
    void *block = malloc(300);

    pthread_barrier_wait(&opened);
    CHECK(touch() == 1);
    CHECK(touch() == 2);
    free(block);
    pthread_barrier_wait(&touched);
    if (stay != NULL)
        pthread_barrier_wait(&closed);
    free(malloc(300));
    return NULL;
}

static void *open_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);

    CHECK(library != NULL);
    return library;
}

static touch_fn *find_touch(void *library, const char *name)
{
    touch_fn *found = (touch_fn *)dlsym(library, name);

    CHECK(found != NULL);
    return found;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    CHECK(find_touch(open_library(argv[2]), "tls_static_touch")() == 1);
    pthread_barrier_init(&opened, NULL, THREADS + 1);
    pthread_barrier_init(&touched, NULL, THREADS + 1);
    pthread_barrier_init(&closed, NULL, THREADS / 2 + 1);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        void *library;

        for (size_t i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, use_plugin, i % 2 ? threads : NULL) == 0);
        library = open_library(argv[1]);
        touch = find_touch(library, "tls_plugin_touch");
        pthread_barrier_wait(&opened);
        pthread_barrier_wait(&touched);
        for (size_t i = 0; i < THREADS; i += 2)
            CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(dlclose(library) == 0);
        pthread_barrier_wait(&closed);
        for (size_t i = 1; i < THREADS; i += 2)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    return 0;
}
