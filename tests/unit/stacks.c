/* stacks.c - who allocated and who freed: of slots and of forwarded blocks, by every thread, over
 * the end of a batch, in a sample, and when the table of stacks is full. */
#include "blocks/stacks.h"

#include "check.h"
#include "check_state.h"
#include "entry/process.h"
#include "entry/route.h"
#include "slots/heap.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 24, MANY = 5000, SAMPLE = 20, LARGE = 100000, DEPTH = 20 };
enum { THREADS = 4, ROUNDS = 20000 / CHECK_SLOWER, SHARED = 16 };

static struct mm_stack_history history;

static void start(unsigned frames, uint32_t every)
{
    struct mm_process_config config = {.report = {.on_misuse = check_on_misuse, .most = UINT64_MAX},
                                       .batch_slots = MM_WORD_BITS,
                                       .slot_max = MM_SLOT_SIZE_MAX,
                                       .arena_size = (size_t)256 << 20,
                                       .stacks = {.frames = frames, .every = every}};
    CHECK(mm_process_start(&config));
    CHECK_EQUAL(mm_stacks_are_kept(), frames > 0);
}

static void stop(void)
{
    CHECK_NO_MISUSE();
    check_state();
    mm_process_stop();
}

/* A place in the program that a stack must name: where one of these two was called. */
struct place {
    const void *call;
};

__attribute__((noinline)) static void *take(size_t size, struct place *place)
{
    place->call = (const char *)__builtin_return_address(0) - 1;
    void *block = mm_alloc(size);
    CHECK(block != NULL);
    return block;
}

__attribute__((noinline)) static void give(void *block, struct place *place)
{
    place->call = (const char *)__builtin_return_address(0) - 1;
    mm_free(block, place->call);
    __asm__ volatile("");
}

static bool names(const struct mm_stack *stack, const struct place *place)
{
    for (unsigned i = 0; i < stack->count; i++) {
        if (stack->frames[i] == place->call)
            return true;
    }
    return false;
}

static bool is_by(const struct mm_stack *stack, const struct place *place, pid_t thread)
{
    return names(stack, place) && stack->thread == thread;
}

/* --- one block --- */

static void of_one_block(size_t size, size_t inside)
{
    struct place taken, given;
    pid_t here = mm_os_thread_id();
    char *block = take(size, &taken);
    CHECK(mm_stacks_history(block, &history));
    CHECK(history.has_allocated && !history.has_freed && history.asked == size);
    CHECK(is_by(&history.allocated, &taken, here));
    CHECK(mm_stacks_history(block + inside, &history) && names(&history.allocated, &taken));
    give(block, &given);
    CHECK(mm_stacks_history(block, &history));
    CHECK(history.has_allocated && history.has_freed && history.asked == size);
    CHECK(is_by(&history.allocated, &taken, here) && is_by(&history.freed, &given, here));
    CHECK(!names(&history.allocated, &given) && !names(&history.freed, &taken));
}

static void of_each_kind(void)
{
    int local = 0;
    static const size_t sizes[] = {1, 16, 40, 1000, 1025, 20000, 32768, LARGE, 10 * LARGE};
    start(FRAMES, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        of_one_block(sizes[i], sizes[i] / 2);
    CHECK(!mm_stacks_history(&local, &history));
    CHECK(!mm_stacks_history(NULL, &history));
    CHECK(!mm_stacks_history((const void *)mm_arena.base, &history));
    stop();
}

static void switched_off(void)
{
    struct place place;
    start(0, 1);
    void *block = take(40, &place);
    CHECK(!mm_stacks_history(block, &history));
    give(block, &place);
    CHECK(!mm_stacks_history(block, &history));
    CHECK(mm_tls_heap->watch == NULL);
    stop();
}

/* A second free changes nothing of what is known of the first. */
static void freed_again(void)
{
    struct place taken, given, again;
    start(FRAMES, 1);
    void *slot = take(40, &taken), *large = take(LARGE, &taken);
    give(slot, &given);
    give(slot, &again);
    CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, slot);
    CHECK(mm_stacks_history(slot, &history));
    CHECK(names(&history.freed, &given) && !names(&history.freed, &again));
    give(large, &given);
    give(large, &again);
    CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, large);
    CHECK(mm_stacks_history(large, &history));
    CHECK(names(&history.freed, &given) && !names(&history.freed, &again));
    stop();
}

__attribute__((noinline)) static void *resize(void *block, size_t size, struct place *place)
{
    place->call = (const char *)__builtin_return_address(0) - 1;
    void *moved = mm_realloc(block, size, place->call);
    CHECK(moved != NULL);
    return moved;
}

/* In place or to elsewhere, the block is by then the one who asked last. */
static void resized(size_t size, size_t next)
{
    struct place taken, grown, given;
    char *block = take(size, &taken);
    char *moved = resize(block, next, &grown);
    CHECK(mm_stacks_history(moved, &history) && !history.has_freed && history.asked == next);
    CHECK(names(&history.allocated, &grown) && !names(&history.allocated, &taken));
    if (moved != block) {
        CHECK(mm_stacks_history(block, &history) && names(&history.freed, &grown));
        CHECK(names(&history.allocated, &taken) && history.asked == size);
    }
    give(moved, &given);
}

static void of_moved_blocks(void)
{
    struct place taken, given;
    start(FRAMES, 1);
    resized(40, 44);
    resized(40, 400);
    resized(400, LARGE);
    void *neighbour = take(2 * LARGE, &taken);
    resized(2 * LARGE, 3 * LARGE);
    resized(3 * LARGE, LARGE);
    give(neighbour, &given);
    CHECK(mm_realloc(neighbour, SIZE_MAX / 4, taken.call) == NULL);
    CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, neighbour);
    neighbour = take(LARGE, &taken);
    CHECK(mm_realloc(neighbour, SIZE_MAX / 4, taken.call) == NULL); /* stays */
    CHECK(mm_stacks_history(neighbour, &history) && !history.has_freed);
    CHECK(mm_realloc(neighbour, (size_t)1 << 47, given.call) == NULL); /* refused by libc */
    CHECK(mm_stacks_history(neighbour, &history) && !history.has_freed && history.asked == LARGE);
    CHECK(names(&history.allocated, &taken));
    give(neighbour, &given);
    stop();
}

/* What the processor ignores of an address says nothing about which slot it is. */
static void of_tagged_pointers(void)
{
#ifdef __aarch64__
    struct place taken, grown, given;
    start(FRAMES, 1);
    char *block = take(40, &taken);
    char *tagged = (char *)((uintptr_t)block | (uintptr_t)0x5b << 56);
    CHECK(resize(tagged, 44, &grown) == tagged);
    CHECK(mm_stacks_history(tagged, &history) && history.asked == 44);
    CHECK(names(&history.allocated, &grown));
    give(tagged, &given);
    CHECK(mm_stacks_history(block, &history) && names(&history.freed, &given));
    stop();
#endif
}

/* --- batches that close, memory that is used again --- */

static void over_the_end_of_a_batch(void)
{
    static void *slots[MANY];
    struct place taken, given;
    start(FRAMES, 1);
    for (unsigned i = 0; i < MANY; i++)
        slots[i] = take(100, &taken);
    for (unsigned i = 0; i < MANY; i++)
        give(slots[i], &given);
    unsigned closed = 0;
    for (unsigned i = 0; i < MANY; i++) {
        closed += mm_batch_inspect((uintptr_t)slots[i]).batch == NULL;
        if (mm_arena_was_given((uintptr_t)slots[i])) /* where this took long */
            continue;
        CHECK(mm_stacks_history(slots[i], &history) && history.asked == 100);
        CHECK(names(&history.allocated, &taken) && names(&history.freed, &given));
    }
    CHECK(closed > MANY / 2);
    check_state();
    /* Slots of another size: what is known is of them, or nothing. */
    struct place retaken;
    for (unsigned i = 0; i < MANY; i++)
        slots[i] = take(300, &retaken);
    for (unsigned i = 0; i < MANY; i++) {
        CHECK(mm_stacks_history(slots[i], &history));
        CHECK(names(&history.allocated, &retaken) && !history.has_freed);
        give(slots[i], &given);
    }
    stop();
}

/* --- a sample --- */

static void one_in_some(size_t size, unsigned count)
{
    void **blocks = calloc(count, sizeof *blocks);
    struct place taken, given, last;
    unsigned traced = 0;
    for (unsigned i = 0; i < count; i++)
        blocks[i] = take(size, &taken);
    check_state();
    for (unsigned i = 0; i < count; i++) {
        bool before = mm_stacks_history(blocks[i], &history);
        CHECK(!before || (names(&history.allocated, &taken) && !history.has_freed));
        give(blocks[i], &given);
        bool after = mm_stacks_history(blocks[i], &history);
        CHECK(before == after && (!after || names(&history.freed, &given)));
        traced += before;
    }
    CHECK(traced > count / SAMPLE / 2 && traced < 2 * count / SAMPLE);
    /* Where a traced block was there may now be one that is not. */
    for (unsigned i = 0; i < count; i++)
        blocks[i] = take(size, &last);
    for (unsigned i = 0; i < count; i++) {
        if (mm_stacks_history(blocks[i], &history))
            CHECK(names(&history.allocated, &last) && !history.has_freed);
        give(blocks[i], &given);
    }
    check_state();
    free(blocks);
}

static void sampled(void)
{
    start(FRAMES, SAMPLE);
    one_in_some(48, 20000);
    one_in_some(2000, 5000);
    one_in_some(LARGE, 1000);
    stop();
}

/* When no block that is traced is left, frees are on the fast path again. */
static void the_fast_path(void)
{
    struct place taken, given;
    static void *slots[100 * SAMPLE];
    enum { COUNT = sizeof slots / sizeof slots[0] };
    start(FRAMES, SAMPLE);
    unsigned tagged = 0;
    for (unsigned i = 0; i < COUNT; i++)
        slots[i] = take(2048, &taken);
    for (unsigned i = 0; i < COUNT; i++)
        tagged += mm_batch_is_traced(mm_batch_at((uintptr_t)slots[i]));
    CHECK(tagged > 0);
    for (unsigned i = 0; i < COUNT; i++) {
        if (mm_stacks_history(slots[i], &history)) {
            give(slots[i], &given);
            slots[i] = NULL;
        }
    }
    for (unsigned i = 0; i < COUNT; i++) {
        if (slots[i] != NULL) {
            CHECK(!mm_batch_is_traced(mm_batch_at((uintptr_t)slots[i])));
            CHECK(mm_free_fast(slots[i]));
        }
    }
    stop();
}

/* --- other threads --- */

struct handed {
    void *block;
    struct place given;
    pid_t thread;
};

static void *give_handed(void *argument)
{
    struct handed *handed = argument;
    mm_free(mm_alloc(1), NULL); /* before it has a name of its own */
    handed->thread = mm_os_thread_id();
    mm_stacks_thread_named(handed->thread, "giver");
    give(handed->block, &handed->given);
    return NULL;
}

static void by_another_thread(size_t size)
{
    pthread_t thread;
    struct place taken;
    struct handed handed = {.block = take(size, &taken)};
    CHECK(pthread_create(&thread, NULL, give_handed, &handed) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(mm_stacks_history(handed.block, &history));
    CHECK(is_by(&history.allocated, &taken, mm_os_thread_id()));
    CHECK(is_by(&history.freed, &handed.given, handed.thread));
    CHECK_TEXT(history.freed.name, "giver");
    CHECK(handed.thread != mm_os_thread_id());
}

static void by_other_threads(void)
{
    start(FRAMES, 1);
    by_another_thread(40);
    by_another_thread(LARGE);
    stop();
}

/* Everybody takes and gives, what they hold changes hands, and somebody always looks. */
static void *_Atomic shared_blocks[SHARED];

static void at_once(unsigned number, void *unused)
{
    uint64_t random = number;
    struct mm_stack_history seen;
    struct place place;
    (void)unused;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t size = 1 + check_below(&random, round % 64 == 0 ? LARGE : 200);
        void *block =
            atomic_exchange(&shared_blocks[check_below(&random, SHARED)], take(size, &place));
        if (block != NULL) {
            if (mm_stacks_history(block, &seen))
                CHECK(seen.allocated.count > 0 && seen.allocated.thread != 0 && !seen.has_freed);
            give(block, &place);
        }
    }
}

static void all_at_once(uint32_t every)
{
    struct place place;
    start(FRAMES, every);
    check_in_threads(THREADS, at_once, NULL);
    for (unsigned i = 0; i < SHARED; i++)
        give(atomic_exchange(&shared_blocks[i], NULL), &place);
    stop();
}

#ifndef CHECK_EMULATED

/* --- full tables --- */

/* Each way down this tree is another stack: compilers join calls that begin or end alike. */
__attribute__((noinline)) static void branch(unsigned way, unsigned depth)
{
    struct place place;
    if (depth == 0) {
        give(take(16, &place), &place);
    } else if (way & 1) {
        __asm__ volatile("# one way");
        branch(way >> 1, depth - 1);
        __asm__ volatile("# and back");
    } else {
        __asm__ volatile("# the other");
        branch(way >> 1, depth - 1);
        __asm__ volatile("# and back from there");
    }
}

static void full_tables(void)
{
    struct place place;
    start(MM_UNWINDER_MOST, 1);
    void *early = take(40, &place);
    unsigned way = 0;
    for (; mm_stacks_lost() == 0; way++)
        branch(way, DEPTH);
    CHECK(way > 200000 && way < 1u << DEPTH);
    CHECK(mm_stacks_history(early, &history) && names(&history.allocated, &place));
    give(early, &place);
    stop();
}

/* More threads than there are numbers for: of those beyond stacks are kept, and no names. */
static void no_more_numbers(void)
{
    enum { THREAD_NUMBERS = 1 << 20 };
    struct place place;
    start(FRAMES, 1);
    void *early = take(40, &place);
    struct mm_watch *watch = mm_process_heap()->watch;
    for (unsigned i = 0; i < THREAD_NUMBERS; i++) {
        mm_watcher->thread_ends(watch);
        mm_watcher->thread_starts(watch);
    }
    CHECK(mm_stacks_history(early, &history) && history.allocated.thread != 0);
    give(early, &place);
    void *late = take(40, &place);
    CHECK(mm_stacks_history(late, &history) && names(&history.allocated, &place));
    CHECK_EQUAL(history.allocated.thread, 0);
    CHECK_TEXT(history.allocated.name, "?");
    give(late, &place);
    mm_watcher->thread_ends(watch);
    stop();
}

#endif

int main(void)
{
    switched_off();
    of_each_kind();
    freed_again();
    of_moved_blocks();
    of_tagged_pointers();
    over_the_end_of_a_batch();
    sampled();
    the_fast_path();
    by_other_threads();
    all_at_once(1);
    all_at_once(3);
#ifndef CHECK_EMULATED /* minutes each */
    full_tables();
    no_more_numbers();
#endif
    switched_off();
    return 0;
}
