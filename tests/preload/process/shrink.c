/* 300 MB of blocks are freed, and the program goes on a while with little: by then most of
 * the memory has gone back to the system.
 * usage: shrink own|remote|ended|all_ended - who frees: their thread, another one, another one when
 * their thread has ended, or their threads, and the blocks are large */
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TOTAL ((size_t)300 << 20)

struct link {
    struct link *next;
};

enum { THREADS = 16, LARGE = 16000 };

static struct link *list;
static struct link *lists[THREADS];
static pthread_barrier_t allocated;
static pthread_barrier_t freed;

static void allocate_list(void)
{
    unsigned state = 1;
    size_t got = 0;

    while (got < TOTAL) {
        size_t size = 32 + next_random(&state) % 480;
        struct link *block = malloc(size);

        CHECK(block != NULL);
        memset(block, 1, size);
        block->next = list;
        list = block;
        got += size;
    }
}

static void free_links(struct link *first)
{
    while (first != NULL) {
        struct link *next = first->next;

        free(first);
        first = next;
    }
}

static void free_list(void)
{
    free_links(list);
    list = NULL;
}

/* A second of a program's usual business. */
static void go_on(void)
{
    void *blocks[1000] = {NULL};
    unsigned state = 2;
    struct timespec start, now;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (int i = 0; i < 1000; i++) {
            void **block = &blocks[next_random(&state) % 1000];

            free(*block);
            *block = malloc(next_random(&state) % 600);
            CHECK(*block != NULL);
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < 1000000000);
    for (int i = 0; i < 1000; i++)
        free(blocks[i]);
}

static void *allocate_and_go_on(void *unused)
{
    (void)unused;
    allocate_list();
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&freed);
    go_on();
    return NULL;
}

static void *allocate_and_end(void *unused)
{
    (void)unused;
    allocate_list();
    return NULL;
}

/* All at once, so that each has a heap of its own. */
static void *allocate_large_and_end(void *argument)
{
    struct link **own = argument;

    for (size_t got = 0; got < TOTAL / THREADS; got += LARGE) {
        struct link *block = malloc(LARGE);

        CHECK(block != NULL);
        memset(block, 1, LARGE);
        block->next = *own;
        *own = block;
    }
    pthread_barrier_wait(&allocated);
    return NULL;
}

static size_t allocate_in_threads_and_free(void)
{
    pthread_t threads[THREADS];
    size_t peak;

    pthread_barrier_init(&allocated, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_large_and_end, &lists[i]) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    peak = resident_kib();
    for (int i = 0; i < THREADS; i++)
        free_links(lists[i]);
    return peak;
}

int main(int argc, char **argv)
{
    size_t peak, rest;
    pthread_t thread;

    CHECK(argc == 2);
    if (strcmp(argv[1], "own") == 0) {
        allocate_list();
        peak = resident_kib();
        free_list();
        go_on();
    } else if (strcmp(argv[1], "remote") == 0) {
        pthread_barrier_init(&allocated, NULL, 2);
        pthread_barrier_init(&freed, NULL, 2);
        CHECK(pthread_create(&thread, NULL, allocate_and_go_on, NULL) == 0);
        pthread_barrier_wait(&allocated);
        peak = resident_kib();
        free_list();
        pthread_barrier_wait(&freed);
        CHECK(pthread_join(thread, NULL) == 0);
    } else if (strcmp(argv[1], "all_ended") == 0) {
        peak = allocate_in_threads_and_free();
        go_on();
    } else {
        CHECK(strcmp(argv[1], "ended") == 0);
        CHECK(pthread_create(&thread, NULL, allocate_and_end, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        peak = resident_kib();
        free_list();
        go_on();
    }
    rest = resident_kib();
    dprintf(STDOUT_FILENO, "resident memory: %zu KiB at its peak, %zu KiB in the end\n", peak,
            rest);
    CHECK(peak > TOTAL / 1024);
    CHECK(rest < peak / 4);
    return 0;
}
