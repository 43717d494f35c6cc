/* batch.c - a batch by itself: its shapes, the arithmetic of its slots, its opening and closing,
 * and frees by other threads, one step at a time and all at once. */
#include "slots/batch.h"

#include "check.h"
#include "slots/size_class.h"
#include <string.h>

enum {
    BATCHES = 6,
    SLOTS = 64,
    THREADS = 3,
    ROUNDS = 20000 / CHECK_SLOWER,
    FREES = 1000000 / CHECK_SLOWER,
    ZERO = true,
    USED = false
};

static struct mm_heap *const owner = (struct mm_heap *)0x1000; /* never looked into */

static size_t span_of(unsigned order)
{
    return (size_t)1 << (MM_UNIT_SHIFT + order);
}

/* --- shapes --- */

static void check_shape(struct mm_batch_shape shape, unsigned class, unsigned slots_per_batch)
{
    size_t size = mm_class_size(class), span = span_of(shape.order);
    CHECK_EQUAL(shape.class, class);
    CHECK(shape.order <= MM_SPAN_ORDER_MAX);
    CHECK(shape.slots >= 1 && shape.slots <= slots_per_batch);
    CHECK(shape.slots * size <= span);
    CHECK(span <= MM_WORD_BITS * size);
    CHECK((span - 1) / size < MM_WORD_BITS);
    CHECK(size > MM_GRANULE || shape.slots < MM_WORD_BITS);
}

/* Exactly as many slots as asked for, in the smallest span that holds them, where a span can. */
static void exact_shapes(unsigned class, unsigned slots_per_batch)
{
    size_t size = mm_class_size(class);
    struct mm_batch_shape first = mm_batch_shape(class, slots_per_batch, 0);
    for (uint32_t batches = 0; batches < BATCHES; batches++) {
        struct mm_batch_shape shape = mm_batch_shape(class, slots_per_batch, batches);
        check_shape(shape, class, slots_per_batch);
        CHECK_EQUAL(shape.order, first.order);
        CHECK_EQUAL(shape.slots, first.slots);
    }
    if (first.slots < slots_per_batch)
        CHECK((slots_per_batch * size > span_of(MM_SPAN_ORDER_MAX) ||
               slots_per_batch * size > MM_WORD_BITS * size / 2));
    else if (first.order > 0)
        CHECK(slots_per_batch * size > span_of(first.order - 1));
}

/* Filled spans: small ones first. */
static void growing_shapes(unsigned class)
{
    unsigned order = 0;
    struct mm_batch_shape widest = mm_batch_shape(class, MM_WORD_BITS, UINT32_MAX);
    check_shape(widest, class, MM_WORD_BITS);
    CHECK(2 * span_of(widest.order) > MM_WORD_BITS * mm_class_size(class) ||
          widest.order == MM_BATCH_ORDER_MAX);
    for (uint32_t batches = 0; batches < BATCHES; batches++) {
        struct mm_batch_shape shape = mm_batch_shape(class, MM_WORD_BITS, batches);
        check_shape(shape, class, MM_WORD_BITS);
        CHECK((shape.slots + 1) * mm_class_size(class) > span_of(shape.order) ||
              shape.slots >= MM_WORD_BITS - 1);
        CHECK(shape.order >= order && shape.order <= widest.order);
        order = shape.order;
    }
    CHECK_EQUAL(order, widest.order);
}

static void shapes(void)
{
    for (unsigned class = 0; class < MM_CLASSES; class ++) {
        for (unsigned slots = 1; slots < MM_WORD_BITS; slots++)
            exact_shapes(class, slots);
        growing_shapes(class);
    }
}

/* --- one batch in a span of its own --- */

static uintptr_t span;         /* the widest there is */
static struct mm_batch *batch; /* its line */

static void set_up(void)
{
    bool zero;
    CHECK(mm_arena_reserve((size_t)8 << 20));
    span = (uintptr_t)mm_arena_take_chunks(MM_SPAN_ORDER_MAX - MM_CHUNK_ORDER, &zero);
    batch = mm_batch_of_line(mm_arena_take_lines(1));
    CHECK(span != 0 && zero);
}

static struct mm_batch_shape open_batch(unsigned class, unsigned slots_per_batch, bool zero)
{
    struct mm_batch_shape shape = mm_batch_shape(class, slots_per_batch, 0);
    mm_batch_open(batch, owner, shape, span, zero);
    mm_batch_set_state(batch, MM_BATCH_CURRENT, MM_FREES_NEVER);
    return shape;
}

static uint64_t slot_bit(unsigned index)
{
    return (uint64_t)1 << index;
}

static uint64_t remote(void)
{
    return atomic_load(&batch->remote);
}

static void set_tag(enum mm_tag tag)
{
    atomic_store(&batch->owner, (uintptr_t)owner | tag);
}

/* Every byte of the widest span of every size. */
static void slot_of_every_byte(void)
{
    for (unsigned class = 0; class < MM_CLASSES; class ++) {
        size_t size = mm_class_size(class);
        struct mm_batch_shape shape = mm_batch_shape(class, MM_WORD_BITS, UINT32_MAX);
        mm_batch_open(batch, owner, shape, span, ZERO);
        unsigned index = 0;
        for (size_t offset = 0, into = 0; offset < span_of(shape.order); offset++, into++) {
            if (into == size) {
                into = 0;
                index++;
            }
            struct mm_slot slot = mm_batch_slot(batch, span + offset);
            if (slot.index != index || slot.starts != (into == 0))
                CHECK_EQUAL(slot.index, index);
        }
        CHECK(index < MM_WORD_BITS);
        mm_batch_close(batch);
    }
}

static void opening(void)
{
    for (unsigned class = 0; class < MM_CLASSES; class ++) {
        struct mm_batch_shape shape = open_batch(class, 8, ZERO);
        CHECK(mm_batch_owner(batch) == owner && mm_batch_tag(batch) == MM_IDLE);
        CHECK(mm_batch_is_quiet(batch, owner) && !mm_batch_is_quiet(batch, NULL));
        CHECK_EQUAL(mm_batch_base(batch), span);
        CHECK_EQUAL(mm_batch_size(batch), mm_class_size(class));
        CHECK_EQUAL(mm_batch_class(batch), class);
        CHECK_EQUAL(mm_batch_slots(batch), shape.slots);
        CHECK_EQUAL(mm_batch_live(batch), 0);
        CHECK_EQUAL(mm_batch_free_slots(batch), mm_bits_below(shape.slots));
        CHECK(mm_batch_at(span) == batch);
        CHECK(mm_batch_at(span + span_of(shape.order) - 1) == batch);
        if (shape.order < MM_SPAN_ORDER_MAX)
            CHECK(mm_batch_at(span + span_of(shape.order)) != batch);
        mm_batch_close(batch);
        CHECK(mm_batch_at(span) != batch);
    }
}

/* --- what is known about an address --- */

static void check_info(size_t offset, const struct mm_batch *expected, unsigned slots, size_t size)
{
    struct mm_slot_info info = mm_batch_inspect(span + offset);
    CHECK(info.batch == expected);
    CHECK_EQUAL(info.base, span);
    CHECK_EQUAL(info.size, size);
    CHECK_EQUAL(info.index, offset / size);
    CHECK_EQUAL(info.offset, offset % size);
    CHECK_EQUAL(info.in_slot, offset / size < slots);
}

static void check_infos(const struct mm_batch *expected, struct mm_batch_shape shape)
{
    size_t size = mm_class_size(shape.class), end = span_of(shape.order);
    size_t tail = shape.slots * size;
    const size_t offsets[] = {0, 1, size - 1, size, size + 8, tail - size, tail - 1, tail, end - 1};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        if (offsets[i] < end)
            check_info(offsets[i], expected, shape.slots, size);
    }
}

static void inspection(void)
{
    for (unsigned class = 0; class < MM_CLASSES; class ++) {
        struct mm_batch_shape shape = open_batch(class, MM_WORD_BITS, ZERO);
        check_infos(batch, shape);
        mm_batch_close(batch);
        check_infos(NULL, shape);
        CHECK(mm_batch_owner(mm_batch_at(span)) == NULL);
        CHECK_EQUAL(mm_batch_live(mm_batch_at(span)), 0);
    }
    CHECK(check_all_bytes((void *)mm_arena.lines, (MM_GRAVE_LINES + 1) * MM_LINE_SIZE, 0));
}

/* Where no batch was yet, and where a narrower one took over. */
static void inspection_elsewhere(void)
{
    struct mm_slot_info info = mm_batch_inspect(mm_arena.base);
    CHECK(info.batch == NULL && info.base == 0 && !info.in_slot && !info.fresh);
    struct mm_batch_shape wide = open_batch(mm_class_of_size(2048), MM_WORD_BITS, ZERO);
    mm_batch_close(batch);
    struct mm_batch_shape narrow = open_batch(mm_class_of_size(48), 8, ZERO);
    CHECK(narrow.order < wide.order);
    info = mm_batch_inspect(span + 48);
    CHECK(info.batch == batch && info.index == 1 && info.offset == 0 && info.in_slot);
    info = mm_batch_inspect(span + 2048);
    CHECK(info.batch == NULL && info.base == span && info.size == 2048 && info.index == 1);
    mm_batch_close(batch);
}

static bool is_fresh(unsigned index)
{
    return mm_batch_inspect(span + (uintptr_t)index * mm_batch_size(batch)).fresh;
}

/* --- claims --- */

static void claiming_small(void)
{
    bool zero;
    open_batch(mm_class_of_size(48), 8, ZERO);
    CHECK(is_fresh(0) && is_fresh(7));
    CHECK_EQUAL(mm_batch_claim(batch, 0x0f, MM_WORD_BITS, &zero), 0x0f);
    CHECK(zero && !is_fresh(0) && !is_fresh(3) && is_fresh(4));
    CHECK_EQUAL(mm_batch_claim(batch, 0xf8, MM_WORD_BITS, &zero), 0xf8);
    CHECK(!zero && !is_fresh(7));
    mm_batch_close(batch);

    open_batch(mm_class_of_size(48), 8, USED);
    CHECK(!is_fresh(0));
    CHECK_EQUAL(mm_batch_claim(batch, 0xff, MM_WORD_BITS, &zero), 0xff);
    CHECK(!zero);
    mm_batch_close(batch);
}

/* Of large slots only some neighbours are claimed at a time, two at least. */
static void claiming_large(void)
{
    for (unsigned class = 0; class < MM_CLASSES; class ++) {
        struct mm_batch_shape shape = mm_batch_shape(class, MM_WORD_BITS, UINT32_MAX);
        mm_batch_open(batch, owner, shape, span, ZERO);
        uint64_t left = mm_bits_below(shape.slots);
        while (left != 0) {
            bool zero = false;
            uint64_t claimed =
                mm_batch_claim(batch, left, mm_batch_window(mm_batch_size(batch)), &zero);
            CHECK(zero && claimed != 0 && (claimed & ~left) == 0);
            CHECK_EQUAL(mm_bit_lowest(claimed), mm_bit_lowest(left));
            unsigned count = mm_bit_count(claimed);
            CHECK_EQUAL(claimed, mm_bits_below(count) << mm_bit_lowest(claimed));
            CHECK(count <= 2 || count * mm_class_size(class) <= 16384);
            left &= ~claimed;
        }
        CHECK_EQUAL(batch->fresh, shape.slots);
        mm_batch_close(batch);
    }
}

/* --- frees by other threads, step by step --- */

static void remote_frees(void)
{
    open_batch(mm_class_of_size(48), 8, ZERO);
    mm_batch_set_live(batch, 0x0f);
    CHECK_EQUAL(mm_batch_free_remote(batch, 4), MM_REMOTE_DOUBLE);
    CHECK(remote() == 0 && mm_batch_tag(batch) == MM_IDLE);

    CHECK_EQUAL(mm_batch_free_remote(batch, 1), MM_REMOTE_OK_FIRST);
    CHECK(remote() == slot_bit(1) && mm_batch_tag(batch) == MM_QUEUED);
    CHECK(!mm_batch_is_quiet(batch, owner) && mm_batch_owner(batch) == owner);
    CHECK_EQUAL(mm_batch_free_remote(batch, 1), MM_REMOTE_DOUBLE);
    CHECK_EQUAL(mm_batch_free_remote(batch, 3), MM_REMOTE_OK);
    CHECK_EQUAL(mm_batch_free_remote(batch, 3), MM_REMOTE_DOUBLE);
    CHECK(remote() == 0x0a && mm_batch_live(batch) == 0x0f);
    CHECK_EQUAL(mm_batch_free_slots(batch), 0xf0);

    struct mm_collected collected = mm_batch_collect(batch);
    CHECK(collected.freed == 0x0a && collected.twice == 0);
    CHECK(remote() == 0 && mm_batch_live(batch) == 0x05 && mm_batch_tag(batch) == MM_IDLE);
    CHECK_EQUAL(mm_batch_free_slots(batch), 0xfa);
    CHECK_EQUAL(mm_batch_free_remote(batch, 3), MM_REMOTE_DOUBLE);
    CHECK_EQUAL(mm_batch_free_remote(batch, 2), MM_REMOTE_OK_FIRST);
    CHECK_EQUAL(mm_batch_collect(batch).freed, slot_bit(2));

    collected = mm_batch_collect(batch);
    CHECK(collected.freed == 0 && collected.twice == 0 && mm_batch_live(batch) == slot_bit(0));
    mm_batch_set_live(batch, 0);
    mm_batch_close(batch);
}

/* As the owner leaves it that freed a slot just after another thread did. */
static void freed_by_both(void)
{
    open_batch(mm_class_of_size(48), 8, ZERO);
    mm_batch_set_live(batch, 0x03);
    CHECK_EQUAL(mm_batch_free_remote(batch, 0), MM_REMOTE_OK_FIRST);
    CHECK_EQUAL(mm_batch_free_remote(batch, 1), MM_REMOTE_OK);
    mm_batch_set_live(batch, 0x01);
    CHECK_EQUAL(mm_batch_free_slots(batch), 0xfc);
    CHECK_EQUAL(mm_batch_free_remote(batch, 1), MM_REMOTE_DOUBLE);
    struct mm_collected collected = mm_batch_collect(batch);
    CHECK(collected.freed == 0x01 && collected.twice == 0x02);
    CHECK(remote() == 0 && mm_batch_live(batch) == 0 && mm_batch_free_slots(batch) == 0xff);
    mm_batch_close(batch);
}

/* Words and tag as other threads may leave them for a moment. */
static void half_way(void)
{
    open_batch(mm_class_of_size(48), 8, ZERO);
    mm_batch_set_live(batch, 0x07);
    /* Queued with nothing to collect: it is on the stack already. */
    set_tag(MM_QUEUED);
    CHECK_EQUAL(mm_batch_free_remote(batch, 0), MM_REMOTE_OK);
    /* Not queued yet by the thread that came first. */
    set_tag(MM_IDLE);
    CHECK_EQUAL(mm_batch_free_remote(batch, 1), MM_REMOTE_OK_FIRST);
    CHECK_EQUAL(mm_batch_collect(batch).freed, 0x03);
    mm_batch_set_live(batch, 0);
    mm_batch_close(batch);
}

/* Not while another thread has queued it, or is about to; and who comes later finds no owner. */
static void closing(void)
{
    open_batch(mm_class_of_size(48), 8, ZERO);
    mm_batch_set_live(batch, slot_bit(2));
    CHECK_EQUAL(mm_batch_free_remote(batch, 2), MM_REMOTE_OK_FIRST);
    mm_batch_set_live(batch, 0);
    CHECK_EQUAL(mm_batch_close(batch), MM_CLOSE_LATER);
    set_tag(MM_IDLE);
    CHECK(mm_batch_close(batch) != MM_CLOSED && mm_batch_at(span) == batch);
    CHECK_EQUAL(mm_batch_collect(batch).twice, slot_bit(2));
    set_tag(MM_QUEUED);
    CHECK(mm_batch_close(batch) != MM_CLOSED && mm_batch_owner(batch) == owner);
    CHECK_EQUAL(mm_batch_collect(batch).twice, 0);
    CHECK(mm_batch_close(batch) == MM_CLOSED && mm_batch_at(span) != batch);
    CHECK_EQUAL(mm_batch_free_remote(batch, 2), MM_REMOTE_DOUBLE);
    CHECK_EQUAL(atomic_load(&batch->owner), 0);
}

/* --- all at once --- */

/* What the frees of a slot came to, and how often it was handed out. */
struct tally {
    _Atomic unsigned accepted, told;
    unsigned handed_out;
};

static struct race {
    struct tally tally[SLOTS];
    _Atomic bool on_stack; /* what the heap's stack of pending batches would say */
    _Atomic unsigned round, finished;
    unsigned slots;
} race;

static void count(unsigned index, bool accepted)
{
    atomic_fetch_add(accepted ? &race.tally[index].accepted : &race.tally[index].told, 1);
}

static void free_remote(unsigned index)
{
    enum mm_remote_free result = mm_batch_free_remote(batch, index);
    count(index, result == MM_REMOTE_OK || result == MM_REMOTE_OK_FIRST);
    if (result == MM_REMOTE_OK_FIRST || result == MM_REMOTE_DOUBLE_FIRST)
        CHECK(!atomic_exchange(&race.on_stack, true));
}

/* The owner's free, as route.h and route.c have it. */
static void free_own(unsigned index)
{
    uint64_t live = mm_batch_live(batch);
    bool accepted = (live & slot_bit(index)) &&
                    (mm_batch_is_quiet(batch, owner) || !(remote() & slot_bit(index)));
    if (accepted)
        mm_batch_set_live(batch, live & ~slot_bit(index));
    count(index, accepted);
}

static void collect_if_pending(void)
{
    /* A load first, as in mm_heap_collect(): an exchange would be a fence that it does not have. */
    if (!atomic_load_explicit(&race.on_stack, memory_order_relaxed))
        return;
    atomic_store(&race.on_stack, false);
    for (uint64_t twice = mm_batch_collect(batch).twice; twice != 0; twice &= twice - 1) {
        struct tally *tally = &race.tally[mm_bit_lowest(twice)];
        atomic_fetch_sub(&tally->accepted, 1);
        atomic_fetch_add(&tally->told, 1);
    }
}

static void hand_out(unsigned index)
{
    CHECK(atomic_load(&race.tally[index].accepted) <= race.tally[index].handed_out);
    race.tally[index].handed_out++;
    mm_batch_set_live(batch, mm_batch_live(batch) | slot_bit(index));
}

/* In a random order, or every other round in that of all threads, so that they collide more. */
static void make_order(unsigned *order, uint64_t *random, unsigned round)
{
    for (unsigned i = 0; i < race.slots; i++) {
        size_t other = round % 2 == 0 ? i : check_below(random, i + 1);
        order[i] = order[other];
        order[other] = i;
    }
}

/* All threads but the owner: each frees each slot, once a round. */
static void free_all_slots(unsigned number)
{
    uint64_t random = number + 1;
    unsigned order[SLOTS];
    for (unsigned round = 1; round <= ROUNDS; round++) {
        make_order(order, &random, round);
        while (atomic_load(&race.round) < round)
            check_yield();
        for (unsigned i = 0; i < race.slots; i++)
            free_remote(order[i]);
        atomic_fetch_add(&race.finished, 1);
    }
}

static void wait_for_the_others(void)
{
    while (atomic_load(&race.finished) < THREADS) {
        collect_if_pending();
        check_yield();
    }
    collect_if_pending();
    CHECK_EQUAL(remote(), 0);
    CHECK_EQUAL(mm_batch_tag(batch), MM_IDLE);
}

static void start_round(unsigned round)
{
    atomic_store(&race.finished, 0);
    atomic_store(&race.round, round);
}

/* The owner: it frees as well, or only collects, at once or at the end. */
static void own_one_block_a_slot(void)
{
    uint64_t random = 99;
    unsigned order[SLOTS];
    for (unsigned round = 1; round <= ROUNDS; round++) {
        bool frees = round % 3 != 0;
        make_order(order, &random, round);
        mm_batch_set_live(batch, mm_bits_below(race.slots));
        start_round(round);
        for (unsigned i = 0; i < race.slots && frees; i++) {
            free_own(order[i]);
            if (check_below(&random, 8) == 0)
                collect_if_pending();
        }
        wait_for_the_others();
        CHECK_EQUAL(mm_batch_live(batch), 0);
        for (unsigned index = 0; index < race.slots; index++) {
            CHECK_EQUAL(race.tally[index].accepted, 1);
            CHECK_EQUAL(race.tally[index].told, THREADS + frees - 1);
            race.tally[index] = (struct tally){0};
        }
    }
}

/* Few slots and no rounds, so that threads meet at a slot all the time. */
static void free_any_slots(unsigned number)
{
    uint64_t random = number + 1;
    for (unsigned i = 0; i < FREES; i++)
        free_remote((unsigned)check_below(&random, race.slots));
    atomic_fetch_add(&race.finished, 1);
}

/* The owner hands slots out again meanwhile: no block is freed twice, and none that was handed out
 * after its slot's last accepted free is taken for free. */
static void own_many_blocks_a_slot(void)
{
    uint64_t random = 98, claimed = 0;
    while (atomic_load(&race.finished) < THREADS) {
        free_own((unsigned)check_below(&random, race.slots));
        if (claimed == 0) {
            collect_if_pending();
            claimed = mm_batch_free_slots(batch);
        }
        if (claimed != 0) {
            hand_out(mm_bit_lowest(claimed));
            claimed &= claimed - 1;
        }
    }
    wait_for_the_others();
    for (unsigned index = 0; index < race.slots; index++) {
        unsigned live = mm_batch_live(batch) >> index & 1;
        CHECK_EQUAL(race.tally[index].accepted, race.tally[index].handed_out - live);
    }
    mm_batch_set_live(batch, 0);
}

static void one_block_a_slot(unsigned number, void *unused)
{
    (void)unused;
    if (number < THREADS)
        free_all_slots(number);
    else
        own_one_block_a_slot();
}

static void many_blocks_a_slot(unsigned number, void *unused)
{
    (void)unused;
    if (number < THREADS)
        free_any_slots(number);
    else
        own_many_blocks_a_slot();
}

static void racing_frees(unsigned slots, void (*body)(unsigned number, void *unused))
{
    struct mm_batch_shape shape = open_batch(mm_class_of_size(48), slots, ZERO);
    race = (struct race){.slots = shape.slots};
    check_in_threads(THREADS + 1, body, NULL);
    mm_batch_close(batch);
}

int main(void)
{
    shapes();
    set_up();
    slot_of_every_byte();
    opening();
    inspection();
    inspection_elsewhere();
    claiming_small();
    claiming_large();
    remote_frees();
    freed_by_both();
    half_way();
    closing();
    racing_frees(MM_WORD_BITS - 1, one_block_a_slot);
    racing_frees(MM_WORD_BITS - 1, many_blocks_a_slot);
    racing_frees(3, many_blocks_a_slot);
    mm_arena_release();
    return 0;
}
