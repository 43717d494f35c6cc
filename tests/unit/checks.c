/* checks.c - guards, held blocks and families of frees by the library's functions and those of the
 * way in, with what is told counted by kind. */
#include "checks/checks.h"
#include "check.h"
#include "entry/process.h"
#include "entry/route.h"
#include "memory_manager.h"
#include <errno.h>
#include <string.h>

#define KINDS 9u
static unsigned told[KINDS];
static char last[65536];

static void note(const struct mem_mngr_misuse *misuse, void *user)
{
    (void)user;
    told[misuse->kind]++;
    CHECK(misuse->report_size < sizeof last);
    memcpy(last, misuse->report, misuse->report_size + 1);
}

static void start(struct mem_mngr_config config)
{
    config.on_misuse = note;
    memset(told, 0, sizeof told);
    CHECK_EQUAL(mem_mngr_init_with(&config), 0);
}

static bool says(const char *text)
{
    return strstr(last, text) != NULL;
}

static unsigned all_told(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < KINDS; i++)
        sum += told[i];
    return sum;
}

static void refused_configurations(void)
{
    static const struct mem_mngr_config bad[] = {
        {.slots_per_batch = 65}, {.stacks = 33}, {.guard = 4097}};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        errno = 0;
        CHECK(mem_mngr_init_with(&bad[i]) == -1 && errno == EINVAL);
    }
    CHECK_EQUAL(mem_mngr_check(), 0);
}

static void beside(size_t size, bool held)
{
    start((struct mem_mngr_config){
        .guard = 20, .stacks = 24, .quarantine = held ? 1 << 20 : 0, .slots_per_batch = 1});
    volatile char *block = mem_mngr_alloc(size), *other = mem_mngr_calloc(1, size);
    CHECK_EQUAL(mem_mngr_usable_size((void *)block), size);
    block[size] = 'x';
    CHECK_EQUAL(mem_mngr_check(), 1);
    CHECK_EQUAL(mem_mngr_check(), 0);
    CHECK(told[MEM_MNGR_OVERFLOW] == 1 && says("right after a block of"));
    mem_mngr_free((void *)block);
    other[-2] = 'x';
    mem_mngr_free((void *)other);
    CHECK(told[MEM_MNGR_UNDERFLOW] == 1 && says("2 bytes before a block of"));
    block = mem_mngr_alloc(size);
    block[size + 5] = 'x';
    block = mem_mngr_realloc((void *)block, size + 1);
    CHECK(told[MEM_MNGR_OVERFLOW] == 2 && says("5 bytes after"));
    mem_mngr_free(mem_mngr_realloc((void *)block, 2 * size));
    CHECK_EQUAL(all_told(), 3);
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

static void after_free(size_t size)
{
    start((struct mem_mngr_config){.quarantine = 1 << 20, .stacks = 24});
    volatile char *block = mem_mngr_alloc(size), *other = mem_mngr_alloc(size);
    mem_mngr_free((void *)block);
    block[size / 2] = 'x';
    CHECK_EQUAL(mem_mngr_check(), 1);
    CHECK(told[MEM_MNGR_USE_AFTER_FREE] == 1 && says("bytes inside a block of") &&
          says("found there: 78"));
    mem_mngr_free((void *)block);
    CHECK_EQUAL(told[MEM_MNGR_DOUBLE_FREE], 1);
    CHECK(mem_mngr_realloc((void *)block, 8) == NULL && errno == EINVAL);
    CHECK_EQUAL(told[MEM_MNGR_DOUBLE_FREE], 2);
    CHECK_EQUAL(mem_mngr_usable_size((void *)block), 0);
    mem_mngr_free((void *)other);
    other[0] = 'x';
    CHECK_EQUAL(mem_mngr_leave(), 0);
    CHECK_EQUAL(told[MEM_MNGR_USE_AFTER_FREE], 2);
}

static void leaving(void)
{
    start((struct mem_mngr_config){.quarantine = 20000});
    volatile char *block = mem_mngr_alloc(100);
    mem_mngr_free((void *)block);
    block[99] = 'x';
    for (unsigned i = 0; i < 1000; i++)
        mem_mngr_free(mem_mngr_alloc(100));
    CHECK_EQUAL(told[MEM_MNGR_USE_AFTER_FREE], 1);
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

static mm_shape how(enum mm_family family, size_t size, unsigned alignment)
{
    return mm_shape_of(size, alignment, family);
}

/* Told where both modules are known to bring no operators; as what, and how that is said. */
static void families(void)
{
    static const struct {
        mm_shape asked, freed;
        const char *text; /* NULL: right */
    } cases[] = {
        {1, 0, NULL},
        {0, 1, "allocated by malloc, freed by delete"},
        {1, 2, "allocated by new, freed by delete[]"},
        {2, 0, "allocated by new[], freed by free"},
    };
    start((struct mem_mngr_config){.stacks = 24, .checks_mismatch = 1});
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum mm_family family = (enum mm_family)cases[i].asked;
        void *block = family == MM_FAMILY_MALLOC ? mm_alloc(40)
                      : family == MM_FAMILY_NEW  ? mm_alloc_new(40)
                                                 : mm_alloc_new_array(40);
        enum mm_family freed = cases[i].text == NULL ? family : (enum mm_family)cases[i].freed;
        mm_free_as_slow(block, how(freed, 0, 0), __builtin_return_address(0));
        CHECK(cases[i].text != NULL || all_told() == 0);
        CHECK(told[MEM_MNGR_MISMATCHED_FREE] == 0 || says(cases[i].text));
    }
    void *block = mm_alloc_new(40);
    mm_free_as_slow(block, how(MM_FAMILY_NEW, 48, 0), __builtin_return_address(0));
    CHECK(told[MEM_MNGR_MISMATCHED_SIZE] == 0 || says("freed by delete of 48 bytes"));
    block = mm_aligned_alloc_as(MM_NEXT_MEMALIGN, 64, 40, MM_FAMILY_NEW);
    mm_free_as_slow(block, how(MM_FAMILY_NEW, 40, 0), __builtin_return_address(0));
    CHECK(told[MEM_MNGR_MISMATCHED_SIZE] == 0 || says("allocated by aligned new"));
    int local = 0;
    block = mem_mngr_alloc(40);
    CHECK(mem_mngr_usable_size((char *)block + 8) == 0 && mem_mngr_usable_size(&local) == 0);
    CHECK_EQUAL(told[MEM_MNGR_BAD_QUERY], 2);
    mm_free_as_slow((char *)block + 8, how(MM_FAMILY_NEW, 0, 0), NULL);
    CHECK(told[MEM_MNGR_INTERIOR_FREE] == 1 && says("delete of what new[] made"));
    mem_mngr_free(block);
    void *large = mem_mngr_alloc(200000);
    CHECK(mem_mngr_usable_size((char *)large + 8) == 0);
    mem_mngr_free(large);
    CHECK(mem_mngr_usable_size(large) == 0 && told[MEM_MNGR_BAD_QUERY] == 4);
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

static void alignments(void)
{
    start((struct mem_mngr_config){.guard = 16, .quarantine = 1 << 20});
    for (size_t alignment = 16; alignment <= (size_t)1 << 20; alignment *= 2) {
        for (size_t size = 1; size <= 100000; size = size * 3 + 1) {
            void *block = mem_mngr_aligned_alloc(alignment, size);
            CHECK(block != NULL && (uintptr_t)block % alignment == 0);
            CHECK_EQUAL(mem_mngr_usable_size(block), size);
            mem_mngr_free(memset(block, 1, size));
        }
    }
    CHECK(mem_mngr_alloc(SIZE_MAX - 15) == NULL && mem_mngr_alloc((size_t)1 << 47) == NULL);
    CHECK_EQUAL(all_told(), 0);
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

int main(void)
{
    refused_configurations();
    for (unsigned held = 0; held < 2; held++) {
        beside(40, held);
        beside(3000, held);
        beside(100000, held);
    }
    after_free(40);
    after_free(50000);
    after_free(1000000);
    leaving();
    families();
    alignments();
    return 0;
}
