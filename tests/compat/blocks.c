/* blocks.c - a program for the tools to look into: small and large blocks, several threads.
 *
 *   blocks              allocates, fills, resizes, frees, and prints a sum over what it read back
 *   blocks keep         the same while a million small blocks stay live
 *   blocks phases       40 MiB of blocks of one size, then as much of another, small ones and large
 *   blocks double-free  fills 8 MiB with small blocks and frees the last of them twice
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 4,
    ROUNDS = 20000,
    LIVE = 256,
    SMALL_BLOCKS = 131072,
    SMALL_SIZE = 64,
    KEPT_BLOCKS = 1000000,
    KEPT_SIZE = 24,
    PHASE_BYTES = 40 << 20
};

struct block {
    unsigned char *bytes;
    size_t size;
};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Mostly small, one in 64 up to 1 MiB. */
static size_t random_size(uint32_t *state)
{
    uint32_t choice = next_random(state);
    size_t limit = choice % 64 == 0 ? 1u << 20 : 1u << (4 + choice % 9);
    return 1 + next_random(state) % limit;
}

static uint64_t sum_ends(const struct block *block)
{
    return block->size == 0 ? 0 : (uint64_t)block->bytes[0] + block->bytes[block->size - 1];
}

static void resize(struct block *block, size_t size, unsigned char fill)
{
    block->bytes = realloc(block->bytes, size);
    if (block->bytes == NULL) {
        perror("realloc");
        exit(1);
    }
    block->size = size;
    memset(block->bytes, fill, size < 4096 ? size : 4096);
    block->bytes[size - 1] = fill;
}

static void *churn(void *argument)
{
    uint32_t state = (uint32_t)(uintptr_t)argument;
    uint64_t sum = 0;
    struct block blocks[LIVE] = {{NULL, 0}};

    for (int round = 0; round < ROUNDS; round++) {
        struct block *block = &blocks[next_random(&state) % LIVE];
        sum += sum_ends(block);
        if (next_random(&state) % 2 == 0) {
            free(block->bytes);
            *block = (struct block){NULL, 0};
        }
        resize(block, random_size(&state), (unsigned char)round);
    }
    for (int i = 0; i < LIVE; i++) {
        sum += sum_ends(&blocks[i]);
        free(blocks[i].bytes);
    }
    return (void *)(uintptr_t)sum;
}

/* Called while nothing is running beside it; gdb stops here. */
__attribute__((noinline)) void report_sum(uint64_t sum)
{
    printf("sum %llu\n", (unsigned long long)sum);
}

static int run_threads(void)
{
    pthread_t threads[THREADS];
    uint64_t sum = 0;

    for (uintptr_t i = 0; i < THREADS; i++) {
        int error = pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
        if (error != 0) {
            fprintf(stderr, "pthread_create: %s\n", strerror(error));
            return 1;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        void *part;
        pthread_join(threads[i], &part);
        sum += (uintptr_t)part;
    }
    report_sum(sum);
    return 0;
}

/* A chain of blocks; each starts with the address of the one before it. */
static void *allocate_chain(int count, size_t size)
{
    void *last = NULL;
    for (int i = 0; i < count; i++) {
        void **block = malloc(size);
        if (block == NULL) {
            perror("malloc");
            exit(1);
        }
        *block = last;
        last = block;
    }
    return last;
}

static int free_chain(void *last)
{
    int count = 0;
    while (last != NULL) {
        void *before = *(void **)last;
        free(last);
        last = before;
        count++;
    }
    return count;
}

static int keep_while_running(void)
{
    void *kept = allocate_chain(KEPT_BLOCKS, KEPT_SIZE);
    int status = run_threads();
    printf("freed %d\n", free_chain(kept));
    return status;
}

static int run_phases(void)
{
    static const size_t sizes[] = {48, 100000, 1024, 500000, 7000, 70000};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *kept = NULL;
        int count = 0;
        for (size_t size = sizes[i]; (size_t)count < PHASE_BYTES / size; count++) {
            void **block = malloc(size);
            if (block == NULL) {
                perror("malloc");
                return 1;
            }
            memset(block, count, size);
            *block = kept;
            kept = block;
        }
        printf("%zu: freed %d of %d\n", sizes[i], free_chain(kept), count);
    }
    return 0;
}

static int free_twice(void)
{
    void **last = allocate_chain(SMALL_BLOCKS, SMALL_SIZE);
    void *before = *last;
    void *volatile again = last;
    free(last);
    free(again);
    printf("freed %d\n", 1 + free_chain(before));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        return run_threads();
    }
    if (strcmp(argv[1], "keep") == 0) {
        return keep_while_running();
    }
    if (strcmp(argv[1], "phases") == 0) {
        return run_phases();
    }
    if (strcmp(argv[1], "double-free") == 0) {
        return free_twice();
    }
    fprintf(stderr, "usage: %s [keep|phases|double-free]\n", argv[0]);
    return 2;
}
