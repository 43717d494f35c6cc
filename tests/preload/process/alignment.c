/* 16 bytes always, and whatever else is asked for. */
#include "check.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define LIVE 64 /* blocks kept at a time, so that sizes meet different neighbours */

static bool aligned(const void *block, size_t alignment)
{
    return (uintptr_t)block % alignment == 0;
}

static void test_every_size(void)
{
    void *live[LIVE] = {NULL};

    for (size_t size = 0; size <= 70000; size++) {
        void **block = &live[size % LIVE];

        free(*block);
        *block = size % 2 ? malloc(size) : calloc(1, size);
        CHECK(*block != NULL && aligned(*block, 16));
        CHECK(malloc_usable_size(*block) >= size);
        if (size % 16 == 0) {
            *block = realloc(*block, size + 8);
            CHECK(*block != NULL && aligned(*block, 16));
        }
    }
    for (size_t i = 0; i < LIVE; i++)
        free(live[i]);
}

static void *allocate_aligned(unsigned kind, size_t alignment, size_t size)
{
    void *block = NULL;

    if (kind == 0)
        return memalign(alignment, size);
    if (kind == 1)
        return aligned_alloc(alignment, size);
    if (alignment >= sizeof(void *))
        CHECK(posix_memalign(&block, alignment, size) == 0);
    else
        block = malloc(size);
    return block;
}

static void test_every_alignment(void)
{
    static const size_t sizes[] = {0,     1,     8,     16,    17,    48,    100,    1000,
                                   1008,  1024,  1025,  4000,  4096,  5000,  8192,   20000,
                                   32768, 32769, 40000, 65536, 65537, 70000, 200000, 1 << 20};
    const size_t size_count = sizeof(sizes) / sizeof(sizes[0]);
    void *live[LIVE] = {NULL};
    size_t live_size[LIVE] = {0};
    unsigned number = 0;

    for (size_t alignment = 1; alignment <= 1 << 20; alignment *= 2)
        for (size_t i = 0; i < size_count; i++)
            for (unsigned kind = 0; kind < 3; kind++, number++) {
                unsigned place = number % LIVE;
                void *block = allocate_aligned(kind, alignment, sizes[i]);

                CHECK(block != NULL && aligned(block, 16) && aligned(block, alignment));
                CHECK(malloc_usable_size(block) >= sizes[i]);
                CHECK(filled(live[place], live_size[place], place));
                free(live[place]);
                live[place] = block;
                live_size[place] = sizes[i];
                fill(block, sizes[i], place);
            }
    for (unsigned i = 0; i < LIVE; i++) {
        size_t kept = live_size[i] / 2;

        if (kept != 0)
            live[i] = realloc(live[i], i % 2 ? kept : live_size[i] * 2);
        CHECK(live[i] != NULL && filled(live[i], kept, i));
        free(live[i]);
    }
}

static void test_pages(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t size = 0; size < 5 * page; size += 100) {
        void *one = valloc(size);
        void *two = pvalloc(size);

        CHECK(one != NULL && aligned(one, page) && malloc_usable_size(one) >= size);
        CHECK(two != NULL && aligned(two, page));
        CHECK(malloc_usable_size(two) >= (size + page - 1) / page * page);
        free(one);
        free(two);
    }
}

int main(void)
{
    test_every_size();
    test_every_alignment();
    test_pages();
    return 0;
}
