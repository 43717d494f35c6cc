/* purge.c - each way that memory goes back to the system, over a seam that lets it go only in
 * pieces and only while the calling thread holds no lock of ours. Each is seen to give something
 * back. */
#include "check.h"
#include "entry/process.h"
#include "seam.h"
#include "slots/heap.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { SIZE = 1024, BLOCKS = 24 << 10, FEW = 900 };

static void *blocks[BLOCKS];
static unsigned before; /* calls */

static void take_all(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        blocks[i] = mem_mngr_alloc(SIZE);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, SIZE);
    }
}

static void give_all(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        mem_mngr_free(blocks[i]);
}

static void check_went_back(void)
{
    CHECK(seam_count(SEAM_mm_kernel_madvise) > before);
}

/* Each on its own: from one time to the next it is learned how much to keep. */
static void try_way(void (*way)(void))
{
    check_init(MM_WORD_BITS);
    before = seam_count(SEAM_mm_kernel_madvise);
    way();
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

static void by_frees(void)
{
    take_all(BLOCKS);
    give_all(BLOCKS);
    CHECK(mm_arena_usage().dirty <= (size_t)2 << 20);
    check_went_back();
}

/* Less than goes back at once. */
static void by_the_clock(void)
{
    struct timespec tick = {0, (MM_PURGE_TICK_MS + 30) * 1000000L};
    take_all(FEW);
    give_all(FEW);
    before = seam_count(SEAM_mm_kernel_madvise);
    for (unsigned i = 0; i < 3; i++) {
        nanosleep(&tick, NULL);
        for (unsigned round = 0; round < 200; round++) {
            take_all(FEW / 9);
            give_all(FEW / 9);
        }
    }
    check_went_back();
}

static void by_trim(void)
{
    take_all(FEW);
    give_all(FEW);
    before = seam_count(SEAM_mm_kernel_madvise);
    mm_heap_trim();
    CHECK(mm_arena_trim() > 0);
    check_went_back();
}

/* As after mlockall(): what is refused is not asked for again and again. */
static void refused_each_time(void)
{
    take_all(BLOCKS);
    seam_fail(SEAM_mm_kernel_madvise, 1, true, 0);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < BLOCKS; i += 2)
            mem_mngr_free(blocks[i]);
        for (unsigned i = 0; i < BLOCKS; i += 2)
            CHECK((blocks[i] = mem_mngr_alloc(SIZE)) != NULL);
    }
    give_all(BLOCKS);
    CHECK(seam_count(SEAM_mm_kernel_madvise) < 100);
    seam_heal();
    CHECK(mm_arena_trim() > 0);
}

static void for_others(void)
{
    take_all(BLOCKS);
    size_t taken = mm_arena_usage().taken;
    give_all(BLOCKS / 4);
    mm_arena_keep_within_most(taken);
    check_went_back();
    for (unsigned i = BLOCKS / 4; i < BLOCKS; i++)
        mem_mngr_free(blocks[i]);
    mm_arena_keep_within_most(0);
}

static void take_here(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    take_all(BLOCKS);
}

static void give_here(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    give_all(BLOCKS);
}

/* The owner is gone: whoever frees closes its batches, under the lock of all heaps. */
static void of_a_thread_that_ended(void)
{
    check_in_threads(1, take_here, NULL);
    give_all(BLOCKS);
    check_went_back();
}

static void take_for_another(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    take_all(BLOCKS);
    check_in_threads(1, give_here, NULL);
}

/* What others freed is taken over as it ends. */
static void at_a_threads_end(void)
{
    check_in_threads(1, take_for_another, NULL);
    check_went_back();
}

static pthread_key_t late_key;

/* Set again in each round, so that it outlives the heap's own destructor. */
static void late(void *round)
{
    if ((uintptr_t)round > 1) {
        CHECK(pthread_setspecific(late_key, (void *)((uintptr_t)round - 1)) == 0);
        return;
    }
    CHECK(mm_tls_heap == &mm_heap_ending);
    take_all(BLOCKS);
    give_all(BLOCKS);
    take_all(FEW);
    give_all(FEW);
}

static void end_late(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    mem_mngr_free(mem_mngr_alloc(1));
    CHECK(pthread_setspecific(late_key, (void *)3) == 0);
}

static void in_the_last_destructors(void)
{
    CHECK(pthread_key_create(&late_key, late) == 0);
    check_in_threads(1, end_late, NULL);
    check_went_back();
    CHECK(pthread_key_delete(late_key) == 0);
}

int main(void)
{
    try_way(by_frees);
    try_way(by_the_clock);
    try_way(by_trim);
    try_way(refused_each_time);
    try_way(for_others);
    try_way(of_a_thread_that_ended);
    try_way(at_a_threads_end);
    try_way(in_the_last_destructors);
    CHECK_NO_MISUSE();
    return 0;
}
