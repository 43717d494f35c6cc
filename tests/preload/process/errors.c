/* What is refused, how it is said, and what happens to errno. */
#include "check.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

/* Compared without asking whether the compiler may know that these are refused. */
static volatile size_t too_large = (size_t)PTRDIFF_MAX + 1;
static volatile size_t half = SIZE_MAX / 2;
static volatile size_t root = (size_t)1 << 32;

#define REFUSED(call, error)                                                                       \
    do {                                                                                           \
        errno = 0;                                                                                 \
        CHECK((call) == NULL);                                                                     \
        CHECK(errno == (error));                                                                   \
    } while (0)

static void test_too_large(void)
{
    static const size_t sizes[] = {PTRDIFF_MAX,   (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096,
                                   SIZE_MAX - 16, SIZE_MAX - 15,           SIZE_MAX - 1,
                                   SIZE_MAX};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        volatile size_t size = sizes[i];

        REFUSED(malloc(size), ENOMEM);
        REFUSED(calloc(1, size), ENOMEM);
        REFUSED(calloc(size, 1), ENOMEM);
        REFUSED(realloc(NULL, size), ENOMEM);
        REFUSED(reallocarray(NULL, 1, size), ENOMEM);
        REFUSED(aligned_alloc(64, size), ENOMEM);
        REFUSED(memalign(16, size), ENOMEM);
        REFUSED(memalign(4096, size), ENOMEM);
        REFUSED(valloc(size), ENOMEM);
        REFUSED(pvalloc(size), ENOMEM);
    }
}

static void test_overflow(void)
{
    REFUSED(calloc(half, 3), ENOMEM);
    REFUSED(calloc(too_large, 2), ENOMEM);
    REFUSED(calloc(root, root), ENOMEM);
    REFUSED(reallocarray(NULL, half, 3), ENOMEM);
    REFUSED(reallocarray(NULL, too_large, 2), ENOMEM);
}

/* A block that could not be resized is as it was. */
static void test_refused_resize(size_t size)
{
    void *block = malloc(size);

    CHECK(block != NULL);
    fill(block, size, 5);
    REFUSED(realloc(block, too_large), ENOMEM);
    REFUSED(reallocarray(block, half, 3), ENOMEM);
    REFUSED(reallocarray(block, 1, too_large), ENOMEM);
    CHECK(filled(block, size, 5));
    free(block);
}

static void test_posix_memalign(void)
{
    static const size_t bad[] = {0, 1, 2, 3, 4, 7, 12, 24, 48, 100, 4095, SIZE_MAX};
    void *const before = (void *)&bad;
    void *block = before;

    /* The refusal of an alignment is only returned; that of memory libc tells by errno as well. */
    errno = E2BIG;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(posix_memalign(&block, bad[i], 100) == EINVAL);
    CHECK(errno == E2BIG);
    CHECK(posix_memalign(&block, 64, too_large) == ENOMEM && errno == ENOMEM);
    errno = E2BIG;
    CHECK(posix_memalign(&block, 64, SIZE_MAX - 32) == ENOMEM && errno == ENOMEM);
    errno = E2BIG;
    CHECK(posix_memalign(&block, 4096, PTRDIFF_MAX) == ENOMEM && errno == ENOMEM);
    CHECK(block == before);
    errno = E2BIG;
    CHECK(posix_memalign(&block, 4096, 200000) == 0 && block != before && errno == E2BIG);
    free(block);
    block = before;
    CHECK(posix_memalign(&block, 64, 0) == 0 && block != before);
    free(block);
}

/* What aligned_alloc() makes of an alignment that is no power of two, shown by the exit status. */
static int round_up(void)
{
    volatile size_t uneven = 48;

    return aligned_alloc(uneven, 96) != NULL;
}

static bool rounds_up_alone(void)
{
    char err[200];
    int status = run_self_alone("round-up", err, sizeof(err));

    CHECK(exited_with(status, 0) || exited_with(status, 1));
    return exited_with(status, 1);
}

static void test_other_alignments(void)
{
    const bool libc_rounds_up = rounds_up_alone();
    static const size_t uneven[] = {0, 3, 12, 24, 48, 4095};
    volatile size_t rounded = 48;
    volatile size_t least = 0;
    volatile size_t most = SIZE_MAX;
    void *block;

    for (size_t i = 0; i < sizeof(uneven) / sizeof(uneven[0]); i++) {
        volatile size_t alignment = uneven[i];

        if (!libc_rounds_up) {
            REFUSED(aligned_alloc(alignment, 96), EINVAL);
            REFUSED(aligned_alloc(alignment, too_large), EINVAL);
            continue;
        }
        block = aligned_alloc(alignment, 96);
        CHECK(block != NULL && (uintptr_t)block % 16 == 0);
        CHECK(alignment < 48 || (uintptr_t)block % 64 == 0);
        free(block);
        REFUSED(aligned_alloc(alignment, too_large), ENOMEM);
    }
    REFUSED(aligned_alloc(most, 16), EINVAL);
    /* memalign() rounds up in every version. */
    block = memalign(rounded, 100);
    CHECK(block != NULL && (uintptr_t)block % 64 == 0);
    free(block);
    block = memalign(least, 100);
    CHECK(block != NULL && (uintptr_t)block % 16 == 0);
    free(block);
    REFUSED(memalign(most, 16), EINVAL);
    REFUSED(memalign(too_large, 16), ENOMEM);
}

static void test_free_keeps_errno(void)
{
    static const size_t sizes[] = {1, 100, 5000, 32768, 65536, 100000, 64 << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        void *block = malloc(sizes[i]);

        CHECK(block != NULL);
        errno = EXDEV;
        free(block);
        CHECK(errno == EXDEV);
    }
    errno = EXDEV;
    free(NULL);
    CHECK(errno == EXDEV);

    /* Enough at once for memory to go back to the system. */
    void **list = NULL;

    for (size_t i = 0; i < 100000; i++) {
        void **block = malloc(200);

        CHECK(block != NULL);
        *block = list;
        list = block;
    }
    errno = EXDEV;
    while (list != NULL) {
        void **next = *list;

        free(list);
        list = next;
    }
    CHECK(errno == EXDEV);
}

static void test_nothing_asked(void)
{
    void *blocks[100];

    for (size_t i = 0; i < 100; i++) {
        blocks[i] = i % 3 == 0 ? malloc(0) : i % 3 == 1 ? calloc(0, i) : calloc(i, 0);
        CHECK(blocks[i] != NULL);
        for (size_t j = 0; j < i; j++)
            CHECK(blocks[i] != blocks[j]);
    }
    for (size_t i = 0; i < 100; i++)
        free(blocks[i]);

    blocks[0] = realloc(NULL, 0);
    CHECK(blocks[0] != NULL);
    CHECK(realloc(blocks[0], 0) == NULL);
    blocks[0] = reallocarray(NULL, 0, 8);
    CHECK(blocks[0] != NULL);
    CHECK(reallocarray(blocks[0], 8, 0) == NULL);
    blocks[0] = malloc(1000000);
    CHECK(blocks[0] != NULL);
    CHECK(realloc(blocks[0], 0) == NULL);
    CHECK(malloc_usable_size(NULL) == 0);
}

/* Had realloc(p, 0) kept the blocks, these would be some GiB. */
static void test_realloc_to_nothing_frees(void)
{
    size_t before = resident_kib();

    for (size_t i = 0; i < 200000; i++) {
        char *block = malloc(i % 100 == 0 ? 40000 : 2000);

        CHECK(block != NULL);
        block[0] = 1;
        CHECK(realloc(block, 0) == NULL);
    }
    CHECK(resident_kib() < before + 32768);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return round_up();
    test_too_large();
    test_overflow();
    test_refused_resize(100);
    test_refused_resize(20000);
    test_refused_resize(200000);
    test_posix_memalign();
    test_other_alignments();
    test_free_keeps_errno();
    test_nothing_asked();
    test_realloc_to_nothing_frees();
    return 0;
}
