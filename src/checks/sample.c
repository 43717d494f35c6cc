/* sample.c - see sample.h. Settings are written at the start; `spent` and `began` are atomics that
 * all threads write. */
#include "checks/sample.h"

#include "blocks/record.h"
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>

#define FILLED          ((size_t)128) /* bytes beside a block, at most */
#define AT_START        8u            /* one in so many starts where its slot does */
#define PERIOD_MOST     (1u << 16)
#define COST_OF_ALL     3u /* times that of handing out: the free, and pages that are touched anew */
#define PAID_IN_ADVANCE ((uint64_t)1000000000) /* nanoseconds that count for later, at most */
#define PART_OF_TIME    100u
#define FEW_LEAST       5u
#define BLOCKS_OF_FEW                                                                              \
    25000u /* of so many, those that are drawn get a slot each before one is used                  \
              again */
/* What the first such block costs a process, 20 to 50 page faults, counts where few are drawn and
 * the heap is small. So one process in PROCESSES is drawn there, and draws its blocks PROCESSES
 * times as often: each block's odds are the same. */
#define SPARSE      1000u /* one in so many, or fewer */
#define PROCESSES   20u
#define YOUNG_BYTES ((uintptr_t)16 << 20)       /* a heap of less, */
#define YOUNG_TIME  ((uint64_t)60 * 1000000000) /* nanoseconds after the start */
enum phase { GROWN, YOUNG_AND_DRAWN, YOUNG };

#define LN2 0xb17217f8u /* the natural logarithm of 2, times 2^32 */

/* Where every block gets one, as long as there are any. */
static const struct mm_guarded_settings for_all = {
    .least = (size_t)16 << 20, .other = (size_t)4 << 20, .marks = true, .few = MM_GUARDED_SLOTS};

/* Behind the watch of who else watches. */
struct draws {
    uint64_t random;
    uint32_t period;           /* of who adapts: one in so many, at present */
    uint32_t left[MM_CLASSES]; /* blocks of a class until the next that gets one, where drawn; */
    bool drawn[MM_CLASSES];
};

static struct mm_watcher watcher;
static const struct mm_watcher *inner; /* NULL: nobody else watches */
static size_t draws_at;
static struct mm_sample_settings settings;
static bool (*is_ready)(void);
static uint64_t mean, mean_of_drawn; /* of what is drawn, times 2^16 */
static _Atomic uint32_t phase;       /* enum phase; that of who is not sparse is GROWN */
static _Atomic uint64_t spent, began;

static struct draws *draws_of(struct mm_watch *watch)
{
    return (struct draws *)(void *)((char *)watch + draws_at);
}

/* --- draws --- */

static uint64_t next_random(struct draws *draws)
{
    draws->random += 0x9e3779b97f4a7c15u;
    return mm_bits_mixed(draws->random);
}

/* The logarithm of 1/u to the base of 2, for u = random / 2^64, times 2^32: bit by bit, by
 * squaring. No floating point: programs look at its flags, and have it raise signals. */
static uint64_t log2_of_inverse(uint64_t random)
{
    unsigned shift = 63 - mm_log2_floor(random | 1);
    unsigned __int128 mantissa = (random | 1) << shift; /* 1 to 2, times 2^63 */
    uint64_t log = 0;
    for (unsigned i = 0; i < 32; i++) {
        mantissa = mantissa * mantissa >> 63;
        unsigned is_over = mantissa >> 64 != 0;
        mantissa >>= is_over;
        log = log << 1 | is_over;
    }
    return ((uint64_t)(shift + 1) << 32) - log;
}

/* -1 / ln(1 - 1/n) as a series, times 2^16. */
static uint64_t mean_of(uint64_t n)
{
    uint64_t one = 1 << 16;
    return n * one - one / 2 - one / (12 * n) - one / (24 * n * n) -
           (n < 64 ? 19 * one / (720 * n * n * n) : 0);
}

/* How many blocks come before the next: each is drawn by itself, however many came before. */
static uint32_t draw_geometric(struct draws *draws)
{
    if (settings.every == 1)
        return 0;
    uint64_t log = (uint64_t)(log2_of_inverse(next_random(draws)) * (unsigned __int128)LN2 >> 32);
    bool is_drawn = atomic_load_explicit(&phase, memory_order_relaxed) == YOUNG_AND_DRAWN;
    unsigned __int128 count = (unsigned __int128)log * (is_drawn ? mean_of_drawn : mean) >> 48;
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static uint32_t draw_around(struct draws *draws, uint32_t average)
{
    return (uint32_t)((next_random(draws) >> 32) * (2 * (uint64_t)average - 1) >> 32);
}

static uint32_t draw(struct draws *draws)
{
    return settings.adaptive ? draw_around(draws, draws->period) : draw_geometric(draws);
}

/* --- processes --- */

/* The kernel's random bytes, and what differs from one start to the next. */
static uint64_t random_of_process(uint64_t seed)
{
    const void *of_process =
        (const void *)getauxval(AT_RANDOM); /* NOLINT(performance-no-int-to-ptr) */
    uint64_t word = 0;
    if (of_process != NULL)
        memcpy(&word, of_process, sizeof word);
    return word ^ mm_os_nanoseconds() ^ mm_bits_mixed(seed);
}

static void draw_process(void)
{
    uint64_t random = random_of_process((uint64_t)mm_os_process_id());
    bool is_drawn = mm_bits_mixed(random) % PROCESSES == 0;
    if (settings.every >= SPARSE)
        atomic_store_explicit(&phase, is_drawn ? YOUNG_AND_DRAWN : YOUNG, memory_order_relaxed);
}

static bool is_young(void)
{
    uint64_t passed = mm_os_nanoseconds() - atomic_load_explicit(&began, memory_order_relaxed);
    return (uintptr_t)mm_arena_chunks() << MM_CHUNK_SHIFT < YOUNG_BYTES && passed < YOUNG_TIME;
}

/* Asked of each block that is drawn. */
static bool is_left_out(void)
{
    uint32_t now = atomic_load_explicit(&phase, memory_order_relaxed);
    if (now == GROWN || is_young())
        return now == YOUNG;
    atomic_store_explicit(&phase, GROWN, memory_order_relaxed);
    return false;
}

void mm_sample_after_fork(void)
{
    if (atomic_load_explicit(&phase, memory_order_relaxed) != GROWN)
        draw_process();
}

/* --- what a hundredth of the time pays for --- */

/* Time that passed with nothing to pay for is not saved up. */
static bool can_pay(struct draws *draws, uint64_t now)
{
    uint64_t cost = atomic_load_explicit(&spent, memory_order_relaxed) * PART_OF_TIME;
    uint64_t passed = now - atomic_load_explicit(&began, memory_order_relaxed);
    if (passed > cost + PAID_IN_ADVANCE)
        atomic_store_explicit(&began, now - cost - PAID_IN_ADVANCE, memory_order_relaxed);
    bool can = passed >= cost;
    if (can && draws->period > 1)
        draws->period /= 2;
    else if (!can && draws->period < PERIOD_MOST)
        draws->period *= 2;
    return can;
}

static void pay(uint64_t since)
{
    uint64_t cost = (mm_os_nanoseconds() - since) * COST_OF_ALL;
    atomic_fetch_add_explicit(&spent, cost, memory_order_relaxed);
}

/* --- the watcher --- */

static void heap_made(struct mm_watch *watch, uint32_t seed)
{
    struct draws *draws = draws_of(watch);
    if (inner != NULL)
        inner->heap_made(watch, seed);
    draws->random = random_of_process(seed);
    draws->period = 1;
}

/* A fork()'s child draws for itself. */
static void thread_ends(struct mm_watch *watch)
{
    struct draws *draws = draws_of(watch);
    if (inner != NULL)
        inner->thread_ends(watch);
    draws->random ^= mm_bits_mixed(mm_os_nanoseconds() + (uint64_t)mm_os_own_id());
    memset(draws->drawn, 0, sizeof draws->drawn);
}

/* Neighbours of a slot's block, which belong to nobody. */
struct beside {
    uintptr_t before, behind; /* from there to the block, and from its end to there */
};

static struct beside beside(const struct mm_guarded_slot *slot)
{
    uintptr_t end = slot->block + slot->asked;
    return (struct beside){
        slot->block - slot->start < FILLED ? slot->start : slot->block - FILLED,
        slot->end - end < FILLED ? slot->end : end + FILLED,
    };
}

static void fill(const struct mm_guarded_slot *slot)
{
    struct beside by = beside(slot);
    uintptr_t end = slot->block + slot->asked;
    memset((void *)by.before, MM_GUARD_BYTE, slot->block - by.before);
    memset((void *)end, MM_GUARD_BYTE, by.behind - end);
    if (mm_checks.perturbs)
        memset((void *)slot->block, mm_checks.fresh, slot->asked);
}

/* Where no record is to be had, the slot is given back at once. */
static void *put_into(struct mm_watch *watch, struct mm_guarded_slot *slot, mm_shape shape,
                      bool at_start)
{
    size_t alignment = mm_shape_alignment(shape);
    mm_guarded_place(slot, mm_shape_asked(shape), alignment < MM_GRANULE ? MM_GRANULE : alignment,
                     at_start);
    struct mm_record *record = mm_stacks_guarded(watch, slot->number, shape);
    fill(slot);
    mm_guarded_hand_out(slot);
    if (record != NULL)
        return (void *)slot->block;
    if (mm_guarded_strike(slot))
        mm_guarded_close(slot);
    return NULL;
}

/* That faults are told takes three system calls to know: not asked in vain, where blocks that stay
 * have all slots and many requests are drawn. */
static bool take_slot(mm_shape shape, bool may_reuse, struct mm_guarded_slot *slot)
{
    size_t size = mm_shape_asked(shape);
    return mm_guarded_has_room(size) && is_ready() &&
           mm_guarded_take(size, mm_shape_alignment(shape), may_reuse, slot);
}

static bool take(struct draws *draws, mm_shape shape, struct mm_guarded_slot *slot)
{
    if (mm_shape_asked(shape) > MM_GUARDED_MOST)
        return false;
    if (!settings.adaptive)
        return !is_left_out() && take_slot(shape, true, slot);
    uint64_t since = mm_os_nanoseconds();
    bool taken = draws->period == 1 && take_slot(shape, false, slot);
    if (!taken && can_pay(draws, since)) {
        taken = take_slot(shape, true, slot);
        pay(since);
    }
    return taken;
}

/* Whether this request is the one; then the next is drawn. */
static bool is_due(struct draws *draws, unsigned class)
{
    if (mm_unlikely(!draws->drawn[class])) {
        draws->left[class] = draw(draws);
        draws->drawn[class] = true;
    }
    if (draws->left[class] != 0)
        return false;
    draws->left[class] = draw(draws);
    return true;
}

/* What is read beside a block is told on one side only, and most often that is behind it. A slot's
 * first block always ends at its page, unless wanted otherwise, so that a program that is run once
 * and once more is told the same. */
static void *elsewhere(struct mm_watch *watch, unsigned class, mm_shape shape)
{
    struct draws *draws = draws_of(watch);
    struct mm_guarded_slot slot;
    if (!is_due(draws, class) || !take(draws, shape, &slot))
        return NULL;
    bool at_start = settings.below || (slot.block != 0 && next_random(draws) % AT_START == 0);
    return put_into(watch, &slot, shape, at_start);
}

/* The lowest `most` of a word's bits. */
static uint64_t lowest_of(uint64_t word, uint32_t most)
{
    if (most >= MM_WORD_BITS || mm_bit_count(word) <= most)
        return word;
    uint64_t left = word;
    for (; most > 0; most--)
        left &= left - 1;
    return word & ~left;
}

/* One that was due, and was not to be had, is an ordinary one. */
static uint64_t ration(struct mm_watch *watch, unsigned class, uint64_t claimed)
{
    uint32_t *left = &draws_of(watch)->left[class];
    uint64_t may = lowest_of(claimed, *left > 1 ? *left : 1);
    if (inner != NULL)
        may = inner->ration(watch, class, may);
    uint32_t count = may != 0 ? mm_bit_count(may) : 1;
    *left -= *left < count ? *left : count;
    return may;
}

static void nothing_of_watch(struct mm_watch *watch)
{
    (void)watch;
}

static void batch_opened(const struct mm_batch *batch)
{
    (void)batch;
}

static void unwatched(const struct mm_batch *batch, uint64_t slots)
{
    (void)batch;
    (void)slots;
}

static void settle(struct mm_batch *batch)
{
    (void)batch;
}

static void given_back(uintptr_t start, size_t size)
{
    (void)start;
    (void)size;
}

/* Of slots nothing is kept where nobody else watches. */
static const struct mm_watcher alone = {
    .size = sizeof(struct mm_watch),
    .leaves_slots = true,
    .thread_starts = nothing_of_watch,
    .thread_lends = nothing_of_watch,
    .batch_opened = batch_opened,
    .unwatched = unwatched,
    .settle = settle,
    .given_back = given_back,
};

/* 2 MiB, with its tables. Pages that are touched for the first time are to be few where few blocks
 * are drawn. */
static void start_pool(void)
{
    unsigned few = BLOCKS_OF_FEW / (settings.every != 0 ? settings.every : 1);
    struct mm_guarded_settings sampled = {.least = (size_t)768 << 10,
                                          .other = (size_t)256 << 10,
                                          .few = few > FEW_LEAST ? few : FEW_LEAST};
    mm_guarded_start(settings.adaptive ? &for_all : &sampled);
}

void mm_sample_start(const struct mm_sample_settings *wanted, bool (*asked)(void))
{
    settings = *wanted;
    if (!mm_sample_is_on())
        return;
    is_ready = asked;
    mean = settings.every > 1 ? mean_of(settings.every) : 0;
    mean_of_drawn = settings.every >= SPARSE ? mean_of(settings.every / PROCESSES) : 0;
    atomic_store(&spent, 0);
    atomic_store(&began, mm_os_nanoseconds());
    atomic_store(&phase, GROWN);
    draw_process();
    start_pool();
    inner = mm_watcher;
    watcher = inner != NULL ? *inner : alone;
    draws_at = mm_round_up(watcher.size, sizeof(uint64_t));
    watcher.size = draws_at + sizeof(struct draws);
    watcher.heap_made = heap_made;
    watcher.thread_ends = thread_ends;
    watcher.elsewhere = elsewhere;
    watcher.ration = ration;
    mm_watcher = &watcher;
}

bool mm_sample_is_on(void)
{
    return settings.every != 0 || settings.adaptive;
}

void mm_sample_stop(void)
{
    if (mm_watcher == &watcher)
        mm_watcher = inner;
    mm_guarded_stop();
}

/* --- what was written beside a block --- */

struct mm_block mm_block_guarded(const struct mm_guarded_slot *slot)
{
    return (struct mm_block){
        .start = slot->block, .asked = slot->asked, .record = mm_records_guarded(slot->number)};
}

unsigned mm_sample_damages(const struct mm_guarded_slot *slot, const struct mm_block *block,
                           struct mm_damage damages[MM_GUARDS])
{
    struct beside by = beside(slot);
    unsigned count = 0;
    if (block->record == NULL)
        return 0;
    count += mm_checks_beside(block, block->start + block->asked, by.behind, &damages[count]);
    count += mm_checks_beside(block, by.before, block->start, &damages[count]);
    return count;
}
