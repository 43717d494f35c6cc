/* quarantine.c - what was pushed comes out once each, in order, when more is held than should be or
 * all is wanted; when the ring is full, over its laps, with several threads, and after a fork(). */
#include "checks/quarantine.h"

#include "check.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* A ring of no limit to speak of has 1024 cells. */
enum { CELLS = 1024, LAPS = 70000 / CHECK_SLOWER, THREADS = 8, EACH = 100000 / CHECK_SLOWER };

static void order(void)
{
    uint64_t from, end;
    CHECK(mm_quarantine_start(10000));
    CHECK_EQUAL(mm_quarantine_pop(true), 0);
    for (uintptr_t i = 1; i <= 100; i++)
        CHECK(mm_quarantine_push(i * 16, 100));
    CHECK_EQUAL(mm_quarantine_pop(false), 0);
    mm_quarantine_span(&from, &end);
    CHECK_EQUAL(end - from, 100);
    for (uintptr_t i = 1; i <= 100; i++)
        CHECK(mm_quarantine_at(from + i - 1) == i * 16 && mm_quarantine_has(from + i - 1));
    for (uintptr_t i = 1; i <= 100; i++) {
        CHECK_EQUAL(mm_quarantine_pop(true), i * 16);
        CHECK(!mm_quarantine_has(from + i - 1) && mm_quarantine_has(from + i));
        mm_quarantine_took(100);
    }
    CHECK_EQUAL(mm_quarantine_pop(true), 0);
    mm_quarantine_span(&from, &end);
    CHECK_EQUAL(end, from);
    CHECK_EQUAL(mm_quarantine_at(from), 0);
    mm_quarantine_stop();
}

/* Bytes count until they are taken off. */
static void limit(void)
{
    CHECK(mm_quarantine_start(1000));
    CHECK(mm_quarantine_push(16, 500) && mm_quarantine_push(32, 500));
    CHECK_EQUAL(mm_quarantine_pop(false), 0);
    CHECK(mm_quarantine_push(48, 1));
    CHECK_EQUAL(mm_quarantine_pop(false), 16);
    mm_quarantine_took(500);
    CHECK_EQUAL(mm_quarantine_pop(false), 0);
    /* More than all: it pushes out itself, too. */
    CHECK(mm_quarantine_push(64, 5000));
    CHECK_EQUAL(mm_quarantine_pop(false), 32);
    mm_quarantine_took(500);
    CHECK_EQUAL(mm_quarantine_pop(false), 48);
    mm_quarantine_took(1);
    CHECK_EQUAL(mm_quarantine_pop(false), 64);
    mm_quarantine_took(5000);
    CHECK_EQUAL(mm_quarantine_pop(true), 0);
    mm_quarantine_stop();
}

static void full(void)
{
    uintptr_t pushed = 0, popped = 0, there;
    CHECK(mm_quarantine_start(1));
    while (mm_quarantine_push((pushed + 1) * 16, 0))
        CHECK(++pushed < CELLS);
    CHECK(pushed > CELLS / 2);
    CHECK(!mm_quarantine_push(16, 0));
    while ((there = mm_quarantine_pop(false)) != 0)
        CHECK_EQUAL(there, ++popped * 16);
    CHECK(popped > 0 && popped < pushed);
    CHECK(mm_quarantine_push(++pushed * 16, 0));
    while ((there = mm_quarantine_pop(true)) != 0)
        CHECK_EQUAL(there, ++popped * 16);
    CHECK_EQUAL(popped, pushed);
    mm_quarantine_stop();
}

/* An address must leave room for the number of a lap. */
static void addresses(void)
{
    const uintptr_t highest = ((uintptr_t)1 << 48) - 16;
    CHECK_EQUAL(mm_quarantine_pop(true), 0);
    CHECK(mm_quarantine_start(1000));
    CHECK(mm_quarantine_push(highest, 1));
    CHECK(!mm_quarantine_push(highest + 16, 1));
    CHECK_EQUAL(mm_quarantine_pop(true), highest);
    mm_quarantine_stop();
}

/* Past where their numbers begin anew; each cell is used in each. */
static void laps(void)
{
    const uint64_t all = (uint64_t)LAPS * CELLS;
    CHECK(mm_quarantine_start(1));
    for (uint64_t i = 0; i < all; i++) {
        CHECK(mm_quarantine_push(i % 1000 * 16 + 16, 0));
        CHECK_EQUAL(mm_quarantine_at(i), i % 1000 * 16 + 16);
        CHECK_EQUAL(mm_quarantine_at(i + 1), 0);
        CHECK_EQUAL(mm_quarantine_pop(true), i % 1000 * 16 + 16);
    }
    mm_quarantine_stop();
}

static _Atomic unsigned char times[THREADS * EACH];
static atomic_uint refused;

static void take(uintptr_t address)
{
    atomic_fetch_add_explicit(&times[address / 16 - 1], 1, memory_order_relaxed);
    mm_quarantine_took(64);
}

static void push_and_pop(unsigned number, void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < EACH; i++) {
        uintptr_t address = ((uintptr_t)number * EACH + i + 1) * 16, there;
        if (mm_quarantine_push(address, 64)) {
            while ((there = mm_quarantine_pop(i % 1000 == 0)) != 0)
                take(there);
        } else {
            atomic_fetch_add(&refused, 1);
            atomic_fetch_add_explicit(&times[address / 16 - 1], 1, memory_order_relaxed);
        }
    }
}

static void racing(void)
{
    uint64_t from, end;
    CHECK(mm_quarantine_start(20000));
    check_in_threads(THREADS, push_and_pop, NULL);
    for (uintptr_t there; (there = mm_quarantine_pop(true)) != 0;)
        take(there);
    mm_quarantine_span(&from, &end);
    CHECK_EQUAL(from, end);
    CHECK_EQUAL(end + refused, THREADS * EACH);
    for (unsigned i = 0; i < THREADS * EACH; i++)
        CHECK_EQUAL(times[i], 1);
    CHECK(mm_quarantine_push(16, 20000) &&
          mm_quarantine_pop(false) == 0); /* no byte is left over */
    mm_quarantine_stop();
}

#ifndef __SANITIZE_THREAD__ /* it does not follow a fork() of many threads */
static atomic_bool forking;

static void empty_in_child(void)
{
    uint64_t from, end;
    mm_quarantine_after_fork();
    while (mm_quarantine_pop(true) != 0)
        mm_quarantine_took(64);
    mm_quarantine_span(&from, &end);
    bool works = from == end && mm_quarantine_push(16, 64) && mm_quarantine_pop(true) == 16;
    _exit(works ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void push_or_fork(unsigned number, void *unused)
{
    (void)unused;
    for (unsigned i = 0; number == 0 && i < 200; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            empty_in_child();
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    if (number == 0)
        atomic_store(&forking, false);
    while (atomic_load(&forking)) {
        if (mm_quarantine_push(((uintptr_t)number + 1) * 16, 64))
            while (mm_quarantine_pop(false) != 0)
                mm_quarantine_took(64);
    }
}

/* In the child nobody will fill what was empty. */
static void forks(void)
{
    CHECK(mm_quarantine_start(20000));
    atomic_store(&forking, true);
    check_in_threads(THREADS, push_or_fork, NULL);
    mm_quarantine_stop();
}
#else
static void forks(void)
{
}
#endif

int main(void)
{
    order();
    limit();
    full();
    addresses();
    laps();
    racing();
    forks();
    return 0;
}
