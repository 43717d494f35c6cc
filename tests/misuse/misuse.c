/* misuse.c - see misuse.h. */
#include "misuse.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *condition)
{
    dprintf(STDOUT_FILENO, "check failed: %s:%d: %s\n", file, line, condition);
    _exit(STATUS_CHECK_FAILED);
}

void publish_pointer(const char *name, void *ptr)
{
    dprintf(STDOUT_FILENO, "%s=%p\n", name, ptr);
}

void publish_number(const char *name, size_t number)
{
    dprintf(STDOUT_FILENO, "%s=%zu\n", name, number);
}

void mark(const char *text)
{
    char line[64];
    int length = snprintf(line, sizeof(line), "-- %s\n", text);

    CHECK(write(STDERR_FILENO, line, (size_t)length) == length);
}

void *worker_main(void *arg)
{
    struct worker *worker = arg;

    CHECK(pthread_setname_np(pthread_self(), worker->name) == 0);
    worker->tid = gettid();
    CHECK(sem_post(&worker->ready) == 0);
    CHECK(sem_wait(&worker->go) == 0);
    worker->work(worker->arg);
    return NULL;
}

void worker_start(struct worker *worker, const char *name, void (*work)(void *arg), void *arg)
{
    *worker = (struct worker){.name = name, .work = work, .arg = arg};
    CHECK(sem_init(&worker->ready, 0, 0) == 0);
    CHECK(sem_init(&worker->go, 0, 0) == 0);
    CHECK(pthread_create(&worker->thread, NULL, worker_main, worker) == 0);
    CHECK(sem_wait(&worker->ready) == 0);
    publish_number("WORKER", (size_t)worker->tid);
}

void worker_finish(struct worker *worker)
{
    CHECK(sem_post(&worker->go) == 0);
    CHECK(pthread_join(worker->thread, NULL) == 0);
}

void meet(struct meeting *meeting, int round)
{
    int spins_before_yield = 1000; /* enough for two cores, and not too much on one */
    int spins = 0;

    __atomic_fetch_add(&meeting->arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&meeting->arrived, __ATOMIC_ACQUIRE) < 2 * (round + 1)) {
        if (++spins % spins_before_yield == 0) {
            sched_yield();
        }
    }
}

/* Whatever a bad call asked for, no block may be handed out twice afterwards. */
static void check_blocks_are_distinct(size_t size)
{
    enum { COUNT = 100 };
    static unsigned char *blocks[COUNT];

    for (unsigned char i = 0; i < COUNT; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i, size);
    }
    for (unsigned char i = 0; i < COUNT; i++) {
        CHECK(blocks[i][0] == i && blocks[i][size - 1] == i);
        free(blocks[i]);
    }
}

int run_case(const struct misuse_case *cases, size_t count, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < count; i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            publish_pointer("CASE", (void *)(uintptr_t)cases[i].run);
            cases[i].run();
            check_blocks_are_distinct(SMALL);
            check_blocks_are_distinct(LARGE);
            return STATUS_WENT_ON;
        }
    }
    dprintf(STDOUT_FILENO, "usage: %s CASE, one of:\n", argv[0]);
    for (size_t i = 0; i < count; i++) {
        dprintf(STDOUT_FILENO, "  %s\n", cases[i].name);
    }
    return 2;
}
