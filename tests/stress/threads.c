/* threads.c - very many short-lived threads, a few at a time. Each frees most of what it allocates;
 * the rest is freed by the thread that joins it, by a thread that comes later, and by a destructor
 * of its own thread-specific data, at a time when the manager's own may have run already. */
#include "stress.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    SPAWNERS = 4,
    THREADS = 100000 / STRESS_SCALE,
    OWN = 24,
    FOR_JOINER = 4,
    FOR_LATER = 4,
    LATER = 256,
    /* One more heap may have come into use since, which takes 1.5 MiB in time; 40,000 threads that
     * lose a hundred bytes each lose this much. */
    GROWTH_ALLOWED = 4 << 20
};

struct short_life {
    pthread_t thread;
    uint64_t random;
    unsigned char *for_joiner[FOR_JOINER];
};

static _Atomic(unsigned char *) for_later[LATER];
static pthread_key_t late_key;
static atomic_uint threads_started, threads_done;
static _Atomic size_t resident_half_way, resident_late;

struct late {
    unsigned round;
    unsigned char *block;
};

static void run_late(void *argument)
{
    struct late *late = argument;
    uint64_t random = (uintptr_t)late;
    stress_delete(late->block);
    late->block = stress_new(&random, stress_size(&random));
    /* Once more, in the next round of destructors. */
    if (late->round++ == 0) {
        pthread_setspecific(late_key, late);
        return;
    }
    stress_delete(late->block);
    stress_free(late);
}

static void leave_late_work(uint64_t *random)
{
    struct late *late = stress_calloc(1, sizeof *late);
    if (late == NULL)
        stress_fail("out of memory");
    late->block = stress_new(random, stress_size(random));
    pthread_setspecific(late_key, late);
}

static void *live(void *argument)
{
    struct short_life *me = argument;
    unsigned char *own[OWN];

    for (size_t i = 0; i < OWN; i++)
        own[i] = stress_new(&me->random, stress_size(&me->random));
    for (size_t i = 0; i < FOR_JOINER; i++)
        me->for_joiner[i] = stress_new(&me->random, stress_size(&me->random));
    for (size_t i = 0; i < FOR_LATER; i++) {
        unsigned char *block = stress_new(&me->random, stress_size(&me->random));
        block = atomic_exchange_explicit(&for_later[stress_random(&me->random) % LATER], block,
                                         memory_order_acq_rel);
        if (block != NULL)
            stress_delete(block);
    }
    leave_late_work(&me->random);
    for (size_t i = 0; i < OWN; i++)
        stress_delete(own[i]);
    return NULL;
}

static void *spawn(void *argument)
{
    struct short_life life = {.random = stress_seed(*(unsigned *)argument)};
    while (atomic_fetch_add(&threads_started, 1) < THREADS) {
        if (pthread_create(&life.thread, NULL, live, &life) != 0)
            stress_fail("pthread_create()");
        pthread_join(life.thread, NULL);
        for (size_t j = 0; j < FOR_JOINER; j++)
            stress_delete(life.for_joiner[j]);
        unsigned done = atomic_fetch_add(&threads_done, 1) + 1;
        if (done == THREADS / 2)
            resident_half_way = stress_resident();
        /* Not at the very end, when a spawner that is through leaves its heap to the others. */
        if (done == THREADS / 10 * 9)
            resident_late = stress_resident();
    }
    return NULL;
}

int main(void)
{
    pthread_t spawner[SPAWNERS];
    unsigned number[SPAWNERS];

    stress_start();
    if (pthread_key_create(&late_key, run_late) != 0)
        stress_fail("pthread_key_create()");
    for (unsigned i = 0; i < SPAWNERS; i++) {
        number[i] = i;
        if (pthread_create(&spawner[i], NULL, spawn, &number[i]) != 0)
            stress_fail("pthread_create()");
    }
    for (unsigned i = 0; i < SPAWNERS; i++)
        pthread_join(spawner[i], NULL);
    stress_must_be_flat(resident_half_way, resident_late, GROWTH_ALLOWED);
    for (size_t i = 0; i < LATER; i++)
        if (for_later[i] != NULL)
            stress_delete(for_later[i]);
    printf("%u threads\n", threads_done);
    stress_end();
    return 0;
}
