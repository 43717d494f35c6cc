/* api.c - the functions of memory_manager.h, each promise of its comments. */
#include "memory_manager.h"

#include "check.h"
#include "check_state.h"
#include "forwarded/registry.h"
#include "slots/arena.h"
#include "slots/batch.h"
#include "slots/size_class.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CAPACITY = 8192, LARGE = MM_SLOT_SIZE_MAX + 1000, MISUSES = 250 };

#define WILD  ((void *)(uintptr_t)0xDEADBEEF)
#define CHUNK ((size_t)1 << MM_CHUNK_SHIFT)

static struct check_pipe told; /* what comes to stderr */

/* leave, and what it says */
static void leave(size_t live)
{
    char text[CAPACITY], expected[CAPACITY];
    CHECK_NO_MISUSE();
    check_state();
    CHECK_EQUAL(mem_mngr_leave(), live);
    check_pipe_take(&told, text, sizeof text);
    snprintf(expected, sizeof expected, "==%d== mmshim: leaving with %zu blocks live\n", getpid(),
             live);
    CHECK_TEXT(text, expected);
}

/* --- the walk-through --- */

static void print_snapshot(char *text)
{
    struct check_pipe out;
    check_pipe_open(&out, STDOUT_FILENO);
    mem_mngr_print_snapshot();
    check_pipe_take(&out, text, CAPACITY);
    check_pipe_close(&out);
}

static void check_printed(unsigned live, const char *lists)
{
    char text[CAPACITY], expected[CAPACITY];
    struct mm_arena_usage usage = mm_arena_usage();
    snprintf(expected, sizeof expected,
             "mmshim snapshot: %u blocks live in 24 slots of 3 batches, and 0 forwarded\n"
             "  committed %zu KiB of %zu KiB reserved: %zu KiB in heaps, %zu KiB unused but not "
             "yet given back; %zu KiB of tables\n"
             "heap 1, thread %d (unit_api)\n%s",
             live, usage.committed >> 10, usage.reserved >> 10, usage.taken >> 10,
             usage.dirty >> 10, usage.metadata >> 10, gettid(), lists);
    print_snapshot(text);
    CHECK_TEXT(text, expected);
}

static void walk_through(void)
{
    static const size_t sizes[] = {12, 10, 16, 1, 9, 3, 14, 8};
    char *blocks[10], lists[CAPACITY];
    check_init(0);
    struct check_sums sums = check_state();
    CHECK(sums.batches == 1 && sums.live == 0);

    for (unsigned i = 0; i < 8; i++) {
        blocks[i] = mem_mngr_alloc(sizes[i]);
        CHECK(blocks[i] == blocks[0] + (size_t)i * 16);
        CHECK_EQUAL(mem_mngr_usable_size(blocks[i]), 16);
        CHECK_EQUAL(check_state().batches, 1);
    }
    CHECK((uintptr_t)blocks[0] == mm_arena.base + CHUNK);
    blocks[8] = mem_mngr_alloc(7);
    CHECK_EQUAL(check_state().batches, 2);
    CHECK(mm_batch_inspect((uintptr_t)blocks[8]).base == (uintptr_t)blocks[8]);
    blocks[9] = mem_mngr_alloc(28);
    CHECK_EQUAL(check_state().batches, 3);
    CHECK(mm_batch_inspect((uintptr_t)blocks[9]).base == (uintptr_t)blocks[9]);
    CHECK_EQUAL(mem_mngr_usable_size(blocks[9]), 32);

    snprintf(lists, sizeof lists,
             "  list of 16-byte slots: 2 batches, 9 of 16 slots live\n"
             "    batch 0x%jx  8/8  ########\n"
             "    batch 0x%jx  1/8  #.......\n"
             "  list of 32-byte slots: 1 batch, 1 of 8 slots live\n"
             "    batch 0x%jx  1/8  #.......\n",
             (uintmax_t)(uintptr_t)blocks[0], (uintmax_t)(uintptr_t)blocks[8],
             (uintmax_t)(uintptr_t)blocks[9]);
    check_printed(10, lists);

    for (unsigned i = 0; i < 10; i++)
        mem_mngr_free(blocks[i]);
    CHECK_NO_MISUSE();
    mem_mngr_free(blocks[0]);
    CHECK_MISUSE(MEM_MNGR_DOUBLE_FREE, blocks[0]);
    mem_mngr_free(WILD);
    CHECK_MISUSE(MEM_MNGR_FOREIGN_FREE, WILD);

    snprintf(lists, sizeof lists,
             "  list of 16-byte slots: 2 batches, 0 of 16 slots live\n"
             "    batch 0x%jx  0/8  ........\n"
             "    batch 0x%jx  0/8  ........\n"
             "  list of 32-byte slots: 1 batch, 0 of 8 slots live\n"
             "    batch 0x%jx  0/8  ........\n",
             (uintmax_t)(uintptr_t)blocks[0], (uintmax_t)(uintptr_t)blocks[8],
             (uintmax_t)(uintptr_t)blocks[9]);
    check_printed(0, lists);
    leave(0);
}

/* --- init and leave --- */

static void init_again(void)
{
    struct mem_mngr_config other = {.slots_per_batch = 3};
    CHECK(mem_mngr_init() == 0);
    void *block = mem_mngr_alloc(100);
    CHECK(mem_mngr_init() == 0 && mem_mngr_init_with(&other) == 0);
    CHECK_EQUAL(check_state().live, 1);
    CHECK_EQUAL(mm_batch_slots(mm_batch_inspect((uintptr_t)block).batch), 8);
    mem_mngr_free(block);
    leave(0);
}

static void init_and_leave(void)
{
    char *blocks[100];
    for (unsigned round = 0; round < 20; round++) {
        if (round % 2 == 0)
            check_init(round % 5);
        for (unsigned i = 0; i < 100; i++) {
            blocks[i] = mem_mngr_alloc(1 + (size_t)i * round * 300);
            CHECK(blocks[i] != NULL);
            blocks[i][0] = 1;
        }
        for (unsigned i = 0; i < 100; i += 2)
            mem_mngr_free(blocks[i]);
        size_t forwarded = mm_registry_count();
        leave(50);
        CHECK(mm_arena_size() == 0);
        /* These stay valid for the system allocator. */
        for (unsigned i = 1; i < 100 && forwarded > 0; i += 2) {
            if (1 + (size_t)i * round * 300 > MM_SLOT_SIZE_MAX)
                free(blocks[i]);
        }
    }
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

static void leave_before_init(void)
{
    char text[CAPACITY];
    CHECK_EQUAL(mem_mngr_leave(), 0);
    check_pipe_take(&told, text, sizeof text);
    CHECK_TEXT(text, "");
}

/* Works without anyone calling init, and even a bad free may come first. */
static void free_before_init(void)
{
    char text[CAPACITY];
    mem_mngr_free(NULL);
    mem_mngr_free(WILD);
    check_pipe_take(&told, text, sizeof text);
    CHECK(strstr(text, "ERROR: mmshim: foreign-free of 0xdeadbeef by mem_mngr_free in ") != NULL);
    leave(0);
    void *block = mem_mngr_alloc(10);
    CHECK_EQUAL(mm_batch_slots(mm_batch_inspect((uintptr_t)block).batch), 8);
    leave(1);
}

static void heap_of_a_thread(unsigned number, void *shared)
{
    void **blocks = shared;
    blocks[number] = mem_mngr_alloc(50);
    CHECK(blocks[number] != NULL);
}

static void leave_after_threads(void)
{
    void *blocks[4];
    for (unsigned round = 0; round < 3; round++) {
        check_init(8);
        check_in_threads(4, heap_of_a_thread, blocks);
        mem_mngr_free(blocks[round]);
        leave(3);
    }
}

static void slots_per_batch(void)
{
    struct mem_mngr_config config = {.slots_per_batch = 65};
    errno = 0;
    CHECK(mem_mngr_init_with(&config) == -1 && errno == EINVAL);
    config.slots_per_batch = UINT32_MAX;
    CHECK(mem_mngr_init_with(&config) == -1 && errno == EINVAL);
    CHECK(mm_arena_size() == 0);
    for (unsigned slots = 1; slots <= 64; slots++) {
        static const size_t sizes[] = {16, 100, 1000, 5000};
        check_init(slots);
        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct mm_slot_info info = mm_batch_inspect((uintptr_t)mem_mngr_alloc(sizes[i]));
            CHECK(mm_batch_slots(info.batch) <= slots);
            CHECK(mm_batch_slots(info.batch) == slots || slots > 32); /* a span ends at some size */
        }
        leave(4);
    }
}

static void no_memory_at_init(void)
{
    if (CHECK_SLOWER > 1) {
        puts("skipped: no_memory_at_init (sanitizers and emulators need address space of their "
             "own)");
        return;
    }
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        CHECK(setrlimit(RLIMIT_AS, &none) == 0);
        errno = 0;
        CHECK(mem_mngr_init() == -1 && errno == ENOMEM);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- blocks --- */

static void sizes(void)
{
    check_init(8);
    for (size_t size = 0; size <= 2 * MM_SLOT_SIZE_MAX; size += size < 2000 ? 1 : 4997) {
        unsigned char *block = mem_mngr_alloc(size);
        CHECK(block != NULL && (uintptr_t)block % 16 == 0);
        size_t usable = mem_mngr_usable_size(block);
        CHECK(usable >= size);
        if (size <= 1024)
            CHECK_EQUAL(usable, size == 0 ? 16 : (size + 15) / 16 * 16);
        memset(block, 0xa5, usable);
        mem_mngr_free(block);
        CHECK_EQUAL(mem_mngr_usable_size(block), 0);
    }
    leave(0);
}

static void size_0(void)
{
    void *blocks[100];
    check_init(8);
    for (unsigned i = 0; i < 100; i++) {
        blocks[i] = i % 2 == 0 ? mem_mngr_alloc(0) : mem_mngr_calloc(i % 4 == 1 ? 0 : 7, 0);
        CHECK(blocks[i] != NULL);
        for (unsigned j = 0; j < i; j++)
            CHECK(blocks[j] != blocks[i]);
    }
    CHECK_EQUAL(check_state().live, 100);
    for (unsigned i = 0; i < 100; i++)
        mem_mngr_free(blocks[i]);
    leave(0);
}

#define CHECK_NO_MEMORY(call)                                                                      \
    do {                                                                                           \
        errno = 0;                                                                                 \
        CHECK((call) == NULL);                                                                     \
        CHECK_EQUAL(errno, ENOMEM);                                                                \
    } while (0)

static void too_large(void)
{
    static const size_t sizes_refused[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX - 15, SIZE_MAX};
    check_init(8);
    unsigned char *small = mem_mngr_alloc(100), *large = mem_mngr_alloc(LARGE);
    memset(small, 1, 100);
    memset(large, 2, LARGE);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_NO_MEMORY(mem_mngr_alloc(sizes_refused[i]));
        CHECK_NO_MEMORY(mem_mngr_calloc(1, sizes_refused[i]));
        CHECK_NO_MEMORY(mem_mngr_aligned_alloc(64, sizes_refused[i]));
        CHECK_NO_MEMORY(mem_mngr_realloc(NULL, sizes_refused[i]));
        CHECK_NO_MEMORY(mem_mngr_realloc(small, sizes_refused[i]));
        CHECK_NO_MEMORY(mem_mngr_realloc(large, sizes_refused[i]));
    }
    CHECK_NO_MEMORY(mem_mngr_alloc(PTRDIFF_MAX));
    CHECK_NO_MEMORY(mem_mngr_realloc(large, PTRDIFF_MAX));
    CHECK_NO_MEMORY(mem_mngr_calloc(SIZE_MAX, 2));
    CHECK_NO_MEMORY(mem_mngr_calloc(2, SIZE_MAX));
    CHECK_NO_MEMORY(mem_mngr_calloc((size_t)1 << 32, (size_t)1 << 32));
    CHECK_NO_MEMORY(mem_mngr_calloc(SIZE_MAX / 16 + 2, 16));
    CHECK(check_all_bytes(small, 100, 1) && check_all_bytes(large, LARGE, 2));
    mem_mngr_free(small);
    mem_mngr_free(large);
    leave(0);
}

static void zeroed(void)
{
    static const size_t some_sizes[] = {1, 16, 100, 1000, 5000, 32768, LARGE};
    check_init(64);
    for (unsigned round = 0; round < 200; round++) {
        size_t size = some_sizes[round % 7];
        unsigned char *blocks[6];
        for (unsigned i = 0; i < 6; i++) {
            blocks[i] = i % 3 == 0   ? mem_mngr_calloc(1, size)
                        : i % 3 == 1 ? mem_mngr_calloc(size, 1)
                                     : mem_mngr_alloc(size);
            CHECK(i % 3 == 2 || check_all_bytes(blocks[i], size, 0));
            memset(blocks[i], 0xff, mem_mngr_usable_size(blocks[i]));
        }
        for (unsigned i = 0; i < 6; i++)
            mem_mngr_free(blocks[(i + round) % 6]);
    }
    leave(0);
}

static void aligned(void)
{
    check_init(8);
    for (size_t alignment = 1; alignment <= (size_t)1 << 20; alignment *= 2) {
        static const size_t some_sizes[] = {0, 1, 100, 5000, 40000};
        void *blocks[20];
        for (unsigned i = 0; i < 20; i++) {
            blocks[i] = mem_mngr_aligned_alloc(alignment, some_sizes[i % 5]);
            CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % alignment == 0);
            CHECK(mem_mngr_usable_size(blocks[i]) >= some_sizes[i % 5]);
            memset(blocks[i], 1, some_sizes[i % 5]);
        }
        for (unsigned i = 0; i < 20; i++)
            mem_mngr_free(blocks[i]);
    }
    static const size_t no_powers[] = {0, 3, 24, 48, SIZE_MAX, ((size_t)1 << 63) + 1};
    for (unsigned i = 0; i < sizeof no_powers / sizeof no_powers[0]; i++) {
        errno = 0;
        CHECK(mem_mngr_aligned_alloc(no_powers[i], 10) == NULL && errno == EINVAL);
    }
    leave(0);
}

/* From any size to any other, over all the boundaries, the content comes along. */
static void resizing(void)
{
    static const size_t steps[] = {0,
                                   1,
                                   16,
                                   17,
                                   32,
                                   33,
                                   64,
                                   65,
                                   128,
                                   1000,
                                   1024,
                                   1025,
                                   1280,
                                   1281,
                                   5000,
                                   16384,
                                   20480,
                                   32767,
                                   32768,
                                   32769,
                                   MM_SLOT_SIZE_MAX - 1,
                                   MM_SLOT_SIZE_MAX,
                                   MM_SLOT_SIZE_MAX + 1,
                                   2 * MM_SLOT_SIZE_MAX};
    enum { STEPS = sizeof steps / sizeof steps[0] };
    check_init(8);
    for (unsigned from = 1; from < STEPS; from++) {
        for (unsigned to = 1; to < STEPS; to++) {
            unsigned char *block = mem_mngr_realloc(NULL, steps[from]);
            memset(block, (int)(from + 1), mem_mngr_usable_size(block));
            block = mem_mngr_realloc(block, steps[to]);
            CHECK(block != NULL && (uintptr_t)block % 16 == 0);
            CHECK(mem_mngr_usable_size(block) >= steps[to]);
            size_t kept = steps[from] < steps[to] ? steps[from] : steps[to];
            CHECK(check_all_bytes(block, kept, (unsigned char)(from + 1)));
            memset(block, 0xee, mem_mngr_usable_size(block));
            CHECK_EQUAL(check_state().live + mm_registry_count(), 1);
            CHECK(mem_mngr_realloc(block, 0) == NULL);
            CHECK_EQUAL(check_state().live + mm_registry_count(), 0);
        }
    }
    leave(0);
}

static void resizing_in_place(void)
{
    check_init(8);
    char *block = mem_mngr_alloc(100);
    CHECK(mem_mngr_realloc(block, 112) == block);
    CHECK(mem_mngr_realloc(block, 90) == block);
    mem_mngr_free(block);
    leave(0);
}

/* --- misuse --- */

static void check_bad(enum mem_mngr_misuse_kind kind, void *ptr)
{
    struct check_sums before = check_state();
    CHECK_EQUAL(mem_mngr_usable_size(ptr), 0);
    errno = EXDEV;
    mem_mngr_free(ptr);
    CHECK_EQUAL(errno, EXDEV);
    CHECK_MISUSE(kind, ptr);
    CHECK(mem_mngr_realloc(ptr, 100) == NULL && errno == EINVAL);
    CHECK_MISUSE(kind, ptr);
    CHECK(mem_mngr_realloc(ptr, LARGE) == NULL && errno == EINVAL);
    CHECK_MISUSE(kind, ptr);
    CHECK(mem_mngr_realloc(ptr, 0) == NULL);
    CHECK_MISUSE(kind, ptr);
    struct check_sums after = check_state();
    CHECK(memcmp(&before, &after, sizeof before) == 0);
}

static int global = 1;
static const int constant = 1;

static void misuse(void)
{
    int local;
    check_init(8);
    char *slot = mem_mngr_alloc(40), *freed = mem_mngr_alloc(40);
    char *large = mem_mngr_alloc(LARGE), *freed_large = mem_mngr_alloc(2 * LARGE);
    mem_mngr_free(freed);
    mem_mngr_free(freed_large);

    check_bad(MEM_MNGR_DOUBLE_FREE, freed);
    check_bad(MEM_MNGR_DOUBLE_FREE, freed_large);
    check_bad(MEM_MNGR_INTERIOR_FREE, slot + 1);
    check_bad(MEM_MNGR_INTERIOR_FREE, slot + 16);
    check_bad(MEM_MNGR_INTERIOR_FREE, slot + 47);
    check_bad(MEM_MNGR_INTERIOR_FREE, freed + 16);
    check_bad(MEM_MNGR_INTERIOR_FREE, large + 1);
    check_bad(MEM_MNGR_INTERIOR_FREE, large + 16);
    check_bad(MEM_MNGR_INTERIOR_FREE, large + LARGE - 1);
    check_bad(MEM_MNGR_INTERIOR_FREE, slot - 48);     /* before the first batch */
    check_bad(MEM_MNGR_INTERIOR_FREE, slot + 8 * 48); /* behind the last slot */
    check_bad(MEM_MNGR_INTERIOR_FREE, (char *)mm_arena.base + mm_arena_size() - 16);
    check_bad(MEM_MNGR_INTERIOR_FREE, freed + 48); /* never handed out */
    check_bad(MEM_MNGR_FOREIGN_FREE, WILD);
    check_bad(MEM_MNGR_FOREIGN_FREE, (void *)1);
    check_bad(MEM_MNGR_FOREIGN_FREE, (void *)UINTPTR_MAX);
    check_bad(MEM_MNGR_FOREIGN_FREE, (void *)((uintptr_t)1 << 63));
    check_bad(MEM_MNGR_FOREIGN_FREE, &local);
    check_bad(MEM_MNGR_FOREIGN_FREE, &global);
    check_bad(MEM_MNGR_FOREIGN_FREE, (void *)(uintptr_t)&constant);
    void *libc_block = malloc(100);
    check_bad(MEM_MNGR_FOREIGN_FREE, libc_block);
    free(libc_block);

    CHECK_EQUAL(mem_mngr_usable_size(NULL), 0);
    mem_mngr_free(slot);
    mem_mngr_free(large);
    leave(0);
}

/* A slot of another size may lie there now: still no block. */
static void freed_long_ago(void)
{
    static char *blocks[1000];
    for (unsigned slots = 4; slots <= 64; slots += 60) {
        check_init(slots);
        for (unsigned i = 0; i < 1000; i++)
            blocks[i] = mem_mngr_alloc(5000);
        for (unsigned i = 0; i < 1000; i++)
            mem_mngr_free(blocks[i]);
        for (unsigned i = 0; i < 1000; i += 50)
            check_bad(MEM_MNGR_DOUBLE_FREE, blocks[i]);
        leave(0);
    }
}

/* Of a batch that is gone, what was no slot still is none. */
static void interior_of_closed_batches(void)
{
    static char *blocks[300];
    check_init(3);
    for (unsigned i = 0; i < 300; i++)
        blocks[i] = mem_mngr_alloc(40);
    char *last = blocks[200 / 3 * 3 + 2], *behind = last + 48;
    check_bad(MEM_MNGR_INTERIOR_FREE, last + 16);
    check_bad(MEM_MNGR_INTERIOR_FREE, behind);
    for (unsigned i = 0; i < 300; i++)
        mem_mngr_free(blocks[i]);
    CHECK(mm_batch_inspect((uintptr_t)last).batch == NULL);
    check_bad(MEM_MNGR_DOUBLE_FREE, last);
    check_bad(MEM_MNGR_INTERIOR_FREE, last + 16);
    check_bad(MEM_MNGR_INTERIOR_FREE, behind);
    leave(0);
}

/* However many there are. */
static void every_misuse_is_told(void)
{
    check_init(8);
    void *block = mem_mngr_alloc(10);
    mem_mngr_free(block);
    for (unsigned i = 0; i < MISUSES; i++)
        mem_mngr_free(block);
    CHECK_EQUAL(check_misuse.count, MISUSES);
    check_misuse.count = 0;
    leave(0);
}

static unsigned depth, deepest;

/* Any function may be called from here. */
static void nested(const struct mem_mngr_misuse *misuse, void *user)
{
    CHECK(user == &depth);
    CHECK(misuse->report[misuse->report_size] == '\0');
    deepest = ++depth > deepest ? depth : deepest;
    if (depth < 3)
        mem_mngr_free(misuse->ptr);
    void *block = mem_mngr_alloc(100);
    mem_mngr_free(mem_mngr_realloc(block, LARGE));
    CHECK(mem_mngr_init() == 0);
    depth--;
}

static void calls_from_the_callback(void)
{
    struct mem_mngr_config config = {.on_misuse = nested, .user = &depth};
    CHECK(mem_mngr_init_with(&config) == 0);
    config.on_misuse = NULL; /* the configuration was copied */
    mem_mngr_free(WILD);
    CHECK_EQUAL(deepest, 3);
    leave(0);
}

int main(void)
{
    check_pipe_open(&told, STDERR_FILENO);
    leave_before_init();
    walk_through();
    init_again();
    init_and_leave();
    free_before_init();
    leave_after_threads();
    slots_per_batch();
    no_memory_at_init();
    sizes();
    size_0();
    too_large();
    zeroed();
    aligned();
    resizing();
    resizing_in_place();
    misuse();
    freed_long_ago();
    interior_of_closed_batches();
    every_misuse_is_told();
    calls_from_the_callback();
    check_pipe_close(&told);
    return 0;
}
