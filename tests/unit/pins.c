/* pins.c - a free that is stopped between finding its batch and setting a bit there hits no other
 * batch: step by step, in one thread that plays both parts. */
#include "slots/pins.h"

#include "check.h"
#include "check_state.h"
#include "entry/process.h"
#include "entry/route.h"
#include <string.h>

enum { SMALL = 48, OTHER = 80, COUNT = 64, ROUNDS = 200, MANY = 50 };

static void start(void)
{
    struct mm_process_config config = {.report = {.on_misuse = check_on_misuse, .most = UINT64_MAX},
                                       .batch_slots = MM_WORD_BITS,
                                       .slot_max = MM_SLOT_SIZE_MAX,
                                       .arena_size = (size_t)64 << 20};
    CHECK(mm_process_start(&config) && mm_process_heap() != NULL);
}

static void stop(void)
{
    CHECK_NO_MISUSE();
    check_state();
    mm_process_stop();
}

static void take(void **blocks, size_t size)
{
    for (unsigned i = 0; i < COUNT; i++)
        CHECK((blocks[i] = mm_alloc(size)) != NULL);
}

static void give(void **blocks)
{
    for (unsigned i = 0; i < COUNT; i++)
        mm_free(blocks[i], __builtin_return_address(0));
}

/* An idle heap keeps no batch that is wholly free. */
static void close_all(void)
{
    mm_heap_detach(&mm_heap_none);
    mm_process_heap();
}

/* Closes and opens batches of other sizes, more often than it takes until lines are looked at.
 * Counts those that the line of `pinned` came to describe. */
static unsigned times_used(const struct mm_batch *pinned)
{
    static void *blocks[COUNT];
    unsigned used = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        take(blocks, 1024 + 16 * (i % 100));
        for (unsigned j = 0; j < COUNT; j++)
            used += mm_batch_at((uintptr_t)blocks[j]) == pinned;
        give(blocks);
        close_all();
    }
    return used;
}

static void *pin_and_close(struct mm_pin *own, struct mm_pin **pin, struct mm_batch **batch)
{
    static void *blocks[COUNT];
    take(blocks, SMALL);
    void *block = blocks[COUNT - 1];
    *pin = mm_pin_batch(own, (uintptr_t)block, batch);
    CHECK(*pin != NULL && *batch == mm_batch_at((uintptr_t)block));
    give(blocks);
    close_all();
    CHECK(mm_batch_is_grave(mm_batch_at((uintptr_t)block)));
    return block;
}

/* The late free comes to the line, which is as the closing left it. */
static void line_waits(struct mm_pin *own)
{
    struct mm_pin *pin;
    struct mm_batch *batch;
    start();
    void *block = pin_and_close(own, &pin, &batch);
    CHECK(own == NULL || pin == own);
    CHECK_EQUAL(times_used(batch), 0);
    struct mm_slot slot = mm_batch_slot(batch, (uintptr_t)block);
    CHECK(slot.starts && slot.index < MM_WORD_BITS);
    CHECK_EQUAL(mm_batch_free_remote(batch, (unsigned)slot.index), MM_REMOTE_DOUBLE);
    CHECK_EQUAL(atomic_load(&batch->remote), 0);
    mm_pin_drop(pin);
    CHECK(times_used(batch) > 0);
    stop();
}

/* Pinned by a thread with a heap, and by one without. */
static void lines_wait(void)
{
    line_waits(NULL);
    struct mm_pin own = {0};
    start();
    mm_process_stop();
    start(); /* places of the first life are forgotten: this one is added to the second */
    mm_pins_add(&own);
    struct mm_pin *pin;
    struct mm_batch *batch;
    pin_and_close(&own, &pin, &batch);
    CHECK(pin == &own);
    CHECK_EQUAL(times_used(batch), 0);
    mm_pin_drop(pin);
    CHECK(times_used(batch) > 0);
    stop();
}

/* As in a signal handler that frees while the thread is inside of a free. */
static void nests(void)
{
    struct mm_pin own = {0}, *pins[MANY / 2];
    struct mm_batch *batch;
    start();
    void *block = mm_alloc(SMALL);
    for (unsigned i = 0; i < MANY / 2; i++) {
        pins[i] = mm_pin_batch(&own, (uintptr_t)block, &batch);
        CHECK((pins[i] == &own) == (i == 0));
    }
    for (unsigned i = MANY / 2; i-- > 0;)
        mm_pin_drop(pins[i]);
    CHECK(mm_pin_batch(&own, (uintptr_t)block, &batch) == &own);
    mm_pin_drop(&own);
    mm_free(block, __builtin_return_address(0));
    stop();
}

/* More pinned lines than a look remembers at once. */
static void looks_at_all(void)
{
    static struct mm_pin own[MANY];
    static void *blocks[MANY];
    struct mm_batch *batches[MANY];
    start();
    memset(own, 0, sizeof own);
    for (unsigned i = 0; i < MANY; i++) {
        blocks[i] = mm_alloc(16384 + 2048 * (i % 20));
        mm_pins_add(&own[i]);
        CHECK(mm_pin_batch(&own[i], (uintptr_t)blocks[i], &batches[i]) == &own[i]);
    }
    for (unsigned i = 0; i < MANY; i++)
        mm_free(blocks[i], __builtin_return_address(0));
    close_all();
    for (unsigned i = 0; i < MANY; i++)
        CHECK_EQUAL(times_used(batches[i]), 0);
    for (unsigned i = 0; i < MANY; i++)
        mm_pin_drop(&own[i]);
    stop();
}

static void nothing_to_pin(void)
{
    struct mm_batch *batch;
    start();
    void *block = mm_alloc(OTHER);
    uintptr_t far = mm_arena.base + mm_arena_size() - MM_GRANULE;
    CHECK(mm_pin_batch(NULL, far, &batch) == NULL && batch == NULL);
    mm_free(block, __builtin_return_address(0));
    stop();
}

int main(void)
{
    lines_wait();
    nests();
    looks_at_all();
    nothing_to_pin();
    return 0;
}
