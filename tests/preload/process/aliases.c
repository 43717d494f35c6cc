/* The allocator's rarer names, mixed with the common ones. */
#include "check.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Not in a header any more, but programs call them: linked where libc lets us, as they do. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);
void __libc_free(void *block);

#define KINDS 11

static const size_t sizes[] = {1,    24,    100,   1000,  1024,  1025,
                               9000, 32768, 40000, 65536, 70000, 500000};
#define SIZE_COUNT (sizeof(sizes) / sizeof(sizes[0]))

typedef void *reallocarray_fn(void *block, size_t count, size_t size);
typedef void free_fn(void *block);
typedef void free_sized_fn(void *block, size_t size);
typedef void free_aligned_sized_fn(void *block, size_t alignment, size_t size);

/* In some libcs only; every one of them is in the shim. */
static reallocarray_fn *libc_reallocarray;
static free_fn *old_cfree;
static free_sized_fn *new_free_sized;
static free_aligned_sized_fn *new_free_aligned_sized;

static void find_optional(void)
{
    libc_reallocarray = (reallocarray_fn *)dlsym(RTLD_DEFAULT, "__libc_reallocarray");
    old_cfree = (free_fn *)dlsym(RTLD_DEFAULT, "cfree");
    new_free_sized = (free_sized_fn *)dlsym(RTLD_DEFAULT, "free_sized");
    new_free_aligned_sized = (free_aligned_sized_fn *)dlsym(RTLD_DEFAULT, "free_aligned_sized");
    CHECK(!interposed() || (libc_reallocarray != NULL && old_cfree != NULL &&
                            new_free_sized != NULL && new_free_aligned_sized != NULL));
    if (libc_reallocarray == NULL)
        libc_reallocarray = reallocarray;
}

static void *allocate(unsigned kind, size_t size)
{
    void *block = NULL;

    switch (kind) {
    case 0:
        return malloc(size);
    case 1:
        return __libc_malloc(size);
    case 2:
        return calloc(1, size);
    case 3:
        return __libc_calloc(size, 1);
    case 4:
        return __libc_realloc(NULL, size);
    case 5:
        return libc_reallocarray(NULL, 1, size);
    case 6:
        return __libc_memalign(256, size);
    case 7:
        return __libc_valloc(size);
    case 8:
        return __libc_pvalloc(size);
    case 9:
        return posix_memalign(&block, 256, size) == 0 ? block : NULL;
    default:
        return aligned_alloc(256, size);
    }
}

static void *resize(unsigned kind, void *block, size_t size)
{
    switch (kind % 4) {
    case 0:
        return realloc(block, size);
    case 1:
        return __libc_realloc(block, size);
    case 2:
        return reallocarray(block, 1, size);
    default:
        return libc_reallocarray(block, size, 1);
    }
}

static void release(unsigned kind, void *block, size_t size)
{
    switch (kind % 5) {
    case 1:
        __libc_free(block);
        return;
    case 2:
        if (old_cfree == NULL)
            break;
        old_cfree(block);
        return;
    case 3:
        if (new_free_sized == NULL)
            break;
        new_free_sized(block, size);
        return;
    case 4:
        if (new_free_aligned_sized == NULL || (uintptr_t)block % 256 != 0)
            break;
        new_free_aligned_sized(block, 256, size);
        return;
    default:
        break;
    }
    free(block);
}

static void check_alignment(unsigned kind, const void *block)
{
    size_t alignment = 16;

    if (kind == 6 || kind > 8)
        alignment = 256;
    else if (kind == 7 || kind == 8)
        alignment = (size_t)sysconf(_SC_PAGESIZE);
    CHECK((uintptr_t)block % alignment == 0);
}

int main(void)
{
    find_optional();
    for (size_t i = 0; i < SIZE_COUNT; i++)
        for (unsigned from = 0; from < KINDS; from++)
            for (unsigned to = 0; to < 20; to++) {
                size_t size = sizes[i];
                void *block = allocate(from, size);

                CHECK(block != NULL && malloc_usable_size(block) >= size);
                check_alignment(from, block);
                CHECK((from != 2 && from != 3) || all_zero(block, size));
                fill(block, size, to);
                if (to % 2 == 1) {
                    size = sizes[(i + to) % SIZE_COUNT];
                    block = resize(to / 2, block, size);
                    CHECK(block != NULL);
                    CHECK(filled(block, size < sizes[i] ? size : sizes[i], to));
                }
                release(to, block, size);
            }
    __libc_free(NULL);
    if (new_free_sized != NULL) {
        new_free_sized(NULL, 8);
        new_free_aligned_sized(NULL, 16, 16);
    }
    return 0;
}
