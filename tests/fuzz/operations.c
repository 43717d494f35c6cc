/* operations.c - an input is a program of requests, frees and misuse, two threads in turns, over a
 * system that may refuse; a table of what must be live foretells each verdict. */
#include "check.h"
#include "check_state.h"
#include "entry/process.h"
#include "forwarded/registry.h"
#include "seam.h"
#include "slots/heap.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELD = 64, BURST = 100, EDGE = 64 };

struct block {
    unsigned char *ptr; /* NULL: this place of the table is empty */
    size_t size;
    unsigned char fill;
};

static struct {
    const uint8_t *next, *end;
    struct block held[HELD];
    unsigned char *gone[HELD]; /* freed before */
    bool refusing;             /* calls of the system failed, or may fail */
    unsigned char fill;
} run;

/* --- the input --- */

static unsigned take(unsigned bytes)
{
    unsigned value = 0;
    for (; bytes > 0 && run.next < run.end; bytes--)
        value = value << 8 | *run.next++;
    return value;
}

/* All sizes up to 1 KiB, and ever coarser steps up to 128 KiB. */
static size_t take_size(void)
{
    unsigned value = take(2);
    return (size_t)(value & 1023) << (value >> 10) % 8;
}

/* --- the table --- */

static bool in_arena(const void *ptr)
{
    return mm_arena_has((uintptr_t)ptr);
}

static bool is_held(const void *ptr)
{
    for (unsigned i = 0; i < HELD; i++) {
        if (run.held[i].ptr == ptr)
            return true;
    }
    return false;
}

/* Of a forwarded block that could not be noted no size is known. */
static size_t usable_size(const struct block *block)
{
    size_t usable = mem_mngr_usable_size(block->ptr);
    bool unknown = usable == 0 && run.refusing && !in_arena(block->ptr);
    CHECK(usable >= block->size || unknown);
    return unknown ? block->size : usable;
}

static void fill(struct block *block)
{
    size_t usable = usable_size(block), edge = usable < EDGE ? usable : EDGE;
    memset(block->ptr, block->fill, edge);
    memset(block->ptr + usable - edge, block->fill, edge);
}

static void check_content(const struct block *block, size_t kept)
{
    CHECK(check_all_bytes(block->ptr, kept < EDGE ? kept : EDGE, block->fill));
}

static void hold(struct block *block, void *ptr, size_t size)
{
    if (ptr == NULL) {
        CHECK(run.refusing);
        CHECK_EQUAL(errno, ENOMEM);
        return;
    }
    *block = (struct block){ptr, size, ++run.fill};
    fill(block);
}

static void note_gone(unsigned char *ptr)
{
    run.gone[++run.fill % HELD] = ptr;
}

/* --- what a program does --- */

static void release(struct block *block)
{
    if (block->ptr == NULL)
        return;
    check_content(block, block->size);
    note_gone(block->ptr);
    mem_mngr_free(block->ptr);
    block->ptr = NULL;
}

static void allocate(struct block *block, unsigned kind)
{
    size_t size = take_size();
    size_t alignment = kind == 2 ? (size_t)1 << take(1) % 18 : 16;
    release(block);
    errno = 0;
    unsigned char *ptr = kind == 0   ? mem_mngr_alloc(size)
                         : kind == 1 ? mem_mngr_calloc(1, size)
                                     : mem_mngr_aligned_alloc(alignment, size);
    CHECK((uintptr_t)ptr % alignment == 0);
    CHECK(kind != 1 || ptr == NULL || check_all_bytes(ptr, size, 0));
    hold(block, ptr, size);
}

static void resize(struct block *block)
{
    size_t size = take_size();
    struct block before = *block;
    errno = 0;
    unsigned char *ptr = mem_mngr_realloc(block->ptr, size);
    if (ptr == NULL && size != 0) {
        hold(block, NULL, size);
        return;
    }
    block->ptr = NULL;
    if (before.ptr != NULL && ptr != before.ptr)
        note_gone(before.ptr);
    if (ptr != NULL && before.ptr != NULL)
        check_content(&(struct block){ptr, size, before.fill},
                      size < before.size ? size : before.size);
    if (ptr != NULL)
        hold(block, ptr, size);
}

/* Many blocks of one size, freed in an order of the input's. */
static void burst(void)
{
    size_t size = take_size() % 3000;
    unsigned count = take(1) % BURST, step = 1 + take(1) % 7;
    unsigned char *blocks[BURST] = {NULL};
    for (unsigned i = 0; i < count; i++)
        blocks[i] = mem_mngr_alloc(size);
    for (unsigned from = 0; from < step; from++) {
        for (unsigned i = from; i < count; i += step)
            mem_mngr_free(blocks[i]);
    }
}

/* --- misuse --- */

enum {
    DOUBLE = 1 << MEM_MNGR_DOUBLE_FREE,
    INTERIOR = 1 << MEM_MNGR_INTERIOR_FREE,
    FOREIGN = 1 << MEM_MNGR_FOREIGN_FREE
};

/* A manager that could not note each forwarded block takes pointers on trust: odd ones excepted,
 * which no block starts at. */
static void free_badly(unsigned char *ptr, unsigned kinds)
{
    if (run.refusing && !in_arena(ptr))
        ptr = (unsigned char *)((uintptr_t)ptr | 1), kinds |= INTERIOR | FOREIGN;
    if (ptr == NULL || is_held(ptr))
        return;
    CHECK_NO_MISUSE();
    if (take(1) % 2 == 0) {
        mem_mngr_free(ptr);
    } else {
        CHECK(mem_mngr_realloc(ptr, take_size()) == NULL);
    }
    CHECK_EQUAL(check_misuse.count, 1);
    CHECK((1u << check_misuse.last.kind & kinds) != 0);
    CHECK_MISUSE(check_misuse.last.kind, ptr);
}

static void free_twice(struct block *block)
{
    unsigned char *ptr = block->ptr;
    release(block);
    if (ptr != NULL)
        free_badly(ptr, DOUBLE);
}

/* Where a forwarded block once started, that is what it is told as. */
static void free_inside(const struct block *block)
{
    size_t usable = mem_mngr_usable_size(block->ptr);
    if (block->ptr != NULL && usable > 1)
        free_badly(block->ptr + 1 + take(3) % (usable - 1),
                   in_arena(block->ptr) ? INTERIOR : INTERIOR | DOUBLE);
}

static void free_anything(void)
{
    uintptr_t address = (uintptr_t)take(4) << 32;
    address |= take(4);
    switch (take(1) % 4) {
    case 0:
        address = mm_arena.base + address % (mm_arena_usage().committed + 1);
        break;
    case 1:
        address = (uintptr_t)&run + address % sizeof run;
        break;
    case 2:
        address %= (uintptr_t)1 << 47;
        break;
    default:
        break;
    }
    free_badly((unsigned char *)address, DOUBLE | INTERIOR | FOREIGN);
}

/* --- one operation --- */

static void refuse(void)
{
    static const enum seam_call calls[] = {SEAM_mm_kernel_mmap, SEAM_mm_kernel_mprotect,
                                           SEAM_mm_kernel_madvise, SEAM_mm_kernel_munmap};
    run.refusing = true;
    unsigned what = take(1);
    if (what % 8 == 0)
        seam_heal();
    else
        seam_fail(calls[what % 4], 1 + take(1) % 8, what & 0x80, 0);
}

static void check_all(void)
{
    size_t live = 0;
    for (unsigned i = 0; i < HELD; i++)
        live += run.held[i].ptr != NULL && in_arena(run.held[i].ptr);
    CHECK_EQUAL(check_state().live, live);
}

static void operate(unsigned kind)
{
    struct block *block = &run.held[take(1) % HELD];
    switch (kind % 16) {
    case 0:
    case 1:
    case 2:
        allocate(block, kind % 16);
        break;
    case 3:
    case 4:
        resize(block);
        break;
    case 5:
    case 6:
    case 7:
        release(block);
        break;
    case 8:
        free_twice(block);
        break;
    case 9:
        free_inside(block);
        break;
    case 10:
        free_badly(run.gone[take(1) % HELD], DOUBLE | INTERIOR | FOREIGN);
        break;
    case 11:
        free_anything();
        break;
    case 12:
        burst();
        break;
    case 13:
        mm_heap_trim();
        mm_arena_trim();
        break;
    case 14:
        refuse();
        break;
    default:
        check_all();
    }
    CHECK_NO_MISUSE();
}

/* --- the second thread: one operation at a time, while the first one waits --- */

static struct {
    pthread_t id;
    bool runs;
    sem_t start, done;
    unsigned kind; /* END: it is to end, its heap to be left for the next */
} second;
enum { END = 256 };

static void *serve(void *unused)
{
    for (;;) {
        sem_wait(&second.start);
        if (second.kind == END)
            return unused;
        operate(second.kind);
        sem_post(&second.done);
    }
}

static void operate_in_second(unsigned kind)
{
    if (!second.runs)
        CHECK(pthread_create(&second.id, NULL, serve, NULL) == 0);
    second.runs = true;
    second.kind = kind;
    sem_post(&second.start);
    sem_wait(&second.done);
}

static void end_second(void)
{
    if (!second.runs)
        return;
    second.kind = END;
    sem_post(&second.start);
    CHECK(pthread_join(second.id, NULL) == 0);
    second.runs = false;
}

/* --- a run --- */

static void start(void)
{
    static bool once;
    if (!once) {
        once = true;
        CHECK(sem_init(&second.start, 0, 0) == 0 && sem_init(&second.done, 0, 0) == 0);
    }
    unsigned settings = take(1);
    struct mm_process_config config = {
        .report = {.on_misuse = check_on_misuse, .most = UINT64_MAX},
        .batch_slots = settings % 4 == 0 ? 64 : 1 + settings % 64,
        .slot_max = settings & 0x40 ? 2048 : MM_SLOT_SIZE_MAX,
        .arena_size = settings & 0x80 ? (size_t)1 << 20 : (size_t)1 << 26,
    };
    CHECK(mm_process_start(&config));
}

static void finish(void)
{
    seam_heal();
    check_all();
    for (unsigned i = 0; i < HELD; i++)
        release(&run.held[i]);
    CHECK_NO_MISUSE();
    end_second();
    check_all();
    CHECK(run.refusing || mm_registry_count() == 0);
    mm_process_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&run, 0, sizeof run);
    run.next = data;
    run.end = data + size;
    start();
    while (run.next < run.end) {
        unsigned kind = take(1);
        if (kind == 0xff)
            end_second();
        else if (kind & 0x80)
            operate_in_second(kind);
        else
            operate(kind);
    }
    finish();
    return 0;
}
