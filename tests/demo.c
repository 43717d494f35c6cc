/* demo.c - walks through the manager with its public header only, saying what happens where.
 *
 *   demo          the library: memory lists growing batch by batch, then two bad frees
 *   demo malloc   the same requests by plain malloc() and free(), for a run under the shim;
 *                 without it, libc ends the program at its first bad free */
#include "memory_manager.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_SLOT = 16, BATCH_SLOTS = 8 };

static void step(const char *title)
{
    printf("\n-- %s\n", title);
}

static void *take(size_t size)
{
    void *block = mem_mngr_alloc(size);
    if (block == NULL) {
        perror("demo: mem_mngr_alloc");
        exit(EXIT_FAILURE);
    }
    printf("   %2zu bytes -> %p", size, block);
    return block;
}

/* Takes a block and tells its place among slots of `slot_size` bytes from `batch` on, or from the
 * block itself when `batch` is NULL: the first slot of a new batch. */
static void *take_slot(size_t size, size_t slot_size, const void *batch)
{
    void *block = take(size);
    size_t offset = batch == NULL ? 0 : (uintptr_t)block - (uintptr_t)batch;
    printf("  slot %zu of a batch of %zu-byte slots\n", offset / slot_size + 1, slot_size);
    return block;
}

static int overflow(void)
{
    static const struct mem_mngr_config guarded = {.guard = 16, .quarantine = 1 << 20};
    if (mem_mngr_init_with(&guarded) != 0)
        return EXIT_FAILURE;

    step("begun anew with guards: four bytes behind 40 are written to, which the free tells");
    volatile char *block = mem_mngr_alloc(40);
    for (int i = 40; i < 44; i++)
        block[i] = 'x';
    mem_mngr_free((void *)block);

    step("and a byte of it after the free, which a look at all blocks tells");
    block[8] = 'x';
    printf("   %zu found\n", mem_mngr_check());
    mem_mngr_leave();
    return EXIT_SUCCESS;
}

static int walk_through(void)
{
    static const size_t six_more[] = {16, 1, 9, 3, 14, 8};
    void *blocks[BATCH_SLOTS + 2];
    size_t count = 0;

    step("mem_mngr_init(): one list, of 16-byte slots, with its first batch of 8");
    if (mem_mngr_init() != 0) {
        perror("demo: mem_mngr_init");
        return EXIT_FAILURE;
    }

    step("12 and 10 bytes take slots 1 and 2");
    void *first_batch = blocks[count++] = take_slot(12, SMALL_SLOT, NULL);
    blocks[count++] = take_slot(10, SMALL_SLOT, first_batch);

    step("six more of at most 16 bytes take slots 3 to 8: the batch is full");
    for (size_t i = 0; i < sizeof six_more / sizeof *six_more; i++)
        blocks[count++] = take_slot(six_more[i], SMALL_SLOT, first_batch);

    step("7 bytes: the list grows by a second batch, and this is its first slot");
    blocks[count++] = take_slot(7, SMALL_SLOT, NULL);

    step("28 bytes: the list of memory lists grows by one, of 32-byte slots");
    blocks[count++] = take_slot(28, 2 * SMALL_SLOT, NULL);

    step("what that looks like");
    mem_mngr_print_snapshot();

    step("all of them freed");
    for (size_t i = 0; i < count; i++)
        mem_mngr_free(blocks[i]);

    step("the first one freed again: reported, and nothing else happens");
    mem_mngr_free(blocks[0]);

    step("0xDEADBEEF freed: reported likewise");
    mem_mngr_free((void *)(uintptr_t)0xDEADBEEF);

    step("no slot is live now");
    mem_mngr_print_snapshot();

    step("mem_mngr_leave(): everything goes back to the system");
    printf("   %zu blocks were still live\n", mem_mngr_leave());
    return overflow();
}

/* The compiler knows free(): a volatile pointer keeps it from judging these calls itself. */
static void free_unseen(void *volatile block)
{
    free(block);
}

static int ordinary_program(void)
{
    static const size_t sizes[] = {12, 10, 16, 1, 9, 3, 14, 8, 7, 28};
    static void *volatile blocks[sizeof sizes / sizeof *sizes];

    step("an ordinary program takes the same ten blocks by malloc()");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        blocks[i] = malloc(sizes[i]);
        printf("   %2zu bytes -> %p\n", sizes[i], blocks[i]);
    }

    step("it frees the second one twice");
    free_unseen(blocks[1]);
    free_unseen(blocks[1]);

    step("then a pointer into the middle of the last one");
    free_unseen((char *)blocks[9] + 16);

    step("and 0xDEADBEEF, which never was a block");
    free_unseen((void *)(uintptr_t)0xDEADBEEF);

    step("it ends normally, its other nine blocks still live");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    /* Reports go to stderr: unbuffered, this text keeps its place among them in a pipe too, and
     * stdio takes no block of its own from the manager. */
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1 && strcmp(argv[1], "malloc") == 0)
        return ordinary_program();
    return walk_through();
}
