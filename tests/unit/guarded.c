/* guarded.c - the pool of guarded slots: what is open and closed when, whose a slot is, in which
 * order they are used again, and what comes back when one is opened; with markers, where the kernel
 * has them, and without. */
#include "slots/guarded.h"
#include "check.h"
#include "system/os.h"
#include <pthread.h>
#include <string.h>

enum { SIZE = 48, ALIGNMENT = 16, MANY = 20000 / CHECK_SLOWER };

static bool is_open(uintptr_t address)
{
    return mm_os_is_readable((const void *)(address & ~(uintptr_t)7));
}

static void start(bool marks, unsigned few)
{
    size_t page = mm_os_page_size();
    struct mm_guarded_settings settings = {
        .least = 8 * page, .other = 16 * page, .marks = marks, .few = few};
    mm_guarded_start(&settings);
    CHECK(!mm_guarded_has((uintptr_t)&settings));
}

static struct mm_guarded_slot hand_out(size_t size)
{
    struct mm_guarded_slot slot;
    CHECK(mm_guarded_take(size, ALIGNMENT, true, &slot));
    mm_guarded_place(&slot, size, ALIGNMENT, false);
    memset((void *)slot.block, 'x', size);
    mm_guarded_hand_out(&slot);
    return slot;
}

static void give_back(const struct mm_guarded_slot *slot)
{
    CHECK(mm_guarded_strike(slot));
    CHECK(!mm_guarded_strike(slot));
    mm_guarded_close(slot);
}

static void check_found(uintptr_t address, const struct mm_guarded_slot *expected)
{
    struct mm_guarded_slot slot, above;
    mm_guarded_find(address, &slot, &above);
    CHECK_EQUAL(slot.number, expected->number);
    CHECK_EQUAL(slot.block, expected->block);
    CHECK_EQUAL(slot.asked, expected->asked);
}

static void check_life(size_t size)
{
    struct mm_guarded_slot slot = hand_out(size);
    CHECK(mm_guarded_has(slot.block) && slot.block % ALIGNMENT == 0);
    CHECK(slot.block >= slot.start && slot.block + size <= slot.end);
    CHECK(slot.end - (slot.block + size) < ALIGNMENT);
    check_found(slot.start, &slot);
    check_found(slot.block, &slot);
    check_found(slot.end, &slot);
    CHECK(is_open(slot.start) && is_open(slot.end - 8));
    CHECK(!is_open(slot.end) && !is_open(slot.start - 8));
    size_t bytes;
    CHECK_EQUAL(mm_guarded_live(&bytes), 1);
    CHECK_EQUAL(bytes, size);
    give_back(&slot);
    CHECK(!is_open(slot.start) && !is_open(slot.end - 8));
    CHECK_EQUAL(mm_guarded_live(NULL), 0);
    CHECK(mm_guarded_open(slot.block) && is_open(slot.start) && is_open(slot.end - 8));
    CHECK(check_all_bytes((void *)slot.block, size, 'x'));
}

static void test_lives(bool marks)
{
    size_t page = mm_os_page_size();
    start(marks, 3);
    check_life(SIZE);
    check_life(1);
    check_life(page);
    for (size_t size = page + 1; size <= MM_GUARDED_MOST; size *= 2)
        check_life(size);
    mm_guarded_stop();
}

/* The first few get a slot each, then the oldest comes again; and its fence is closed again. */
static void test_order(bool marks)
{
    struct mm_guarded_slot slots[4];
    start(marks, 3);
    for (unsigned i = 0; i < 3; i++)
        slots[i] = hand_out(SIZE);
    for (unsigned i = 0; i < 3; i++) {
        give_back(&slots[i]);
        CHECK(mm_guarded_open(slots[i].end));
    }
    for (unsigned i = 0; i < 3; i++) {
        struct mm_guarded_slot again = hand_out(SIZE);
        CHECK_EQUAL(again.number, slots[i].number);
        CHECK(!is_open(again.end) && is_open(again.block));
        CHECK_EQUAL(again.before, 0);
        give_back(&again);
        mm_guarded_find(again.block, &slots[3], &again);
        CHECK_EQUAL(slots[3].before, slots[i].block);
    }
    mm_guarded_stop();
}

static void test_all_taken(bool marks)
{
    struct mm_guarded_slot slot, last_slot = {0};
    unsigned count = 0;
    start(marks, 100);
    CHECK(mm_guarded_has_room(SIZE));
    while (mm_guarded_take(SIZE, ALIGNMENT, true, &slot)) {
        mm_guarded_place(&slot, SIZE, ALIGNMENT, true);
        CHECK_EQUAL(slot.block, slot.start);
        mm_guarded_hand_out(&slot);
        last_slot = slot;
        count++;
    }
    CHECK(count > 8 || mm_os_page_size() == MM_GUARDED_MOST); /* those of larger rows, too */
    CHECK_EQUAL(mm_guarded_live(NULL), count);
    CHECK(!mm_guarded_has_room(SIZE));
    CHECK(mm_guarded_strike(&last_slot));
    mm_guarded_close(&last_slot);
    CHECK(mm_guarded_has_room(SIZE) && !mm_guarded_has_room(MM_GUARDED_MOST + 1));
    CHECK(!mm_guarded_take(MM_GUARDED_MOST + 1, ALIGNMENT, true, &slot));
    mm_guarded_give_up();
    CHECK(!mm_guarded_has_room(SIZE));
    CHECK(is_open(slot.end) && is_open(slot.start));
    mm_guarded_stop();
}

/* What a system call is given is open, fences and freed slots; nothing else is touched. */
static void test_ranges(bool marks)
{
    start(marks, 100);
    struct mm_guarded_slot first = hand_out(SIZE), second = hand_out(SIZE);
    give_back(&first);
    mm_guarded_open_range((uintptr_t)&first, sizeof first);
    CHECK(!is_open(first.block) && !is_open(first.end));
    mm_guarded_open_range(first.block, second.block + SIZE - first.block);
    CHECK(is_open(first.block) && is_open(first.end) && is_open(second.block));
    CHECK(check_all_bytes((void *)first.block, SIZE, 'x') && !is_open(second.end));
    mm_guarded_stop();
}

/* Each slot is one thread's as long as it is live. */
static void *take_and_give(void *mark)
{
    for (int i = 0; i < MANY; i++) {
        struct mm_guarded_slot slot;
        if (!mm_guarded_take(SIZE, ALIGNMENT, true, &slot))
            continue;
        mm_guarded_place(&slot, SIZE, ALIGNMENT, false);
        memset((void *)slot.block, *(const char *)mark, SIZE);
        mm_guarded_hand_out(&slot);
        CHECK(check_all_bytes((void *)slot.block, SIZE, (unsigned char)*(const char *)mark));
        give_back(&slot);
    }
    return NULL;
}

static void test_threads(bool marks)
{
    static char names[] = "abcd";
    pthread_t threads[4];
    start(marks, 2);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, take_and_give, &names[i]), 0);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    CHECK_EQUAL(mm_guarded_live(NULL), 0);
    mm_guarded_stop();
}

int main(void)
{
    for (int marks = 0; marks < 2; marks++) {
        test_lives(marks != 0);
        test_order(marks != 0);
        test_all_taken(marks != 0);
        test_ranges(marks != 0);
        test_threads(marks != 0);
    }
    return 0;
}
