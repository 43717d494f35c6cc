/* What is in a block: zeros from calloc, the old content after realloc, and nobody else's bytes
 * up to the last one that malloc_usable_size() promises. */
#include "check.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Where an allocator of steps of 16, then four steps a doubling, changes its ways, and libc too. */
static size_t boundary(size_t number)
{
    if (number < 8)
        return (number + 1) * 16;
    if (number < 16)
        return 896 + (number - 7) * 16;
    if (number < 40)
        return ((number - 16) % 4 + 5) << (8 + (number - 16) / 4);
    return (size_t)131072 << (number - 40) * 2;
}
#define BOUNDARIES 43

/* One less, the boundary itself, one more. */
static size_t near_boundary(size_t number)
{
    return boundary(number / 3) + number % 3 - 1;
}
#define NEAR_BOUNDARIES ((size_t)3 * BOUNDARIES)

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void test_realloc_between_all_boundaries(void)
{
    for (size_t i = 0; i < NEAR_BOUNDARIES; i++)
        for (size_t j = 0; j < NEAR_BOUNDARIES; j++) {
            size_t old_size = near_boundary(i);
            size_t new_size = near_boundary(j);
            void *block = malloc(old_size);

            CHECK(block != NULL);
            fill(block, old_size, (unsigned)j);
            block = realloc(block, new_size);
            CHECK(block != NULL && filled(block, smaller(old_size, new_size), (unsigned)j));
            free(block);
        }
}

static void test_realloc_chain(void)
{
    char *block = NULL;
    size_t size;

    for (size = 1; size < PATTERN_SIZE; size += size / 7 + 1) {
        block = realloc(block, size);
        CHECK(block != NULL && filled(block, size - 1 - (size - 1) / 8, 9));
        fill(block, size, 9);
    }
    for (; size > 1; size -= size / 9 + 1) {
        block = realloc(block, size);
        CHECK(block != NULL && filled(block, smaller(size, PATTERN_SIZE * 3 / 4), 9));
    }
    free(block);
}

static void test_calloc_after_reuse(void)
{
    static void *blocks[400];
    const size_t count = sizeof(blocks) / sizeof(blocks[0]);

    for (size_t size = 1; size < 300000; size += size / 3 + 1) {
        size_t used = size > 40000 ? 10 : count;

        for (int round = 0; round < 3; round++) {
            for (size_t i = 0; i < used; i++) {
                blocks[i] = i % 2 ? calloc(1, size) : calloc(size, 1);
                CHECK(blocks[i] != NULL && all_zero(blocks[i], size));
                memset(blocks[i], 0xff, malloc_usable_size(blocks[i]));
            }
            for (size_t i = 0; i < used; i++)
                free(blocks[(i * 7 + (size_t)round) % used]);
        }
    }
}

/* Much more at a time, so that memory goes back to the system in between and comes again. */
static void test_calloc_after_shrinking(size_t size, size_t count)
{
    for (int round = 0; round < 3; round++) {
        void **list = NULL;

        for (size_t i = 0; i < count; i++) {
            void **block = calloc(1, size);

            CHECK(block != NULL && all_zero(block, size));
            memset(block, 0xff, size);
            *block = list;
            list = block;
        }
        while (list != NULL) {
            void **next = *list;

            free(list);
            list = next;
        }
    }
}

static void test_slack(size_t size)
{
    unsigned char *blocks[20];
    size_t usable[20];

    for (int i = 0; i < 20; i++) {
        if (i % 4 == 3)
            CHECK(posix_memalign((void **)&blocks[i], 64, size) == 0);
        else
            blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        usable[i] = malloc_usable_size(blocks[i]);
        CHECK(usable[i] >= size);
    }
    for (unsigned i = 0; i < 20; i++)
        fill(blocks[i], usable[i], i);
    for (unsigned i = 0; i < 20; i++)
        CHECK(filled(blocks[i], usable[i], i));
    /* A block of its whole usable size stays where it is, or is moved with all of it. */
    for (unsigned i = 0; i < 20; i++) {
        void *block = realloc(blocks[i], usable[i] + (i % 2 ? 1 : 0));

        if (usable[i] != 0) /* what was asked, where more is not to be touched */
            CHECK(block != NULL && filled(block, usable[i], i));
        free(block);
    }
}

int main(void)
{
    CHECK(boundary(15) == 1024 && boundary(16) == 1280 && boundary(35) == 32768 &&
          boundary(39) == 65536);
    test_realloc_between_all_boundaries();
    test_realloc_chain();
    test_calloc_after_reuse();
    test_calloc_after_shrinking(48, 400000);
    test_calloc_after_shrinking(1024, 40000);
    test_calloc_after_shrinking(7000, 6000);
    test_calloc_after_shrinking(100000, 400);
    for (size_t size = 0; size < 3000; size++)
        test_slack(size);
    for (size_t i = 0; i < NEAR_BOUNDARIES; i++)
        test_slack(near_boundary(i));
    return 0;
}
