/* snapshot.c - the text, word for word, and that it can be had while others go on. */
#include "view/snapshot.h"

#include "check.h"
#include "slots/arena.h"
#include "slots/heap.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CAPACITY = 16384, WRITERS = 3, SNAPSHOTS = 50 };

static void take_snapshot(char *text, size_t batches_shown)
{
    struct mm_out out;
    mm_out_start(&out, text, CAPACITY);
    mm_snapshot_write(&out, "HEAD: ", batches_shown);
}

/* The first two lines. */
static size_t totals(char *text, unsigned live, unsigned slots, unsigned batches,
                     unsigned forwarded)
{
    struct mm_arena_usage usage = mm_arena_usage();
    int length =
        snprintf(text, CAPACITY,
                 "HEAD: %u blocks live in %u slots of %u batches, and %u forwarded\n"
                 "  committed %zu KiB of %zu KiB reserved: %zu KiB in heaps, %zu KiB "
                 "unused but not yet given back; %zu KiB of tables\n",
                 live, slots, batches, forwarded, usage.committed >> 10, usage.reserved >> 10,
                 usage.taken >> 10, usage.dirty >> 10, usage.metadata >> 10);
    return (size_t)length;
}

#define APPEND(text, ...) snprintf((text) + strlen(text), CAPACITY - strlen(text), __VA_ARGS__)

static void nothing(void)
{
    char text[CAPACITY], expected[CAPACITY];
    totals(expected, 0, 0, 0, 0);
    take_snapshot(text, 0);
    CHECK_TEXT(text, expected);
    CHECK_EQUAL(mm_snapshot_sums().live, 0);
}

static void *blocks_of_another[2];

static void take_two(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    blocks_of_another[0] = mem_mngr_alloc(20);
    blocks_of_another[1] = mem_mngr_alloc(3000);
}

static const char *dots(unsigned live, unsigned slots)
{
    static char text[128];
    size_t length = 0;
    for (unsigned i = 0; i < slots; i++) {
        if (i > 0 && i % 8 == 0)
            text[length++] = ' ';
        text[length++] = i < live ? '#' : '.';
    }
    text[length] = '\0';
    return text;
}

static void append_batch(char *text, const void *base, unsigned live, unsigned slots)
{
    APPEND(text, "    batch 0x%jx  %u/%u  %s\n", (uintmax_t)(uintptr_t)base, live, slots,
           dots(live, slots));
}

/* The blocks of main, in 48-byte, 304-byte and no slots. */
static char *small[25], *large, *forwarded;

static void append_heaps(char *text, bool all_batches)
{
    APPEND(text, "heap 1, thread %d (unit_snapshot)\n", gettid());
    APPEND(text, "  list of 16-byte slots: 1 batch, 0 of 12 slots live\n");
    append_batch(text, (void *)(mm_arena.base + (1u << MM_CHUNK_SHIFT)), 0, 12);
    APPEND(text, "  list of 48-byte slots: 3 batches, 24 of 36 slots live\n");
    append_batch(text, small[0], 12, 12);
    if (all_batches) {
        append_batch(text, small[12], 12, 12);
        append_batch(text, small[24], 0, 12);
    } else {
        APPEND(text, "    and 2 more\n");
    }
    APPEND(text, "  list of 304-byte slots: 1 batch, 1 of 12 slots live\n");
    append_batch(text, large, 1, 12);
    APPEND(text, "heap 2, of no thread now\n"
                 "  list of 32-byte slots: 1 batch, 1 of 12 slots live\n");
    append_batch(text, blocks_of_another[0], 1, 12);
    APPEND(text, "  list of 3072-byte slots: 1 batch, 1 of 12 slots live\n");
    append_batch(text, blocks_of_another[1], 1, 12);
}

static void check_snapshot(unsigned forwarded_blocks, size_t batches_shown, bool all_batches)
{
    char text[CAPACITY], expected[CAPACITY];
    totals(expected, 27, 84, 7, forwarded_blocks);
    append_heaps(expected, all_batches);
    take_snapshot(text, batches_shown);
    CHECK_TEXT(text, expected);
}

static void several_heaps(void)
{
    check_init(12);
    for (unsigned i = 0; i < 25; i++)
        small[i] = mem_mngr_alloc(40);
    large = mem_mngr_alloc(300);
    forwarded = mem_mngr_alloc(MM_SLOT_SIZE_MAX + 1);
    check_in_threads(1, take_two, NULL);
    mem_mngr_free(small[24]);

    check_snapshot(1, 0, true);
    check_snapshot(1, 3, true);
    check_snapshot(1, 1, false);
    struct mm_snapshot_sums sums = mm_snapshot_sums();
    CHECK_EQUAL(sums.live, 27);
    CHECK_EQUAL(sums.live_bytes, 24 * 48 + 304 + 32 + 3072);
    mem_mngr_free(forwarded);
    check_snapshot(0, 0, true);
    CHECK_NO_MISUSE();
    CHECK_EQUAL(mem_mngr_leave(), 27);
}

static _Atomic bool enough;

static void keep_writing(unsigned number, void *unused)
{
    (void)unused;
    uint64_t random = number;
    void *held[64] = {NULL};
    while (!atomic_load(&enough)) {
        size_t i = check_below(&random, 64);
        mem_mngr_free(held[i]);
        held[i] = mem_mngr_alloc(check_below(&random, 2000));
    }
    for (size_t i = 0; i < 64; i++)
        mem_mngr_free(held[i]);
    CHECK_NO_MISUSE();
}

static void keep_reading(void)
{
    static char text[1 << 20];
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        struct mm_out out;
        mm_out_start(&out, text, sizeof text);
        mm_snapshot_write(&out, "HEAD: ", i % 3);
        CHECK(strncmp(text, "HEAD: ", 6) == 0);
        CHECK(out.length + 1 < sizeof text && text[out.length - 1] == '\n');
        CHECK(mm_snapshot_sums().live_bytes <= mm_arena_usage().reserved);
    }
    atomic_store(&enough, true);
}

static void read_or_write(unsigned number, void *unused)
{
    if (number < WRITERS)
        keep_writing(number, unused);
    else
        keep_reading();
}

static void meanwhile(void)
{
    check_init(8);
    check_in_threads(WRITERS + 1, read_or_write, NULL);
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

int main(void)
{
    nothing();
    several_heaps();
    meanwhile();
    nothing();
    return 0;
}
