/* soak.c SECONDS - the shapes of long-lived programs at once, in eight threads, for as long as is
 * asked. One line of figures a second, as CSV, on stdout: scripts/soak.sh judges and draws them.
 *
 *   servers   requests of short-lived blocks, sessions that grow, answers that other threads free
 *   spawner   threads that live for a few requests
 *   forker    children that allocate, free what they inherited, and end
 *   breather  a working set of random sizes that fills and empties
 *
 * Each shape comes round in seconds, so what memory does over minutes is not of the program's
 * making. */
#include "stress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

enum {
    SERVERS = 4,
    SPAWNERS = 2,
    FORKERS = 1,
    BREATHERS = 1,
    THREADS = SERVERS + SPAWNERS + FORKERS + BREATHERS,
    SESSIONS = 2000,
    FORKER_SESSIONS = 200, /* few: it comes round to them much slower than the servers */
    SESSION_MAX = 8192,
    REQUEST_BLOCKS = 40,
    ANSWERS = 4096,
    BRIEF_REQUESTS = 20,
    BREATHER_BLOCKS = 2000,
    BREATHER_BITS = 18, /* sizes of up to 256 KiB, each power of two as often as any other */
    CHILD_REQUESTS = 50,
    CHILD_SECONDS = 60,
    FORK_PAUSE_MS = 20
};

struct worker {
    pthread_t thread;
    uint64_t random;
    unsigned char *sessions[SESSIONS];
};

static struct worker workers[THREADS];
static _Atomic(unsigned char *) answers[ANSWERS];
static atomic_bool stop;
static atomic_ullong requests, threads_ended, children;

static void pause_ms(long milliseconds)
{
    nanosleep(&(struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000}, NULL);
}

static void delete_if(unsigned char *block)
{
    if (block != NULL)
        stress_delete(block);
}

static void tend_session(uint64_t *random, unsigned char **session)
{
    if (*session == NULL) {
        *session = stress_new(random, stress_between(random, 16, SESSION_MAX / 8));
    } else if (stress_random(random) % 4 != 0) {
        *session = stress_resize(random, *session, stress_between(random, 16, SESSION_MAX));
    } else {
        stress_delete(*session);
        *session = NULL;
    }
}

static void handle_request(uint64_t *random, unsigned char *sessions[], size_t count)
{
    unsigned char *parts[REQUEST_BLOCKS];
    size_t wanted = stress_between(random, 4, REQUEST_BLOCKS);
    for (size_t i = 0; i < wanted; i++)
        parts[i] = stress_new(random, stress_size(random));
    tend_session(random, &sessions[stress_random(random) % count]);
    /* Whoever puts the next answer there frees this one. */
    unsigned char *answer = stress_new(random, stress_size(random));
    delete_if(atomic_exchange_explicit(&answers[stress_random(random) % ANSWERS], answer,
                                       memory_order_acq_rel));
    for (size_t i = 0; i < wanted; i++)
        stress_delete(parts[i]);
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
}

static void end_sessions(unsigned char *sessions[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        delete_if(sessions[i]);
        sessions[i] = NULL;
    }
}

static void *serve(void *argument)
{
    struct worker *me = argument;
    while (!stop)
        handle_request(&me->random, me->sessions, SESSIONS);
    return NULL;
}

static void *live_briefly(void *argument)
{
    uint64_t random = *(uint64_t *)argument;
    unsigned char *sessions[BRIEF_REQUESTS] = {NULL};
    for (unsigned i = 0; i < BRIEF_REQUESTS; i++)
        handle_request(&random, sessions, BRIEF_REQUESTS);
    end_sessions(sessions, BRIEF_REQUESTS);
    return NULL;
}

static void *spawn(void *argument)
{
    struct worker *me = argument;
    while (!stop) {
        pthread_t thread;
        stress_random(&me->random);
        if (pthread_create(&thread, NULL, live_briefly, &me->random) != 0)
            stress_fail("pthread_create()");
        pthread_join(thread, NULL);
        atomic_fetch_add_explicit(&threads_ended, 1, memory_order_relaxed);
    }
    return NULL;
}

/* Answers of other threads may be on their way at the fork, so a child leaves them alone. */
_Noreturn static void be_child(struct worker *me)
{
    alarm(CHILD_SECONDS);
    for (unsigned i = 0; i < CHILD_REQUESTS; i++)
        tend_session(&me->random, &me->sessions[i]);
    live_briefly(&(uint64_t){stress_seed((unsigned)getpid())});
    end_sessions(me->sessions, FORKER_SESSIONS);
    _exit(EXIT_SUCCESS);
}

_Static_assert(CHILD_REQUESTS <= FORKER_SESSIONS, "a child tends its parent's sessions");

static void *fork_on(void *argument)
{
    struct worker *me = argument;
    while (!stop) {
        handle_request(&me->random, me->sessions, FORKER_SESSIONS);
        pid_t child = fork();
        if (child == 0)
            be_child(me);
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            stress_fail("a child");
        atomic_fetch_add_explicit(&children, 1, memory_order_relaxed);
        pause_ms(FORK_PAUSE_MS);
    }
    return NULL;
}

static size_t any_size(uint64_t *random)
{
    size_t below = (size_t)1 << stress_between(random, 4, BREATHER_BITS);
    return stress_between(random, below / 2, below);
}

static void *breathe(void *argument)
{
    struct worker *me = argument;
    while (!stop) {
        for (unsigned i = 0; i < BREATHER_BLOCKS; i++)
            me->sessions[i] = stress_new(&me->random, any_size(&me->random));
        for (unsigned i = 0; i < BREATHER_BLOCKS; i++) {
            unsigned char **block = &me->sessions[stress_random(&me->random) % BREATHER_BLOCKS];
            *block = stress_resize(&me->random, *block, any_size(&me->random));
        }
        end_sessions(me->sessions, BREATHER_BLOCKS);
    }
    return NULL;
}
_Static_assert(BREATHER_BLOCKS <= SESSIONS, "a breather's blocks are its sessions");

static unsigned count_mappings(void)
{
    unsigned lines = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    if (file == NULL)
        stress_fail("can't read /proc/self/maps");
    for (int c; (c = getc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void sample_for(double seconds)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    puts("seconds,resident_kib,mappings,requests,threads,children");
    for (double now = 0; now < seconds; now = seconds_since(&start)) {
        pause_ms(1000);
        printf("%.1f,%zu,%u,%llu,%llu,%llu\n", seconds_since(&start), stress_resident() / 1024,
               count_mappings(), requests, threads_ended, children);
    }
}

static void *(*shape_of(unsigned number))(void *)
{
    if (number < SERVERS)
        return serve;
    if (number < SERVERS + SPAWNERS)
        return spawn;
    return number < SERVERS + SPAWNERS + FORKERS ? fork_on : breathe;
}

int main(int argc, char **argv)
{
    double seconds = argc == 2 ? atof(argv[1]) : 0;
    if (seconds <= 0) {
        fprintf(stderr, "usage: %s SECONDS\n", argv[0]);
        return EXIT_FAILURE;
    }
    stress_start();
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].random = stress_seed(i);
        if (pthread_create(&workers[i].thread, NULL, shape_of(i), &workers[i]) != 0)
            stress_fail("pthread_create()");
    }
    sample_for(seconds);
    stop = true;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        end_sessions(workers[i].sessions, SESSIONS);
    }
    for (size_t i = 0; i < ANSWERS; i++)
        delete_if(answers[i]);
    stress_end();
    return EXIT_SUCCESS;
}
