/* threads.c - rows of several threads. COUNT is the number of blocks that each thread allocates, or
 * what the row's comment says. */
#include "blocks.h"

#include <pthread.h>
#include <semaphore.h>

static void start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    if (pthread_create(thread, NULL, run, argument) != 0) {
        fputs("can't start a thread\n", stderr);
        exit(1);
    }
}

static void join(pthread_t thread)
{
    pthread_join(thread, NULL);
}

/* -- independent work: what two threads do beside what one does is how an allocator scales -- */

static uint64_t count_each;

static void *independent(void *argument)
{
    enum { LIVE = 1000 };
    void *blocks[LIVE];
    uint64_t random = (uintptr_t)argument;
    bench_fill(&random, blocks, LIVE, bench_real_size, bench_new);
    bench_replace(&random, blocks, LIVE, count_each, bench_real_size, bench_new);
    bench_empty(blocks, LIVE);
    return NULL;
}

static void one(uint64_t count)
{
    pthread_t thread;
    count_each = count;
    start(&thread, independent, (void *)1);
    join(thread);
}

static void two(uint64_t count)
{
    pthread_t threads[2];
    count_each = count;
    for (uintptr_t i = 0; i < 2; i++)
        start(&threads[i], independent, (void *)(i + 1));
    for (size_t i = 0; i < 2; i++)
        join(threads[i]);
}

/* -- a server: after Larson and Krishnan, "Memory allocation for long-running server applications"
 *    (ISMM 1998). A thread replaces blocks of 10 to 500 bytes for a while, then starts a successor,
 *    hands it the blocks, and ends -- */

enum { LARSON_CHAINS = 4, LARSON_LIVE = 1000, LARSON_SHIFT = 20000 };

struct larson {
    void *blocks[LARSON_LIVE];
    uint64_t random, left;
};

static sem_t larson_done;

static size_t size_10_to_500(uint64_t random)
{
    return 10 + bench_also_below(random, 491);
}

static void *larson_thread(void *argument)
{
    struct larson *chain = argument;
    if (chain->left == 0) {
        bench_empty(chain->blocks, LARSON_LIVE);
        sem_post(&larson_done);
        return NULL;
    }
    uint64_t shift = chain->left < LARSON_SHIFT ? chain->left : LARSON_SHIFT;
    bench_replace(&chain->random, chain->blocks, LARSON_LIVE, shift, size_10_to_500, bench_new);
    chain->left -= shift;
    pthread_t successor;
    start(&successor, larson_thread, chain);
    pthread_detach(successor);
    return NULL;
}

static void larson(uint64_t count)
{
    static struct larson chains[LARSON_CHAINS];
    sem_init(&larson_done, 0, 0);
    for (size_t i = 0; i < LARSON_CHAINS; i++) {
        chains[i].random = i;
        chains[i].left = count;
        bench_fill(&chains[i].random, chains[i].blocks, LARSON_LIVE, size_10_to_500, bench_new);
        pthread_t thread;
        start(&thread, larson_thread, &chains[i]);
        pthread_detach(thread);
    }
    for (size_t i = 0; i < LARSON_CHAINS; i++)
        sem_wait(&larson_done);
}

/* -- producer and consumer: every free is of another thread's block, the worst case of heaps that
 *    belong to threads. Blocks are handed over by the hundred, as queues of messages do -- */

enum { PARCEL = 100, PARCELS = 64 };

static struct {
    void *blocks[PARCELS][PARCEL];
    sem_t empty, full;
} queue;

static void *consume(void *argument)
{
    uint64_t parcels = *(const uint64_t *)argument;
    for (uint64_t i = 0; i < parcels; i++) {
        sem_wait(&queue.full);
        bench_empty(queue.blocks[i % PARCELS], PARCEL);
        sem_post(&queue.empty);
    }
    return NULL;
}

static void remote(uint64_t count)
{
    uint64_t parcels = count / PARCEL;
    uint64_t random = 1;
    pthread_t consumer;
    sem_init(&queue.empty, 0, PARCELS);
    sem_init(&queue.full, 0, 0);
    start(&consumer, consume, &parcels);
    for (uint64_t i = 0; i < parcels; i++) {
        sem_wait(&queue.empty);
        bench_fill(&random, queue.blocks[i % PARCELS], PARCEL, bench_real_size, bench_new);
        sem_post(&queue.full);
    }
    join(consumer);
}

/* -- short threads: a thread a request. Each leaves a result that the joining thread frees. COUNT
 * is the number of threads -- */

static void *answer(void *argument)
{
    enum { LIVE = 100 };
    void *blocks[LIVE];
    uint64_t random = (uintptr_t)argument;
    bench_fill(&random, blocks, LIVE, bench_real_size, bench_new);
    bench_empty(blocks, LIVE);
    return bench_new(200);
}

static void churn(uint64_t count)
{
    enum { AT_ONCE = 4 };
    for (uint64_t done = 0; done < count; done += AT_ONCE) {
        pthread_t threads[AT_ONCE];
        for (uintptr_t i = 0; i < AT_ONCE; i++)
            start(&threads[i], answer, (void *)(done + i));
        for (size_t i = 0; i < AT_ONCE; i++) {
            void *result;
            pthread_join(threads[i], &result);
            bench_delete(result);
        }
    }
}

/* -- many threads with a small heap each, all there at once: a pool of workers that mostly sleep.
 * It is about the memory. COUNT is the number of replacements in each thread -- */

enum { MANY = 200 };

static pthread_barrier_t all_there;

static void *sleeper(void *argument)
{
    enum { LIVE = 200 };
    void *blocks[LIVE];
    uint64_t random = (uintptr_t)argument;
    bench_fill(&random, blocks, LIVE, bench_real_size, bench_new);
    pthread_barrier_wait(&all_there);
    bench_replace(&random, blocks, LIVE, count_each, bench_real_size, bench_new);
    bench_empty(blocks, LIVE);
    return NULL;
}

static void many(uint64_t count)
{
    pthread_t threads[MANY];
    count_each = count;
    pthread_barrier_init(&all_there, NULL, MANY);
    for (uintptr_t i = 0; i < MANY; i++)
        start(&threads[i], sleeper, (void *)i);
    for (size_t i = 0; i < MANY; i++)
        join(threads[i]);
}

/* -- a program whose first large block comes when it has threads: each time around ten of them, 65
 *    to 300 KiB. COUNT is the number of such blocks -- */

static size_t size_65k_to_300k(uint64_t random)
{
    return (65 + bench_below(random, 236)) << 10;
}

static void *take_ten_at_a_time(void *unused)
{
    enum { TEN = 10 };
    void *blocks[TEN];
    uint64_t random = 1;
    for (uint64_t done = 0; done < count_each; done += TEN) {
        bench_fill(&random, blocks, TEN, size_65k_to_300k, bench_new_large);
        bench_empty(blocks, TEN);
    }
    return unused;
}

static void first_large(uint64_t count)
{
    pthread_t threads[2];
    count_each = count / 2;
    for (size_t i = 0; i < 2; i++)
        start(&threads[i], take_ten_at_a_time, NULL);
    for (size_t i = 0; i < 2; i++)
        join(threads[i]);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"one", one},     {"two", two},   {"larson", larson},           {"remote", remote},
        {"churn", churn}, {"many", many}, {"first-large", first_large},
    };
    return bench_main(argc, argv, rows, sizeof rows / sizeof *rows);
}
