/* registry.c - addresses in and out of the set, in places near and far. No block is ever looked
 * into, so they are made up. */
#include "forwarded/registry.h"

#include "check.h"
#include <stdatomic.h>

#define AT(address) ((void *)(uintptr_t)(address))
#define LEAF        ((uintptr_t)1 << 27) /* what a leaf of the map covers */
#define GROUP       ((uintptr_t)1 << 16) /* from this size on sizes are kept in another way */
#define LAST        (((uintptr_t)1 << 48) - 16)
enum { THREADS = 4, ROUNDS = 20000 / CHECK_SLOWER, BLOCKS = 200, MODEL_STEPS = 20000 };

/* By how much there is more to hold. */
static int64_t add_sized(const void *block, size_t size)
{
    struct mm_gate *gate = mm_registry_enter();
    int64_t more = mm_registry_add(gate, block, size);
    mm_registry_leave(gate);
    return more;
}

static bool add(const void *block)
{
    return add_sized(block, 16) == 16 && mm_registry_is_live(block);
}

/* Whether it was there, and of this size. */
static bool strike_sized(const void *block, size_t size)
{
    struct mm_gate *gate = mm_registry_enter();
    size_t noted = SIZE_MAX;
    bool struck = mm_registry_remove(gate, block, &noted);
    mm_registry_leave(gate);
    CHECK_EQUAL(noted, struck ? size : 0);
    return struck;
}

static bool strike(const void *block)
{
    return strike_sized(block, 16);
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

/* The nearest live block at or below, and above. */
static void *below(const void *pointer)
{
    return AT(mm_registry_near(pointer).below.start);
}

static void *above(const void *pointer)
{
    return AT(mm_registry_near(pointer).above.start);
}

/* As mm_registry_around(), which would look whether there is memory. */
static bool is_around(uintptr_t address, struct mm_forwarded *block)
{
    *block = mm_registry_near(AT(address)).below;
    return address - block->start < block->size;
}

static void check_block(const void *block, bool live, bool once)
{
    CHECK_EQUAL(mm_registry_is_live(block), live);
    CHECK_EQUAL(mm_registry_was_block(block), once);
}

static void in_and_out(void)
{
    static const uintptr_t places[] = {16,        0x1000,       0x1010,         LEAF - 16, LEAF,
                                       LEAF + 16, 7 * LEAF,     0x7fffffffe000, LAST - 16, LAST,
                                       0x1028,    2 * LEAF - 8, LAST - 40};
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
    for (uintptr_t start = 0x1000; start <= 0x1008; start += 8) {
        for (uintptr_t offset = 1; offset < 16; offset++) {
            CHECK(!strike(AT(start + offset)) && !strike(AT(start - offset)));
            check_block(AT(start + offset), false, false);
            check_block(AT(start - offset), false, false);
        }
        CHECK(strike(AT(start)));
        CHECK(add(AT(0x2008)) && strike(AT(0x2008)) && !strike(AT(0x2000)));
        check_block(AT(0x2008), false, true);
        check_block(AT(0x2000), false, false);
        CHECK(add(AT(start ^ 8)));
        check_block(AT(start), false, true);
        CHECK(strike(AT(start ^ 8)));
        if (start == 0x1000) {
            mm_registry_release();
            CHECK(mm_registry_reserve());
            CHECK(add(AT(0x1008)));
        }
    }
    CHECK_EQUAL(mm_registry_count(), 0);
    mm_registry_release();
}

/* A block that could not be noted: from then on a place like it where none was noted is taken on
 * trust, no other. */
static void unknown_blocks(void)
{
    CHECK(mm_registry_reserve());
    CHECK(add(AT(0x1000)) && add(AT(0x2000)) && strike(AT(0x2000)));
    CHECK(!mm_registry_is_trusted(AT(5 * LEAF)) && !strike(AT(5 * LEAF)));
    CHECK_EQUAL(add_sized(AT(LAST + 16), 100), 0);
    CHECK_EQUAL(mm_registry_count(), 1);
    CHECK(mm_registry_is_trusted(AT(LAST + 16)) && !mm_registry_is_live(AT(LAST + 16)));
    CHECK(strike_sized(AT(LAST + 16), 0) && strike_sized(AT(5 * LEAF), 0));
    CHECK(strike_sized(AT(0x3000), 0));
    CHECK(!strike(AT(0x3008)) && !strike(AT(0x3004)) && !strike(AT(0x2000)));
    CHECK(strike(AT(0x1000)) && !strike(AT(0x1000)));
    CHECK_EQUAL(add_sized(AT(0x4004), 100), 0);
    CHECK(strike_sized(AT(0x4004), 0) && strike_sized(AT(0x5004), 0));
    CHECK(!strike(AT(0x5006)) && !strike(AT(0x5008)));
    mm_registry_release();
    CHECK(mm_registry_reserve());
    CHECK(!strike(AT(5 * LEAF)));
    mm_registry_release();
}

#ifdef __aarch64__
/* What the processor ignores of an address. */
static void tagged(void)
{
    void *block = AT(0x1000), *with_tag = AT((uintptr_t)0xb7 << 56 | 0x1000);
    CHECK(mm_registry_reserve());
    CHECK(add(with_tag) && mm_registry_is_live(block) && below(AT(0x1008)) == block);
    CHECK(strike(block) && mm_registry_was_block(with_tag) && !strike(with_tag));
    mm_registry_release();
}
#else
static void tagged(void)
{
}
#endif

/* Small and large ones start in one group and end anywhere; each is what it was noted as. */
static void sizes(void)
{
    static const struct {
        uintptr_t start;
        size_t size;
    } blocks[] = {
        {0x10000, 16},
        {0x10010, 24},
        {0x10028, 1000},
        {0x10410, 40000},
        {0x1f000, GROUP - 8},
        {0x2f000, GROUP},
        {0x3f000, 5 * GROUP},
        {0x8f008, 0x8000},
        {LEAF - 32, 4096},
        {LEAF + 0x2000, 9000},
        {3 * LEAF - 8, 8},
        {3 * LEAF, 3 * LEAF},
        {6 * LEAF, (size_t)1 << 46},
    };
    enum { BLOCKS_SIZED = sizeof blocks / sizeof blocks[0] };
    CHECK(mm_registry_reserve());
    for (unsigned i = 0; i < BLOCKS_SIZED; i++)
        CHECK_EQUAL(add_sized(AT(blocks[i].start), blocks[i].size), (int64_t)blocks[i].size);
    for (unsigned i = 0; i < BLOCKS_SIZED; i++) {
        struct mm_forwarded block;
        uintptr_t start = blocks[i].start, end = start + blocks[i].size;
        CHECK(is_around(start, &block) && block.start == start);
        CHECK_EQUAL(block.size, blocks[i].size);
        CHECK(is_around(end - 1, &block) && block.start == start);
        CHECK(!is_around(end, &block) || block.start == end);
    }
    for (unsigned i = BLOCKS_SIZED; i-- > 0;)
        CHECK(strike_sized(AT(blocks[i].start), blocks[i].size));
    mm_registry_release();
}

/* A block that is noted again is one block, of its last size. */
static void noted_twice(void)
{
    struct mm_forwarded block;
    CHECK(mm_registry_reserve());
    CHECK_EQUAL(add_sized(AT(0x10000), 0x20000), 0x20000);
    CHECK_EQUAL(add_sized(AT(0x10000), 0x20000), 0);
    CHECK_EQUAL(add_sized(AT(0x10000), 0x18000), -0x8000);
    CHECK_EQUAL(add_sized(AT(0x10000), 0x100), -0x17f00);
    CHECK_EQUAL(add_sized(AT(0x10000), 0x80), -0x80);
    CHECK_EQUAL(add_sized(AT(0x10000), 100), 104 - 0x80); /* in eighths */
    CHECK_EQUAL(mm_registry_count(), 1);
    CHECK(is_around(0x10000 + 103, &block) && block.size == 104);
    CHECK(!is_around(0x10000 + 104, &block));
    CHECK(strike_sized(AT(0x10000), 104) && !strike(AT(0x10000)));
    CHECK_EQUAL(mm_registry_count(), 0);
    mm_registry_release();
}

static void forgotten(void)
{
    CHECK(mm_registry_reserve());
    CHECK(add(AT(0x1000)) && add(AT(0x2000)) && strike(AT(0x2000)));
    struct mm_gate *gate = mm_registry_enter();
    CHECK_EQUAL(mm_registry_forget(gate, AT(0x1000)), 16);
    CHECK_EQUAL(mm_registry_forget(gate, AT(0x1000)), 0);
    CHECK_EQUAL(mm_registry_forget(gate, AT(0x2000)), 0);
    mm_registry_leave(gate);
    check_block(AT(0x1000), false, false);
    check_block(AT(0x2000), false, true);
    mm_registry_release();
}

/* Nested calls are one for who holds too much: the outermost hears of it. */
static void nested(void)
{
    CHECK(mm_registry_reserve());
    CHECK(!mm_registry_is_inside());
    struct mm_gate *outer = mm_registry_enter(), *inner = mm_registry_enter();
    CHECK(!mm_registry_hold(inner, (int64_t)2 << 20));
    mm_registry_leave(inner);
    CHECK(mm_registry_is_inside() && mm_registry_hold(outer, 0));
    mm_registry_leave(outer);
    CHECK(!mm_registry_is_inside());
    mm_registry_release();
}

static void enter_in_turn(unsigned number, void *unused)
{
    (void)unused;
    if (number > 0)
        return;
    struct mm_gate *outer = mm_registry_enter(), *inner = mm_registry_enter();
    mm_registry_close();
    mm_registry_renew();
    struct mm_gate *innermost = mm_registry_enter();
    mm_registry_leave(innermost);
    mm_registry_leave(inner);
    mm_registry_leave(outer);
    uint64_t before = mm_os_milliseconds();
    mm_registry_close();
    mm_registry_open();
    CHECK(mm_os_milliseconds() - before < 500);
}

/* A handler that came inside of a gate forks, and the child goes on where it was: nobody is inside
 * for the next fork(). */
static void forked_inside(void)
{
    CHECK(mm_registry_reserve());
    check_in_threads(2, enter_in_turn, NULL);
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
    CHECK(below(AT(UINTPTR_MAX)) == NULL && above(AT(UINTPTR_MAX)) == NULL);
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
    CHECK(add(AT(0x1028)) && below(AT(0x102f)) == AT(0x1028) && below(AT(0x1027)) == AT(0x1010));
    mm_registry_release();
}

static void nearest_above(void)
{
    CHECK(mm_registry_reserve());
    CHECK(above(AT(0x1000)) == NULL);
    CHECK(add(AT(0x1000)) && add(AT(0x1018)) && add(AT(0x3000)) && add(AT(2 * LEAF)));
    CHECK(above(AT(0)) == AT(0x1000) && above(AT(0xfff)) == AT(0x1000));
    CHECK(above(AT(0x1000)) == AT(0x1018) && above(AT(0x1017)) == AT(0x1018));
    CHECK(above(AT(0x1018)) == AT(0x3000) && above(AT(0x3000)) == NULL);
    CHECK(above(AT(2 * LEAF - 1)) == AT(2 * LEAF) && above(AT(2 * LEAF - 1000)) == AT(2 * LEAF));
    CHECK(above(AT(2 * LEAF - 2 * GROUP)) == NULL && above(AT(LAST)) == NULL);
    CHECK(strike(AT(0x1018)) && above(AT(0x1008)) == AT(0x3000));
    mm_registry_release();
}

static void *around(uintptr_t address)
{
    struct mm_forwarded block;
    bool found = is_around(address, &block);
    CHECK(!found || block.size == 64);
    return found ? AT(block.start) : NULL;
}

static void inside(void)
{
    CHECK(mm_registry_reserve());
    CHECK(around(0x1000) == NULL);
    CHECK(add_sized(AT(0x1000), 64) == 64 && add_sized(AT(LEAF - 32), 64) == 64);
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

/* A block of which no size is known does not take that of the next one for its own. */
static void of_unknown_size(void)
{
    CHECK(mm_registry_reserve());
    CHECK(add_sized(AT(GROUP), 0) <= 16 && add_sized(AT(GROUP + 64), 48) == 48);
    struct mm_forwarded block;
    CHECK(!is_around(GROUP + 32, &block));
    CHECK(strike_sized(AT(GROUP), 8) && strike_sized(AT(GROUP + 64), 48));
    mm_registry_release();
}

int main(void)
{
    without_a_map();
    in_and_out();
    bytes();
    elsewhere();
    unknown_blocks();
    tagged();
    sizes();
    of_unknown_size();
    noted_twice();
    forgotten();
    nested();
    forked_inside();
    nearest();
    nearest_above();
    inside();
    model();
    racing();
    neighbours();
    searching();
    without_a_map();
    return 0;
}
