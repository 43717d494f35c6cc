/* seen.c - the table of stacks. Nothing locks: an entry is written once, by whoever is first, and
 * its pace counts on by itself. */
#include "findings/seen.h"

#include "system/bitmap.h"
#include "system/os.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define STACKS    4096u /* a power of two */
#define TOLD_MASK 3u
#define PACE_MS   1000u

/* Stacks by open addressing. */
static struct place {
    _Atomic uint64_t entry; /* a hash with an enum mm_told in its lowest bits; 0: none */
    struct mm_pace pace;
} stacks[STACKS] MM_SELDOM;

uint64_t mm_seen_hash(uint64_t hash, const void *value)
{
    return mm_bits_mixed(hash ^ (uintptr_t)value);
}

static bool is_same(uint64_t entry, uint64_t hash)
{
    return entry != 0 && (entry ^ hash) <= TOLD_MASK;
}

static uint64_t entry_of(uint64_t hash, enum mm_told told)
{
    return (hash & ~(uint64_t)TOLD_MASK) | (uint64_t)told;
}

/* Where the stack is or is to be noted; NULL when the table is full. */
static struct place *place_of(uint64_t hash)
{
    for (size_t i = 0; i < STACKS; i++) {
        struct place *place = &stacks[(hash >> 2 & (STACKS - 1)) ^ i];
        uint64_t entry = atomic_load_explicit(&place->entry, memory_order_relaxed);
        if (entry == 0 || is_same(entry, hash))
            return place;
    }
    return NULL;
}

enum mm_told mm_seen_stack(uint64_t hash)
{
    const struct place *place = place_of(hash);
    if (place == NULL)
        return MM_TOLD_BEFORE;
    return (enum mm_told)(atomic_load_explicit(&place->entry, memory_order_relaxed) & TOLD_MASK);
}

static uint64_t add_one(_Atomic uint64_t *count)
{
    return atomic_fetch_add_explicit(count, 1, memory_order_relaxed) + 1;
}

enum mm_told mm_seen_note_stack(uint64_t hash, enum mm_told told)
{
    for (struct place *place; (place = place_of(hash)) != NULL;) {
        uint64_t there = 0;
        if (atomic_compare_exchange_strong_explicit(&place->entry, &there, entry_of(hash, told),
                                                    memory_order_relaxed, memory_order_relaxed)) {
            add_one(&place->pace.count);
            return MM_TOLD_NEVER;
        }
        if (is_same(there, hash))
            return (enum mm_told)(there & TOLD_MASK);
    }
    return MM_TOLD_BEFORE;
}

struct mm_pace *mm_seen_pace(uint64_t stack)
{
    struct place *place = place_of(stack);
    return place != NULL ? &place->pace : NULL;
}

uint64_t mm_pace_step(struct mm_pace *pace)
{
    uint64_t count = add_one(&pace->count);
    if (count < 2 || (count & (count - 1)) != 0)
        return 0;
    uint64_t now = mm_os_milliseconds();
    uint64_t told = atomic_load_explicit(&pace->told, memory_order_relaxed);
    bool is_due = told == 0 || now - told >= PACE_MS;
    return is_due && atomic_compare_exchange_strong_explicit(
                         &pace->told, &told, now, memory_order_relaxed, memory_order_relaxed)
               ? count
               : 0;
}

static void forget(_Atomic uint64_t *value)
{
    atomic_store_explicit(value, 0, memory_order_relaxed);
}

void mm_seen_forget(void)
{
    for (size_t i = 0; i < STACKS; i++) {
        forget(&stacks[i].entry);
        forget(&stacks[i].pace.count);
        forget(&stacks[i].pace.told);
    }
}
