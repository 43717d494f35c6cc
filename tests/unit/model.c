/* model.c - random requests and random misuse against a plain table of what must be live. Every
 * verdict is foretold; content, counts and all invariants are checked on the way. First one thread,
 * then several that hand blocks on to each other.
 *
 *   unit_model [SEED]   one seed by itself, for one thread */
#include "check.h"
#include "check_state.h"
#include "entry/options.h"
#include "forwarded/registry.h"
#include "slots/heap.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 12, STEPS = 10000 / CHECK_SLOWER, STATE_EVERY = 500 };
enum { HELD = 200, GONE = 200, ONCE = 20000, EDGE = 128 };
enum { THREADS = 4, GENERATIONS = 3, THREAD_STEPS = 20000 / CHECK_SLOWER, MAIL = 64 };

struct block {
    unsigned char *ptr; /* NULL: this place of the table is empty */
    size_t size;
    unsigned char fill;
};

/* A block that was freed, and the slot that it was. */
struct gone {
    unsigned char *ptr;
    struct mm_slot_info slot; /* base 0: it was forwarded */
};

/* One thread's part of the table. */
struct player {
    uint64_t random;
    struct block held[HELD];
    struct gone gone[GONE];
    unsigned next_gone;
};

static size_t below(struct player *player, size_t bound)
{
    return check_below(&player->random, bound);
}

static bool in_arena(const void *ptr)
{
    return mm_arena_has((uintptr_t)ptr);
}

/* --- blocks --- */

static size_t some_size(struct player *player)
{
    size_t kind = below(player, 100);
    if (kind < 60)
        return below(player, 200);
    if (kind < 85)
        return below(player, 1100);
    if (kind < 97)
        return below(player, 66000);
    return below(player, 2 * MM_SLOT_SIZE_MAX);
}

/* Both ends of what is usable: two blocks that overlap at all spoil one of them. */
static void fill(struct block *block)
{
    size_t usable = mem_mngr_usable_size(block->ptr), edge = usable < EDGE ? usable : EDGE;
    CHECK(usable >= block->size);
    memset(block->ptr, block->fill, edge);
    memset(block->ptr + usable - edge, block->fill, edge);
}

static void check_content(const struct block *block, size_t kept)
{
    size_t usable = mem_mngr_usable_size(block->ptr), edge = usable < EDGE ? usable : EDGE;
    CHECK(check_all_bytes(block->ptr, kept < edge ? kept : edge, block->fill));
    if (kept == SIZE_MAX)
        CHECK(check_all_bytes(block->ptr + usable - edge, edge, block->fill));
}

static void allocate(struct player *player, struct block *block)
{
    size_t size = some_size(player), kind = below(player, 10);
    size_t alignment = kind == 0 ? (size_t)1 << below(player, 14) : 16;
    unsigned char *ptr = kind == 0   ? mem_mngr_aligned_alloc(alignment, size)
                         : kind <= 2 ? mem_mngr_calloc(1, size)
                                     : mem_mngr_alloc(size);
    CHECK(ptr != NULL && (uintptr_t)ptr % alignment == 0);
    CHECK(kind == 0 || kind > 2 || check_all_bytes(ptr, size, 0));
    *block = (struct block){ptr, size, (unsigned char)(1 + below(player, 255))};
    fill(block);
}

static void note_gone(struct player *player, unsigned char *ptr)
{
    struct gone *gone = &player->gone[player->next_gone++ % GONE];
    *gone = (struct gone){.ptr = ptr};
    if (in_arena(ptr))
        gone->slot = mm_batch_inspect((uintptr_t)ptr);
}

static void release(struct player *player, struct block *block)
{
    check_content(block, SIZE_MAX);
    note_gone(player, block->ptr);
    mem_mngr_free(block->ptr);
    block->ptr = NULL;
}

static void resize(struct player *player, struct block *block)
{
    size_t size = some_size(player), kept = size < block->size ? size : block->size;
    check_content(block, SIZE_MAX);
    if (size == 0) {
        note_gone(player, block->ptr);
        CHECK(mem_mngr_realloc(block->ptr, 0) == NULL);
        block->ptr = NULL;
        return;
    }
    unsigned char *before = block->ptr;
    struct mm_slot_info slot = {0};
    if (in_arena(before))
        slot = mm_batch_inspect((uintptr_t)before);
    block->ptr = mem_mngr_realloc(before, size);
    CHECK(block->ptr != NULL);
    if (block->ptr != before)
        player->gone[player->next_gone++ % GONE] = (struct gone){before, slot};
    check_content(block, kept);
    block->size = size;
    fill(block);
}

static const struct block *step(struct player *player)
{
    struct block *block = &player->held[below(player, HELD)];
    if (block->ptr == NULL)
        allocate(player, block);
    else if (below(player, 4) == 0)
        resize(player, block);
    else
        release(player, block);
    return block;
}

static void release_all(struct player *player)
{
    for (unsigned i = 0; i < HELD; i++) {
        if (player->held[i].ptr != NULL)
            release(player, &player->held[i]);
    }
}

/* --- misuse by one thread --- */

enum {
    DOUBLE = 1 << MEM_MNGR_DOUBLE_FREE,
    INTERIOR = 1 << MEM_MNGR_INTERIOR_FREE,
    FOREIGN = 1 << MEM_MNGR_FOREIGN_FREE,
    LIVE = 0
};

/* Where forwarded blocks ever started: to free one of these is a double free for ever. */
static struct {
    const void *ptr[ONCE];
    unsigned count;
} once;

static bool was_forwarded(const void *ptr)
{
    for (unsigned i = 0; i < once.count; i++) {
        if (once.ptr[i] == ptr)
            return true;
    }
    return false;
}

static void note_forwarded(const void *ptr)
{
    if (ptr == NULL || in_arena(ptr) || was_forwarded(ptr))
        return;
    CHECK(once.count < ONCE);
    once.ptr[once.count++] = ptr;
}

static const struct block *block_around(const struct player *player, const unsigned char *ptr)
{
    for (unsigned i = 0; i < HELD; i++) {
        const struct block *block = &player->held[i];
        if (block->ptr != NULL && ptr >= block->ptr &&
            ptr < block->ptr + mem_mngr_usable_size(block->ptr))
            return block;
    }
    return NULL;
}

/* Which kinds of misuse a free of `ptr` may be, LIVE for none. */
static unsigned foretell(const struct player *player, const unsigned char *ptr)
{
    const struct block *around = block_around(player, ptr);
    if (around != NULL && around->ptr == ptr)
        return LIVE;
    if (!in_arena(ptr))
        return was_forwarded(ptr) ? DOUBLE : around != NULL ? INTERIOR : FOREIGN;
    struct mm_slot_info slot = mm_batch_inspect((uintptr_t)ptr);
    if (around != NULL || !slot.in_slot || slot.offset != 0)
        return INTERIOR;
    return DOUBLE | INTERIOR; /* which one depends on what was there before */
}

/* Of a block of before: it still is a freed one unless its memory became something else. */
static unsigned foretell_gone(const struct player *player, const struct gone *gone)
{
    unsigned kinds = foretell(player, gone->ptr);
    if (kinds != (DOUBLE | INTERIOR))
        return kinds;
    struct mm_slot_info slot = mm_batch_inspect((uintptr_t)gone->ptr);
    bool same = slot.base == gone->slot.base && slot.size == gone->slot.size;
    return same && !mm_heap_never_handed_out(&slot) ? DOUBLE : kinds;
}

static void free_or_resize(struct player *player, void *ptr)
{
    if (below(player, 2) == 0) {
        errno = EXDEV;
        mem_mngr_free(ptr);
        CHECK_EQUAL(errno, EXDEV);
    } else {
        CHECK(mem_mngr_realloc(ptr, 1 + below(player, 50000)) == NULL);
        CHECK_EQUAL(errno, EINVAL);
    }
}

static void free_badly(struct player *player, unsigned char *ptr, unsigned kinds)
{
    if (ptr == NULL || kinds == LIVE)
        return;
    CHECK_EQUAL(mem_mngr_usable_size(ptr), 0);
    free_or_resize(player, ptr);
    CHECK_EQUAL(check_misuse.count, 1);
    CHECK((1u << check_misuse.last.kind & kinds) != 0);
    CHECK_MISUSE(check_misuse.last.kind, ptr);
}

static unsigned char *foreign_pointer(struct player *player, unsigned char *local)
{
    static unsigned char global[64];
    switch (below(player, 5)) {
    case 0:
        return local + below(player, 8);
    case 1:
        return global + below(player, 64);
    case 2:
        return (unsigned char *)(uintptr_t)check_random(&player->random);
    case 3:
        return (unsigned char *)(uintptr_t)below(player, 1 << 20);
    default:
        return (unsigned char *)mm_arena.base - 16 * below(player, 1000);
    }
}

static void misuse(struct player *player)
{
    unsigned char local[8];
    const struct block *block = &player->held[below(player, HELD)];
    const struct gone *gone = &player->gone[below(player, GONE)];
    unsigned char *ptr = NULL;
    switch (below(player, 5)) {
    case 0:
        if (gone->ptr != NULL)
            free_badly(player, gone->ptr, foretell_gone(player, gone));
        return;
    case 1:
        if (block->ptr != NULL)
            ptr = block->ptr + 1 + below(player, mem_mngr_usable_size(block->ptr) + 100);
        break;
    case 2:
        if (gone->ptr != NULL)
            ptr = gone->ptr + 1 + below(player, 100);
        break;
    case 3:
        ptr = (unsigned char *)mm_arena.base + below(player, mm_arena_usage().committed * 2);
        break;
    default:
        ptr = foreign_pointer(player, local);
    }
    free_badly(player, ptr, foretell(player, ptr));
}

/* --- one thread --- */

static void check_counts(const struct player *player)
{
    size_t slots = 0, forwarded = 0;
    for (unsigned i = 0; i < HELD; i++) {
        const void *ptr = player->held[i].ptr;
        slots += ptr != NULL && in_arena(ptr);
        forwarded += ptr != NULL && !in_arena(ptr);
    }
    CHECK_EQUAL(check_state().live, slots);
    CHECK_EQUAL(mm_registry_count(), forwarded);
}

/* All that is left goes with the manager, but for what libc handed out. */
static void leave_the_rest(struct player *player)
{
    size_t live = 0;
    unsigned char *forwarded[HELD] = {NULL};
    for (unsigned i = 0; i < HELD; i++) {
        unsigned char *ptr = player->held[i].ptr;
        live += ptr != NULL;
        if (ptr != NULL && !in_arena(ptr))
            forwarded[i] = ptr;
    }
    CHECK_EQUAL(mem_mngr_leave(), live);
    for (unsigned i = 0; i < HELD; i++)
        free(forwarded[i]);
}

static void alone(unsigned seed)
{
    static const unsigned slots_per_batch[] = {8, 64, 1, 3, 20, 63};
    static struct player player;
    unsigned slots = slots_per_batch[seed % (sizeof slots_per_batch / sizeof slots_per_batch[0])];
    printf("seed %u, %u slots a batch\n", seed, slots);
    fflush(stdout);
    player = (struct player){.random = seed};
    once.count = 0;
    check_init(slots);
    for (unsigned i = 0; i < STEPS; i++) {
        note_forwarded(step(&player)->ptr);
        CHECK_NO_MISUSE();
        if (below(&player, 20) == 0)
            misuse(&player);
        if (i % STATE_EVERY == 0)
            check_counts(&player);
        if (below(&player, 2000) == 0)
            release_all(&player);
        if (below(&player, 2000) == 0) {
            mm_heap_trim();
            mm_arena_trim();
        }
    }
    check_counts(&player);
    if (seed % 2 == 0)
        release_all(&player);
    check_counts(&player);
    leave_the_rest(&player);
}

/* --- several threads --- */

/* Everyone holds this shared while in the manager; alone, to look at all of it or to be sure that
 * nobody takes up a freed block. */
static pthread_rwlock_t everyone = PTHREAD_RWLOCK_INITIALIZER;

/* Blocks on their way from one thread to another; those that none took are for the next ones. */
static struct {
    pthread_mutex_t lock;
    struct block blocks[MAIL];
    unsigned count;
} mail = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct player players[THREADS];
static pthread_barrier_t end;

static void hand_on(struct player *player)
{
    struct block *block = &player->held[below(player, HELD)];
    pthread_mutex_lock(&mail.lock);
    if (block->ptr != NULL && mail.count < MAIL) {
        mail.blocks[mail.count++] = *block;
        block->ptr = NULL;
    } else if (block->ptr == NULL && mail.count > 0) {
        size_t i = below(player, mail.count);
        *block = mail.blocks[i];
        mail.blocks[i] = mail.blocks[--mail.count];
    }
    pthread_mutex_unlock(&mail.lock);
}

static size_t live_in_all(void)
{
    size_t live = mail.count;
    for (unsigned i = 0; i < THREADS; i++) {
        for (unsigned j = 0; j < HELD; j++)
            live += players[i].held[j].ptr != NULL;
    }
    return live;
}

/* With nobody else inside: the second and third free of a block of any thread. */
static void free_again(struct player *player)
{
    struct block *block = &player->held[below(player, HELD)];
    unsigned char *ptr = block->ptr;
    pthread_rwlock_wrlock(&everyone);
    if (ptr != NULL) {
        release(player, block);
        CHECK_NO_MISUSE();
        free_badly(player, ptr, DOUBLE);
        free_badly(player, ptr, DOUBLE);
    }
    if (below(player, 8) == 0)
        CHECK_EQUAL(check_state().live + mm_registry_count(), live_in_all());
    pthread_rwlock_unlock(&everyone);
}

/* While others go on: pointers that stay bad whatever they do. */
static void misuse_meanwhile(struct player *player)
{
    const struct block *block = &player->held[below(player, HELD)];
    unsigned char local[8];
    if (block->ptr != NULL && in_arena(block->ptr))
        free_badly(player, block->ptr + 1 + below(player, mem_mngr_usable_size(block->ptr) - 1),
                   INTERIOR);
    free_badly(player, local + below(player, 8), FOREIGN);
}

static void play(unsigned number, void *unused)
{
    struct player *player = &players[number];
    (void)unused;
    for (unsigned i = 0; i < THREAD_STEPS; i++) {
        pthread_rwlock_rdlock(&everyone);
        step(player);
        if (below(player, 3) == 0)
            hand_on(player);
        CHECK_NO_MISUSE();
        if (below(player, 100) == 0)
            misuse_meanwhile(player);
        pthread_rwlock_unlock(&everyone);
        if (below(player, 200) == 0)
            free_again(player);
    }
    /* A thread that ends is inside the manager once more. */
    pthread_barrier_wait(&end);
}

static void together(unsigned slots_per_batch)
{
    printf("%u threads, %u slots a batch\n", THREADS, slots_per_batch);
    fflush(stdout);
    check_init(slots_per_batch);
    CHECK(pthread_barrier_init(&end, NULL, THREADS) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        players[i] = (struct player){.random = i + slots_per_batch};
    for (unsigned generation = 0; generation < GENERATIONS; generation++) {
        check_in_threads(THREADS, play, NULL);
        CHECK_EQUAL(check_state().live + mm_registry_count(), live_in_all());
        CHECK(check_state().heaps <= THREADS + 1);
    }
    /* Main owns none of these. */
    for (unsigned i = 0; i < THREADS; i++)
        release_all(&players[i]);
    while (mail.count > 0)
        release(&players[0], &mail.blocks[--mail.count]);
    CHECK_NO_MISUSE();
    CHECK_EQUAL(check_state().live, 0);
    CHECK_EQUAL(mem_mngr_leave(), 0);
    CHECK(pthread_barrier_destroy(&end) == 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        alone((unsigned)strtoul(argv[1], NULL, 10));
    } else {
        for (unsigned seed = 0; seed < SEEDS; seed++)
            alone(seed);
        together(64);
        together(5);
    }
    return 0;
}
