/* fork() while other threads allocate with a lock that a handler of fork() waits for. The handler
 * was registered before the first request for memory, and so may be meant to run after ours. */
#include "check.h"
#include "fork_early_lib.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 3, FORKS = 500 };

static atomic_bool done;

static void *allocate(void *unused)
{
    (void)unused;
    for (unsigned round = 0; !done; round++) {
        allocate_in_lock(round);
        usleep(50);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate, NULL) == 0);
    for (int i = 0; i < FORKS; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            allocate_in_lock(1);
            _exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    done = true;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}
