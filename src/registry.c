#include "registry.h"

#include "bitmap.h"
#include <stdatomic.h>

#define ADDRESS_BITS 48u /* user space of x86-64 and aarch64 */
#define LEAF_BITS    28u /* a leaf covers 256 MiB */
#define GRANULE_BITS 4u
#define LEAVES       ((size_t)1 << (ADDRESS_BITS - LEAF_BITS))
#define LEAF_WORDS   ((size_t)1 << (LEAF_BITS - GRANULE_BITS - 6))
#define GATES        16u
#define CACHE_LINE   64u

/* The words of both bits lie side by side, so that a free touches one cache line. */
struct word {
    _Atomic uint64_t live, once;
};

struct leaf {
    struct word words[LEAF_WORDS];
};

/* A thread goes through one of several gates, by the address of its stack, so that threads seldom
 * write to the same cache line; fork() closes all of them. The count of live blocks is kept by gate
 * as well. */
static struct mm_gate {
    _Alignas(CACHE_LINE) struct mm_shared_lock lock;
    _Atomic int64_t count;
} gates[GATES] = {[0 ... GATES - 1] = {.lock = MM_SHARED_LOCK_INIT}};

static struct leaf *_Atomic *leaves;
static _Atomic size_t lowest_leaf = LEAVES; /* none below it was ever made */
static _Atomic bool some_unknown;           /* see mm_registry_add_moved() */

bool mm_registry_reserve(void)
{
    /* Whole and at once: an entry is touched when its leaf is made, the rest costs nothing. */
    leaves = mm_os_map(LEAVES * sizeof *leaves);
    if (leaves == NULL)
        atomic_store(&some_unknown, true);
    return leaves != NULL;
}

void mm_registry_release(void)
{
    if (leaves == NULL)
        return;
    for (size_t i = atomic_load(&lowest_leaf); i < LEAVES; i++) {
        struct leaf *leaf = atomic_load_explicit(&leaves[i], memory_order_relaxed);
        if (leaf != NULL)
            mm_os_release(leaf, sizeof *leaf);
    }
    mm_os_release(leaves, LEAVES * sizeof *leaves);
    leaves = NULL;
    atomic_store(&some_unknown, false);
    atomic_store(&lowest_leaf, LEAVES);
    for (unsigned i = 0; i < GATES; i++)
        atomic_store_explicit(&gates[i].count, 0, memory_order_relaxed);
}

/* A process of one thread needs none: whoever forks is not inside. */
struct mm_gate *mm_registry_enter(void)
{
    if (mm_os_single_threaded())
        return NULL;
    uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
    struct mm_gate *gate = &gates[(stack >> 16 ^ stack >> 23) % GATES];
    mm_lock_shared(&gate->lock);
    return gate;
}

void mm_registry_leave(struct mm_gate *gate)
{
    if (gate != NULL)
        mm_unlock_shared(&gate->lock);
}

static void count(struct mm_gate *gate, int64_t change)
{
    if (gate == NULL) {
        int64_t now = atomic_load_explicit(&gates[0].count, memory_order_relaxed);
        atomic_store_explicit(&gates[0].count, now + change, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(&gate->count, change, memory_order_relaxed);
    }
}

static struct leaf *leaf_of(uintptr_t address)
{
    if (leaves == NULL || address >> ADDRESS_BITS != 0)
        return NULL;
    /* Acquire pairs with the release in make_leaf(). */
    return atomic_load_explicit(&leaves[address >> LEAF_BITS], memory_order_acquire);
}

/* Several threads may try at once; one leaf stays. */
static struct leaf *make_leaf(uintptr_t address)
{
    if (leaves == NULL || address >> ADDRESS_BITS != 0)
        return NULL;
    struct leaf *made = mm_os_map(sizeof *made);
    if (made == NULL)
        return NULL;
    struct leaf *there = NULL;
    if (!atomic_compare_exchange_strong_explicit(&leaves[address >> LEAF_BITS], &there, made,
                                                 memory_order_acq_rel, memory_order_acquire)) {
        mm_os_release(made, sizeof *made);
        return there;
    }
    size_t index = address >> LEAF_BITS;
    size_t lowest = atomic_load_explicit(&lowest_leaf, memory_order_relaxed);
    while (index < lowest && !atomic_compare_exchange_weak(&lowest_leaf, &lowest, index))
        ;
    return made;
}

static size_t word_index(uintptr_t address)
{
    return (address >> (GRANULE_BITS + 6)) % LEAF_WORDS;
}

static uint64_t bit_of(uintptr_t address)
{
    return (uint64_t)1 << (address >> GRANULE_BITS) % MM_WORD_BITS;
}

/* The word that a block starting at `address` is noted in; NULL when none ever was near there, or
 * none can be: the system allocator aligns to 16. */
static struct word *word_of(uintptr_t address)
{
    struct leaf *leaf = address % (1u << GRANULE_BITS) == 0 ? leaf_of(address) : NULL;
    return leaf != NULL ? &leaf->words[word_index(address)] : NULL;
}

static bool was_block(const struct word *word, uintptr_t address)
{
    return atomic_load_explicit(&word->once, memory_order_relaxed) & bit_of(address);
}

bool mm_registry_add(struct mm_gate *gate, const void *block)
{
    uintptr_t address = (uintptr_t)block;
    struct leaf *leaf = leaf_of(address);
    if (leaf == NULL)
        leaf = make_leaf(address);
    if (leaf == NULL)
        return leaves == NULL;
    struct word *word = &leaf->words[word_index(address)];
    atomic_fetch_or_explicit(&word->live, bit_of(address), memory_order_relaxed);
    if (!was_block(word, address))
        atomic_fetch_or_explicit(&word->once, bit_of(address), memory_order_relaxed);
    count(gate, 1);
    return true;
}

void mm_registry_add_moved(struct mm_gate *gate, const void *block)
{
    if (!mm_registry_add(gate, block))
        atomic_store(&some_unknown, true);
}

bool mm_registry_remove(struct mm_gate *gate, const void *block)
{
    uintptr_t address = (uintptr_t)block;
    struct word *word = word_of(address);
    if (word == NULL || !was_block(word, address)) {
        /* A block that could not be noted, perhaps. */
        return atomic_load_explicit(&some_unknown, memory_order_relaxed) &&
               address % (1u << GRANULE_BITS) == 0;
    }
    /* Acquire and release: the read-modify-write that finds the bit set passes the block on from
     * whoever used it to whoever frees it. */
    uint64_t before =
        atomic_fetch_and_explicit(&word->live, ~bit_of(address), memory_order_acq_rel);
    if (!(before & bit_of(address)))
        return false;
    count(gate, -1);
    return true;
}

bool mm_registry_is_live(const void *block)
{
    struct word *word = word_of((uintptr_t)block);
    return word != NULL && (atomic_load_explicit(&word->live, memory_order_relaxed) &
                            bit_of((uintptr_t)block)) != 0;
}

bool mm_registry_was_block(const void *pointer)
{
    struct word *word = word_of((uintptr_t)pointer);
    return word != NULL && was_block(word, (uintptr_t)pointer);
}

/* The highest block that starts in words 0 to `last` of a leaf, of the last one only in the bits
 * of `mask`; false when there is none. */
static bool highest_in_leaf(const struct leaf *leaf, size_t last, uint64_t mask, uintptr_t *offset)
{
    for (size_t index = last + 1; index-- > 0; mask = UINT64_MAX) {
        uint64_t live = atomic_load_explicit(&leaf->words[index].live, memory_order_relaxed) & mask;
        if (live != 0) {
            *offset = (index * MM_WORD_BITS + mm_log2_floor(live)) << GRANULE_BITS;
            return true;
        }
    }
    return false;
}

void *mm_registry_below(const void *pointer)
{
    uintptr_t address = (uintptr_t)pointer;
    if (leaves == NULL || address >> ADDRESS_BITS != 0)
        return NULL;
    size_t last = word_index(address);
    uint64_t mask = bit_of(address) | (bit_of(address) - 1);
    size_t lowest = atomic_load_explicit(&lowest_leaf, memory_order_relaxed);
    for (size_t i = (address >> LEAF_BITS) + 1; i-- > lowest;
         last = LEAF_WORDS - 1, mask = UINT64_MAX) {
        const struct leaf *leaf = atomic_load_explicit(&leaves[i], memory_order_acquire);
        uintptr_t offset;
        if (leaf != NULL && highest_in_leaf(leaf, last, mask, &offset))
            return (void *)(((uintptr_t)i << LEAF_BITS) + offset);
    }
    return NULL;
}

/* Not waiting for ever: a bad free in a signal handler may have interrupted its own thread inside.
 */
static bool close_gates(void)
{
    uint64_t give_up = mm_os_milliseconds() + 1000;
    unsigned closed = 0;
    while (closed < GATES && mm_os_milliseconds() <= give_up) {
        if (mm_try_lock_alone(&gates[closed].lock))
            closed++;
        else
            mm_os_yield();
    }
    if (closed == GATES)
        return true;
    while (closed-- > 0)
        mm_unlock_shared(&gates[closed].lock);
    return false;
}

/* With the gates closed, no block can be given back while its size is read. */
void *mm_registry_around(const void *pointer, size_t (*size_of)(void *block), size_t *size)
{
    if (mm_registry_below(pointer) == NULL || !close_gates())
        return NULL;
    char *block = mm_registry_below(pointer);
    *size = block != NULL ? size_of(block) : 0;
    if ((size_t)((const char *)pointer - block) >= *size)
        block = NULL;
    mm_registry_unlock_all();
    return block;
}

size_t mm_registry_count(void)
{
    int64_t count = 0;
    for (unsigned i = 0; i < GATES; i++)
        count += atomic_load_explicit(&gates[i].count, memory_order_relaxed);
    return count > 0 ? (size_t)count : 0;
}

void mm_registry_lock_all(void)
{
    for (unsigned i = 0; i < GATES; i++)
        mm_lock_alone(&gates[i].lock);
}

void mm_registry_unlock_all(void)
{
    for (unsigned i = 0; i < GATES; i++)
        mm_unlock_shared(&gates[i].lock);
}

void mm_registry_renew_locks(void)
{
    for (unsigned i = 0; i < GATES; i++)
        mm_lock_renew(&gates[i].lock);
}
