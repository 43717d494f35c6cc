/* memory.c - what the other programs do not show: how long a thread may wait for what another one
 * set going, and what memory stays where little or nothing happens any more. Each writes one
 * figure, as "metric NUMBER". */
#include "bench.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void print_metric(double value)
{
    printf("metric %.2f\n", value);
}

static double resident(void)
{
    unsigned long all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu", &all, &pages) != 2)
        abort();
    fclose(file);
    return (double)pages;
}

static void in_a_thread(void *(*body)(void *), void *shared)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, shared) != 0 || pthread_join(thread, NULL) != 0)
        abort();
}

/* Blocks in a table of their own; sizes from one to another one. */
struct table {
    char **blocks;
    size_t count;
};

static void fill(struct table *table, size_t bytes, size_t from, size_t to)
{
    uint64_t random = 1;
    table->blocks = malloc(bytes / from * sizeof *table->blocks);
    for (size_t got = 0; got + to <= bytes; table->count++) {
        size_t size = from + bench_below(bench_random(&random), to - from + 1);
        table->blocks[table->count] = malloc(size);
        memset(table->blocks[table->count], 1, size);
        got += size;
    }
}

/* All but so many in a hundred, at random. */
static void thin_out(struct table *table, unsigned kept)
{
    uint64_t random = 2;
    for (size_t i = 0; i < table->count; i++) {
        if (bench_below(bench_random(&random), 100) >= kept)
            free(table->blocks[i]);
    }
}

/* -- the longest call, in milliseconds, while another thread frees COUNT MiB and works on -- */

static atomic_bool going, over;

static void *free_much(void *mib)
{
    struct table table = {0};
    fill(&table, *(uint64_t *)mib << 20, 1024, 1024);
    atomic_store(&going, true);
    thin_out(&table, 0);
    for (double end = seconds() + 1; seconds() < end; usleep(1000)) {
        void *some[2000];
        for (unsigned i = 0; i < 2000; i++)
            some[i] = malloc(1000);
        for (unsigned i = 0; i < 2000; i++)
            free(some[i]);
    }
    atomic_store(&over, true);
    free(table.blocks);
    return NULL;
}

static void worst_wait(uint64_t count)
{
    enum { SOME = 4000 };
    static void *some[SOME];
    double worst = 0;
    pthread_t thread;
    if (pthread_create(&thread, NULL, free_much, &count) != 0)
        abort();
    while (!atomic_load(&going))
        usleep(1000);
    while (!atomic_load(&over)) {
        for (unsigned i = 0; i < 2 * SOME; i++) {
            double start = seconds();
            if (i < SOME)
                some[i] = malloc(500);
            else
                free(some[i - SOME]);
            double took = seconds() - start;
            worst = took > worst ? took : worst;
        }
        usleep(2000);
    }
    pthread_join(thread, NULL);
    print_metric(worst * 1e3);
}

/* -- a short thread's life, in microseconds, after one that left COUNT blocks -- */

static void *leave_blocks(void *count)
{
    struct table table = {0};
    fill(&table, *(uint64_t *)count * 64, 64, 64);
    thin_out(&table, 50);
    return NULL;
}

static void *live_shortly(void *unused)
{
    void *block = malloc(64);
    bench_keep(block);
    free(block);
    return unused;
}

static void thread_ends(uint64_t count)
{
    enum { THREADS = 200 };
    in_a_thread(leave_blocks, &count);
    double start = seconds();
    for (unsigned i = 0; i < THREADS; i++)
        in_a_thread(live_shortly, NULL);
    print_metric((seconds() - start) * 1e6 / THREADS);
}

/* -- how long until a fork()'s child runs, in milliseconds, beside COUNT MiB of 16 bytes each -- */

static void *wait_for_end(void *unused)
{
    while (!atomic_load(&over))
        usleep(1000);
    return unused;
}

static void fork_child(uint64_t count)
{
    struct table table = {0};
    int ends[2];
    double child = 0;
    pthread_t thread;
    fill(&table, count << 20, 16, 16);
    if (pipe(ends) != 0 || pthread_create(&thread, NULL, wait_for_end, NULL) != 0)
        abort();
    double start = seconds();
    pid_t pid = fork();
    if (pid == 0) {
        child = seconds();
        _exit(write(ends[1], &child, sizeof child) != sizeof child);
    }
    if (read(ends[0], &child, sizeof child) != sizeof child || waitpid(pid, NULL, 0) != pid)
        abort();
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    print_metric((child - start) * 1e3);
}

/* -- what of COUNT MiB is still there two seconds later, in per cent: three blocks in a hundred
 *    stay, and the program works a little; or none, and it sleeps -- */

static void work_a_little(void)
{
    for (unsigned round = 0; round < 10; round++) {
        static void *some[5000];
        for (unsigned i = 0; i < 5000; i++)
            some[i] = malloc(500);
        for (unsigned i = 0; i < 5000; i++)
            free(some[i]);
        usleep(200000);
    }
}

static void print_kept(uint64_t mib, unsigned kept, void (*meanwhile)(void))
{
    struct table table = {0};
    double before = resident();
    fill(&table, mib << 20, 100, 1000);
    double full = resident();
    thin_out(&table, kept);
    meanwhile();
    print_metric(100 * (resident() - before) / (full - before));
}

static void survivors(uint64_t count)
{
    print_kept(count, 3, work_a_little);
}

static void sleep_a_little(void)
{
    sleep(2);
}

static void idle(uint64_t count)
{
    print_kept(count, 0, sleep_a_little);
}

/* -- nanoseconds of a malloc and a free of 60,000 bytes, COUNT times 33 allocated and freed -- */

static void large_churn(uint64_t count)
{
    enum { SOME = 33 };
    void *some[SOME];
    double start = seconds();
    for (uint64_t round = 0; round < count; round++) {
        for (unsigned i = 0; i < SOME; i++)
            bench_keep(some[i] = malloc(60000));
        for (unsigned i = 0; i < SOME; i++)
            free(some[i]);
    }
    print_metric((seconds() - start) * 1e9 / (double)count / SOME);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"worst-wait", worst_wait},
        {"thread-ends", thread_ends},
        {"fork-child", fork_child},
        {"survivors", survivors},
        {"idle", idle},
        {"large-churn", large_churn},
    };
    return bench_main(argc, argv, rows, sizeof rows / sizeof *rows);
}
