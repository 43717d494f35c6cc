#include "findings/seen.h"

#include "system/bitmap.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define STACKS    4096u /* a power of two */
#define FATE_MASK 3u

/* A hash with the fate in its lowest bits; 0: none. Stacks by open addressing. */
static _Atomic uint64_t stacks[STACKS] MM_SELDOM;

uint64_t mm_seen_hash(uint64_t hash, const void *value)
{
    hash = (hash ^ (uintptr_t)value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static bool is_same(uint64_t entry, uint64_t hash)
{
    return entry != 0 && (entry ^ hash) <= FATE_MASK;
}

static uint64_t entry_of(uint64_t hash, enum mm_fate fate)
{
    return (hash & ~(uint64_t)FATE_MASK) | (uint64_t)fate;
}

/* Where the stack is or is to be noted; NULL when there is no room. */
static _Atomic uint64_t *place_of(uint64_t hash)
{
    for (size_t i = 0; i < STACKS; i++) {
        _Atomic uint64_t *place = &stacks[(hash >> 2 & (STACKS - 1)) ^ i];
        uint64_t entry = atomic_load_explicit(place, memory_order_relaxed);
        if (entry == 0 || is_same(entry, hash))
            return place;
    }
    return NULL;
}

enum mm_fate mm_seen_stack(uint64_t hash)
{
    const _Atomic uint64_t *place = place_of(hash);
    if (place == NULL)
        return MM_FATE_TOLD;
    return (enum mm_fate)(atomic_load_explicit(place, memory_order_relaxed) & FATE_MASK);
}

enum mm_fate mm_seen_note_stack(uint64_t hash, enum mm_fate fate)
{
    for (_Atomic uint64_t *place; (place = place_of(hash)) != NULL;) {
        uint64_t there = 0;
        if (atomic_compare_exchange_strong_explicit(place, &there, entry_of(hash, fate),
                                                    memory_order_relaxed, memory_order_relaxed))
            return MM_FATE_UNKNOWN;
        if (is_same(there, hash))
            return (enum mm_fate)(there & FATE_MASK);
    }
    return MM_FATE_TOLD;
}

void mm_seen_forget(void)
{
    for (size_t i = 0; i < STACKS; i++)
        atomic_store_explicit(&stacks[i], 0, memory_order_relaxed);
}
