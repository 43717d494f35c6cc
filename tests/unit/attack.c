/* attack.c - the known ways from a bad write to a heap's own data. None leads anywhere here: writes
 * that run off a slot, up or down, meet slots only and then a guard, and what is freed holds
 * nothing that the manager reads. After each attack it is whole, bit by bit, serves, and tells of
 * misuse. */
#include "check.h"
#include "check_state.h"
#include "entry/process.h"
#include "slots/heap.h"
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#define ARENA ((size_t)1 << 20)
#define GUARD ((size_t)1 << MM_CHUNK_SHIFT)
enum { MOST = 32768, JUNK = 0x41 };

static unsigned char *blocks[MOST];
static unsigned count;

static bool in_arena(const void *ptr)
{
    return mm_arena_has((uintptr_t)ptr);
}

/* Nothing of the arena is known to be zero any more. */
static void soil_arena(void)
{
    char *taken[ARENA / GUARD];
    unsigned chunks = 0;
    for (bool zero; (taken[chunks] = mm_arena_take_chunks(0, &zero)) != NULL; chunks++)
        memset(taken[chunks], 1, GUARD);
    while (chunks > 0)
        mm_arena_give_chunks(taken[--chunks], 0);
}

/* The whole arena in slots of many sizes, a third of them freed: there are batches of all states.
 */
static void fill_arena(void)
{
    static const size_t sizes[] = {16, 24, 48, 100, 500, 1000, 3000, 9000};
    struct mm_process_config config = {
        .report = {.on_misuse = check_on_misuse, .most = UINT64_MAX},
        .batch_slots = MM_WORD_BITS,
        .slot_max = MM_SLOT_SIZE_MAX,
        .arena_size = ARENA,
    };
    CHECK(mm_process_start(&config));
    soil_arena();
    count = 0;
    for (unsigned i = 0, refused = 0; refused < 8; i++) {
        unsigned char *block = mem_mngr_alloc(sizes[i % 8]);
        CHECK(block != NULL && count < MOST);
        refused = in_arena(block) ? 0 : refused + 1;
        if (refused > 0) {
            mem_mngr_free(block);
            continue;
        }
        memset(block, 1, mem_mngr_usable_size(block));
        blocks[count++] = block;
    }
    for (unsigned i = 0; i < count; i += 3) {
        mem_mngr_free(blocks[i]);
        blocks[i] = NULL;
    }
}

static size_t live(void)
{
    size_t live = 0;
    for (unsigned i = 0; i < count; i++)
        live += blocks[i] != NULL;
    return live;
}

static unsigned char *lowest_or_highest(bool lowest)
{
    unsigned char *found = NULL;
    for (unsigned i = 0; i < count; i++) {
        if (blocks[i] != NULL && (found == NULL || (blocks[i] < found) == lowest))
            found = blocks[i];
    }
    return found;
}

static void check_misuse_is_told(void)
{
    for (unsigned i = 0; i < count; i++) {
        if (blocks[i] == NULL)
            continue;
        if (i % CHECK_SLOWER != 0) {
            mem_mngr_free(blocks[i]);
            blocks[i] = NULL;
            continue;
        }
        mem_mngr_free(blocks[i] + 1);
        CHECK_MISUSE(MEM_MNGR_INTERIOR_FREE, blocks[i] + 1);
        mem_mngr_free(blocks[i]);
        CHECK_NO_MISUSE();
        mem_mngr_free(blocks[i]);
        CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, blocks[i]);
        CHECK(mem_mngr_realloc(blocks[i], 50) == NULL);
        CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, blocks[i]);
        blocks[i] = NULL;
    }
}

/* Nothing is given out twice, nor anything that was not the manager's before. */
static void check_service(void)
{
    unsigned got = 0;
    for (; got < 3000; got++) {
        blocks[got] = mem_mngr_calloc(1, 1 + got % 1500);
        CHECK(blocks[got] != NULL);
        CHECK(check_all_bytes(blocks[got], 1 + got % 1500, 0));
        memset(blocks[got], (int)(got % 255 + 1), 1 + got % 1500);
    }
    for (unsigned i = 0; i < got; i++) {
        CHECK(check_all_bytes(blocks[i], 1 + i % 1500, (unsigned char)(i % 255 + 1)));
        mem_mngr_free(blocks[i]);
        blocks[i] = NULL;
    }
    CHECK_NO_MISUSE();
}

static void check_whole(void)
{
    CHECK_EQUAL(check_state().live, live());
    check_misuse_is_told();
    CHECK_EQUAL(check_state().live, 0);
    check_service();
    CHECK_EQUAL(check_state().live, 0);
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

/* --- writes that run on until they fault --- */

static sigjmp_buf faulted;
static unsigned char *volatile fault_at;

static void note_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    fault_at = info->si_addr;
    siglongjmp(faulted, 1);
}

static _Noreturn __attribute__((noinline)) void write_on(volatile unsigned char *at, int step)
{
    for (;; at += step)
        *at = JUNK;
}

/* Where it ended. */
static unsigned char *overrun(unsigned char *from, int step)
{
    struct sigaction action = {.sa_sigaction = note_fault, .sa_flags = SA_SIGINFO}, before;
    CHECK(sigaction(SIGSEGV, &action, &before) == 0);
    if (sigsetjmp(faulted, 1) == 0)
        write_on(from, step);
    CHECK(sigaction(SIGSEGV, &before, NULL) == 0);
    return fault_at;
}

static void overflow(void)
{
    fill_arena();
    const unsigned char *end = overrun(lowest_or_highest(true), 1);
    CHECK((uintptr_t)end == mm_arena.base + mm_arena_size());
    check_whole();
}

static void underflow(void)
{
    fill_arena();
    const unsigned char *end = overrun(lowest_or_highest(false), -1);
    CHECK((uintptr_t)end == mm_arena.base + GUARD - 1);
    check_whole();
}

/* --- writes to what was freed, and past a neighbour --- */

static uint64_t target[64];

/* Each word of each free slot says that the next free block is our own. */
static void write_after_free(void)
{
    fill_arena();
    static unsigned char *gone[MOST];
    unsigned freed = 0;
    for (unsigned i = 1; i < count; i += 3) {
        if (blocks[i] == NULL)
            continue;
        uint64_t *words = (uint64_t *)blocks[i];
        size_t usable = mem_mngr_usable_size(blocks[i]);
        gone[freed++] = blocks[i];
        mem_mngr_free(blocks[i]);
        blocks[i] = NULL;
        for (size_t word = 0; word < usable / sizeof *words; word++)
            words[word] = (uintptr_t)&target[word % 2 * 8];
    }
    CHECK(freed > 100);
    for (unsigned i = 0; i < freed; i++) {
        mem_mngr_free(gone[i]);
        CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, gone[i]);
    }
    check_whole();
    CHECK(check_all_bytes(target, sizeof target, 0));
}

/* A neighbour's first bytes, where other heaps keep its size. */
static void write_past_end(void)
{
    fill_arena();
    const unsigned char *last = lowest_or_highest(false);
    for (unsigned i = 0; i < count; i++) {
        if (blocks[i] != NULL && blocks[i] != last)
            memset(blocks[i] + mem_mngr_usable_size(blocks[i]), JUNK, 16);
    }
    check_whole();
}

/* What looks like a block of a heap that keeps sizes in front of them. */
static void forged_block(void)
{
    fill_arena();
    memset(target, 0, sizeof target);
    for (unsigned i = 0; i + 8 < 64; i += 8) {
        target[i] = 0;
        target[i + 1] = 0x41; /* a size of 64, in use */
        mem_mngr_free(&target[i + 2]);
        CHECK_MISUSE(MEM_MNGR_FOREIGN_FREE, &target[i + 2]);
    }
    check_whole();
}

int main(void)
{
    overflow();
    underflow();
    write_after_free();
    write_past_end();
    forged_block();
    return 0;
}
