/* What POSIX, C and glibc's manual promise beyond alignment, content and refusals, which have
 * programs of their own: errno, zeros, wide alignments, memory that goes back. */
#include "check.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

/* Every size that an allocator of steps of 16, then four steps a doubling, tells apart. */
static size_t next_size(size_t size)
{
    size_t step = 16;

    while (size >= step * 64)
        step *= 2;
    return size / step * step + step;
}

/* --- errno --- */

static void test_success_keeps_errno(void)
{
    for (size_t size = 1; size < 400000; size = size * 5 / 4 + 1) {
        void *block;

        errno = EXDEV;
        block = malloc(size);
        CHECK(block != NULL && errno == EXDEV);
        block = realloc(block, size * 2);
        CHECK(block != NULL && errno == EXDEV);
        block = reallocarray(block, 3, size);
        CHECK(block != NULL && errno == EXDEV);
        free(block);
        block = calloc(size, 3);
        CHECK(block != NULL && errno == EXDEV);
        free(block);
        CHECK(posix_memalign(&block, 128, size) == 0 && errno == EXDEV);
        free(block);
        block = aligned_alloc(512, size);
        CHECK(block != NULL && errno == EXDEV);
        CHECK(malloc_usable_size(block) >= size && errno == EXDEV);
        CHECK(realloc(block, 0) == NULL && errno == EXDEV);
    }
}

/* --- calloc --- */

/* Of each size: dirty blocks freed, by halves and as a whole, then all zero again. */
static void test_zero_of_every_size(void)
{
    static unsigned char *blocks[200];

    for (size_t size = 16; size <= 70000; size = next_size(size)) {
        size_t count = size > 8192 ? 20 : 200;

        for (size_t round = 0; round < 3; round++) {
            for (size_t i = 0; i < count; i++) {
                blocks[i] = round == 0 ? malloc(size) : calloc(1, size - round % 2);
                CHECK(blocks[i] != NULL);
                CHECK(round == 0 || all_zero(blocks[i], size - round % 2));
                memset(blocks[i], 0xa5, malloc_usable_size(blocks[i]));
            }
            for (size_t i = 0; i < count; i += 2)
                free(blocks[i]);
            for (size_t i = 0; i < count; i += 2) {
                blocks[i] = calloc(size, 1);
                CHECK(blocks[i] != NULL && all_zero(blocks[i], size));
                memset(blocks[i], 0x5a, malloc_usable_size(blocks[i]));
            }
            for (size_t i = 0; i < count; i++)
                free(blocks[i]);
        }
    }
}

/* --- alignment --- */

/* Beyond what anyone asks for: the block, or ENOMEM. */
static void test_wide_alignments(void)
{
    for (size_t alignment = 2 * MIB; alignment != 0; alignment *= 2) {
        void *block = &block;
        void *before = block;
        int error = posix_memalign(&block, alignment, 100);

        CHECK(error == 0 || error == ENOMEM);
        if (error != 0) {
            CHECK(block == before);
        } else {
            CHECK((uintptr_t)block % alignment == 0);
            fill(block, 100, 1);
            block = realloc(block, 5000);
            CHECK(block != NULL && filled(block, 100, 1));
            free(block);
        }
        errno = 0;
        block = aligned_alloc(alignment, alignment);
        CHECK(block == NULL ? errno == ENOMEM : (uintptr_t)block % alignment == 0);
        free(block);
    }
}

/* An aligned block is resized like any other. */
static void test_resizing_aligned_blocks(void)
{
    for (size_t alignment = 32; alignment <= 65536; alignment *= 2)
        for (size_t from = 1; from < 100000; from = from * 3 + 1)
            for (size_t to = 1; to < 100000; to = to * 3 + 1) {
                void *block = memalign(alignment, from);

                CHECK(block != NULL);
                fill(block, from, 3);
                block = realloc(block, to);
                CHECK(block != NULL && filled(block, from < to ? from : to, 3));
                fill(block, to, 4);
                free(block);
            }
}

/* --- memory that goes back --- */

static void use_and_free(size_t total, size_t size)
{
    void **list = NULL;

    for (size_t got = 0; got < total; got += size) {
        void **block = malloc(size);

        CHECK(block != NULL);
        memset(block, 1, size);
        *block = list;
        list = block;
    }
    for (void *next; list != NULL; list = next) {
        next = *list;
        free(list);
    }
}

static void test_trim(size_t size)
{
    size_t before = resident_kib();

    use_and_free(100 * MIB, size);
    use_and_free(MIB, size);
    int first = malloc_trim(0);

    CHECK(first == 0 || first == 1);
    CHECK(resident_kib() < before + 8 * 1024);
}

/* What one asks the other way round adds up, too. */
static void test_figures_hold_together(void)
{
#if __GLIBC_PREREQ(2, 33)
    void *blocks[100];
    struct mallinfo2 before = mallinfo2(), full;
    size_t usable = 0;

    for (size_t i = 0; i < 100; i++) {
        blocks[i] = malloc(1000 * (i % 30) + 1);
        CHECK(blocks[i] != NULL);
        usable += malloc_usable_size(blocks[i]);
    }
    full = mallinfo2();
    CHECK(full.uordblks + full.fordblks == full.arena);
    for (size_t i = 0; i < 100; i++)
        free(blocks[i]);
    /* libc's own figures take what it has cached for in use. */
    CHECK(!interposed() || (full.uordblks >= before.uordblks + usable &&
                            full.uordblks <= before.uordblks + usable + usable / 4 &&
                            mallinfo2().uordblks <= before.uordblks));
#endif
}

int main(void)
{
    test_success_keeps_errno();
    test_zero_of_every_size();
    test_wide_alignments();
    test_resizing_aligned_blocks();
    test_figures_hold_together();
    test_trim(100);
    test_trim(4000);
    test_trim(30000);
    return 0;
}
