/* bad_frees.h - every kind of bad free, each a function and a line of the table at the end.
 *
 * It makes two programs: bad_frees.c frees with free(), bad_frees.cpp with operator delete. What
 * expected/CASE.expected says holds for both.
 */
#ifndef BAD_FREES_H
#define BAD_FREES_H

#include "misuse.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __cplusplus
#include <new>
#define ACQUIRE(size) ((char *)hidden(::operator new(size)))
#define RELEASE(ptr)  ::operator delete(hidden(ptr))
extern "C" {
#else
#define ACQUIRE(size) ((char *)hidden(malloc(size)))
#define RELEASE(ptr)  free(hidden(ptr))
#endif

#define BAD_RELEASE(ptr) BAD_CALL(RELEASE(ptr))

/* ---- double: the block was freed before ---- */

void double_at_once(void)
{
    char *block = ACQUIRE(SMALL);

    publish_pointer("PTR", block);
    RELEASE(block);
    BAD_RELEASE(block);
}

/* Frees a block, then `others` more of its size, then the first one again. */
#define DOUBLE_AFTER(others, size)                                                                 \
    do {                                                                                           \
        static char *blocks[1 + (others)];                                                         \
        for (int i = 0; i <= (others); i++) {                                                      \
            blocks[i] = ACQUIRE(size);                                                             \
        }                                                                                          \
        publish_pointer("PTR", blocks[0]);                                                         \
        for (int i = 0; i <= (others); i++) {                                                      \
            RELEASE(blocks[i]);                                                                    \
        }                                                                                          \
        BAD_RELEASE(blocks[0]);                                                                    \
    } while (0)

/* Their memory has been the system's in between, and reads as zero; of the slots that are there now
 * the pointer's was not handed out yet. */
void double_after_purge(void)
{
    enum { BLOCKS = 2000, LATER = 130, SIZE = 1000 };
    static char *blocks[BLOCKS], *later[LATER];
    char *next = NULL;

    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = ACQUIRE(SIZE);
    for (int i = 0; i < BLOCKS; i++)
        RELEASE(blocks[i]);
    malloc_trim(0);
    for (int i = 0; i < LATER; i++)
        later[i] = ACQUIRE(SIZE);
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i] == later[LATER - 1] + malloc_usable_size(later[LATER - 1]))
            next = blocks[i];
    }
    CHECK(next != NULL);
    publish_pointer("PTR", next);
    BAD_RELEASE(next);
    for (int i = 0; i < LATER; i++)
        RELEASE(later[i]);
}

void double_after_64(void)
{
    DOUBLE_AFTER(64, SMALL);
}

void double_after_4000(void)
{
    DOUBLE_AFTER(4000, SMALL);
}

void double_forwarded(void)
{
    char *block = ACQUIRE(LARGE);

    publish_pointer("PTR", block);
    RELEASE(block);
    BAD_RELEASE(block);
}

void double_forwarded_after_64(void)
{
    DOUBLE_AFTER(64, LARGE);
}

/* Frees a block that realloc has moved elsewhere, for another one follows it. */
#define DOUBLE_AFTER_REALLOC(size)                                                                 \
    do {                                                                                           \
        void *block = ACQUIRE(size);                                                               \
        void *next = ACQUIRE(size);                                                                \
        void *old = hidden(block);                                                                 \
        void *moved = realloc(block, 10 * (size));                                                 \
        publish_pointer("PTR", old);                                                               \
        CHECK(moved != NULL && moved != old);                                                      \
        BAD_RELEASE(old);                                                                          \
        RELEASE(moved);                                                                            \
        RELEASE(next);                                                                             \
    } while (0)

void double_after_realloc(void)
{
    DOUBLE_AFTER_REALLOC(SMALL);
}

void double_forwarded_after_realloc(void)
{
    DOUBLE_AFTER_REALLOC(LARGE);
}

void release_badly(void *block)
{
    BAD_RELEASE(block);
}

void release_well(void *block)
{
    RELEASE(block);
}

void double_in_another_thread(void)
{
    char *block = ACQUIRE(SMALL);
    struct worker worker;

    worker_start(&worker, "second", release_badly, block);
    publish_pointer("PTR", block);
    RELEASE(block);
    worker_finish(&worker);
}

void double_forwarded_in_another_thread(void)
{
    char *block = ACQUIRE(LARGE);
    struct worker worker;

    worker_start(&worker, "second", release_badly, block);
    publish_pointer("PTR", block);
    RELEASE(block);
    worker_finish(&worker);
}

/* The owner comes second, perhaps before it has learnt of the free. */
void double_after_another_thread(void)
{
    char *block = ACQUIRE(SMALL);
    struct worker worker;

    worker_start(&worker, "first", release_well, block);
    publish_pointer("PTR", block);
    worker_finish(&worker);
    BAD_RELEASE(block);
}

/* Neither of both is the owner. */
void double_in_two_other_threads(void)
{
    char *block = ACQUIRE(SMALL);
    struct worker first;
    struct worker second;

    worker_start(&first, "first", release_well, block);
    worker_start(&second, "second", release_badly, block);
    publish_pointer("PTR", block);
    worker_finish(&first);
    worker_finish(&second);
}

/* ---- double: two threads free the same block at the same time ---- */

enum { RACES = 4000 };

struct race {
    struct meeting meeting;
    char *blocks[RACES];
};

void release_all(void *arg)
{
    struct race *race = (struct race *)arg;

    for (int round = 0; round < RACES; round++) {
        meet(&race->meeting, round);
        BAD_CALL_UNMARKED(RELEASE(race->blocks[round]));
    }
}

void start_race(struct race *race, size_t size)
{
    for (int round = 0; round < RACES; round++) {
        race->blocks[round] = ACQUIRE(size);
    }
    publish_pointer("PTR", race->blocks[0]);
}

/* Neither thread owns the blocks. */
void double_by_two_threads_at_once(void)
{
    static struct race race;
    struct worker one;
    struct worker other;

    start_race(&race, SMALL);
    worker_start(&one, "racer", release_all, &race);
    worker_start(&other, "racer", release_all, &race);
    CHECK(sem_post(&one.go) == 0);
    worker_finish(&other);
    worker_finish(&one);
}

/* The main thread owns the blocks, and is one of the two. */
void double_by_owner_and_other_at_once(void)
{
    static struct race race;
    struct worker other;

    start_race(&race, SMALL);
    worker_start(&other, "racer", release_all, &race);
    CHECK(sem_post(&other.go) == 0);
    release_all(&race);
    worker_finish(&other);
}

void double_forwarded_by_two_threads_at_once(void)
{
    static struct race race;
    struct worker other;

    start_race(&race, LARGE * 3 / 4);
    worker_start(&other, "racer", release_all, &race);
    CHECK(sem_post(&other.go) == 0);
    release_all(&race);
    worker_finish(&other);
}

/* ---- interior: inside a block, or beside one ---- */

/* Frees what is `offset` away from a block of that size; the block must come to no harm. */
#define INTERIOR(size, offset)                                                                     \
    do {                                                                                           \
        char *block = ACQUIRE(size);                                                               \
        memset(block, 'x', size);                                                                  \
        publish_pointer("BLOCK", block);                                                           \
        publish_number("USABLE", malloc_usable_size(block));                                       \
        publish_pointer("PTR", block + (offset));                                                  \
        BAD_RELEASE(block + (offset));                                                             \
        CHECK(block[0] == 'x' && memcmp(block, block + 1, (size)-1) == 0);                         \
        RELEASE(block);                                                                            \
    } while (0)

void interior_8(void)
{
    INTERIOR(SMALL, 8);
}

void interior_16(void)
{
    INTERIOR(SMALL, 16);
}

/* 16 bytes before a block that has a live neighbour there. */
void interior_before(void)
{
    enum { COUNT = 64 };
    char *blocks[COUNT];
    char *second = NULL;

    for (int i = 0; i < COUNT; i++) {
        blocks[i] = ACQUIRE(SMALL);
        for (int j = 0; j < i; j++) {
            second = blocks[j] + SMALL == blocks[i] ? blocks[i] : second;
        }
    }
    CHECK(second != NULL);
    publish_pointer("PTR", second - 16);
    BAD_RELEASE(second - 16);
    for (int i = 0; i < COUNT; i++) {
        RELEASE(blocks[i]);
    }
}

/* 16 bytes before the first block that this process has of its size. */
void interior_before_the_first(void)
{
    INTERIOR(1000, -16);
}

void interior_before_the_first_large_slot(void)
{
    INTERIOR(20000, -16);
}

void interior_large_slot(void)
{
    INTERIOR(20000, 10000);
}

void interior_forwarded(void)
{
    INTERIOR(LARGE, LARGE / 2);
}

/* Behind the only block of its size lies a slot that was nobody's block yet: the manager's memory,
 * like what lies behind that, before the first slot, or where no slot is. */
void interior_never_handed_out(void)
{
    INTERIOR(20000, 20480);
}

void interior_into_never_handed_out(void)
{
    INTERIOR(20000, 20480 + 4096);
}

void interior_before_by_1(void)
{
    INTERIOR(20000, -1);
}

void interior_far_away(void)
{
    INTERIOR(20000, 64 << 20);
}

/* Not even a multiple of what a block is aligned to. */
void interior_forwarded_1(void)
{
    INTERIOR(LARGE, 1);
}

void interior_of_a_freed_block(void)
{
    char *block = ACQUIRE(SMALL);

    publish_pointer("PTR", block + 8);
    RELEASE(block);
    BAD_RELEASE(block + 8);
}

/* ---- foreign: never a block ---- */

char victim_global[64] = "not zero, so that it is stored in the file";
char victim_zeroed[1 << 20];
extern const char victim_constant[64];
const char victim_constant[64] = "read-only";

void foreign_stack(void)
{
    char local[64] = "on a stack";
    char *ptr = local;

    publish_pointer("PTR", ptr);
    BAD_RELEASE(ptr);
}

void release_own_stack(void *arg)
{
    char local[64] = "on a stack";
    char *ptr = local;

    (void)arg;
    publish_pointer("PTR", ptr);
    BAD_RELEASE(ptr);
}

void foreign_stack_in_thread(void)
{
    struct worker worker;

    worker_start(&worker, "misuser", release_own_stack, NULL);
    worker_finish(&worker);
}

void foreign_stack_of_main(void)
{
    char local[64] = "on a stack";
    char *ptr = local;
    struct worker worker;

    publish_pointer("PTR", ptr);
    worker_start(&worker, "misuser", release_badly, ptr);
    worker_finish(&worker);
}

struct shown_stack {
    sem_t shown;
    char *ptr;
    sem_t done;
};

void show_stack(void *arg)
{
    struct shown_stack *stack = (struct shown_stack *)arg;
    char local[64] = "on a stack";

    /* Whose stack it is can be told of threads that have allocated. */
    RELEASE(ACQUIRE(SMALL));
    stack->ptr = local;
    CHECK(sem_post(&stack->shown) == 0);
    CHECK(sem_wait(&stack->done) == 0);
}

void foreign_stack_of_another_thread(void)
{
    static struct shown_stack stack;
    struct worker worker;

    CHECK(sem_init(&stack.shown, 0, 0) == 0 && sem_init(&stack.done, 0, 0) == 0);
    worker_start(&worker, "stack owner", show_stack, &stack);
    CHECK(sem_post(&worker.go) == 0 && sem_wait(&stack.shown) == 0);
    publish_pointer("PTR", stack.ptr);
    BAD_RELEASE(stack.ptr);
    CHECK(sem_post(&stack.done) == 0);
    worker_finish(&worker);
}

void foreign_global(void)
{
    char *ptr = victim_global;

    publish_pointer("PTR", ptr);
    BAD_RELEASE(ptr);
}

void foreign_inside_global(void)
{
    char *ptr = victim_global + 16;

    publish_pointer("PTR", ptr);
    BAD_RELEASE(ptr);
}

/* Large zeroed data lies behind what is mapped from the file. */
void foreign_zeroed_global(void)
{
    char *ptr = victim_zeroed + 0x80000;

    publish_pointer("PTR", ptr);
    BAD_RELEASE(ptr);
}

void foreign_global_of_libc(void)
{
    char *ptr = (char *)stdout;

    publish_pointer("PTR", ptr);
    BAD_RELEASE(ptr);
}

void foreign_literal(void)
{
    char *ptr = (char *)(uintptr_t) "a string literal";

    publish_pointer("PTR", ptr);
    BAD_RELEASE(ptr);
}

void foreign_constant(void)
{
    char *ptr = (char *)(uintptr_t)victim_constant;

    publish_pointer("PTR", ptr);
    BAD_RELEASE(ptr);
}

void foreign_0xdeadbeef(void)
{
    char *ptr = (char *)(uintptr_t)0xDEADBEEF;

    BAD_RELEASE(ptr);
}

void foreign_1(void)
{
    char *ptr = (char *)(uintptr_t)1;

    BAD_RELEASE(ptr);
}

void foreign_highest(void)
{
    char *ptr = (char *)UINTPTR_MAX;

    publish_pointer("PTR", ptr);
    BAD_RELEASE(ptr);
}

/* Beside a block in memory that is not the manager's. */
void foreign_behind_forwarded(void)
{
    INTERIOR(LARGE, malloc_usable_size(block) + 24);
}

void foreign_before_forwarded(void)
{
    INTERIOR(LARGE, -1);
}

void foreign_mapped_memory(void)
{
    size_t size = 1 << 20;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(map != MAP_FAILED);
    publish_pointer("PTR", map);
    BAD_RELEASE(map);
    CHECK(munmap(map, size) == 0);
}

void foreign_unmapped_memory(void)
{
    size_t size = 1 << 20;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(map != MAP_FAILED && munmap(map, size) == 0);
    publish_pointer("PTR", map);
    BAD_RELEASE(map);
}

void foreign_mapped_file(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

    CHECK(fd >= 0 && map != MAP_FAILED);
    publish_pointer("PTR", map);
    BAD_RELEASE(map);
    CHECK(munmap(map, 4096) == 0 && close(fd) == 0);
}

#ifdef __cplusplus
}
#endif

static const struct misuse_case bad_frees[] = {
    MISUSE_CASE(double_at_once),
    MISUSE_CASE(double_after_64),
    MISUSE_CASE(double_after_purge),
    MISUSE_CASE(double_after_4000),
    MISUSE_CASE(double_in_another_thread),
    MISUSE_CASE(double_by_two_threads_at_once),
    MISUSE_CASE(double_forwarded),
    MISUSE_CASE(double_forwarded_after_64),
    MISUSE_CASE(double_after_realloc),
    MISUSE_CASE(interior_8),
    MISUSE_CASE(interior_16),
    MISUSE_CASE(interior_before),
    MISUSE_CASE(interior_before_the_first),
    MISUSE_CASE(interior_forwarded),
    MISUSE_CASE(foreign_stack),
    MISUSE_CASE(foreign_global),
    MISUSE_CASE(foreign_literal),
    MISUSE_CASE(foreign_0xdeadbeef),

    MISUSE_CASE(double_forwarded_after_realloc),
    MISUSE_CASE(double_forwarded_in_another_thread),
    MISUSE_CASE(double_after_another_thread),
    MISUSE_CASE(double_in_two_other_threads),
    MISUSE_CASE(double_by_owner_and_other_at_once),
    MISUSE_CASE(double_forwarded_by_two_threads_at_once),
    MISUSE_CASE(interior_before_the_first_large_slot),
    MISUSE_CASE(interior_large_slot),
    MISUSE_CASE(interior_never_handed_out),
    MISUSE_CASE(interior_into_never_handed_out),
    MISUSE_CASE(interior_before_by_1),
    MISUSE_CASE(interior_far_away),
    MISUSE_CASE(interior_forwarded_1),
    MISUSE_CASE(interior_of_a_freed_block),
    MISUSE_CASE(foreign_stack_in_thread),
    MISUSE_CASE(foreign_stack_of_main),
    MISUSE_CASE(foreign_stack_of_another_thread),
    MISUSE_CASE(foreign_inside_global),
    MISUSE_CASE(foreign_zeroed_global),
    MISUSE_CASE(foreign_global_of_libc),
    MISUSE_CASE(foreign_constant),
    MISUSE_CASE(foreign_1),
    MISUSE_CASE(foreign_highest),
    MISUSE_CASE(foreign_behind_forwarded),
    MISUSE_CASE(foreign_before_forwarded),
    MISUSE_CASE(foreign_mapped_memory),
    MISUSE_CASE(foreign_unmapped_memory),
    MISUSE_CASE(foreign_mapped_file),
};

int main(int argc, char **argv)
{
    return run_case(bad_frees, sizeof(bad_frees) / sizeof(bad_frees[0]), argc, argv);
}

#endif
