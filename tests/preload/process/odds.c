/* odds.c - with one block in N guarded (MM_GUARD_SAMPLE), a planted overflow is told as often as
 * the odds say: over 10,000 blocks of one process, and over 10,000 processes that each have one,
 * first of its size or in the middle of others; "many": or a hundred. What is counted may be off by
 * six times its deviation. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS = 10000, SIZE = 48, TOLD = 9, MANY = 100, SPARSE = 1000, PROCESSES = 20 };

static unsigned one_in;

static void plant(void)
{
    volatile char *block = hide(malloc(SIZE));
    CHECK(block != NULL);
    block[SIZE] = 'x';
    free((void *)block);
}

static void check_count(unsigned count, double odds)
{
    double expected = RUNS * odds;
    double deviation = sqrt(expected * (1 - odds));
    if (count < expected - 6 * deviation || count > expected + 6 * deviation) {
        fprintf(stderr, "%u of %d, where %.0f were expected\n", count, RUNS, expected);
        exit(1);
    }
}

static void in_one_process(void)
{
    static char err[1 << 20];
    CHECK(exited_with(run_self("plant", err, sizeof err), 0));
    const char *summary = strstr(err, " mmshim: "), *last = NULL;
    for (; summary != NULL; summary = strstr(summary + 1, " mmshim: "))
        last = summary;
    const char *comma = last != NULL ? strstr(last, "0 foreign, ") : NULL;
    check_count(comma != NULL ? (unsigned)strtoul(comma + strlen("0 foreign, "), NULL, 10) : 0,
                1.0 / one_in);
}

/* Each is a fork, which draws for itself. */
static void in_many_processes(unsigned before, unsigned planted, double odds)
{
    unsigned count = 0;
    for (int run = 0; run < RUNS; run++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            for (unsigned i = 0; i < before; i++)
                free(hide(malloc(SIZE + 32 * i)));
            for (unsigned i = 0; i < planted; i++)
                plant();
            exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        count += exited_with(status, TOLD);
    }
    check_count(count, odds);
}

/* Of processes that are small one in a few is drawn, and then draws so many times as often. */
static double odds_of_many(void)
{
    unsigned drawn = one_in < SPARSE ? 1 : PROCESSES;
    return (1 - pow(1 - (double)drawn / one_in, MANY)) / drawn;
}

int main(int argc, char **argv)
{
    const char *wanted = getenv("MM_GUARD_SAMPLE");
    CHECK(wanted != NULL);
    one_in = (unsigned)strtoul(wanted, NULL, 10);
    if (argc > 1 && strcmp(argv[1], "plant") == 0) {
        for (int run = 0; run < RUNS; run++)
            plant();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "many") == 0)
        in_many_processes(0, MANY, odds_of_many());
    else if (argc > 1)
        in_many_processes((unsigned)strtoul(argv[1], NULL, 10), 1, 1.0 / one_in);
    else
        in_one_process();
    return 0;
}
