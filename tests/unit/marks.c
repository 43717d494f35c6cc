/* marks.c - which blocks are reached, and what becomes of the others: planted graphs in slots and
 * in forwarded blocks, with the roots told by hand. */
#include "leaks/mark.h"

#include "blocks/record.h"
#include "blocks/stacks.h"
#include "check.h"
#include "entry/process.h"
#include "entry/route.h"
#include "forwarded/registry.h"
#include "system/os.h"
#include <string.h>

enum { SMALL = 48, LARGE = 100000, MOST = 20000, RANDOM_BLOCKS = 4000, LINKS = 3 };

/* Blocks of this test by their addresses, and what the marks say of each. */
static struct {
    uintptr_t start;
    int mark; /* REACHED unless told otherwise */
} told[MOST];
static size_t told_count;

/* Of every so-many-th block it is kept who allocated it; 0: of none. */
static void start(uint32_t traced)
{
    struct mm_process_config config = {.report = {.on_misuse = check_on_misuse, .most = UINT64_MAX},
                                       .batch_slots = MM_WORD_BITS,
                                       .slot_max = MM_SLOT_SIZE_MAX,
                                       .arena_size = (size_t)256 << 20,
                                       .stacks = {.frames = traced != 0 ? 4 : 0, .every = traced}};
    CHECK(mm_process_start(&config));
}

/* To the slot's end, which is looked at as well, and may hold what another block left there. */
static void **take(size_t size)
{
    void **block = mm_alloc(size);
    CHECK(block != NULL);
    memset(block, 0, mm_usable_size(block, NULL));
    return block;
}

static void note(uintptr_t block, size_t size, enum mm_mark mark, void *with)
{
    (void)with;
    CHECK(size > 0 && told_count < MOST);
    told[told_count].start = block;
    told[told_count++].mark = (int)mark;
}

/* A look with these words as the only roots. */
static void look(bool strict, void *const *words, size_t count)
{
    struct mm_marks marks;
    told_count = 0;
    CHECK(mm_marks_start(&marks, strict));
    mm_marks_words(&marks, (const uintptr_t *)words, count, MM_WORDS_ANY);
    mm_marks_flood(&marks);
    bool all = mm_marks_are_all(&marks);
    mm_marks_reached(&marks);
    mm_marks_tagged(&marks);
    mm_marks_words(&marks, (const uintptr_t *)words, count, MM_WORDS_ANY);
    mm_marks_flood(&marks);
    mm_marks_possible(&marks);
    mm_marks_classify(&marks);
    mm_marks_each(&marks, note, NULL);
    CHECK_EQUAL(all, told_count == 0);
    mm_marks_end(&marks);
}

static int mark_of(const void *block)
{
    for (size_t i = 0; i < told_count; i++) {
        if (told[i].start == (uintptr_t)block)
            return told[i].mark;
    }
    return MM_MARK_REACHED;
}

static void chains(size_t size)
{
    void **first = take(size), **second = take(size), **third = take(size);
    first[1] = second;
    second[2] = third;
    void *root = first;
    look(false, &root, 1);
    CHECK_EQUAL(told_count, 0);
    root = second;
    look(false, &root, 1);
    CHECK_EQUAL(told_count, 1);
    CHECK_EQUAL(mark_of(first), MM_MARK_DIRECT);
    root = NULL;
    look(false, &root, 1);
    CHECK_EQUAL(told_count, 3);
    CHECK_EQUAL(mark_of(first), MM_MARK_DIRECT);
    CHECK_EQUAL(mark_of(second), MM_MARK_INDIRECT);
    CHECK_EQUAL(mark_of(third), MM_MARK_INDIRECT);
    mm_free(first, NULL);
    mm_free(second, NULL);
    mm_free(third, NULL);
}

/* Of a ring one is direct; of one that hangs from another block, none. */
static void rings(size_t size)
{
    void **one = take(size), **two = take(size), **itself = take(size);
    one[0] = two;
    two[0] = one;
    itself[0] = itself;
    look(false, NULL, 0);
    CHECK_EQUAL(told_count, 3);
    CHECK(mark_of(one) != mark_of(two));
    CHECK(mark_of(one) == MM_MARK_DIRECT || mark_of(two) == MM_MARK_DIRECT);
    CHECK_EQUAL(mark_of(itself), MM_MARK_DIRECT);
    itself[1] = two;
    look(false, NULL, 0);
    CHECK_EQUAL(mark_of(itself), MM_MARK_DIRECT);
    CHECK_EQUAL(mark_of(one), MM_MARK_INDIRECT);
    CHECK_EQUAL(mark_of(two), MM_MARK_INDIRECT);
    mm_free(one, NULL);
    mm_free(two, NULL);
    mm_free(itself, NULL);
}

static void interior(size_t size)
{
    char *block = (char *)take(size);
    void *roots[] = {block + size - 1};
    look(false, roots, 1);
    CHECK_EQUAL(told_count, 0);
    look(true, roots, 1);
    CHECK_EQUAL(mark_of(block), MM_MARK_DIRECT);
    roots[0] = block;
    look(true, roots, 1);
    CHECK_EQUAL(told_count, 0);
    roots[0] = block - 1;
    look(false, roots, 1);
    CHECK_EQUAL(mark_of(block), MM_MARK_DIRECT);
    mm_free(block, NULL);
}

/* What a pointer with a tag reaches is possible, and so is what that points to. */
static void tags(size_t size)
{
    void **block = take(size), **below = take(size), **direct = take(size);
    block[0] = below;
    direct[0] = below;
    void *roots[] = {(void *)((uintptr_t)block | (uintptr_t)0x12 << 48)};
    look(false, roots, 1);
    CHECK_EQUAL(mark_of(block), MM_MARK_POSSIBLE);
    CHECK_EQUAL(mark_of(below), MM_MARK_POSSIBLE);
    CHECK_EQUAL(mark_of(direct), MM_MARK_DIRECT);
    /* The same where it lies in a block that is reached. */
    void *holder[] = {direct};
    direct[1] = roots[0];
    direct[0] = NULL;
    look(false, holder, 1);
    CHECK_EQUAL(mark_of(direct), MM_MARK_REACHED);
    CHECK_EQUAL(mark_of(block), MM_MARK_POSSIBLE);
    CHECK_EQUAL(mark_of(below), MM_MARK_POSSIBLE);
    mm_free(block, NULL);
    mm_free(below, NULL);
    mm_free(direct, NULL);
}

/* libc's own tables point to what comes behind a block. */
static void behind(void)
{
    char *block = (char *)take(LARGE);
    struct mm_marks marks;
    size_t size = mm_registry_near(block).below.size;
    uintptr_t word = (uintptr_t)block + size - sizeof word;
    for (int whose = MM_WORDS_ANY; whose <= MM_WORDS_OF_LIBC; whose++) {
        CHECK(mm_marks_start(&marks, false));
        mm_marks_words(&marks, &word, 1, (enum mm_words)whose);
        mm_marks_flood(&marks);
        CHECK_EQUAL(mm_marks_are_all(&marks), whose == MM_WORDS_ANY);
        mm_marks_end(&marks);
    }
    mm_free(block, NULL);
}

/* But not to the start of one, which may be as small as a guarded one is. */
static void behind_nothing(void)
{
    static _Alignas(16) char small[16];
    uintptr_t word = (uintptr_t)small;
    struct mm_marks marks;
    struct mm_gate *gate = mm_registry_enter();
    mm_registry_add(gate, small, 3);
    mm_registry_leave(gate);
    CHECK(mm_marks_start(&marks, false));
    mm_marks_words(&marks, &word, 1, MM_WORDS_OF_LIBC);
    mm_marks_flood(&marks);
    CHECK(mm_marks_are_all(&marks));
    mm_marks_end(&marks);
    gate = mm_registry_enter();
    CHECK(mm_registry_remove(gate, small, &(size_t){0}));
    mm_registry_leave(gate);
}

/* A page of a block that can't be read is left out, and the rest of the block is not. */
static void unreadable(void)
{
    size_t page = mm_os_page_size();
    char *block = mm_aligned_alloc(page, 4 * page);
    void **before = take(SMALL), **behind_it = take(SMALL);
    struct mm_marks marks;
    uintptr_t root = (uintptr_t)block;
    memset(block, 0, 4 * page);
    *(void **)block = before;
    *(void **)(block + 3 * page) = behind_it;
    CHECK(mm_os_make_readable(block + page, page));
    CHECK(mm_marks_start(&marks, false));
    CHECK(mm_ranges_map(&marks.unreadable, 4));
    mm_ranges_add(&marks.unreadable, (uintptr_t)block + page, (uintptr_t)block + 2 * page);
    mm_marks_words(&marks, &root, 1, MM_WORDS_ANY);
    mm_marks_flood(&marks);
    CHECK(mm_marks_are_all(&marks));
    mm_marks_end(&marks);
    CHECK(mm_os_commit(block + page, page));
    mm_free(block, NULL);
    mm_free(before, NULL);
    mm_free(behind_it, NULL);
}

/* --- against a search by hand, in graphs of all sizes of blocks --- */

static void **blocks[RANDOM_BLOCKS];
static int links[RANDOM_BLOCKS][LINKS];
static bool reached[RANDOM_BLOCKS];

static void reach(int block)
{
    static int left[RANDOM_BLOCKS * LINKS + 1];
    size_t count = 0;
    left[count++] = block;
    while (count > 0) {
        int now = left[--count];
        if (now < 0 || reached[now])
            continue;
        reached[now] = true;
        for (int i = 0; i < LINKS; i++)
            left[count++] = links[now][i];
    }
}

static void random_graph(uint64_t seed)
{
    uint64_t state = seed;
    void *roots[8];
    for (int i = 0; i < RANDOM_BLOCKS; i++) {
        size_t size = LINKS * sizeof(void *) + check_below(&state, i % 100 == 0 ? LARGE : 600);
        blocks[i] = take(size);
        reached[i] = false;
    }
    for (int i = 0; i < RANDOM_BLOCKS; i++) {
        for (int link = 0; link < LINKS; link++) {
            bool is_there = check_below(&state, 3) == 0;
            links[i][link] = is_there ? (int)check_below(&state, RANDOM_BLOCKS) : -1;
            blocks[i][link] = is_there ? (char *)blocks[links[i][link]] + 8 : NULL;
        }
    }
    for (int i = 0; i < 8; i++) {
        int root = (int)check_below(&state, RANDOM_BLOCKS);
        roots[i] = blocks[root];
        reach(root);
    }
    look(false, roots, 8);
    size_t missing = 0;
    for (int i = 0; i < RANDOM_BLOCKS; i++) {
        CHECK_EQUAL(mark_of(blocks[i]) == MM_MARK_REACHED, reached[i]);
        missing += !reached[i];
    }
    CHECK_EQUAL(told_count, missing);
    for (int i = 0; i < RANDOM_BLOCKS; i++)
        mm_free(blocks[i], NULL);
}

/* What is freed is no block, be it by a thread that does not own it and not yet collected. */
static void free_it(unsigned number, void *block)
{
    (void)number;
    mm_free(block, NULL);
}

static void freed(void)
{
    void **held = take(SMALL), **block = take(SMALL), **pointee = take(SMALL);
    block[0] = pointee;
    void *roots[] = {held, block};
    check_in_threads(1, free_it, block);
    look(false, roots, 2);
    CHECK_EQUAL(mark_of(pointee), MM_MARK_DIRECT);
    CHECK_EQUAL(mark_of(block), MM_MARK_REACHED);
    CHECK_EQUAL(told_count, 1);
    mm_free(held, NULL);
    mm_free(pointee, NULL);
}

/* What a record that was let go says is of a block before: this one is longer, and told of. */
static void of_block_before(void)
{
    void **block = take(LARGE), **below = take(SMALL);
    size_t last = LARGE / sizeof *block - 1;
    struct mm_record *record = mm_records_need_forwarded((uintptr_t)block);
    block[last] = below;
    mm_record_set_shape(record, mm_shape_of(8, 0, MM_FAMILY_MALLOC) | MM_SHAPE_IGNORED);
    mm_records_let_forwarded_go(record);
    mm_stacks_ignore(block); /* there is nothing to note it in */
    look(false, (void *const[]){block}, 1);
    CHECK_EQUAL(told_count, 0);
    look(false, NULL, 0);
    CHECK_EQUAL(mark_of(block), MM_MARK_DIRECT);
    CHECK_EQUAL(mark_of(below), MM_MARK_INDIRECT);
    CHECK(!mm_stacks_note((uintptr_t)block).is_known && !mm_stacks_has_ignored());
    mm_free(block, NULL);
    mm_free(below, NULL);
}

/* What lies behind what was asked for is of a life before, in a slot and in a forwarded block. */
static void as_asked(size_t size)
{
    char *block = (char *)take(size);
    void **below = take(SMALL);
    /* A sanitizer's malloc gives forwarded blocks no more than was asked for. */
    if (mm_usable_size(block, NULL) >= size + sizeof(void *)) {
        *(void **)(block + size) = below;
        look(false, (void *const[]){block}, 1);
        CHECK_EQUAL(mark_of(below), MM_MARK_DIRECT);
    }
    *(void **)(block + size - sizeof(void *)) = below;
    look(false, (void *const[]){block}, 1);
    CHECK_EQUAL(told_count, 0);
    look(false, NULL, 0);
    CHECK_EQUAL(mark_of(below), MM_MARK_INDIRECT);
    *(void **)(block + size - sizeof(void *)) = NULL;
    look(false, NULL, 0);
    CHECK_EQUAL(mark_of(below), MM_MARK_DIRECT);
    mm_free(block, NULL);
    mm_free(below, NULL);
}

/* And what hangs from it. */
static void ignored(size_t size)
{
    void **block = take(size), **below = take(SMALL), **other = take(size);
    struct mm_marks marks;
    block[1] = below;
    mm_stacks_ignore((char *)block + 17);
    mm_stacks_ignore(NULL);
    CHECK(mm_stacks_has_ignored());
    CHECK(mm_marks_start(&marks, true));
    mm_marks_ignored(&marks);
    mm_marks_flood(&marks);
    mm_marks_reached(&marks);
    mm_marks_classify(&marks);
    told_count = 0;
    mm_marks_each(&marks, note, NULL);
    CHECK_EQUAL(told_count, 1);
    CHECK_EQUAL(mark_of(other), MM_MARK_DIRECT);
    mm_marks_end(&marks);
    mm_free(block, NULL);
    mm_free(below, NULL);
    mm_free(other, NULL);
}

static void with_records(void)
{
    start(1u << 30);
    mm_free(take(SMALL), NULL); /* the one that is traced */
    of_block_before();
    mm_process_stop();
    start(1);
    as_asked(1032);
    as_asked(LARGE);
    ignored(SMALL);
    ignored(LARGE);
    mm_process_stop();
}

int main(void)
{
    static const size_t sizes[] = {SMALL, 1040, 65536, LARGE};
    start(0);
    look(false, NULL, 0);
    CHECK_EQUAL(told_count, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        chains(sizes[i]);
        rings(sizes[i]);
        interior(sizes[i]);
        tags(sizes[i]);
    }
    behind();
    behind_nothing();
    unreadable();
    freed();
    for (uint64_t seed = 1; seed <= 20 / CHECK_SLOWER + 1; seed++)
        random_graph(seed);
    mm_process_stop();
    with_records();
    return 0;
}
