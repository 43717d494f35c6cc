/* Several copies of the shim in one process: one works, and the others are as if they were not
 * there. A bad free is told once. */
#include "check.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 3
#define FORKS   50

static void use_all(unsigned seed)
{
    for (unsigned i = 1; i < 40; i++) {
        size_t size = (size_t)i * 4001;
        void *block = i % 2 == 0 ? malloc(size) : calloc(i, 4001);
        CHECK(block != NULL && malloc_usable_size(block) >= size);
        fill(block, size, seed);
        block = realloc(block, size * 2);
        CHECK(filled(block, size, seed));
        free(block);
        block = memalign(4096, size);
        CHECK((size_t)block % 4096 == 0);
        free(block);
    }
}

static void *work(void *unused)
{
    for (unsigned i = 0; i < 200; i++)
        use_all(i);
    return unused;
}

static void fork_beside_threads(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (unsigned i = 0; i < FORKS; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            use_all(i);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && exited_with(status, 0));
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void find_one_family(void)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY);
    CHECK(libc != NULL && dlsym(RTLD_DEFAULT, "malloc") == (void *)malloc);
    void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(libc, "malloc");
    free(allocate(100000));
    CHECK(dlclose(libc) == 0);
}

static int misuse(size_t size)
{
    void *block = malloc(size);
    free(block);
    free(hide(block));
    return 0;
}

int main(int argc, char **argv)
{
    static char err[1 << 16];
    if (argc > 1)
        return misuse(strcmp(argv[1], "large") == 0 ? 100000 : 100);
    use_all(1);
    find_one_family();
    fork_beside_threads();
    if (!interposed()) /* libc would end such a process */
        return 0;
    CHECK(exited_with(run_self("small", err, sizeof err), 0));
    CHECK(occurrences(err, "ERROR: mmshim: double-free") == 1);
    CHECK(exited_with(run_self("large", err, sizeof err), 0));
    CHECK(occurrences(err, "ERROR: mmshim: double-free") == 1);
    return 0;
}
