/* fork.c - busy threads that fork. Each child allocates, and frees what its parent left it:
 *
 *   settled   blocks of every thread that were handed over before the fork
 *   held      those of the thread that forked
 *   torn      whatever stands in the tables of threads that went on while fork() copied the pages.
 *             The copy may show such a block as free, or not show it at all: that is nobody's
 *             misuse, so nothing may be said of it (libc's free() by itself would end the child)
 *
 * A child that hangs is ended by its alarm clock; that and any other unclean end fail the test. */
#include "stress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum {
    THREADS = 8,
    FORKS_EACH = 1000 / STRESS_SCALE / THREADS,
    TABLE = 128,
    SETTLED = 32,
    WARM_UP_OPERATIONS = 100000,
    OPERATIONS_A_FORK = 500,
    CHILD_OPERATIONS = 1000,
    CHILD_SECONDS = 60,
    SLOT_MAX = 65536,
    /* 400 forks that lose 5 KiB each lose this much. */
    GROWTH_ALLOWED = 2 << 20
};

#ifdef STRESS_SANITIZED
enum { ANY_MAX = SLOT_MAX };
#else
enum { ANY_MAX = 100000 };
#endif

/* Volatile: a child is to find what the thread did up to the fork. */
typedef unsigned char *volatile block_ref;

struct worker {
    pthread_t thread;
    uint64_t random;
    block_ref held[TABLE];
    block_ref torn[TABLE]; /* slots only: libc's own state of a forwarded block may be torn too */
    block_ref settled[SETTLED]; /* under settled_lock */
};

static struct worker workers[THREADS];
static pthread_mutex_t settled_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint forks_done;
static atomic_uint threads_done;
static _Atomic size_t resident_half_way, resident_late;

static size_t size_up_to(uint64_t *random, size_t max)
{
    size_t size = stress_size(random);
    return size < max ? size : max;
}

static void replace(uint64_t *random, block_ref table[], size_t places, size_t size_max,
                    unsigned operations)
{
    for (unsigned i = 0; i < operations; i++) {
        block_ref *place = &table[stress_random(random) % places];
        unsigned char *block = *place;
        if (block == NULL) {
            *place = stress_new(random, size_up_to(random, size_max));
        } else {
            *place = NULL;
            stress_delete(block);
        }
    }
}

static void delete_all(block_ref table[], size_t places)
{
    for (size_t i = 0; i < places; i++)
        if (table[i] != NULL) {
            stress_delete(table[i]);
            table[i] = NULL;
        }
}

static void *live_on(void *argument)
{
    uint64_t random = *(uint64_t *)argument;
    block_ref held[TABLE] = {NULL};
    replace(&random, held, TABLE, ANY_MAX, CHILD_OPERATIONS);
    delete_all(held, TABLE);
    return NULL;
}

_Noreturn static void be_child(struct worker *me)
{
    alarm(CHILD_SECONDS);
    for (unsigned i = 0; i < THREADS; i++)
        delete_all(workers[i].settled, SETTLED);
    delete_all(me->held, TABLE);
    live_on(&me->random);
#ifndef STRESS_SANITIZED
    /* A thread of the child's own, which may take up what the gone ones left, but not all of it. */
    pthread_t thread;
    if (pthread_create(&thread, NULL, live_on, &me->random) != 0)
        stress_fail("pthread_create() in a child");
    pthread_join(thread, NULL);
#endif
    for (unsigned i = 0; i < THREADS; i++)
        for (size_t j = 0; j < TABLE; j++)
            stress_free(workers[i].torn[j]);
    live_on(&me->random);
    _exit(EXIT_SUCCESS);
}

static void expect_clean_end(pid_t child)
{
    int status = 0;
    if (waitpid(child, &status, 0) != child)
        stress_fail("waitpid()");
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        stress_fail("a child hung");
    if (WIFSIGNALED(status))
        stress_fail("a child was ended by a signal");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
        stress_fail("a child's exit status is not 0");
}

static void *work(void *argument)
{
    struct worker *me = argument;
    /* Until the tables have had their largest blocks, memory grows without a fork. */
    replace(&me->random, me->held, TABLE, ANY_MAX, WARM_UP_OPERATIONS);
    replace(&me->random, me->torn, TABLE, SLOT_MAX, WARM_UP_OPERATIONS);
    for (unsigned forks = 0; forks < FORKS_EACH; forks++) {
        replace(&me->random, me->held, TABLE, ANY_MAX, OPERATIONS_A_FORK);
        replace(&me->random, me->torn, TABLE, SLOT_MAX, OPERATIONS_A_FORK);

        /* The lock is held across the fork: no settled block is on its way meanwhile. */
        pthread_mutex_lock(&settled_lock);
        replace(&me->random, me->settled, SETTLED, ANY_MAX, SETTLED);
        pid_t child = fork();
        if (child == 0)
            be_child(me);
        pthread_mutex_unlock(&settled_lock);
        if (child < 0)
            stress_fail("fork()");
        expect_clean_end(child);
        unsigned done = atomic_fetch_add(&forks_done, 1) + 1;
        if (done == THREADS * FORKS_EACH / 2)
            resident_half_way = stress_resident();
        /* Not at the very end, when threads that are through have all the time for their tables. */
        if (done == THREADS * FORKS_EACH / 10 * 9)
            resident_late = stress_resident();
    }
    atomic_fetch_add(&threads_done, 1);
    /* Busy to the end, so that no fork finds less going on than another. */
    while (atomic_load(&threads_done) < THREADS)
        replace(&me->random, me->torn, TABLE, SLOT_MAX, OPERATIONS_A_FORK);
    return NULL;
}

int main(void)
{
    stress_forks();
    stress_start();
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].random = stress_seed(i);
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            stress_fail("pthread_create()");
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    stress_must_be_flat(resident_half_way, resident_late, GROWTH_ALLOWED);
    for (unsigned i = 0; i < THREADS; i++) {
        delete_all(workers[i].held, TABLE);
        delete_all(workers[i].torn, TABLE);
        delete_all(workers[i].settled, SETTLED);
    }
    printf("%u forks\n", forks_done);
    stress_end();
    return 0;
}
