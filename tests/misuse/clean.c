/* clean.c - a correct program, with the uses that are most easily mistaken for misuse. Nothing
 * may appear on stderr. */
#include "misuse.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 500 };

static void *blocks[COUNT];

/* From the smallest slot to well above what is forwarded. */
static size_t size_of_block(int i)
{
    return ((size_t)i * 7919) % 70000 >> (i % 12);
}

static void fill_blocks(void *unused)
{
    (void)unused;
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = hidden(malloc(size_of_block(i)));
        CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % 16 == 0);
        memset(blocks[i], i & 0xff, malloc_usable_size(blocks[i]));
    }
}

static void free_blocks(void *unused)
{
    (void)unused;
    for (int i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
}

static void in_worker(void (*work)(void *))
{
    struct worker worker;

    worker_start(&worker, "worker", work, NULL);
    worker_finish(&worker);
}

/* The same addresses come back again and again, and are right each time. */
static void reuse(void)
{
    for (int round = 0; round < 20; round++) {
        fill_blocks(NULL);
        free_blocks(NULL);
    }
}

static void free_where_another_thread_allocated(void)
{
    for (int round = 0; round < 10; round++) {
        fill_blocks(NULL);
        in_worker(free_blocks);
        in_worker(fill_blocks);
        in_worker(free_blocks);
        in_worker(fill_blocks);
        free_blocks(NULL);
    }
}

static void free_in_both_processes(void)
{
    pid_t child;
    int status;

    fill_blocks(NULL);
    child = fork();
    CHECK(child >= 0);
    free_blocks(NULL);
    reuse();
    if (child == 0) {
        exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void resize(void)
{
    char *block = NULL;

    for (size_t size = 1; size < 3000000; size += size / 3 + 1) {
        block = hidden(realloc(block, size));
        CHECK(block != NULL);
        block[size - 1] = 'x';
    }
    for (size_t size = 3000000; size > 0; size = size * 2 / 3) {
        block = hidden(realloc(block, size));
        CHECK(block != NULL);
        block[size - 1] = 'x';
    }
    CHECK(realloc(block, 0) == NULL);
    block = hidden(reallocarray(NULL, 10, 10));
    free(hidden(reallocarray(block, 10000, 10)));
}

static void align(void)
{
    for (size_t alignment = 16; alignment <= 1 << 20; alignment *= 2) {
        void *block = NULL;

        CHECK(posix_memalign(&block, alignment, alignment / 2) == 0);
        CHECK((uintptr_t)block % alignment == 0);
        free(hidden(block));
        free(hidden(aligned_alloc(alignment, 3 * alignment)));
        block = hidden(realloc(hidden(memalign(alignment, 100)), 200000));
        free(block);
    }
    free(hidden(valloc(100)));
    free(hidden(pvalloc(100)));
    free(hidden(calloc(10, 10)));
    free(hidden(calloc(1000, 1000)));
    free(hidden(malloc(0)));
}

/* Blocks that libc allocates and the program frees, and the other way round. */
static void share_with_libc(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    CHECK(stream != NULL && fprintf(stream, "%0*d", 100000, 1) == 100000);
    CHECK(fclose(stream) == 0);
    free(text);
    text = strdup("some text");
    free(hidden(text));
    CHECK(asprintf(&text, "%0*d", 50000, 1) == 50000);
    free(text);
    CHECK(setenv("MISUSE_CLEAN", "1", 1) == 0 && unsetenv("MISUSE_CLEAN") == 0);
    text = hidden(malloc(BUFSIZ));
    stream = fopen("/dev/null", "w");
    CHECK(stream != NULL && setvbuf(stream, text, _IOFBF, BUFSIZ) == 0);
    CHECK(fputs("x", stream) >= 0 && fclose(stream) == 0);
    free(text);
}

/* More than there is; less, where the system promises it all the same. */
static void ask_for_too_much(void)
{
    char *block = hidden(malloc(LARGE));

    for (int shift = 40; shift < 47; shift++) {
        size_t size = (size_t)1 << shift;

        free(hidden(malloc(size)));
        free(hidden(calloc(2, size)));
        free(hidden(memalign(size, 10)));
    }
    CHECK(realloc(block, PTRDIFF_MAX) == NULL && errno == ENOMEM);
    free(block);
}

int main(void)
{
    reuse();
    free_where_another_thread_allocated();
    free_in_both_processes();
    resize();
    align();
    share_with_libc();
    ask_for_too_much();
    return STATUS_WENT_ON;
}
