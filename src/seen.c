#include "seen.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define STACKS    4096u /* powers of two */
#define CALLS     1024u
#define FATE_MASK 3u
#define AT_FIRST  16u /* calls that are unwound each time */

/* A hash with the fate in its lowest bits; 0: none. Stacks by open addressing. */
static _Atomic uint64_t stacks[STACKS];
static struct call {
    _Atomic uint64_t entry;
    _Atomic uint32_t count;
} calls[CALLS];

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

enum mm_fate mm_seen_call(uint64_t hash)
{
    struct call *call = &calls[hash >> 2 & (CALLS - 1)];
    uint64_t entry = atomic_load_explicit(&call->entry, memory_order_relaxed);
    if (!is_same(entry, hash))
        return MM_FATE_UNKNOWN;
    uint32_t count = atomic_fetch_add_explicit(&call->count, 1, memory_order_relaxed);
    bool is_due = count < AT_FIRST || (count & (count - 1)) == 0;
    return is_due ? MM_FATE_UNKNOWN : (enum mm_fate)(entry & FATE_MASK);
}

void mm_seen_note_call(uint64_t hash, enum mm_fate fate)
{
    struct call *call = &calls[hash >> 2 & (CALLS - 1)];
    uint64_t before =
        atomic_exchange_explicit(&call->entry, entry_of(hash, fate), memory_order_relaxed);
    if (!is_same(before, hash))
        atomic_store_explicit(&call->count, 0, memory_order_relaxed);
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
    for (size_t i = 0; i < CALLS; i++)
        atomic_store_explicit(&calls[i].entry, 0, memory_order_relaxed);
}
