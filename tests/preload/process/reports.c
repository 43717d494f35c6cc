/* Where a bad free may come from: a signal handler that interrupted malloc, several threads at
 * once, a thread of the smallest stack, a process that gets no more memory. Each is reported all
 * the same, at its place, and nothing hangs. */
#include "check.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

/* 48 places that free badly, all with other return addresses, so that each is told in full. */
typedef void place_fn(void);
static void *bad_pointer;

#define PLACE(number)                                                                              \
    static __attribute__((noinline)) void place_##number(void)                                     \
    {                                                                                              \
        free(hide(bad_pointer));                                                                   \
        __asm__ volatile("" : : "i"(number));                                                      \
    }
#define EIGHT(F, tens)                                                                             \
    F(tens##0) F(tens##1) F(tens##2) F(tens##3) F(tens##4) F(tens##5) F(tens##6) F(tens##7)
#define ALL_PLACES(F)      EIGHT(F, 1) EIGHT(F, 2) EIGHT(F, 3) EIGHT(F, 4) EIGHT(F, 5) EIGHT(F, 6)
#define PLACE_NAME(number) place_##number,

ALL_PLACES(PLACE)

static place_fn *const places[] = {ALL_PLACES(PLACE_NAME)};
#define PLACE_COUNT (sizeof(places) / sizeof(places[0]))

/* Of all kinds. The freed ones are of sizes that nothing else here uses, the large one is mapped by
 * itself: no slot of theirs is
 * handed out again. */
enum { FREED_SMALL = 640, FREED_LARGE = 7777777 };
static char *bad_pointers[8];
#define BAD_POINTERS (sizeof(bad_pointers) / sizeof(bad_pointers[0]))

static void make_bad_pointers(void)
{
    char *freed_small = malloc(FREED_SMALL);
    char *freed_large = malloc(FREED_LARGE);

    free(freed_small);
    free(freed_large);
    bad_pointers[0] = hide(freed_small);
    bad_pointers[1] = hide(freed_large);
    bad_pointers[2] = (char *)malloc(200) + 16;
    bad_pointers[3] = (char *)malloc(200000) + 4096;
    bad_pointers[4] = (char *)&bad_pointers;
    bad_pointers[5] = (char *)(size_t)0xdeadbeef;
    bad_pointers[6] = hide("a string literal");
    bad_pointers[7] = (char *)malloc(20000) + 8;
}

static volatile sig_atomic_t next_place;

static void free_badly(void)
{
    size_t number = (size_t)next_place;

    if (number == PLACE_COUNT)
        return;
    bad_pointer = bad_pointers[number % BAD_POINTERS];
    errno = ERANGE;
    places[number]();
    CHECK(errno == ERANGE);
    next_place++;
}

static void free_badly_at_signal(int signal_number)
{
    int error = errno;

    (void)signal_number;
    free_badly();
    errno = error;
}

/* Sizes of every kind but those of the freed ones. */
static void allocate_a_while(unsigned *state)
{
    static __thread void *blocks[500];

    for (int i = 0; i < 500; i++) {
        void **block = &blocks[next_random(state) % 500];

        free(*block);
        *block = malloc(next_random(state) % 100 == 0 ? 100000 : next_random(state) % 600);
        CHECK(*block != NULL);
    }
}

static void *be_busy(void *unused)
{
    unsigned state = 1;

    (void)unused;
    while (next_place < (sig_atomic_t)PLACE_COUNT)
        allocate_a_while(&state);
    return NULL;
}

/* Only the main thread takes the signal: it lands anywhere in its mallocs and frees. */
static void report_from_signal_handler(void)
{
    struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    struct sigaction action = {.sa_handler = free_badly_at_signal, .sa_flags = SA_RESTART};
    sigset_t alarm;
    pthread_t thread;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    CHECK(pthread_sigmask(SIG_BLOCK, &alarm, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, be_busy, NULL) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &alarm, NULL) == 0);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &every_ms, NULL) == 0);
    be_busy(NULL);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void report_all(void)
{
    while (next_place < (sig_atomic_t)PLACE_COUNT)
        free_badly();
}

/* No mapping can be made any more, and libc's heap is empty. */
static void report_without_memory(void)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = (rlim_t)200 << 20;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    for (size_t size = 1 << 20; size > 32768; size -= 4096)
        while (malloc(size) != NULL)
            continue;
    report_all();
}

static void *report_all_in_thread(void *unused)
{
    (void)unused;
    report_all();
    return NULL;
}

/* As small as sysconf() says that a thread's may be, and a page to stand on. */
static void report_on_small_stack(void)
{
    pthread_attr_t attributes;
    pthread_t thread;

    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN) + 4096) ==
          0);
    CHECK(pthread_create(&thread, &attributes, report_all_in_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void *report_own_share(void *first)
{
    for (size_t i = (size_t)((place_fn *const *)first - places); i < PLACE_COUNT; i += 4)
        places[i]();
    return NULL;
}

static void report_from_four_threads(void)
{
    pthread_t threads[4];

    bad_pointer = bad_pointers[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, report_own_share, (void *)&places[i]) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static const struct use {
    const char *name;
    void (*run)(void);
} uses[] = {
    {"signal-handler", report_from_signal_handler},
    {"no-memory", report_without_memory},
    {"small-stack", report_on_small_stack},
    {"four-threads", report_from_four_threads},
};
#define USE_COUNT (sizeof(uses) / sizeof(uses[0]))

int main(int argc, char **argv)
{
    static char err[1 << 20];

    if (argc > 1) {
        make_bad_pointers();
        for (size_t i = 0; i < USE_COUNT; i++)
            if (strcmp(argv[1], uses[i].name) == 0)
                uses[i].run();
        return 0;
    }
    for (size_t i = 0; i < USE_COUNT; i++) {
        int status = run_self(uses[i].name, err, sizeof(err));

        dprintf(STDOUT_FILENO, "%s: status %#x, %zu reports\n", uses[i].name, (unsigned)status,
                occurrences(err, "ERROR: mmshim: "));
        CHECK(exited_with(status, 0));
        CHECK(occurrences(err, "ERROR: mmshim: ") == PLACE_COUNT);
        CHECK(occurrences(err, "SUMMARY: mmshim: ") == PLACE_COUNT);
        CHECK(occurrences(err, " mmshim: 48 bad frees: ") == 1);
    }
    return 0;
}
