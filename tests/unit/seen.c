/* seen.c - each stack is told once, in one thread of several; and how often it came. */
#include "findings/seen.h"

#include "check.h"
#include "system/os.h"
#include <stdatomic.h>

enum { STACKS = 3000, ALL = 4096, THREADS = 4 };

/* Hashes as different as those of stacks. */
static uint64_t stack(unsigned number)
{
    return mm_seen_hash(mm_seen_hash(0, (void *)(uintptr_t)number), &stack);
}

static void hashes(void)
{
    int a = 0, b = 0;
    CHECK(mm_seen_hash(0, &a) != mm_seen_hash(0, &b));
    CHECK(mm_seen_hash(mm_seen_hash(0, &a), &b) != mm_seen_hash(mm_seen_hash(0, &b), &a));
    CHECK(mm_seen_hash(1, &a) != mm_seen_hash(2, &a));
}

static void stacks(void)
{
    for (unsigned i = 0; i < STACKS; i++) {
        enum mm_told told = i % 3 == 0 ? MM_TOLD_SUPPRESSED : MM_TOLD_BEFORE;
        CHECK_EQUAL(mm_seen_stack(stack(i)), MM_TOLD_NEVER);
        CHECK_EQUAL(mm_seen_note_stack(stack(i), told), MM_TOLD_NEVER);
        CHECK_EQUAL(mm_seen_note_stack(stack(i), MM_TOLD_BEFORE), told);
    }
    for (unsigned i = 0; i < STACKS; i++)
        CHECK_EQUAL(mm_seen_stack(stack(i)), i % 3 == 0 ? MM_TOLD_SUPPRESSED : MM_TOLD_BEFORE);
    mm_seen_forget();
    for (unsigned i = 0; i < STACKS; i++)
        CHECK_EQUAL(mm_seen_stack(stack(i)), MM_TOLD_NEVER);
}

/* What finds the table full is not told. */
static void full(void)
{
    unsigned told = 0;
    for (unsigned i = 0; i < ALL + 100; i++)
        told += mm_seen_note_stack(stack(i), MM_TOLD_BEFORE) == MM_TOLD_NEVER;
    CHECK_EQUAL(told, ALL);
    CHECK_EQUAL(mm_seen_stack(stack(ALL + 200)), MM_TOLD_BEFORE);
    mm_seen_forget();
}

static _Atomic unsigned first[STACKS];

static void note_all(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    for (unsigned i = 0; i < STACKS; i++) {
        if (mm_seen_note_stack(stack(i), MM_TOLD_BEFORE) == MM_TOLD_NEVER)
            atomic_fetch_add(&first[i], 1);
    }
}

static void racing(void)
{
    check_in_threads(THREADS, note_all, NULL);
    for (unsigned i = 0; i < STACKS; i++)
        CHECK_EQUAL(first[i], 1);
    mm_seen_forget();
}

/* At powers of two, at most once a second. */
static void paces(void)
{
    struct mm_pace pace = {0};
    uint64_t start = mm_os_milliseconds(), times = 0;
    CHECK_EQUAL(mm_pace_step(&pace), 0);
    CHECK_EQUAL(mm_pace_step(&pace), 2);
    for (unsigned i = 3; i < 1000; i++)
        times += mm_pace_step(&pace);
    CHECK(times == 0 || mm_os_milliseconds() - start > 900);
    while (mm_os_milliseconds() - start < 1100)
        check_yield();
    for (unsigned i = 1000; i < 1024; i++)
        CHECK_EQUAL(mm_pace_step(&pace), 0);
    CHECK_EQUAL(mm_pace_step(&pace), 1024);
}

static void paces_of_stacks(void)
{
    CHECK_EQUAL(mm_seen_note_stack(stack(1), MM_TOLD_BEFORE), MM_TOLD_NEVER);
    CHECK_EQUAL(mm_seen_note_stack(stack(2), MM_TOLD_BEFORE), MM_TOLD_NEVER);
    CHECK(mm_seen_pace(stack(1)) != mm_seen_pace(stack(2)));
    CHECK_EQUAL(mm_pace_step(mm_seen_pace(stack(1))), 2);
    CHECK_EQUAL(mm_seen_pace(stack(2))->count, 1);
    mm_seen_forget();
    CHECK_EQUAL(mm_seen_pace(stack(1))->count, 0);
}

int main(void)
{
    hashes();
    paces();
    paces_of_stacks();
    stacks();
    full();
    racing();
    return 0;
}
