/* synthetic.c - rows of one thread, written to show one thing each. COUNT is the number of pairs of
 * malloc and free, or what the row's comment says. */
#include "blocks.h"

#include <time.h>
#include <unistd.h>

/* Where nothing but the two calls is to be counted. */
static void *untouched(size_t size)
{
    void *block = malloc(size);
    bench_keep(block);
    return block;
}

/* -- pairs: a temporary in a loop. The best case of every allocator, and the most frequent call --
 */

static void pair(uint64_t count)
{
    while (count-- > 0)
        free(bench_must(untouched(24)));
}

/* Sizes mixed: the size class is computed anew each time, and no branch can be foretold. */
static void pairs(uint64_t count)
{
    uint64_t random = 1;
    while (count-- > 0)
        bench_delete(bench_new(16 + bench_below(bench_random(&random), 1024)));
}

/* -- runs: a function that builds something and drops it on its way out -- */

static void lifo(uint64_t count)
{
    enum { RUN = 1000 };
    void *blocks[RUN];
    for (uint64_t done = 0; done < count; done += RUN) {
        for (size_t i = 0; i < RUN; i++)
            blocks[i] = untouched(32);
        for (size_t i = RUN; i-- > 0;)
            free(blocks[i]);
    }
}

/* A queue: what is freed went out of the caches long ago. */
static void fifo(uint64_t count)
{
    enum { QUEUED = 100000 };
    static void *blocks[QUEUED];
    for (size_t i = 0; i < QUEUED; i++)
        blocks[i] = bench_new(48);
    for (size_t i = 0; count-- > 0; i = i + 1 == QUEUED ? 0 : i + 1) {
        bench_delete(blocks[i]);
        blocks[i] = bench_new(48);
    }
    bench_empty(blocks, QUEUED);
}

/* -- replacement at random: small, larger than the inner caches, larger than any -- */

__attribute__((always_inline)) static inline void
replacement(uint64_t count, size_t live, bench_size_fn *size, bench_new_fn *new_block)
{
    void **blocks = bench_must(malloc(live * sizeof *blocks));
    uint64_t random = 1;
    bench_fill(&random, blocks, live, size, new_block);
    bench_replace(&random, blocks, live, count, size, new_block);
    bench_empty(blocks, live);
    free(blocks);
}

static void random_1k(uint64_t count)
{
    replacement(count, 1000, bench_real_size, bench_new);
}

static void random_100k(uint64_t count)
{
    replacement(count, 100 * 1000, bench_real_size, bench_new);
}

static void random_2m(uint64_t count)
{
    replacement(count, 2000 * 1000, bench_real_size, bench_new);
}

/* For --instructions: 16 classes of sizes alike, more than any list of recent blocks holds. */
static size_t size_16_to_255(uint64_t random)
{
    return 16 + bench_also_below(random, 240);
}

static void random_20k(uint64_t count)
{
    replacement(count, 20 * 1000, size_16_to_255, bench_new);
}

/* Buffers of files and sockets, tables, pages of a database: 1 to 32 KiB. */
static size_t size_1k_to_32k(uint64_t random)
{
    return bench_doublings(random, 10, 15);
}

static void medium(uint64_t count)
{
    replacement(count, 1000, size_1k_to_32k, bench_new_large);
}

/* Images, columns, messages: 32 KiB to 1 MiB, where many allocators turn to mmap(). */
static size_t size_32k_to_1m(uint64_t random)
{
    return bench_doublings(random, 15, 20);
}

static void large(uint64_t count)
{
    replacement(count, 100, size_32k_to_1m, bench_new_large);
}

/* Buffers that a program reads files or messages into, a few at a time: 65 to 300 KiB. */
static size_t size_65k_to_300k(uint64_t random)
{
    return (65 + bench_also_below(random, 236)) << 10;
}

static void buffers(uint64_t count)
{
    replacement(count, 8, size_65k_to_300k, bench_new_large);
}

/* -- more and more: a table or a tree that grows to COUNT blocks, and is dropped -- */

static void growing(uint64_t count)
{
    void *list = NULL;
    for (uint64_t i = 0; i < count; i++) {
        void **block = bench_new(32);
        *block = list;
        list = block;
    }
    for (void *next; list != NULL; list = next) {
        next = *(void **)list;
        free(list);
    }
}

/* -- the other calls -- */

/* Buffers that grow as they are appended to, by half as the vectors of many languages do, some 200
 * at a time, until they hold up to 64 KiB. COUNT is the number of calls of realloc(). */
static void growth(uint64_t count)
{
    enum { BUFFERS = 200, FIRST = 16, LAST = 65536 };
    static struct buffer {
        char *bytes;
        size_t size, last;
    } buffers[BUFFERS];
    uint64_t random = 1;
    while (count-- > 0) {
        uint64_t drawn = bench_random(&random);
        struct buffer *buffer = &buffers[bench_below(drawn, BUFFERS)];
        if (buffer->size >= buffer->last) {
            free(buffer->bytes);
            /* Most end short. */
            *buffer = (struct buffer){.last = LAST >> bench_also_below(drawn, 12)};
        }
        size_t size = buffer->size == 0 ? FIRST : buffer->size + buffer->size / 2;
        buffer->bytes = bench_must(realloc(buffer->bytes, size));
        memset(buffer->bytes + buffer->size, 1, size - buffer->size);
        bench_keep(buffer->bytes);
        buffer->size = size;
    }
    for (size_t i = 0; i < BUFFERS; i++)
        free(buffers[i].bytes);
}

/* Zeroed objects, the habit of many C programs; hash tables of a few KiB among them. */
static void *new_zeroed(size_t size)
{
    uint64_t *block = bench_must(calloc(1, size));
    bench_keep(block);
    *block += size;
    return block;
}

static size_t size_of_object_or_table(uint64_t random)
{
    return (random & 15 << 16) == 0 ? bench_doublings(random, 10, 14) : bench_real_size(random);
}

static void zeroed(uint64_t count)
{
    replacement(count, 1000, size_of_object_or_table, new_zeroed);
}

/* Cache lines of their own, vectors for SIMD, pages for direct I/O. */
static void *new_aligned(size_t size)
{
    void *block = NULL;
    size_t alignment = size % 64 == 0 ? BENCH_PAGE : (size_t)32 << size % 3;
    if (posix_memalign(&block, alignment, size) != 0)
        block = NULL;
    *(size_t *)bench_must(block) = size;
    bench_keep(block);
    return block;
}

static void aligned(uint64_t count)
{
    replacement(count, 1000, bench_real_size, new_aligned);
}

/* -- memory -- */

static void fill_list(void **list, size_t size, size_t bytes)
{
    for (size_t i = 0; i < bytes / size; i++) {
        void **block = bench_new(size);
        *block = *list;
        *list = block;
    }
}

static void drop_list(void **list)
{
    while (*list != NULL) {
        void *next = *(void **)*list;
        free(*list);
        *list = next;
    }
}

/* A program goes through phases: one size dies, another grows to as much. Peak memory shows who
 * can use the same pages again. COUNT is the number of phases. */
static void phases(uint64_t count)
{
    enum { BYTES = 32 << 20 };
    static const size_t sizes[] = {48, 160, 400, 1040, 24, 2500};
    void *list = NULL;
    for (uint64_t phase = 0; phase < count; phase++) {
        fill_list(&list, sizes[phase % (sizeof sizes / sizeof *sizes)], BYTES);
        drop_list(&list);
    }
}

static size_t resident_pages(void)
{
    size_t size;
    size_t resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu %zu", &size, &resident) != 2) {
        fputs("can't read /proc/self/statm\n", stderr);
        exit(1);
    }
    fclose(file);
    return resident;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* What of a dead phase is back with the system after a second of other work, in per cent of what
 * the phase took: as "metric PERCENT". COUNT is that phase's size in MiB. */
static void returned(uint64_t count)
{
    enum { LIVE = 1000 };
    static void *blocks[LIVE];
    uint64_t random = 1;
    bench_fill(&random, blocks, LIVE, bench_real_size, bench_new);
    size_t before = resident_pages();

    void *list = NULL;
    fill_list(&list, 64, count << 20);
    size_t during = resident_pages();
    drop_list(&list);

    for (double end = now() + 1; now() < end;)
        bench_replace(&random, blocks, LIVE, 1000, bench_real_size, bench_new);
    size_t after = resident_pages();
    double took = (double)during - (double)before;
    printf("metric %.1f\n", 100 * ((double)during - (double)after) / took);
    bench_empty(blocks, LIVE);
}

/* A small process: a few hundred KiB in 40 sizes, some of each, as most of the processes of a
 * system are. To be run many times; COUNT is the number of replacements in each. */
static size_t size_of_40(uint64_t random)
{
    size_t nth = bench_also_below(random, 40) + 1;
    return 8 + nth * nth;
}

static void small(uint64_t count)
{
    replacement(count, 500, size_of_40, bench_new);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"pair", pair},
        {"pairs", pairs},
        {"lifo", lifo},
        {"fifo", fifo},
        {"random-1k", random_1k},
        {"random-20k", random_20k},
        {"random-100k", random_100k},
        {"random-2m", random_2m},
        {"medium", medium},
        {"large", large},
        {"buffers", buffers},
        {"growing", growing},
        {"realloc", growth},
        {"calloc", zeroed},
        {"aligned", aligned},
        {"phases", phases},
        {"returned", returned},
        {"small", small},
    };
    return bench_main(argc, argv, rows, sizeof rows / sizeof *rows);
}
