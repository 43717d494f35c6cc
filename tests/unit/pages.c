/* pages.c - pages inside of batches that go back: free ones at two looks in a row, of all heaps
 * when that is asked for, and never one with a live slot. What went back is told by what free slots
 * hold: nobody else writes to them. */
#include "slots/pages.h"

#include "check.h"
#include "check_state.h"
#include "entry/process.h"
#include <string.h>
#include <unistd.h>

enum { MOST = 16 << 20, TICK = MM_PURGE_TICK_MS };

static unsigned char *blocks[MOST >> 4];
static unsigned count;
static uint64_t now;

static void take_all(size_t size)
{
    count = (unsigned)(MOST / size);
    for (unsigned i = 0; i < count; i++) {
        blocks[i] = mem_mngr_alloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, size);
    }
}

/* All but one in so many. */
static void thin_out(unsigned one_in)
{
    for (unsigned i = 0; i < count; i++) {
        if (i % one_in != 0)
            mem_mngr_free(blocks[i]);
    }
}

static void give_rest(unsigned one_in)
{
    for (unsigned i = 0; i < count; i += one_in)
        mem_mngr_free(blocks[i]);
}

/* In per cent of the free blocks; and the live ones are as they were. */
static unsigned gone(unsigned one_in, size_t size)
{
    unsigned zero = 0, free = 0;
    for (unsigned i = 0; i < count; i++) {
        if (i % one_in == 0) {
            CHECK(check_all_bytes(blocks[i], size, 1));
        } else {
            free++;
            zero += check_all_bytes(blocks[i], size, 0);
        }
    }
    return zero * 100 / free;
}

/* Larger pages are hardly ever free as a whole here. */
static void check_gone(unsigned one_in, size_t size, unsigned expected)
{
    unsigned per_cent = gone(one_in, size);
    CHECK(per_cent >= expected || mm_os_page_size() > 4096);
}

/* A whole round. */
static void look(void)
{
    struct mm_heap *heap = mm_tls_heap;
    now += TICK;
    do
        mm_pages_look(heap, now++);
    while (heap->next_look <= now);
}

static void start(void)
{
    check_init(MM_WORD_BITS);
    CHECK(mm_process_heap() != NULL);
    /* Only the looks below come. */
    mm_tls_heap->next_look = now = mm_os_milliseconds() + 3600000;
}

static void stop(void)
{
    check_state();
    CHECK_NO_MISUSE();
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

static void at_two_looks(size_t size, unsigned one_in, unsigned expected)
{
    start();
    take_all(size);
    thin_out(one_in);
    look();
    CHECK_EQUAL(gone(one_in, size), 0);
    look();
    check_gone(one_in, size, expected);
    check_state();
    /* What is handed out again is used as ever, and cleared where that is promised. */
    for (unsigned i = 0; i < count; i++) {
        if (i % one_in != 0)
            CHECK(check_all_bytes(blocks[i] = mem_mngr_calloc(1, size), size, 0));
        memset(blocks[i], 1, size);
    }
    give_rest(1);
    stop();
}

/* As many are live as the last time, but others: they were in use meanwhile. */
static void used_in_between(void)
{
    enum { SIZE = 2000, ONE_IN = 32 };
    start();
    take_all(SIZE);
    for (unsigned round = 0; round < 3; round++) {
        thin_out(ONE_IN);
        look();
        CHECK_EQUAL(gone(ONE_IN, SIZE), 0);
        look();
        check_gone(ONE_IN, SIZE, 50);
        for (unsigned i = 0; i < count; i++) {
            if (i % ONE_IN != 0)
                memset(blocks[i] = mem_mngr_alloc(SIZE), 1, SIZE);
        }
    }
    thin_out(ONE_IN);
    give_rest(ONE_IN);
    stop();
}

static void trim_elsewhere(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    CHECK(mm_heap_trim() > 0 || mm_os_page_size() > 4096);
}

static void thin_out_elsewhere(unsigned number, void *one_in)
{
    (void)number;
    thin_out(*(unsigned *)one_in);
}

/* The owner does nothing; what it has not taken over is there still, for it to. */
static void freed_by_others(void)
{
    enum { SIZE = 500, ONE_IN = 100 };
    unsigned one_in = ONE_IN;
    start();
    take_all(SIZE);
    check_in_threads(1, thin_out_elsewhere, &one_in);
    CHECK_EQUAL(gone(ONE_IN, SIZE), 0);
    size_t waiting = check_state().waiting;
    CHECK(waiting > 0);
    check_in_threads(1, trim_elsewhere, NULL);
    check_gone(ONE_IN, SIZE, 50);
    CHECK_EQUAL(check_state().waiting, waiting);
    mm_heap_collect(mm_tls_heap);
    CHECK_EQUAL(check_state().waiting, 0);
    give_rest(ONE_IN);
    stop();
}

static void take_elsewhere(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    take_all(500);
}

/* Nobody owns it. */
static void of_an_idle_heap(void)
{
    start();
    check_in_threads(1, take_elsewhere, NULL);
    thin_out(100);
    CHECK(mm_heap_trim() > 0 || mm_os_page_size() > 4096);
    check_gone(100, 500, 50);
    CHECK_EQUAL(check_state().heaps, 2);
    give_rest(100);
    /* It is idle again: the next thread takes it up. */
    check_in_threads(1, take_elsewhere, NULL);
    CHECK_EQUAL(check_state().heaps, 2);
    give_rest(1);
    stop();
}

static void own_at_once(void)
{
    start();
    take_all(1000);
    thin_out(50);
    CHECK(mm_heap_trim() > 0 || mm_os_page_size() > 4096);
    check_gone(50, 1000, 50);
    give_rest(50);
    stop();
}

int main(void)
{
    /* As many are kept as leave no batch without, or it would go back as a whole. */
    at_two_looks(16, 2000, 50);
    at_two_looks(100, 200, 50);
    at_two_looks(1000, 64, 80);
    at_two_looks(8000, 4, 80);
    at_two_looks(40000, 4, 90);
    used_in_between();
    own_at_once();
    freed_by_others();
    of_an_idle_heap();
    return 0;
}
