/* A program, or a library before the shim (IN_FRONT), with a malloc family of its own that ends in
 * libc's: by the names that only libc has (NAMES), or by what dlsym() finds in libc (HANDLE). The
 * program for that library is the same without such a family (BESIDE). */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BESIDE

static unsigned long calls;

#ifdef NAMES

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void *__libc_valloc(size_t size);
extern void *__libc_pvalloc(size_t size);
extern void __libc_free(void *block);
#define LIBC(name)        __libc_##name
#define looking           0
#define from_pool(size)   NULL
#define is_of_pool(block) 0

#else

/* What dlopen() itself asks for while libc is looked for. */
static _Alignas(16) char pool[1 << 16];
static size_t used;
static int looking;

static void *from_pool(size_t size)
{
    void *block = pool + used;
    used += (size + 15) & ~(size_t)15;
    return used <= sizeof pool ? block : NULL;
}

static int is_of_pool(const void *block)
{
    return (const char *)block >= pool && (const char *)block < pool + sizeof pool;
}

static void *find(const char *name)
{
    static void *libc;
    if (libc == NULL) {
        looking = 1;
        libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        looking = 0;
    }
    void *function = libc != NULL ? dlsym(libc, name) : NULL;
    if (function == NULL)
        abort();
    return function;
}
#define LIBC(name) ((__typeof__(&(name)))find(#name))

#endif

void *malloc(size_t size)
{
    calls++;
    return looking ? from_pool(size) : LIBC(malloc)(size);
}

void free(void *block)
{
    calls++;
    if (!is_of_pool(block))
        LIBC(free)(block);
}

void *calloc(size_t count, size_t size)
{
    calls++;
    return looking ? from_pool(count * size) : LIBC(calloc)(count, size);
}

void *realloc(void *block, size_t size)
{
    calls++;
    return LIBC(realloc)(block, size);
}

void *memalign(size_t alignment, size_t size)
{
    calls++;
    return LIBC(memalign)(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    calls++;
    return LIBC(memalign)(alignment, size);
}

void *valloc(size_t size)
{
    calls++;
    return LIBC(valloc)(size);
}

void *pvalloc(size_t size)
{
    calls++;
    return LIBC(pvalloc)(size);
}

#endif

#ifndef IN_FRONT

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__))

static void fail(int line)
{
    fprintf(stderr, "%s:%d: check failed\n", __FILE__, line);
    exit(1);
}

static void try_size(size_t size)
{
    char *block = malloc(size);
    CHECK(block != NULL && malloc_usable_size(block) >= size);
    memset(block, 'x', size);
    block = realloc(block, 3 * size);
    CHECK(block != NULL && block[size - 1] == 'x');
    block = reallocarray(block, 5, size);
    CHECK(block != NULL && block[size - 1] == 'x');
    free(block);
    block = calloc(size, 1);
    CHECK(block != NULL && block[size - 1] == 0);
    free(block);
    void *aligned = NULL;
    CHECK(posix_memalign(&aligned, 256, size) == 0 && (uintptr_t)aligned % 256 == 0);
    free(aligned);
    free(memalign(64, size));
    free(aligned_alloc(64, size));
    free(valloc(size));
    free(pvalloc(size));
}

int main(void)
{
    for (size_t size = 10; size < 10000000; size *= 10)
        try_size(size);
    char *text = strdup("one of libc's");
    CHECK(strcmp(text, "one of libc's") == 0);
    free(text);
#ifndef BESIDE
    CHECK(calls > 50);
#endif
    return 0;
}

#endif
