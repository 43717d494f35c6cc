/* arena.c - chunks and lines of a small arena: their places, what they hold, when memory goes
 * back, and what happens when it is used up. */
#include "slots/pool.h"

#include "check.h"
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << MM_CHUNK_SHIFT)
#define SIZE  ((size_t)8 << 20)
enum { ORDERS = 5, CHUNKS = 128, THREADS = 4, ROUNDS = 3000, HELD = 8 };

_Static_assert(SIZE >> MM_CHUNK_SHIFT == CHUNKS, "CHUNKS is SIZE in chunks");

static size_t length(unsigned order)
{
    return CHUNK << order;
}

static char *take(unsigned order, bool *zero)
{
    char *start = mm_arena_take_chunks(order, zero);
    CHECK(start != NULL);
    CHECK_EQUAL((uintptr_t)start % length(order), 0);
    CHECK((uintptr_t)start - mm_arena.base >= CHUNK);
    CHECK((uintptr_t)start - mm_arena.base + length(order) <= mm_arena_size());
    return start;
}

static void sizes(void)
{
    static const struct {
        size_t wanted, had;
    } cases[] = {
        {1, 0},
        {((size_t)1 << 20) - 1, 0},
        {(size_t)1 << 20, (size_t)1 << 20},
        {((size_t)1 << 20) + CHUNK + 1, ((size_t)1 << 20) + CHUNK},
        {SIZE, SIZE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQUAL(mm_arena_reserve(cases[i].wanted), cases[i].had != 0);
        CHECK_EQUAL(mm_arena_size(), cases[i].had);
        CHECK_EQUAL(mm_arena_usage().reserved, cases[i].had);
        CHECK_EQUAL(mm_arena.base % (1u << (MM_UNIT_SHIFT + MM_SPAN_ORDER_MAX)), 0);
        mm_arena_release();
        CHECK_EQUAL(mm_arena_size(), 0);
    }
    CHECK(mm_arena_reserve(0));
    CHECK(mm_arena_size() >= (size_t)1 << 20);
    mm_arena_release();
}

static void without_an_arena(void)
{
    bool zero;
    CHECK(mm_arena_take_chunks(0, &zero) == NULL);
    CHECK_EQUAL(mm_arena_take_lines(1), MM_LINE_NONE);
    CHECK_EQUAL(mm_arena_trim(), 0);
    mm_arena_tick();
    CHECK_EQUAL(mm_arena_usage().reserved, 0);
    mm_arena_release();
}

/* All that an arena has of one order; it is whole again afterwards. */
static size_t take_all(unsigned order, char **taken, bool expect_zero)
{
    size_t count = 0;
    bool zero = !expect_zero;
    for (char *start; (start = mm_arena_take_chunks(order, &zero)) != NULL; count++) {
        CHECK(count < CHUNKS);
        CHECK_EQUAL(zero, expect_zero);
        CHECK_EQUAL((uintptr_t)start % length(order), 0);
        if (zero)
            CHECK(check_all_bytes(start, length(order), 0));
        memset(start, (int)count + 1, length(order));
        taken[count] = start;
    }
    for (size_t i = 0; i < count; i++)
        CHECK(check_all_bytes(taken[i], length(order), (unsigned char)(i + 1)));
    return count;
}

static void give_all(unsigned order, char **taken, size_t count)
{
    CHECK_EQUAL(mm_arena_usage().taken, count * length(order));
    for (size_t i = 0; i < count; i++)
        mm_arena_give_chunks(taken[i], order);
    CHECK_EQUAL(mm_arena_usage().taken, 0);
}

/* The first chunk is never handed out, so of each order all but the first run are there. */
static void exhaustion(void)
{
    char *taken[CHUNKS];
    CHECK(mm_arena_reserve(SIZE));
    for (unsigned order = 0; order < ORDERS; order++) {
        size_t count = take_all(order, taken, true);
        CHECK_EQUAL(count, (CHUNKS >> order) - 1);
        CHECK_EQUAL(mm_arena_usage().committed, SIZE - CHUNK);
        CHECK_EQUAL(mm_arena_usage().chunks, CHUNKS);
        give_all(order, taken, count);
        CHECK_EQUAL(mm_arena_usage().dirty, count * length(order));
        CHECK_EQUAL(mm_arena_trim(), count * length(order));
        CHECK_EQUAL(mm_arena_usage().dirty, 0);
        CHECK_EQUAL(mm_arena_trim(), 0);
    }
    mm_arena_release();
}

static void fragmentation(void)
{
    char *taken[CHUNKS];
    bool zero;
    CHECK(mm_arena_reserve(SIZE));
    size_t count = take_all(0, taken, true);
    for (size_t i = 0; i < count; i++) {
        if (mm_arena_chunk_index((uintptr_t)taken[i]) % 2 == 0)
            mm_arena_give_chunks(taken[i], 0);
    }
    for (unsigned order = 1; order < ORDERS; order++)
        CHECK(mm_arena_take_chunks(order, &zero) == NULL);
    for (size_t i = 0; i < count; i++) {
        if (mm_arena_chunk_index((uintptr_t)taken[i]) % 2 != 0)
            mm_arena_give_chunks(taken[i], 0);
    }
    take(4, &zero);
    mm_arena_release();
}

/* Memory is committed as it is needed, and what came back serves first. */
static void growth(void)
{
    bool zero;
    CHECK(mm_arena_reserve(SIZE));
    CHECK_EQUAL(mm_arena_usage().committed, 0);
    char *first = take(0, &zero);
    size_t committed = mm_arena_usage().committed;
    CHECK(zero && committed >= 2 * CHUNK && committed < SIZE);
    first[0] = 1;
    mm_arena_give_chunks(first, 0);
    CHECK(take(0, &zero) == first);
    CHECK(!zero && first[0] == 1);
    while (mm_arena_usage().taken < committed)
        take(0, &zero);
    CHECK_EQUAL(mm_arena_usage().committed, committed);
    take(0, &zero);
    CHECK(mm_arena_usage().committed > committed);
    mm_arena_release();
}

static void trimming(void)
{
    bool zero;
    CHECK(mm_arena_reserve(SIZE));
    char *kept = take(1, &zero), *given = take(3, &zero);
    memset(kept, 1, length(1));
    memset(given, 1, length(3));
    mm_arena_give_chunks(given, 3);
    CHECK_EQUAL(mm_arena_usage().dirty, length(3));
    char *part = take(1, &zero);
    CHECK(!zero && check_all_bytes(part, length(1), 1));
    CHECK_EQUAL(mm_arena_usage().dirty, length(3) - length(1));
    CHECK_EQUAL(mm_arena_trim(), length(3) - length(1));
    CHECK(check_all_bytes(kept, length(1), 1) && check_all_bytes(part, length(1), 1));
    /* Partly purged is not zero as a whole. */
    mm_arena_give_chunks(part, 1);
    CHECK(take(3, &zero) == given && zero == false);
    mm_arena_give_chunks(given, 3);
    CHECK_EQUAL(mm_arena_trim(), length(3));
    CHECK(take(3, &zero) == given && zero);
    CHECK(check_all_bytes(given, length(3), 0));
    mm_arena_release();
}

static void sleep_a_tick(void)
{
    struct timespec pause = {0, (MM_PURGE_TICK_MS + 30) * 1000000L};
    nanosleep(&pause, NULL);
}

/* Given between two ticks, marked by the one, purged by the next. */
static void ticks(void)
{
    bool zero;
    CHECK(mm_arena_reserve(SIZE));
    char *first = take(0, &zero), *second = take(1, &zero);
    uint64_t before = mm_os_milliseconds();
    mm_arena_give_chunks(first, 0);
    mm_arena_tick();
    if (mm_os_milliseconds() - before < MM_PURGE_TICK_MS)
        CHECK_EQUAL(mm_arena_usage().dirty, length(0));
    sleep_a_tick();
    before = mm_os_milliseconds();
    mm_arena_give_chunks(second, 1);
    mm_arena_tick();
    if (mm_os_milliseconds() - before < MM_PURGE_TICK_MS)
        CHECK_EQUAL(mm_arena_usage().dirty, length(1));
    sleep_a_tick();
    mm_arena_tick();
    CHECK_EQUAL(mm_arena_usage().dirty, 0);
    mm_arena_release();
}

/* 24 MiB are the most that the program ever held: what is dirty may fill what is missing. */
static void within_most(void)
{
    char *taken[3 * CHUNKS / 16];
    size_t count = sizeof taken / sizeof taken[0], mib = (size_t)1 << 20;
    bool zero;
    CHECK(mm_arena_reserve(4 * SIZE));
    for (size_t i = 0; i < count; i++)
        memset(taken[i] = take(4, &zero), 1, length(4));
    for (size_t i = 0; i < count; i++)
        mm_arena_give_chunks(taken[i], 4);
    CHECK_EQUAL(mm_arena_usage().dirty, 24 * mib);
    mm_arena_keep_within_most(4 * mib);
    CHECK_EQUAL(mm_arena_usage().dirty, 24 * mib);
    mm_arena_keep_within_most(5 * mib);
    CHECK(mm_arena_usage().dirty <= 19 * mib && mm_arena_usage().dirty > 14 * mib);
    mm_arena_keep_within_most(24 * mib);
    CHECK_EQUAL(mm_arena_usage().dirty, 0);
    /* What goes on at that level keeps its pages. */
    char *chunks = take(4, &zero);
    memset(chunks, 1, length(4));
    mm_arena_give_chunks(chunks, 4);
    mm_arena_keep_within_most(24 * mib);
    CHECK_EQUAL(mm_arena_usage().dirty, mib);
    mm_arena_release();
    mm_arena_keep_within_most(mib);
}

/* Nobody may come later who gives it back, so what is more than a MiB, or a 128th of the most, goes
 * at once; what is wanted again at once was worth keeping. */
static void excess(void)
{
    char *taken[3 * CHUNKS / 16];
    size_t count = sizeof taken / sizeof taken[0], mib = (size_t)1 << 20;
    bool zero;
    CHECK(mm_arena_reserve(4 * SIZE));
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++)
            memset(taken[i] = take(4, &zero), 1, length(4));
        for (size_t i = 0; i < count; i++) {
            mm_arena_give_chunks(taken[i], 4);
            mm_arena_shed();
        }
        CHECK(round != 0 || mm_arena_usage().dirty <= mib);
    }
    /* Less than all only where the clock halved what is known of the first round. */
    CHECK(mm_arena_usage().dirty > 8 * mib);
    mm_arena_release();
}

/* What is locked is asked for once, and again when somebody asks for it or it was used again. */
static void refused(void)
{
    bool zero;
    CHECK(mm_arena_reserve(SIZE));
    char *chunks = take(4, &zero), *more = take(4, &zero);
    /* Sanitizers have an mlock() that does nothing. */
    if (syscall(SYS_mlock, chunks, CHUNK) != 0) {
        mm_arena_release();
        return;
    }
    memset(chunks, 1, length(4));
    memset(more, 1, length(4));
    mm_arena_give_chunks(chunks, 4);
    mm_arena_give_chunks(more, 4);
    mm_arena_shed(); /* refused: both are one row */
    CHECK_EQUAL(mm_arena_usage().dirty, length(4) * 2);
    CHECK(syscall(SYS_munlock, chunks, CHUNK) == 0);
    for (unsigned i = 0; i < 3; i++) {
        sleep_a_tick();
        mm_arena_tick();
        CHECK_EQUAL(mm_arena_usage().dirty, length(4) * 2);
    }
    CHECK_EQUAL(mm_arena_trim(), length(4) * 2);
    CHECK(take(4, &zero) != NULL && zero);
    mm_arena_release();
}

/* As if a thread that is not in fork()'s child was just giving it back. */
static void forked_meanwhile(void)
{
    bool zero;
    CHECK(mm_arena_reserve(SIZE));
    char *chunks = take(2, &zero);
    mm_arena_give_chunks(chunks, 2);
    size_t chunk = mm_arena_chunk_index((uintptr_t)chunks), group = chunk / MM_WORD_BITS;
    uint64_t run = mm_bits_run(chunk % MM_WORD_BITS, 2);
    size_t pooled = mm_arena_usage().pooled;
    mm_pool_remove(group, run);
    mm_pool_set_bits(mm_pool.purging, group, run);
    CHECK_EQUAL(mm_arena_usage().pooled, pooled);
    CHECK(take(2, &zero) != chunks);
    mm_arena_after_fork();
    CHECK_EQUAL(mm_arena_usage().dirty, length(2));
    CHECK(take(2, &zero) == chunks && !zero);
    mm_arena_release();
}

static void lines(void)
{
    CHECK(mm_arena_reserve((size_t)1 << 20));
    uint32_t next = (MM_GRAVE_LINES + 1) * MM_LINE_SIZE;
    for (uint32_t count = 1, first; (first = mm_arena_take_lines(count)) != MM_LINE_NONE;
         count = count % 3 + 1) {
        CHECK_EQUAL(first % MM_LINE_SIZE, 0);
        CHECK(first >= next);
        next = first + count * MM_LINE_SIZE;
        CHECK(check_all_bytes((char *)mm_arena.lines + first, next - first, 0));
        memset((char *)mm_arena.lines + first, 1, next - first);
    }
    /* As many as there may be batches: each spans a unit at least. */
    CHECK(next >= (1u << 20 >> MM_UNIT_SHIFT) * MM_LINE_SIZE);
    CHECK(check_all_bytes((char *)mm_arena.lines, (MM_GRAVE_LINES + 1) * MM_LINE_SIZE, 0));
    mm_arena_release();
}

/* Beyond what is committed every unit refers to no batch, and can be asked. */
static void units(void)
{
    bool zero;
    CHECK(mm_arena_reserve(SIZE));
    take(0, &zero);
    for (size_t unit = 0; unit < SIZE >> MM_UNIT_SHIFT; unit++)
        CHECK_EQUAL(mm_arena.unit_line[unit], MM_LINE_NONE);
    mm_arena_release();
}

/* What was given up may be another's, and stays so when the arena goes. */
static void shrinking(void)
{
    char *taken[CHUNKS];
    bool zero;
    CHECK(mm_arena_reserve(8 * SIZE));
    CHECK(take(0, &zero) != NULL);
    mm_arena_shrink(SIZE_MAX);
    CHECK_EQUAL(mm_arena_size(), 8 * SIZE);
    mm_arena_shrink(4 * SIZE);
    CHECK_EQUAL(mm_arena_size(), SIZE);
    CHECK_EQUAL(mm_arena_usage().reserved, SIZE);
    char *other = mmap((char *)mm_arena.base + 2 * SIZE, CHUNK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(other == (char *)mm_arena.base + 2 * SIZE);
    other[0] = 1;
    CHECK_EQUAL(take_all(0, taken, true), CHUNKS - 2);
    mm_arena_shrink(0);
    CHECK_EQUAL(mm_arena_size(), SIZE);
    mm_arena_release();
    CHECK(other[0] == 1 && munmap(other, CHUNK) == 0);
    /* Not below what is committed. */
    CHECK(mm_arena_reserve(SIZE));
    CHECK(take(0, &zero) != NULL);
    mm_arena_shrink(0);
    CHECK_EQUAL(mm_arena_size(), (size_t)1 << 20);
    CHECK_EQUAL(take_all(0, taken, true), mm_arena_size() / CHUNK - 2);
    mm_arena_release();
    mm_arena_shrink(0);
}

/* Each thread stamps what it holds and finds its own stamps only. */
static void take_and_give(unsigned number, void *unused)
{
    (void)unused;
    uint64_t random = number + 1;
    struct {
        char *start;
        unsigned order;
    } held[HELD] = {0};
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t i = check_below(&random, HELD);
        if (held[i].start == NULL) {
            bool zero;
            held[i].order = (unsigned)check_below(&random, 3);
            held[i].start = mm_arena_take_chunks(held[i].order, &zero);
            if (held[i].start == NULL)
                continue;
            for (size_t at = 0; at < length(held[i].order); at += CHUNK / 4) {
                CHECK(!zero || held[i].start[at] == 0);
                held[i].start[at] = (char)(number + 1);
            }
        } else {
            for (size_t at = 0; at < length(held[i].order); at += CHUNK / 4)
                CHECK_EQUAL(held[i].start[at], number + 1);
            mm_arena_give_chunks(held[i].start, held[i].order);
            held[i].start = NULL;
        }
        if (check_below(&random, 200) == 0)
            mm_arena_trim();
    }
    for (size_t i = 0; i < HELD; i++) {
        if (held[i].start != NULL)
            mm_arena_give_chunks(held[i].start, held[i].order);
    }
}

static void threads(void)
{
    char *taken[CHUNKS];
    CHECK(mm_arena_reserve(SIZE));
    check_in_threads(THREADS, take_and_give, NULL);
    CHECK_EQUAL(mm_arena_usage().taken, 0);
    mm_arena_trim();
    CHECK_EQUAL(take_all(0, taken, true), CHUNKS - 1);
    mm_arena_release();
}

int main(void)
{
    without_an_arena();
    sizes();
    growth();
    exhaustion();
    fragmentation();
    trimming();
    ticks();
    within_most();
    excess();
    refused();
    forked_meanwhile();
    lines();
    units();
    shrinking();
    threads();
    without_an_arena();
    return 0;
}
