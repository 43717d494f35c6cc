/* bounds.c - how much room there is behind an address, and what a use of memory beyond it is told
 * as: in slots, with guards and without. Forwarded blocks and the library that asks are
 * tests/misuse. */
#include "checks/bounds.h"

#include "check.h"
#include "checks/checks.h"
#include "slots/batch.h"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 40u

static enum mem_mngr_misuse_kind kind;
static struct mm_access judged;

static bool judge(const volatile char *at, size_t size, bool is_write)
{
    judged = (struct mm_access){
        .function = "test", .start = (uintptr_t)at, .size = size, .is_write = is_write};
    return mm_bounds_judge(&judged, &kind);
}

/* What is told is of that block, with that size. */
static void told(enum mem_mngr_misuse_kind expected, const volatile char *block, size_t asked)
{
    CHECK_EQUAL(kind, expected);
    CHECK_EQUAL(judged.block, (uintptr_t)block);
    CHECK_EQUAL(judged.asked, asked);
}

static void start(size_t guard, unsigned stacks)
{
    struct mem_mngr_config config = {.guard = guard,
                                     .stacks = stacks,
                                     .quarantine = stacks != 0 ? 1 << 20 : 0,
                                     .slots_per_batch = 8,
                                     .on_misuse = check_on_misuse};
    CHECK_EQUAL(mem_mngr_init_with(&config), 0);
}

/* Three that are neighbours, the lowest first. */
static void neighbours(char *blocks[3])
{
    char *from = mem_mngr_alloc(SIZE);
    size_t slot = mm_batch_size(mm_batch_at((uintptr_t)from));
    for (unsigned i = 0; i < 3; i++)
        blocks[i] = NULL;
    for (unsigned tries = 0; tries < 64 && (blocks[0] == NULL || blocks[2] == NULL); tries++) {
        char *more = mem_mngr_alloc(SIZE);
        CHECK(more != NULL);
        if (blocks[0] == NULL && more == from + slot)
            blocks[0] = from;
        else if (blocks[0] != NULL && more == blocks[0] + 2 * slot)
            blocks[2] = more;
        if (blocks[0] == NULL)
            from = more;
        else if (blocks[2] == NULL)
            blocks[1] = blocks[0] + slot;
    }
    CHECK(blocks[0] != NULL && blocks[2] != NULL);
}

static void room(const char *block, size_t asked)
{
    CHECK_EQUAL(mm_bounds_room((uintptr_t)block), asked);
    CHECK_EQUAL(mm_bounds_room((uintptr_t)block + asked - 1), 1);
    CHECK(!judge(block, asked, true) && !judge(block + asked - 1, 1, true));
}

static void with_guards(void)
{
    char *blocks[3];
    start(16, 8);
    neighbours(blocks);
    for (unsigned i = 0; i < 3; i++)
        room(blocks[i], SIZE);
    CHECK_EQUAL(mm_bounds_room((uintptr_t)blocks[0] + SIZE), 0);
    CHECK(judge(blocks[0], SIZE + 1, true));
    told(MEM_MNGR_OVERFLOW, blocks[0], SIZE);
    CHECK(judge(blocks[0] + SIZE, 1, false));
    told(MEM_MNGR_OVER_READ, blocks[0], SIZE);
    CHECK(judge(blocks[2] - 2, 4, true)); /* nearer than the block below ends */
    told(MEM_MNGR_UNDERFLOW, blocks[2], SIZE);
    CHECK(judge(blocks[2] - 2, 4, false));
    told(MEM_MNGR_UNDER_READ, blocks[2], SIZE);
    mem_mngr_free(blocks[1]);
    CHECK_EQUAL(mm_bounds_room((uintptr_t)blocks[1]), 0);
    CHECK(judge(blocks[1] + 3, 1, true));
    told(MEM_MNGR_USE_AFTER_FREE, blocks[1], SIZE);
    CHECK(judge(blocks[1], 1, false));
    told(MEM_MNGR_USE_AFTER_FREE, blocks[1], SIZE);
    CHECK(judge(blocks[2] - 4, 8, true)); /* in front of a live one, the other is freed */
    told(MEM_MNGR_UNDERFLOW, blocks[2], SIZE);
}

/* A block is as large as its slot, and who reaches into a live one comes from before it. */
static void without_guards(void)
{
    char *blocks[3];
    start(0, 0);
    neighbours(blocks);
    size_t slot = (size_t)(blocks[1] - blocks[0]);
    room(blocks[0], slot);
    CHECK(judge(blocks[0], slot + 1, true));
    told(MEM_MNGR_OVERFLOW, blocks[0], slot);
    mem_mngr_free(blocks[1]);
    CHECK(judge(blocks[2] - 2, 4, true));
    told(MEM_MNGR_UNDERFLOW, blocks[2], slot);
    CHECK(judge(blocks[2] - 2, 2, true));
    told(MEM_MNGR_USE_AFTER_FREE, blocks[1], slot);
}

/* Slots that nobody ever had are no freed blocks: the one below is overrun. */
static void never_used(void)
{
    start(0, 0);
    char *block = mem_mngr_alloc(SIZE);
    const struct mm_batch *batch = mm_batch_at((uintptr_t)block);
    size_t slot = mm_batch_size(batch);
    uintptr_t last = mm_batch_base(batch) + (mm_batch_slots(batch) - 1) * slot;
    CHECK((uintptr_t)block < last);
    CHECK_EQUAL(mm_bounds_room(last), 0);
    CHECK(judge((const char *)last, 1, true));
    told(MEM_MNGR_OVERFLOW, block, slot);
    CHECK(judge((const char *)last, 1, false));
    told(MEM_MNGR_OVER_READ, block, slot);
    mem_mngr_free(block);
}

/* The manager is set up once in a process. */
static void in_a_process(void (*part)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        part();
        exit(EXIT_SUCCESS);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    in_a_process(with_guards);
    in_a_process(without_guards);
    in_a_process(never_used);
    return 0;
}
