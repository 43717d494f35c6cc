/* mixed.c - many threads, each keeping a table of blocks that it replaces at random, with every
 * block checked before it is resized or freed. A third of the frees are remote: the block is
 * swapped for one that another thread left in a common table, and that one is freed. */
#include "stress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum {
    THREADS = 64,
    OPERATIONS = 2000000 / STRESS_SCALE,
    PROGRESS_STEP = OPERATIONS / 100,
    HELD = 256,
    SWAPPED = 4096,
    WALKS = 4
};

static _Atomic(unsigned char *) swapped[SWAPPED];
static atomic_ullong operations_done;
static atomic_ullong remote_frees;

/* At the same operations, some WALKS times at random, all threads meet and one looks at all of the
 * manager. */
static pthread_barrier_t meeting;

static unsigned next_meeting(uint64_t *random, unsigned now)
{
    return now + (unsigned)stress_between(random, 1, 2 * OPERATIONS / WALKS);
}

static void meet(void)
{
    if (pthread_barrier_wait(&meeting) == PTHREAD_BARRIER_SERIAL_THREAD)
        stress_walk();
    pthread_barrier_wait(&meeting);
}

struct worker {
    pthread_t thread;
    unsigned number;
};

/* The other thread's writes to the block it left are seen: this exchange pairs with its own. */
static unsigned char *swap(uint64_t *random, unsigned char *block)
{
    return atomic_exchange_explicit(&swapped[stress_random(random) % SWAPPED], block,
                                    memory_order_acq_rel);
}

static void *work(void *argument)
{
    const struct worker *me = argument;
    uint64_t random = stress_seed(me->number), common = stress_seed(THREADS);
    unsigned meet_at = next_meeting(&common, 0);
    unsigned char *held[HELD] = {NULL};
    unsigned long long remote = 0;

    for (unsigned i = 1; i <= OPERATIONS; i++) {
        unsigned char **place = &held[stress_random(&random) % HELD];
        unsigned choice = (unsigned)(stress_random(&random) % 24);
        if (*place == NULL) {
            *place = stress_new(&random, stress_size(&random));
        } else if (choice < 3) {
            *place = stress_resize(&random, *place, stress_size(&random));
        } else {
            unsigned char *block = *place;
            *place = NULL;
            if (choice < 11 && (block = swap(&random, block)) != NULL)
                remote++;
            if (block != NULL)
                stress_delete(block);
        }
        if (i == meet_at) {
            meet();
            meet_at = next_meeting(&common, i);
        }
        if (i % PROGRESS_STEP == 0)
            atomic_fetch_add_explicit(&operations_done, PROGRESS_STEP, memory_order_relaxed);
    }
    for (size_t i = 0; i < HELD; i++)
        if (held[i] != NULL)
            stress_delete(held[i]);
    atomic_fetch_add_explicit(&remote_frees, remote, memory_order_relaxed);
    return NULL;
}

/* Half-way every table is full: from then on no more memory is needed than that. */
static size_t resident_half_way(void)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    while (atomic_load_explicit(&operations_done, memory_order_relaxed) <
           (unsigned long long)THREADS * OPERATIONS / 2)
        nanosleep(&pause, NULL);
    return stress_resident();
}

int main(void)
{
    static struct worker workers[THREADS];
    stress_start();
    if (pthread_barrier_init(&meeting, NULL, THREADS) != 0)
        stress_fail("pthread_barrier_init()");
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].number = i;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            stress_fail("pthread_create()");
    }
    size_t half_way = resident_half_way();
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    stress_must_be_flat(half_way, stress_resident(), half_way / 4);

    for (size_t i = 0; i < SWAPPED; i++)
        if (swapped[i] != NULL)
            stress_delete(swapped[i]);
    printf("%d threads, %d operations each, %llu remote frees\n", THREADS, OPERATIONS,
           (unsigned long long)remote_frees);
    stress_end();
    return 0;
}
