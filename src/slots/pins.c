/* pins.c - see pins.h. The places form a list that only grows: those of threads without a heap of
 * their own are there from the start, a heap's is added when the heap is made. Whoever has a place
 * writes to it; owners of closed lines read all. Nothing here locks. */
#include "slots/pins.h"

#define SHARED       32u /* places for threads without a heap, and for signal handlers */
#define PINS_AT_ONCE 32u /* pinned lines that a look remembers */

static struct mm_pin shared[SHARED] MM_SELDOM;
static struct mm_pin *_Atomic others;
static _Atomic uint32_t other_count;

void mm_pins_add(struct mm_pin *pin)
{
    pin->next = atomic_load_explicit(&others, memory_order_relaxed);
    /* Release pairs with the acquire in next_place(). */
    while (!atomic_compare_exchange_weak_explicit(&others, &pin->next, pin, memory_order_release,
                                                  memory_order_relaxed))
        ;
    atomic_fetch_add_explicit(&other_count, 1, memory_order_relaxed);
}

void mm_pins_reset(void)
{
    atomic_store_explicit(&others, NULL, memory_order_relaxed);
    atomic_store_explicit(&other_count, 0, memory_order_relaxed);
}

void mm_pins_drop_shared(void)
{
    for (unsigned i = 0; i < SHARED; i++)
        mm_pin_drop(&shared[i]);
}

uint32_t mm_pins_count(void)
{
    return SHARED + atomic_load_explicit(&other_count, memory_order_relaxed);
}

/* --- to pin --- */

static bool take(struct mm_pin *pin, uint32_t line)
{
    uint32_t none = MM_LINE_NONE;
    return atomic_compare_exchange_strong_explicit(&pin->line, &none, line, memory_order_relaxed,
                                                   memory_order_relaxed);
}

MM_COLD static struct mm_pin *take_shared(uint32_t line)
{
    for (unsigned round = 0;; round++) {
        for (unsigned i = 0; i < SHARED; i++) {
            if (take(&shared[i], line))
                return &shared[i];
        }
        mm_os_wait(round);
    }
}

/* A handler that comes between the look and the store has put back what it found when it is over.
 */
static struct mm_pin *take_place(struct mm_pin *own, uint32_t line)
{
    MM_ASSERT(line != MM_LINE_NONE && line % MM_LINE_SIZE == 0);
    if (own == NULL || atomic_load_explicit(&own->line, memory_order_relaxed) != MM_LINE_NONE)
        return take_shared(line);
    atomic_store_explicit(&own->line, line, memory_order_relaxed);
    return own;
}

struct mm_pin *mm_pin_batch(struct mm_pin *own, uintptr_t address, struct mm_batch **batch)
{
    *batch = mm_batch_at(address);
    while (!mm_batch_is_grave(*batch)) {
        struct mm_pin *pin = take_place(own, mm_batch_line(*batch));
        /* Pairs with the fence in mm_pins_take_unpinned(). */
        atomic_thread_fence(memory_order_seq_cst);
        struct mm_batch *now = mm_batch_at(address);
        if (mm_likely(now == *batch)) {
            /* Pairs with the release of mm_batch_open(): the line may have been closed before it
             * was pinned, and describe another batch here by now, which is the one to be seen. */
            atomic_thread_fence(memory_order_acquire);
            return pin;
        }
        mm_pin_drop(pin);
        *batch = now;
    }
    *batch = NULL;
    return NULL;
}

/* --- to look for pins --- */

/* One place after the other: `next` is NULL at first, and at the end. */
static const struct mm_pin *next_place(const struct mm_pin *place)
{
    if (place == NULL)
        return &shared[0];
    if (place >= &shared[0] && place < &shared[SHARED - 1])
        return place + 1;
    return place == &shared[SHARED - 1] ? atomic_load_explicit(&others, memory_order_acquire)
                                        : place->next;
}

static uint32_t line_in(const struct mm_pin *place)
{
    return atomic_load_explicit(&place->line, memory_order_acquire);
}

bool mm_pins_has(const struct mm_batch *batch)
{
    uint32_t line = mm_batch_line(batch);
    /* Pairs with the fence in mm_pin_batch(). */
    atomic_thread_fence(memory_order_seq_cst);
    for (const struct mm_pin *place = next_place(NULL); place != NULL; place = next_place(place)) {
        if (line_in(place) == line)
            return true;
    }
    return false;
}

struct pinned {
    unsigned count;
    uint32_t lines[PINS_AT_ONCE];
};

static bool is_among(const struct pinned *pinned, uint32_t line)
{
    for (unsigned i = 0; i < pinned->count; i++) {
        if (pinned->lines[i] == line)
            return true;
    }
    return false;
}

/* Moves those that are among the pinned ones from one chain to the other. */
static void sort_out(uint32_t *chain, uint32_t *kept, struct pinned *pinned)
{
    for (uint32_t *link = chain; pinned->count != 0 && *link != MM_LINE_NONE;) {
        uint32_t line = *link;
        struct mm_batch *batch = mm_batch_of_line(line);
        if (!is_among(pinned, line)) {
            link = &batch->next;
            continue;
        }
        *link = batch->next;
        batch->next = *kept;
        *kept = line;
    }
    pinned->count = 0;
}

uint32_t mm_pins_take_unpinned(uint32_t *closed)
{
    struct pinned pinned = {.count = 0};
    uint32_t unpinned = *closed;
    *closed = MM_LINE_NONE;
    /* Pairs with the fence in mm_pin_batch(): who pins from here on finds the graves. */
    atomic_thread_fence(memory_order_seq_cst);
    for (const struct mm_pin *place = next_place(NULL); place != NULL; place = next_place(place)) {
        uint32_t line = line_in(place);
        if (line != MM_LINE_NONE)
            pinned.lines[pinned.count++] = line;
        if (pinned.count == PINS_AT_ONCE)
            sort_out(&unpinned, closed, &pinned);
    }
    sort_out(&unpinned, closed, &pinned);
    return unpinned;
}
