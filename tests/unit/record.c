/* record.c - records of slots, which no two share, and of forwarded blocks, whose places others
 * take when a block is dead: never while it is live, or held, or by two at once. */
#include "blocks/record.h"

#include "check.h"
#include "slots/arena.h"
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 20000 / CHECK_SLOWER, NEAR = 40, MANY = 1000 };

static void start(void)
{
    CHECK(mm_arena_reserve((size_t)256 << 20));
    CHECK(mm_records_start());
}

static void stop(void)
{
    mm_records_stop();
    mm_arena_release();
}

/* --- slots --- */

static void words(void)
{
    start();
    uintptr_t base = mm_arena.base + ((uintptr_t)100 << MM_UNIT_SHIFT);
    CHECK(mm_records_traced_word(base) == NULL && mm_records_traced_slot(base, 16, 3) == NULL);
    _Atomic uint64_t *traced = mm_records_need_traced_word(base);
    CHECK(traced != NULL && mm_records_traced_word(base) == traced && *traced == 0);
    CHECK(mm_records_need_traced_word(base + ((uintptr_t)1 << MM_UNIT_SHIFT)) == traced + 1);
    *traced = 8;
    struct mm_record *record = mm_records_need_kept(base, 16, 3).record;
    CHECK(record != NULL && mm_records_traced_slot(base, 16, 3) == record);
    CHECK(mm_records_traced_slot(base, 16, 2) == NULL);
    stop();
    start();
    base = mm_arena.base + ((uintptr_t)100 << MM_UNIT_SHIFT); /* the arena may lie elsewhere */
    CHECK(mm_records_traced_word(base) == NULL && mm_records_slot(base, 16, 3) == NULL);
    stop();
}

/* Each line has its own, the last one too. */
static void held(void)
{
    start();
    CHECK(mm_records_held_word(MM_LINE_SIZE) == NULL);
    _Atomic uint64_t *word = mm_records_need_held_word(MM_LINE_SIZE);
    CHECK(word != NULL && mm_records_held_word(MM_LINE_SIZE) == word && *word == 0);
    CHECK(mm_records_need_held_word(2 * MM_LINE_SIZE) == word + 1);
    *word = 1;
    _Atomic uint64_t *last = mm_records_need_held_word(UINT32_MAX - MM_LINE_SIZE + 1);
    CHECK(last != NULL && last != word && *last == 0);
    stop();
    start();
    CHECK(mm_records_held_word(MM_LINE_SIZE) == NULL);
    stop();
}

/* Batches side by side, of whole units as they are, and of every size of slots in turn. */
static void distinct(void)
{
    static const size_t sizes[] = {16, 32, 48, 64, 80, 1008, 1024, 1280, 2048, 20480, 65536, 16};
    struct mm_record *before = NULL;
    start();
    for (unsigned i = 0; i + 1 < sizeof sizes / sizeof sizes[0]; i++) {
        uintptr_t base = mm_arena.base;
        for (unsigned batch = 0; batch < 3; batch++) {
            size_t size = sizes[i + (batch == 2)];
            unsigned slots = size > 16384 ? 16 : 64;
            for (unsigned slot = 0; slot < slots; slot++) {
                struct mm_record *record = mm_records_need_kept(base, size, slot).record;
                CHECK(record != NULL && record != before);
                CHECK(batch == 2 || before == NULL || record > before);
                CHECK_EQUAL(record->allocated, 0);
                record->allocated = base + slot * size;
                before = record;
            }
            base +=
                (size * slots + (1u << MM_UNIT_SHIFT) - 1) & ~(((size_t)1 << MM_UNIT_SHIFT) - 1);
        }
        CHECK_EQUAL(mm_records_slot(mm_arena.base, sizes[i], 7)->allocated,
                    mm_arena.base + 7 * sizes[i]);
        mm_records_give_back(mm_arena.base, (size_t)4 << 20);
        CHECK_EQUAL(mm_records_slot(mm_arena.base, sizes[i], 7)->allocated, 0);
        before = NULL;
    }
    stop();
}

/* --- forwarded blocks --- */

/* Addresses that would all have the same place. */
static uintptr_t colliding[NEAR];

static uint64_t home(uintptr_t address)
{
    return mm_bits_mixed(address >> 4) % (1u << 20);
}

static void find_colliding(void)
{
    uintptr_t address = (uintptr_t)1 << 32;
    colliding[0] = address;
    for (unsigned i = 1; i < NEAR; i++) {
        do
            address += 16;
        while (home(address) != home(colliding[0]));
        colliding[i] = address;
    }
}

static struct mm_record *of_block(uintptr_t address)
{
    struct mm_record *record = mm_records_need_forwarded(address);
    CHECK(record == NULL || mm_records_address(record) == address);
    return record;
}

static void places(void)
{
    struct mm_record *of[NEAR];
    unsigned count = 0;
    start();
    CHECK(mm_records_forwarded(colliding[0]) == NULL);
    while ((of[count] = of_block(colliding[count])) != NULL)
        count++;
    CHECK(count > 10 && count < NEAR);
    for (unsigned i = 0; i < count; i++) {
        CHECK(mm_records_forwarded(colliding[i]) == of[i]);
        CHECK(of_block(colliding[i]) == of[i]);
    }
    /* Dead, but held, and then no more: what it tells stays until another takes it. */
    uintptr_t late = colliding[count];
    of[5]->freed = 1;
    mm_record_set_shape(of[5], 100 | MM_SHAPE_HELD);
    CHECK(of_block(late) == NULL);
    mm_records_let_forwarded_go(of[5]);
    CHECK(mm_records_own_forwarded(colliding[5]) == NULL);
    CHECK(mm_records_forwarded(colliding[5]) == of[5]);
    CHECK_EQUAL(mm_records_address(of[5]), colliding[5]);
    CHECK(of_block(late) == of[5] && of[5]->freed == 1);
    CHECK(mm_records_forwarded(colliding[5]) == NULL && mm_records_forwarded(late) == of[5]);
    CHECK(of_block(colliding[5]) == NULL);
    stop();
}

/* Its own record is a block's first choice, and nobody else's once it has it. */
static void again(void)
{
    start();
    struct mm_record *first = of_block(colliding[0]);
    CHECK(mm_records_again_forwarded(colliding[1]) == NULL);
    CHECK(mm_records_again_forwarded(colliding[0]) == first);
    mm_records_let_forwarded_go(first);
    CHECK(of_block(colliding[0]) == first && mm_records_own_forwarded(colliding[0]) == first);
    CHECK(of_block(colliding[1]) != first);
    mm_records_let_forwarded_go(first);
    CHECK(of_block(colliding[2]) == first);
    CHECK(mm_records_again_forwarded(colliding[0]) == NULL);
    stop();
}

static unsigned seen;

static void see(uintptr_t address, struct mm_record *record, void *with)
{
    CHECK(mm_records_address(record) == address && with == &seen);
    seen++;
}

static void each(void)
{
    start();
    for (unsigned i = 1; i <= MANY; i++)
        CHECK(of_block((uintptr_t)i << 17) != NULL);
    seen = 0;
    mm_records_each_forwarded(see, &seen);
    CHECK_EQUAL(seen, MANY);
    stop();
}

/* Blocks come and go at addresses that collide, each at its thread's own; what a thread wrote
 * into its record stays there until it lets it go. */
static void come_and_go(unsigned number, void *unused)
{
    uint64_t random = number;
    (void)unused;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned which = number + THREADS * (unsigned)check_below(&random, NEAR / THREADS);
        struct mm_record *record = mm_records_need_forwarded(colliding[which]);
        if (record == NULL)
            continue;
        atomic_store(&record->allocated, round << 8 | which);
        if (round % 8 == 0)
            check_yield();
        CHECK_EQUAL(mm_records_address(record), colliding[which]);
        CHECK(mm_records_forwarded(colliding[which]) == record);
        CHECK_EQUAL(atomic_load(&record->allocated), round << 8 | which);
        mm_records_let_forwarded_go(record);
    }
}

static void racing(void)
{
    start();
    check_in_threads(THREADS, come_and_go, NULL);
    stop();
}

int main(void)
{
    find_colliding();
    words();
    held();
    distinct();
    places();
    again();
    each();
    racing();
    return 0;
}
