/* What goes back to the system though nobody, or not the right thread, comes by; and what a
 * thread's end costs beside a large heap. usage: given_back WAY idle       all is freed, and
 * nothing happens any more threads    the same in sixteen threads, each of which then waits waiting
 * all is freed by another thread than the one that allocated it, which waits survivors  three in a
 * hundred blocks stay large      the same of blocks that libc maps one by one ends       short
 * threads after one that left a million blocks */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define TOTAL ((size_t)200 << 20)

enum { MOST = 1 << 20, SHORT_THREADS = 100, THREADS = 16 };

static unsigned char *blocks[MOST];
static size_t count;
static pthread_barrier_t allocated;

static void allocate_of(unsigned least, unsigned most)
{
    unsigned state = 1;

    for (size_t got = 0; got < TOTAL; count++) {
        size_t size = least + next_random(&state) % (most - least);

        CHECK(count < MOST && (blocks[count] = malloc(size)) != NULL);
        memset(blocks[count], 1, size);
        got += size;
    }
}

static void allocate(void)
{
    allocate_of(100, 1000);
}

/* Frees all but so many in a hundred. */
static void free_most(unsigned kept)
{
    unsigned state = 2;

    for (size_t i = 0; i < count; i++) {
        if (next_random(&state) % 100 >= kept) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    }
}

static void *allocate_and_wait(void *unused)
{
    allocate();
    pthread_barrier_wait(&allocated);
    while (pause() != 0)
        continue;
    return unused;
}

static void go_on_a_little(void)
{
    for (int round = 0; round < 10; round++) {
        static void *volatile some[5000];

        for (int i = 0; i < 5000; i++)
            CHECK((some[i] = malloc(500)) != NULL);
        for (int i = 0; i < 5000; i++)
            free(some[i]);
        usleep(200000);
    }
}

static void check_back(size_t peak, size_t least_per_cent)
{
    size_t rest = resident_kib();

    dprintf(STDOUT_FILENO, "resident memory: %zu KiB at its peak, %zu KiB in the end\n", peak,
            rest);
    CHECK(peak > TOTAL / 1024);
    CHECK(rest < peak / 100 * (100 - least_per_cent));
}

static void waiting(void)
{
    pthread_t thread;
    size_t peak;

    pthread_barrier_init(&allocated, NULL, 2);
    CHECK(pthread_create(&thread, NULL, allocate_and_wait, NULL) == 0);
    pthread_barrier_wait(&allocated);
    peak = resident_kib();
    free_most(0);
    CHECK(malloc_trim(0) == 1);
    check_back(peak, 75);
}

static void survivors(void)
{
    size_t peak;

    allocate();
    peak = resident_kib();
    free_most(3);
    go_on_a_little();
    check_back(peak, 50);
    for (size_t i = 0; i < count; i++)
        CHECK(blocks[i] == NULL || blocks[i][0] == 1);
}

static void large(void)
{
    size_t peak;

    allocate_of(256 << 10, 1 << 20);
    peak = resident_kib();
    free_most(3);
    check_back(peak, 75);
}

static void idle(void)
{
    size_t peak;

    allocate();
    peak = resident_kib();
    free_most(0);
    check_back(peak, 90);
}

/* Of each thread's share: together they are TOTAL. */
static void *allocate_free_and_wait(void *number)
{
    enum { SHARE = MOST / THREADS };
    unsigned char **own = blocks + (size_t)(uintptr_t)number * SHARE;
    unsigned state = (unsigned)(uintptr_t)number + 1, some = 0;

    for (size_t got = 0; got < TOTAL / THREADS; some++) {
        size_t size = 100 + next_random(&state) % 900;

        CHECK(some < SHARE && (own[some] = malloc(size)) != NULL);
        memset(own[some], 1, size);
        got += size;
    }
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&allocated); /* measured */
    for (unsigned i = 0; i < some; i++)
        free(own[i]);
    pthread_barrier_wait(&allocated);
    while (pause() != 0)
        continue;
    return NULL;
}

static void threads(void)
{
    size_t peak;

    pthread_barrier_init(&allocated, NULL, THREADS + 1);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, allocate_free_and_wait, (void *)i) == 0);
    }
    pthread_barrier_wait(&allocated);
    peak = resident_kib();
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&allocated);
    check_back(peak, 90);
}

static void rounds(void)
{
    unsigned state = 1;

    for (unsigned round = 0; round < 12; round++) {
        size_t some = 2000 + round * 7919 % 150000;

        for (size_t i = 0; i < some; i++) {
            state = state * 1103515245 + 12345;
            size_t size = 16 + (state >> 16) % 4000;

            CHECK((blocks[i] = malloc(size)) != NULL);
            memset(blocks[i], (int)i, size < 64 ? size : 64);
        }
        for (size_t i = 0; i < some; i++) {
            unsigned char *block = blocks[round % 2 != 0 ? i : some - 1 - i];

            CHECK(block[0] == block[15]);
            free(block);
        }
    }
}

static long page_faults(void)
{
    struct rusage usage;

    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_minflt;
}

static void again(void)
{
    static const size_t sizes[] = {140000,  262112,  262144,  1000000,
                                   1048544, 1048552, 1048560, 4194272};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        long before = 0;

        for (unsigned round = 0; round < 20; round++) {
            unsigned char *block = malloc(sizes[i]);

            CHECK(block != NULL);
            memset(block, 1, sizes[i]);
            free(block);
            before = round == 2 ? page_faults() : before;
        }
        CHECK(page_faults() - before < 100);
    }
}

static void *leave_blocks(void *unused)
{
    (void)unused;
    for (count = 0; count < MOST; count++)
        CHECK((blocks[count] = malloc(64)) != NULL);
    free_most(50);
    return NULL;
}

static void *live_shortly(void *unused)
{
    free(malloc(64));
    return unused;
}

/* The fastest of some, which nothing else came between; in nanoseconds. */
static long shortest_life(void)
{
    long shortest = 1000000000;

    for (int i = 0; i < SHORT_THREADS; i++) {
        struct timespec start, end;
        pthread_t thread;

        clock_gettime(CLOCK_MONOTONIC, &start);
        CHECK(pthread_create(&thread, NULL, live_shortly, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        clock_gettime(CLOCK_MONOTONIC, &end);
        long took = (end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec;
        shortest = took < shortest ? took : shortest;
    }
    return shortest;
}

/* A walk over all batches there took thirty times as long. */
static void ends(void)
{
    long before = shortest_life(), after;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, leave_blocks, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    after = shortest_life();
    dprintf(STDOUT_FILENO, "a short thread's life: %ld ns before, %ld ns after\n", before, after);
    CHECK(after < 4 * before + 20000);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*go)(void);
    } ways[] = {{"idle", idle},           {"threads", threads}, {"waiting", waiting},
                {"survivors", survivors}, {"large", large},     {"rounds", rounds},
                {"again", again},         {"ends", ends}};

    for (size_t i = 0; argc == 2 && i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(argv[1], ways[i].name) == 0) {
            ways[i].go();
            return 0;
        }
    }
    return 1;
}
