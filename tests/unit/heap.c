/* heap.c - lists that grow and shrink, batches on their way through the states, frees by other
 * threads, and what becomes of a heap when its thread ends. */
#include "slots/heap.h"

#include "check.h"
#include "check_state.h"
#include "entry/process.h"
#include "entry/route.h"
#include "slots/homes.h"
#include <pthread.h>
#include <string.h>

enum { SMALL = 48, LARGE = 32768, MOST = 4096, PLAIN_SLOTS = 8, MANY = 800 * PLAIN_SLOTS };
enum { MOST_SPARE = 32768 }; /* bytes of wholly free batches that a list keeps */
enum { SHORT_THREADS = 300, IDLE_BLOCKS = 40, TENDED_AT = 32 };
enum { FREERS = 3, HANDED = 12, ROUNDS = 20000 / CHECK_SLOWER };

#define ARENA ((size_t)64 << 20)

static struct mm_heap *heap; /* the main thread's */

static void start(unsigned batch_slots, size_t arena_size)
{
    struct mm_process_config config = {.report = {.on_misuse = check_on_misuse, .most = UINT64_MAX},
                                       .batch_slots = batch_slots,
                                       .slot_max = MM_SLOT_SIZE_MAX,
                                       .arena_size = arena_size};
    CHECK(mm_tls_heap == &mm_heap_none);
    CHECK(mm_process_start(&config));
    heap = mm_process_heap();
    CHECK(heap != NULL && mm_tls_heap == heap);
}

static void stop(void)
{
    CHECK_NO_MISUSE();
    check_state();
    mm_process_stop();
    CHECK(mm_tls_heap == &mm_heap_none && mm_heap_first() == NULL);
}

static void *take(size_t size)
{
    char *slot = mm_heap_alloc(mm_tls_heap, mm_class_of_size(size), size);
    CHECK(slot != NULL);
    slot[0] = slot[size - 1] = 1;
    return slot;
}

static void give(void *slot)
{
    mm_free(slot, __builtin_return_address(0));
}

static void give_all(void **slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        give(slots[i]);
}

static const struct mm_list *list_of(size_t size)
{
    return &heap->lists[mm_class_of_size(size)];
}

static struct mm_batch *batch_of(const void *slot)
{
    return mm_batch_at((uintptr_t)slot);
}

/* --- lists --- */

static void first_request(void)
{
    start(PLAIN_SLOTS, ARENA);
    CHECK_EQUAL(heap->number, 1);
    CHECK_EQUAL(atomic_load(&heap->state), MM_HEAP_ACTIVE);
    CHECK_EQUAL(atomic_load(&heap->thread), mm_os_thread_id());
    CHECK(mm_heap_first() == heap && heap->next == NULL);
    CHECK(mm_process_heap() == heap);
    CHECK_EQUAL(check_state().batches, 0);
    stop();
}

/* Slots one after the other, a new batch behind the eighth. */
static void growing(void)
{
    char *slots[2 * PLAIN_SLOTS + 1];
    start(PLAIN_SLOTS, ARENA);
    for (unsigned i = 0; i <= 2 * PLAIN_SLOTS; i++) {
        slots[i] = take(SMALL);
        CHECK_EQUAL(list_of(SMALL)->batches, i / PLAIN_SLOTS + 1);
        CHECK(slots[i] == (char *)mm_batch_base(batch_of(slots[i])) + i % PLAIN_SLOTS * SMALL);
        CHECK_EQUAL(check_state().live, i + 1);
    }
    take(SMALL + 1);
    CHECK_EQUAL(list_of(SMALL)->batches, 3);
    CHECK_EQUAL(list_of(SMALL + 16)->batches, 1);
    stop();
}

/* What is free in full batches serves before a new batch is opened, the longest free one first. */
static void refilling(void)
{
    void *slots[4 * PLAIN_SLOTS];
    start(PLAIN_SLOTS, ARENA);
    for (unsigned i = 0; i < 3 * PLAIN_SLOTS + 1; i++)
        slots[i] = take(SMALL);
    give(slots[PLAIN_SLOTS + 3]);
    give(slots[2]);
    give(slots[PLAIN_SLOTS + 1]);
    CHECK_EQUAL(check_state().live, 3 * PLAIN_SLOTS - 2);
    for (unsigned i = 3 * PLAIN_SLOTS + 1; i < 4 * PLAIN_SLOTS; i++)
        take(SMALL);
    CHECK(take(SMALL) == slots[PLAIN_SLOTS + 1]);
    CHECK(take(SMALL) == slots[PLAIN_SLOTS + 3]);
    CHECK(take(SMALL) == slots[2]);
    CHECK_EQUAL(list_of(SMALL)->batches, 4);
    take(SMALL);
    CHECK_EQUAL(list_of(SMALL)->batches, 5);
    stop();
}

/* A full batch of many slots comes back when a quarter of it is free. */
static void threshold(void)
{
    void *slots[MOST];
    unsigned count = 0;
    start(MM_WORD_BITS, ARENA);
    do
        slots[count++] = take(SMALL);
    while (list_of(SMALL)->batches < 5);
    struct mm_batch *batch = batch_of(slots[count - 2]);
    unsigned from_batch = 0;
    unsigned least = mm_batch_threshold(batch, list_of(SMALL)->batches);
    CHECK(mm_batch_slots(batch) >= 16 && least > 1);
    CHECK_EQUAL(mm_batch_state(batch), MM_BATCH_FULL);
    for (unsigned i = 0; i < least; i++) {
        CHECK_EQUAL(mm_batch_state(batch), MM_BATCH_FULL);
        give(slots[count - 2 - 2 * i]);
        check_state();
    }
    CHECK_EQUAL(mm_batch_state(batch), MM_BATCH_AVAILABLE);
    for (unsigned i = 0; from_batch == 0 || mm_batch_state(batch) == MM_BATCH_CURRENT; i++) {
        CHECK(i < MOST);
        from_batch += batch_of(take(SMALL)) == batch;
    }
    CHECK_EQUAL(from_batch, least);
    stop();
}

/* Frees slots of a batch, all but `kept`. */
static void thin_out(const struct mm_batch *batch, void *slots[], unsigned count, unsigned kept)
{
    for (unsigned i = 0; i < count; i++) {
        if (slots[i] == NULL || batch_of(slots[i]) != batch)
            continue;
        if (kept > 0) {
            kept--;
        } else {
            give(slots[i]);
            slots[i] = NULL;
        }
    }
}

/* A batch that is nearly empty waits behind one that came later and is fuller. */
static void sparse(void)
{
    static void *slots[MOST];
    unsigned count = 0;
    start(MM_WORD_BITS, ARENA);
    do
        slots[count++] = take(SMALL);
    while (list_of(SMALL)->batches < 6);
    struct mm_batch *nearly_empty = batch_of(slots[count - 2]);
    struct mm_batch *fuller = batch_of(slots[count - 2 - mm_batch_slots(nearly_empty)]);
    CHECK(fuller != nearly_empty && mm_batch_slots(fuller) >= 16 &&
          mm_batch_slots(nearly_empty) >= 16);
    thin_out(nearly_empty, slots, count, 1);
    thin_out(fuller, slots, count, mm_batch_slots(fuller) / 2u);
    check_state();
    struct mm_batch *from;
    do
        from = batch_of(take(SMALL));
    while (from != nearly_empty && from != fuller);
    CHECK(from == fuller);
    CHECK_EQUAL(mm_batch_state(nearly_empty), MM_BATCH_SPARSE);
    check_state();
    do
        from = batch_of(take(SMALL));
    while (from == fuller);
    CHECK(from == nearly_empty);
    stop();
}

/* --- batches that go back --- */

/* Little stays, so that nobody opens and closes a batch each time; memory serves again. */
static void shrinking(void)
{
    static void *slots[MANY];
    start(PLAIN_SLOTS, ARENA);
    for (unsigned i = 0; i < MANY; i++)
        slots[i] = take(SMALL);
    size_t taken = mm_arena_usage().taken;
    CHECK_EQUAL(list_of(SMALL)->batches, MANY / PLAIN_SLOTS);
    give_all(slots, MANY);
    CHECK_EQUAL(check_state().live, 0);
    CHECK(list_of(SMALL)->spare > 0 && list_of(SMALL)->spare <= MOST_SPARE);
    CHECK(mm_arena_usage().taken <= taken / 4);
    for (unsigned i = 0; i < MANY; i++)
        slots[i] = take(SMALL);
    CHECK_EQUAL(mm_arena_usage().taken, taken);
    CHECK_EQUAL(list_of(SMALL)->spare, 0);
    stop();
}

static void shrinking_large(void)
{
    void *slots[200];
    start(MM_WORD_BITS, ARENA);
    for (unsigned i = 0; i < 200; i++)
        slots[i] = take(LARGE);
    size_t taken = mm_arena_usage().taken;
    CHECK(taken >= 200 * LARGE);
    give_all(slots, 200);
    CHECK_EQUAL(check_state().live, 0);
    CHECK_EQUAL(list_of(LARGE)->batches, 1);
    CHECK(mm_arena_usage().taken <= (size_t)1 << 20);
    CHECK(mm_arena_usage().dirty <= (size_t)1 << 20); /* the rest went back at once */
    stop();
}

/* Those that are opened again and again stay, up to some MiB. */
static void keeping_large(void)
{
    void *slots[80];
    start(MM_WORD_BITS, ARENA);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 80; i++)
            slots[i] = take(LARGE);
        give_all(slots, 80);
    }
    uint32_t batches = list_of(LARGE)->batches;
    for (unsigned i = 0; i < 80; i++)
        slots[i] = take(LARGE);
    CHECK_EQUAL(list_of(LARGE)->batches, batches);
    give_all(slots, 80);
    CHECK_EQUAL(list_of(LARGE)->batches, batches);
    stop();
}

/* Back and forth over the end of a batch opens no other one. */
static void hysteresis(void)
{
    void *slots[PLAIN_SLOTS];
    start(PLAIN_SLOTS, ARENA);
    for (unsigned i = 0; i < PLAIN_SLOTS; i++)
        slots[i] = take(SMALL);
    void *next = take(SMALL);
    uintptr_t base = mm_batch_base(batch_of(next));
    for (unsigned round = 0; round < 10; round++) {
        give(next);
        give_all(slots, PLAIN_SLOTS);
        CHECK_EQUAL(list_of(SMALL)->batches, 2);
        for (unsigned i = 0; i < PLAIN_SLOTS; i++)
            slots[i] = take(SMALL);
        next = take(SMALL);
        CHECK_EQUAL(list_of(SMALL)->batches, 2);
    }
    CHECK(mm_batch_base(batch_of(next)) == base || mm_batch_base(batch_of(slots[0])) == base);
    stop();
}

/* Any sizes in any order, again and again. */
/* Of many sizes a little each adds up: a heap where all is freed keeps little all together. What a
 * list has learned to keep it keeps. */
static void all_freed(void)
{
    enum { SIZES = 50, EACH = 400 };
    static void *slots[SIZES * EACH];
    start(MM_WORD_BITS, ARENA);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < SIZES * EACH; i++)
            slots[i] = take(16 + i % SIZES * 16);
        size_t full = heap->bytes;
        give_all(slots, SIZES * EACH);
        CHECK_EQUAL(check_state().live, 0);
        CHECK(full > (size_t)7 << 20 && (round > 0 || heap->bytes < (size_t)3 << 19));
    }
    CHECK(heap->bytes > (size_t)1 << 20);
    stop();
}

static void mixed_sizes(void)
{
    static void *slots[MOST];
    uint64_t random = 5;
    memset(slots, 0, sizeof slots);
    start(MM_WORD_BITS, ARENA);
    for (unsigned step = 0; step < 40000 / CHECK_SLOWER; step++) {
        /* By turns the heap grows and shrinks. */
        size_t i = check_below(&random, step / 5000 % 2 == 0 ? MOST : 20);
        if (slots[i] != NULL) {
            give(slots[i]);
            slots[i] = NULL;
        } else {
            size_t most = check_below(&random, 20) == 0 ? LARGE : 256;
            slots[i] = take(1 + check_below(&random, most));
        }
        if (step % 2000 == 0)
            check_state();
    }
    for (size_t i = 0; i < MOST; i++)
        give(slots[i]);
    CHECK_EQUAL(check_state().live, 0);
    stop();
}

/* --- an arena that is used up --- */

static void exhaustion(void)
{
    static const size_t sizes[] = {LARGE, 8192, 1024, SMALL, 16};
    static void *slots[MOST * 4];
    unsigned count = 0;
    start(PLAIN_SLOTS, (size_t)1 << 20);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned class = mm_class_of_size(sizes[i]);
        for (void *slot; (slot = mm_heap_alloc(heap, class, 0)) != NULL;) {
            CHECK(count < sizeof slots / sizeof slots[0]);
            slots[count++] = slot;
        }
        CHECK_EQUAL(check_state().live, count);
        CHECK(mm_heap_alloc(heap, class, 0) == NULL);
    }
    give(slots[3]);
    CHECK(take(LARGE) == slots[3]);
    give_all(slots, count);
    CHECK_EQUAL(check_state().live, 0);
    CHECK(mm_heap_alloc(heap, mm_class_of_size(8192), 8192) != NULL);
    stop();
}

/* --- slots that nobody ever had --- */

static bool never_handed_out(const char *slot)
{
    struct mm_slot_info info = mm_batch_inspect((uintptr_t)slot);
    return mm_heap_never_handed_out(&info);
}

static void handed_out_or_not(void)
{
    start(PLAIN_SLOTS, ARENA);
    char *slot = take(SMALL);
    CHECK(!never_handed_out(slot));
    CHECK(never_handed_out(slot + SMALL) && never_handed_out(slot + (PLAIN_SLOTS - 1) * SMALL));
    give(slot);
    CHECK(!never_handed_out(slot));
    CHECK(take(SMALL) == slot + SMALL && !never_handed_out(slot + SMALL));
    mm_heap_settle(heap);
    CHECK(!never_handed_out(slot + SMALL) && never_handed_out(slot + 2 * SMALL));
    CHECK(never_handed_out(slot + (PLAIN_SLOTS - 1) * SMALL));
    stop();
}

/* --- frees by other threads --- */

struct slots {
    void **slots;
    size_t count;
};

static void give_in_thread(unsigned number, void *shared)
{
    const struct slots *given = shared;
    (void)number;
    give_all(given->slots, given->count);
    CHECK_NO_MISUSE();
}

static void give_elsewhere(void **slots, size_t count)
{
    check_in_threads(1, give_in_thread, &(struct slots){slots, count});
}

static void collecting(void)
{
    void *slots[4 * PLAIN_SLOTS + 1];
    start(PLAIN_SLOTS, ARENA);
    for (unsigned i = 0; i < 4 * PLAIN_SLOTS + 1; i++)
        slots[i] = take(SMALL);
    /* The first batch whole, of the second one slot, of the current one the only slot. */
    give_elsewhere(slots, PLAIN_SLOTS + 1);
    give_elsewhere(slots + 4 * PLAIN_SLOTS, 1);
    struct check_sums sums = check_state();
    CHECK_EQUAL(sums.waiting, PLAIN_SLOTS + 2);
    CHECK_EQUAL(sums.live, 3 * PLAIN_SLOTS - 1);
    CHECK_EQUAL(mm_batch_state(batch_of(slots[0])), MM_BATCH_FULL);

    give(slots[PLAIN_SLOTS + 1]);
    CHECK_EQUAL(mm_batch_state(batch_of(slots[PLAIN_SLOTS])), MM_BATCH_AVAILABLE);
    CHECK_EQUAL(check_state().waiting, PLAIN_SLOTS + 2);

    mm_heap_collect(heap);
    CHECK_EQUAL(check_state().waiting, 0);
    CHECK_EQUAL(check_state().live, 3 * PLAIN_SLOTS - 2);
    CHECK_EQUAL(mm_batch_state(batch_of(slots[0])), MM_BATCH_SPARSE);
    CHECK(list_of(SMALL)->spare > 0);
    mm_heap_collect(heap);
    stop();
}

/* The owner's next request that finds no claimed slot takes them over. */
static void collecting_by_request(void)
{
    void *slots[2 * PLAIN_SLOTS];
    start(PLAIN_SLOTS, ARENA);
    for (unsigned i = 0; i < 2 * PLAIN_SLOTS; i++)
        slots[i] = take(SMALL);
    give_elsewhere(slots + 3, 1);
    CHECK(take(SMALL) == slots[3]);
    CHECK_EQUAL(check_state().waiting, 0);
    give_elsewhere(slots + 2 * PLAIN_SLOTS - 1, 1);
    CHECK(take(SMALL) == slots[2 * PLAIN_SLOTS - 1]);
    stop();
}

static void freed_again(void)
{
    start(PLAIN_SLOTS, ARENA);
    void *slot = take(SMALL), *other = take(SMALL);
    give_elsewhere(&slot, 1);
    give(slot);
    CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, slot);
    give(other);
    CHECK_NO_MISUSE();
    mm_heap_collect(heap);
    give(slot);
    CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, slot);
    CHECK_EQUAL(check_state().live, 0);
    stop();
}

static unsigned count_remote(void)
{
    unsigned count = 0;
    uint32_t line = (1 + MM_GRAVE_LINES) * MM_LINE_SIZE;
    while (mm_batch_walk_remote(&line, mm_arena_lines_end()) != NULL)
        count++;
    return count;
}

/* What fork()'s child looks at: not all lines, and none that holds nothing to take over. */
static void looked_at_after_fork(void)
{
    static void *slots[MANY];
    start(PLAIN_SLOTS, ARENA);
    uint32_t first = (1 + MM_GRAVE_LINES) * MM_LINE_SIZE, end;
    for (unsigned i = 0; i < MANY; i++)
        slots[i] = take(SMALL);
    end = mm_arena_lines_end();
    CHECK(mm_arena_next_marked(first, end) >= end);
    CHECK_EQUAL(count_remote(), 0);
    give_elsewhere(slots, 1);
    give_elsewhere(slots + MANY / 2, PLAIN_SLOTS + 1);
    CHECK_EQUAL(count_remote(), 3);
    const uint32_t mark = MM_LINES_A_MARK * MM_LINE_SIZE;
    unsigned marked = 0;
    for (uint32_t line = first; (line = mm_arena_next_marked(line, end)) < end;
         line = (line / mark + 1) * mark)
        marked++;
    CHECK(marked >= 2 && marked <= 3);
    mm_heap_collect(heap);
    CHECK_EQUAL(count_remote(), 0);
    stop();
}

static void *told_twice;

static void note_freed_twice(void *slot)
{
    CHECK(told_twice == NULL);
    told_twice = slot;
}

/* As it is when the owner frees a slot at the same moment as another thread: both believe that
 * they were the one. The slot stays out of use until the collection tells of it. */
static void freed_by_both(void)
{
    void *slots[PLAIN_SLOTS];
    start(PLAIN_SLOTS, ARENA);
    mm_heap_on_freed_twice = note_freed_twice;
    for (unsigned i = 0; i < PLAIN_SLOTS; i++)
        slots[i] = take(SMALL);
    struct mm_batch *batch = batch_of(slots[0]);
    give_elsewhere(slots + 5, 1);
    mm_batch_set_live(batch, mm_batch_live(batch) & ~((uint64_t)1 << 5));
    batch->frees_left--;
    told_twice = NULL;
    CHECK(take(SMALL) == slots[5]);
    CHECK(told_twice == slots[5]);
    CHECK_EQUAL(check_state().live, PLAIN_SLOTS);
    stop();
}

/* --- heaps without a thread --- */

static void take_and_leave(unsigned number, void *shared)
{
    struct slots *taken = shared;
    CHECK(mm_tls_heap == &mm_heap_none);
    CHECK(mm_process_heap() != NULL);
    CHECK_EQUAL(mm_tls_heap->number, 2 + number);
    for (size_t i = 0; i < taken->count; i++)
        taken->slots[i] = take(SMALL);
}

static void idle_heap(void)
{
    void *slots[PLAIN_SLOTS];
    start(PLAIN_SLOTS, ARENA);
    check_in_threads(1, take_and_leave, &(struct slots){slots, PLAIN_SLOTS});
    const struct mm_heap *idle = mm_heap_first();
    CHECK(idle != heap && atomic_load(&idle->thread) == 0 && idle->tls == NULL);
    CHECK_EQUAL(atomic_load(&idle->state), MM_HEAP_IDLE);
    CHECK_EQUAL(check_state().live, PLAIN_SLOTS);
    /* Its blocks outlive it. */
    give_all(slots, PLAIN_SLOTS);
    CHECK_EQUAL(check_state().live, 0);
    CHECK_NO_MISUSE();
    /* Taken up by the next thread. */
    check_in_threads(1, take_and_leave, &(struct slots){slots, PLAIN_SLOTS});
    CHECK(mm_heap_first() == idle);
    CHECK_EQUAL(check_state().heaps, 2);
    give_all(slots, PLAIN_SLOTS);
    stop();
}

static _Atomic bool taken, given;

static void take_and_wait(unsigned number, void *shared)
{
    if (number == 0) {
        CHECK(mm_process_heap() != NULL);
        *(void **)shared = take(SMALL);
        atomic_store(&taken, true);
        while (!atomic_load(&given))
            check_yield();
    } else {
        while (!atomic_load(&taken))
            check_yield();
        give(*(void **)shared);
        atomic_store(&given, true);
    }
}

/* A thread of fork()'s child that gets the stack of one of the parent's must not get its heap,
 * which may be in the middle of a step. */
static void left_behind(unsigned number, void *shared)
{
    if (number == 0) {
        take_and_wait(0, shared);
        return;
    }
    while (!atomic_load(&taken))
        check_yield();
    CHECK(mm_process_heap() != NULL);
    const struct mm_heap *other = mm_heap_first();
    other = other == mm_tls_heap ? other->next : other;
    struct mm_heap **there = other->tls;
    CHECK(mm_homes_find(there) == other);
    struct mm_batch *batch;
    CHECK(mm_pin_batch(NULL, (uintptr_t) * (void **)shared, &batch) != NULL && mm_pins_has(batch));
    mm_heap_after_fork();
    CHECK(!mm_pins_has(batch)); /* nor what a thread pinned that had no heap */
    CHECK_EQUAL(atomic_load(&other->state), MM_HEAP_STALE);
    CHECK(mm_homes_find(there) == NULL && mm_homes_find(&mm_tls_heap) == mm_tls_heap);
    atomic_store(&given, true);
}

static void heaps_at_fork(void)
{
    void *slot;
    start(PLAIN_SLOTS, ARENA);
    atomic_store(&taken, false);
    atomic_store(&given, false);
    check_in_threads(2, left_behind, &slot);
    give(slot);
    stop();
}

/* A thread that ends collects a last time, and what is wholly free then goes back. */
static void last_collection(void)
{
    void *slot;
    start(PLAIN_SLOTS, ARENA);
    check_in_threads(2, take_and_wait, &slot);
    struct check_sums sums = check_state();
    CHECK(sums.waiting == 0 && sums.batches == 0 && mm_arena_usage().taken == 0);
    stop();
}

/* Not only a new thread collects there: whoever frees does, now and then. */
static void tending(void)
{
    void *slots[IDLE_BLOCKS];
    start(1, ARENA);
    check_in_threads(1, take_and_leave, &(struct slots){slots, IDLE_BLOCKS});
    CHECK_EQUAL(check_state().batches, IDLE_BLOCKS);
    give_all(slots, IDLE_BLOCKS);
    CHECK_EQUAL(check_state().live, 0);
    CHECK(check_state().waiting < TENDED_AT);
    stop();
}

static void live_shortly(unsigned number, void *shared)
{
    (void)number;
    (void)shared;
    void *slots[3];
    for (unsigned i = 0; i < 3; i++) {
        CHECK(mm_process_heap() != NULL);
        slots[i] = take(SMALL);
    }
    give_all(slots, 3);
}

static void short_threads(void)
{
    start(PLAIN_SLOTS, ARENA);
    for (unsigned i = 0; i < SHORT_THREADS; i++)
        check_in_threads(2, live_shortly, NULL);
    CHECK(check_state().heaps <= 3);
    CHECK_EQUAL(check_state().live, 0);
    stop();
}

/* --- destructors that run after ours --- */

static pthread_key_t late_key;
static void *late_slot;

/* Set again in each round, so that it outlives the heap's own destructor. */
static void late(void *round)
{
    if ((uintptr_t)round > 1) {
        CHECK(pthread_setspecific(late_key, (void *)((uintptr_t)round - 1)) == 0);
        return;
    }
    CHECK(mm_tls_heap == &mm_heap_ending);
    char *slot = mm_alloc(SMALL), *other = mm_calloc(1, SMALL);
    CHECK(slot != NULL && other != NULL && check_all_bytes(other, SMALL, 0));
    give(other);
    give(late_slot);
    CHECK_NO_MISUSE();
    late_slot = slot;
}

static void end_late(unsigned number, void *shared)
{
    (void)number;
    (void)shared;
    CHECK(pthread_setspecific(late_key, (void *)3) == 0);
    CHECK(mm_process_heap() != NULL);
    late_slot = take(SMALL);
}

static void after_the_last_destructor(void)
{
    CHECK(pthread_key_create(&late_key, late) == 0);
    start(PLAIN_SLOTS, ARENA);
    for (unsigned i = 0; i < 20; i++) {
        check_in_threads(1, end_late, NULL);
        give(late_slot);
        /* Main's, that of the threads, and the one that late destructors share. */
        CHECK_EQUAL(check_state().heaps, 3);
        CHECK_EQUAL(check_state().live, 0);
    }
    stop();
    CHECK(pthread_key_delete(late_key) == 0);
}

/* --- many threads that free one's blocks, each of them once --- */

static struct {
    void *slots[HANDED];
    _Atomic unsigned round, finished;
} handed;

static void free_handed(unsigned number)
{
    for (unsigned round = 1; round <= ROUNDS; round++) {
        while (atomic_load(&handed.round) < round)
            check_yield();
        for (unsigned i = number; i < HANDED; i += FREERS)
            give(handed.slots[i]);
        atomic_fetch_add(&handed.finished, 1);
    }
    CHECK_NO_MISUSE();
}

/* Wide batches of few slots: they are closed while the last threads still leave mm_free(). */
static void hand_out(void)
{
    struct mm_heap *own = mm_process_heap();
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (unsigned i = 0; i < HANDED; i++)
            handed.slots[i] = take(round % 2 == 0 ? LARGE : SMALL);
        atomic_store(&handed.finished, 0);
        atomic_store(&handed.round, round);
        while (atomic_load(&handed.finished) < FREERS) {
            mm_heap_collect(own);
            check_yield();
        }
        if (round % 1000 == 0)
            CHECK_EQUAL(check_state().live, 0);
    }
    CHECK_NO_MISUSE();
}

static void take_part(unsigned number, void *unused)
{
    (void)unused;
    if (number < FREERS)
        free_handed(number);
    else
        hand_out();
}

static void closing_under_frees(void)
{
    start(4, ARENA);
    check_in_threads(FREERS + 1, take_part, NULL);
    CHECK_EQUAL(check_state().live, 0);
    stop();
}

int main(void)
{
    first_request();
    growing();
    refilling();
    threshold();
    sparse();
    shrinking();
    shrinking_large();
    keeping_large();
    hysteresis();
    all_freed();
    mixed_sizes();
    exhaustion();
    handed_out_or_not();
    collecting();
    collecting_by_request();
    looked_at_after_fork();
    freed_again();
    freed_by_both();
    idle_heap();
    last_collection();
    heaps_at_fork();
    tending();
    short_threads();
    after_the_last_destructor();
    closing_under_frees();
    return 0;
}
