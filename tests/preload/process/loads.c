/* A library, to be preloaded, whose threads load and unload a module from its constructor on, which
 * runs before the shim's: LOADS names the module. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static const char *module;
unsigned modules_loaded; /* how often, up to now */

static void *load_and_unload(void *unused)
{
    for (void *handle; (handle = dlopen(module, RTLD_NOW)) != NULL;) {
        __atomic_fetch_add(&modules_loaded, 1, __ATOMIC_RELAXED);
        dlclose(handle);
    }
    return unused;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t thread;
    module = getenv("LOADS");
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, NULL, load_and_unload, NULL);
    usleep(1000);
}
