/* registry.c - addresses in and out of the set, in places near and far. No block is ever looked
 * into, so they are made up. */
#include "forwarded/registry.h"

#include "check.h"
#include <stdatomic.h>

#define AT(address) ((void *)(uintptr_t)(address))
#define LEAF        ((uintptr_t)1 << 28) /* what a leaf of the map covers */
#define LAST        (((uintptr_t)1 << 48) - 16)
enum { THREADS = 4, ROUNDS = 20000 / CHECK_SLOWER, BLOCKS = 200, MODEL_STEPS = 20000 };

static bool add(const void *block)
{
    struct mm_gate *gate = mm_registry_enter();
    bool added = mm_registry_add(gate, block);
    mm_registry_leave(gate);
    return added;
}

static bool strike(const void *block)
{
    struct mm_gate *gate = mm_registry_enter();
    bool struck = mm_registry_remove(gate, block);
    mm_registry_leave(gate);
    return struck;
}

static bool hold(int64_t change)
{
    struct mm_gate *gate = mm_registry_enter();
    bool grew = mm_registry_hold(gate, change);
    mm_registry_leave(gate);
    return grew;
}

/* True each time that a MiB has come to it, or gone. */
static void bytes(void)
{
    const int64_t much = (int64_t)1 << 20;
    CHECK(mm_registry_reserve());
    CHECK(!hold(much - 1) && hold(1) && !hold(much - 1));
    CHECK_EQUAL(mm_registry_bytes(), 2 * much - 1);
    CHECK(!hold(1 - much) && !hold(1 - much) && hold(-1));
    CHECK_EQUAL(mm_registry_bytes(), 0);
    CHECK(hold(10 * much) && hold(-much) && !hold(much - 1));
    CHECK_EQUAL(mm_registry_bytes(), 10 * much - 1);
    mm_registry_release();
    CHECK_EQUAL(mm_registry_bytes(), 0);
}

static size_t endless(void *block)
{
    (void)block;
    return SIZE_MAX;
}

/* The nearest live block at or below. */
static void *below(const void *pointer)
{
    size_t size;
    return mm_registry_around(pointer, endless, &size);
}

static void check_block(const void *block, bool live, bool once)
{
    CHECK_EQUAL(mm_registry_is_live(block), live);
    CHECK_EQUAL(mm_registry_was_block(block), once);
}

static void in_and_out(void)
{
    static const uintptr_t places[] = {16,        0x1000,   0x1010,         LEAF - 16, LEAF,
                                       LEAF + 16, 7 * LEAF, 0x7fffffffe000, LAST - 16, LAST};
    enum { PLACES = sizeof places / sizeof places[0] };
    CHECK(mm_registry_reserve());
    for (unsigned i = 0; i < PLACES; i++) {
        check_block(AT(places[i]), false, false);
        CHECK(!strike(AT(places[i])));
        CHECK(add(AT(places[i])));
        check_block(AT(places[i]), true, true);
        CHECK_EQUAL(mm_registry_count(), i + 1);
    }
    for (unsigned i = 0; i < PLACES; i++) {
        CHECK(strike(AT(places[i])));
        check_block(AT(places[i]), false, true);
        CHECK(!strike(AT(places[i])));
        CHECK_EQUAL(mm_registry_count(), PLACES - i - 1);
    }
    CHECK(add(AT(places[1])) && strike(AT(places[1])));
    mm_registry_release();
    CHECK_EQUAL(mm_registry_count(), 0);
    check_block(AT(places[1]), false, false);
}

/* Where no block can be. */
static void elsewhere(void)
{
    static const uintptr_t places[] = {0,
                                       1,
                                       8,
                                       LAST + 16,
                                       ((uintptr_t)1 << 48) + 0x1000,
                                       (uintptr_t)1 << 63,
                                       UINTPTR_MAX - 15,
                                       UINTPTR_MAX};
    CHECK(mm_registry_reserve());
    CHECK(add(AT(0x1000)));
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        CHECK(!strike(AT(places[i])));
        check_block(AT(places[i]), false, false);
    }
    for (uintptr_t offset = 1; offset < 16; offset++) {
        CHECK(!strike(AT(0x1000 + offset)) && !strike(AT(0x1000 - offset)));
        check_block(AT(0x1000 + offset), false, false);
        check_block(AT(0x1000 - offset), false, false);
    }
    /* Not to be noted: the block is refused. */
    CHECK(!add(AT(LAST + 16)) && !add(AT(UINTPTR_MAX - 15)));
    CHECK_EQUAL(mm_registry_count(), 1);
    CHECK(strike(AT(0x1000)));
    mm_registry_release();
}

/* A block that could not be noted any more: from then on a place where none was noted is taken on
 * trust, no other. */
static void unknown_blocks(void)
{
    CHECK(mm_registry_reserve());
    CHECK(add(AT(0x1000)));
    struct mm_gate *gate = mm_registry_enter();
    mm_registry_add_moved(gate, AT(0x2000));
    CHECK(!mm_registry_remove(gate, AT(5 * LEAF)));
    mm_registry_add_moved(gate, AT(LAST + 16));
    CHECK(mm_registry_remove(gate, AT(LAST + 16)));
    CHECK(mm_registry_remove(gate, AT(5 * LEAF)));
    CHECK(mm_registry_remove(gate, AT(0x3000)));
    CHECK(!mm_registry_remove(gate, AT(0x3008)));
    CHECK(mm_registry_remove(gate, AT(0x2000)));
    CHECK(!mm_registry_remove(gate, AT(0x2000)));
    mm_registry_leave(gate);
    mm_registry_release();
    CHECK(mm_registry_reserve());
    CHECK(!strike(AT(5 * LEAF)));
    mm_registry_release();
}

static void without_a_map(void)
{
    CHECK_EQUAL(mm_registry_count(), 0);
    CHECK(below(AT(0x1000)) == NULL);
    check_block(AT(0x1000), false, false);
    mm_registry_release();
}

/* --- the block below --- */

static void nearest(void)
{
    static const uintptr_t places[] = {0x1000, 0x1010, 0x2000, LEAF - 16, 3 * LEAF, LAST};
    enum { PLACES = sizeof places / sizeof places[0] };
    CHECK(mm_registry_reserve());
    CHECK(below(AT(LAST)) == NULL);
    for (unsigned i = 0; i < PLACES; i++)
        CHECK(add(AT(places[i])));
    CHECK(below(AT(0)) == NULL && below(AT(0xfff)) == NULL);
    CHECK(below(AT(UINTPTR_MAX)) == NULL);
    for (unsigned i = 0; i < PLACES; i++) {
        uintptr_t next = i + 1 < PLACES ? places[i + 1] : LAST + 16;
        CHECK(below(AT(places[i])) == AT(places[i]));
        CHECK(below(AT(places[i] + 1)) == AT(places[i]));
        CHECK(below(AT(places[i] + (next - places[i]) / 2)) == AT(places[i]));
        CHECK(below(AT(next - 1)) == AT(places[i]));
    }
    /* Only live ones count. */
    CHECK(strike(AT(0x2000)));
    CHECK(below(AT(0x2008)) == AT(0x1010));
    mm_registry_release();
}

static size_t always_64(void *block)
{
    CHECK(block == AT(0x1000) || block == AT(LEAF - 32));
    return 64;
}

static void *around(uintptr_t address)
{
    size_t size = 0;
    void *block = mm_registry_around(AT(address), always_64, &size);
    CHECK(block == NULL || size == 64);
    return block;
}

static void inside(void)
{
    CHECK(mm_registry_reserve());
    CHECK(around(0x1000) == NULL);
    CHECK(add(AT(0x1000)) && add(AT(LEAF - 32)));
    CHECK(around(0xfff) == NULL);
    CHECK(around(0x1000) == AT(0x1000) && around(0x103f) == AT(0x1000));
    CHECK(around(0x1040) == NULL);
    CHECK(around(LEAF + 31) == AT(LEAF - 32) && around(LEAF + 32) == NULL);
    mm_registry_release();
}

/* --- against a plain table --- */

static void model(void)
{
    bool live[BLOCKS] = {false}, once[BLOCKS] = {false};
    uint64_t random = 3;
    size_t count = 0;
    CHECK(mm_registry_reserve());
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        size_t i = check_below(&random, BLOCKS);
        void *block = AT(LEAF - BLOCKS / 2 * 16 + i * 16); /* on both sides of a leaf's end */
        check_block(block, live[i], once[i]);
        if (check_below(&random, 2) == 0 && !live[i]) {
            CHECK(add(block));
            live[i] = once[i] = true;
            count++;
        } else {
            CHECK_EQUAL(strike(block), live[i]);
            count -= live[i];
            live[i] = false;
        }
        CHECK_EQUAL(mm_registry_count(), count);
        size_t highest = i + 1;
        while (highest > 0 && !live[highest - 1])
            highest--;
        CHECK(below(AT((uintptr_t)block + 15)) ==
              (highest == 0 ? NULL : AT((uintptr_t)block - (i + 1 - highest) * 16)));
    }
    mm_registry_release();
}

/* --- threads --- */

static _Atomic unsigned arrived, struck[ROUNDS];

/* All strike the same block out, at the same moment: one of them does it. */
static void strike_together(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    for (unsigned round = 0; round < ROUNDS; round++) {
        void *block = AT((uintptr_t)(round + 1) * 16);
        if (number == 0)
            CHECK(add(block));
        atomic_fetch_add(&arrived, 1);
        while (atomic_load(&arrived) < (round + 1) * THREADS)
            check_yield();
        if (strike(block))
            atomic_fetch_add(&struck[round], 1);
    }
}

static void racing(void)
{
    CHECK(mm_registry_reserve());
    check_in_threads(THREADS, strike_together, NULL);
    for (unsigned round = 0; round < ROUNDS; round++)
        CHECK_EQUAL(struck[round], 1);
    CHECK_EQUAL(mm_registry_count(), 0);
    mm_registry_release();
}

/* Each its own blocks, side by side in the same words. */
static void side_by_side(unsigned number, void *unused)
{
    (void)unused;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uintptr_t at = round % 100 * LEAF + (uintptr_t)(number + 1) * 16;
        CHECK(!mm_registry_is_live(AT(at)));
        CHECK(add(AT(at)));
        CHECK(mm_registry_is_live(AT(at)));
        CHECK(strike(AT(at)) && !strike(AT(at)));
    }
}

static void neighbours(void)
{
    CHECK(mm_registry_reserve());
    check_in_threads(THREADS, side_by_side, NULL);
    CHECK_EQUAL(mm_registry_count(), 0);
    mm_registry_release();
}

/* Blocks come and go in the groups of all threads, and each search forgets the empty ones on its
 * way: a thread's own block must be found all the same, and not after it is gone. */
static void find_own(unsigned number, void *unused)
{
    uint64_t random = number;
    (void)unused;
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        uintptr_t at = check_below(&random, 20) * 0x10000 + (uintptr_t)(number + 1) * 0x100;
        uintptr_t above = at + 0xf0;
        CHECK(add(AT(at)));
        CHECK(below(AT(above)) == AT(at));
        CHECK(strike(AT(at)));
        CHECK(below(AT(above)) != AT(at));
    }
}

static void searching(void)
{
    CHECK(mm_registry_reserve());
    check_in_threads(THREADS, find_own, NULL);
    mm_registry_release();
}

int main(void)
{
    without_a_map();
    in_and_out();
    bytes();
    elsewhere();
    unknown_blocks();
    nearest();
    inside();
    model();
    racing();
    neighbours();
    searching();
    without_a_map();
    return 0;
}
