/* A program with a malloc of its own that defines the four functions it has to: the others of libc
 * must end in them, and none of the shim's may be given its blocks. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER 16u

/* check.h's own checks would find malloc() not to be the shim's. */
#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__))

static void fail(int line)
{
    dprintf(STDERR_FILENO, "%s:%d: check failed\n", __FILE__, line);
    _exit(1);
}

static _Alignas(16) char pool[1 << 20];
static size_t used;
static volatile int frees;

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    char *block = pool + used + HEADER;
    memcpy(block - HEADER, &size, sizeof size);
    used += HEADER + ((size + HEADER - 1) & ~(size_t)(HEADER - 1));
    CHECK(used <= sizeof pool);
    return block;
}

__attribute__((visibility("default"))) void free(void *block)
{
    frees += block >= (void *)pool && block < (void *)(pool + sizeof pool);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
    return malloc(count * size); /* the pool is zero, and nothing is used twice */
}

__attribute__((visibility("default"))) void *realloc(void *block, size_t size)
{
    char *moved = malloc(size);
    size_t old = 0;
    if (block != NULL)
        memcpy(&old, (char *)block - HEADER, sizeof old);
    memcpy(moved, block != NULL ? block : moved, old < size ? old : size);
    return moved;
}

static void test_reallocarray(void)
{
    volatile size_t too_many = SIZE_MAX / 2;
    char *volatile block = strdup("own");
    block = reallocarray(block, 10, 10);
    CHECK(block >= pool && block < pool + sizeof pool);
    CHECK(strcmp(block, "own") == 0);
    CHECK(reallocarray(block, too_many, 3) == NULL);
    free(block);
}

/* Of glibc from 2.43 on, and the shim's everywhere. */
static void test_sized_frees(void)
{
    void (*sized)(void *, size_t);
    void (*aligned_sized)(void *, size_t, size_t);
    int before = frees;
    *(void **)&sized = dlsym(RTLD_DEFAULT, "free_sized");
    *(void **)&aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    CHECK(sized != NULL && aligned_sized != NULL);
    sized(malloc(20), 20);
    aligned_sized(malloc(32), 16, 32);
    CHECK(frees == before + 2);
}

int main(void)
{
    test_reallocarray();
    test_sized_frees();
    return 0;
}
