/* Memory comes to an end, and goes on to be refused now and then: what is kept of blocks, and what
 * says which ones are live, may not be had for some of them. Those are as good as all others, and
 * nothing is told of them that is not so. */
#include "check.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 20000, LIVE = 256 };

/* Mostly small, one in 64 up to 1 MiB. */
static size_t random_size(unsigned *state)
{
    unsigned choice = next_random(state);
    size_t limit = choice % 64 == 0 ? (size_t)1 << 20 : (size_t)16 << choice / 64 % 9;

    return 1 + next_random(state) % limit;
}

static void *churn(void *argument)
{
    unsigned state = (unsigned)(uintptr_t)argument;
    struct {
        unsigned char *bytes;
        size_t size;
    } blocks[LIVE] = {{NULL, 0}};

    for (int round = 0; round < ROUNDS; round++) {
        unsigned i = next_random(&state) % LIVE;
        size_t size = random_size(&state);
        unsigned char *moved;

        if (next_random(&state) % 2 == 0) {
            free(blocks[i].bytes);
            blocks[i].bytes = NULL;
        }
        moved = realloc(blocks[i].bytes, size);
        if (moved != NULL) {
            blocks[i].bytes = moved;
            blocks[i].size = size;
            memset(moved, (int)(i + 1) & 0xff, size < 4096 ? size : 4096);
            moved[size - 1] = (unsigned char)(i + 1);
        }
    }
    for (unsigned i = 0; i < LIVE; i++) {
        if (blocks[i].bytes != NULL) {
            CHECK(blocks[i].bytes[0] == (unsigned char)(i + 1));
            CHECK(blocks[i].bytes[blocks[i].size - 1] == (unsigned char)(i + 1));
        }
        free(blocks[i].bytes);
    }
    return NULL;
}

static void run(void)
{
    pthread_t threads[THREADS];
    int count = 0;

    while (count < THREADS &&
           pthread_create(&threads[count], NULL, churn, (void *)(uintptr_t)(count + 1)) == 0)
        count++;
    churn((void *)(uintptr_t)9);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* With the limit from its start on. */
static void run_within(size_t mib)
{
    struct rlimit wanted = {mib << 20, mib << 20};
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        CHECK(setrlimit(RLIMIT_AS, &wanted) == 0);
        execl("/proc/self/exe", "scarce", "run", (char *)NULL);
        CHECK(false);
    }
    CHECK(waitpid(child, &status, 0) == child && exited_with(status, 0));
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        run();
        return 0;
    }
    for (size_t mib = 300; mib <= 600; mib += 50)
        run_within(mib);
    return 0;
}
