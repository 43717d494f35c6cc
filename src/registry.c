/* registry.c - bits and sizes of forwarded blocks, in leaves of a two-level map.
 *
 * All of a block belongs to whoever noted it until one atomic step strikes it out, and then to
 * whoever did: what is kept of its size is written by them alone. A leaf is made under leaf_lock and
 * stays; a look around takes a turn of its own, for which nobody else waits. */
#include "registry.h"

#include "bitmap.h"
#include <stdatomic.h>

#define ADDRESS_BITS 48u /* user space of x86-64 and aarch64, but for what is asked for by hints */
#define LEAF_BITS    27u /* a leaf covers 128 MiB */
#define GRANULE_BITS 4u
#define HALF_BITS    3u /* blocks start at multiples of half a granule */
#define HALF         ((size_t)1 << HALF_BITS)
#define LEAVES       ((size_t)1 << (ADDRESS_BITS - LEAF_BITS))
#define LEAF_WORDS   ((size_t)1 << (LEAF_BITS - GRANULE_BITS - 6))
#define GROUP_WORDS  64u /* words that one bit of a leaf's `groups` stands for */
#define GROUP        ((size_t)GROUP_WORDS << (GRANULE_BITS + 6)) /* 64 KiB */
#define LEAF_GROUPS  (LEAF_WORDS / GROUP_WORDS)
#define LEAF_ENDS    ((size_t)1 << (LEAF_BITS - HALF_BITS - 6))
#define WORD_OF_ENDS (HALF * MM_WORD_BITS) /* the bytes that one stands for */
#define GATES        16u
#define CACHE_LINE   64u
#define MUCH         ((int64_t)1 << 20)

/* The words of both bits lie side by side, so that a free touches one cache line. */
struct word {
    _Atomic uint64_t live, once;
};

/* Blocks that start in the second half of a granule have words of their own, which stay untouched
 * where all are aligned to 16.
 *
 * Two blocks of a group's size or more start in different groups: `sizes` has the one of each, see
 * large_size(). The end of a smaller one is a bit of `ends`, that of its last half granule.
 *
 * `groups` is for the search for the block below an address. A group's bit is set after the live
 * bit of a block; whoever looks around clears it where the group turns out to be empty, see
 * forget_group(). */
struct leaf {
    struct word words[2][LEAF_WORDS];
    _Atomic uint64_t ends[LEAF_ENDS];
    _Atomic uint64_t sizes[LEAF_GROUPS];
    _Atomic uint64_t groups[LEAF_GROUPS / MM_WORD_BITS];
    size_t index;
    struct leaf *below; /* the next lower one that there is */
};

/* A thread goes through one of several gates, by the address of its stack, so that threads seldom
 * write to the same cache line; fork() closes all of them. What the live blocks come to is kept by
 * gate as well: only the sums over all gates mean anything. */
static struct mm_gate {
    _Alignas(CACHE_LINE) _Atomic unsigned inside; /* threads, and those about to find it closed */
    _Atomic int64_t count, bytes;
    _Atomic int64_t told; /* bytes, when mm_registry_hold() last returned true */
} gates[GATES];
static _Atomic bool closed;
static struct mm_lock closed_lock; /* held while closed */

static struct leaf *_Atomic *leaves;
static struct leaf *_Atomic highest_leaf;
static struct mm_lock leaf_lock; /* to make one; taken inside a gate only */

/* Of blocks that could not be noted the low bits of their addresses, and A_BLOCK; 0: none. */
#define A_BLOCK ((uintptr_t)1 << GRANULE_BITS)
static _Atomic uintptr_t unknown;

static _Atomic bool looking; /* one thread at a time looks around */

bool mm_registry_reserve(void)
{
    /* Whole and at once: an entry is touched when its leaf is made, the rest costs nothing. */
    leaves = mm_os_map(LEAVES * sizeof *leaves);
    if (leaves == NULL)
        atomic_store(&unknown, A_BLOCK | HALF);
    return leaves != NULL;
}

void mm_registry_release(void)
{
    if (leaves == NULL)
        return;
    for (struct leaf *leaf = atomic_load(&highest_leaf), *below; leaf != NULL; leaf = below) {
        below = leaf->below;
        mm_os_release(leaf, sizeof *leaf);
    }
    mm_os_release(leaves, LEAVES * sizeof *leaves);
    leaves = NULL;
    atomic_store(&unknown, 0);
    atomic_store(&highest_leaf, NULL);
    for (unsigned i = 0; i < GATES; i++) {
        atomic_store_explicit(&gates[i].count, 0, memory_order_relaxed);
        atomic_store_explicit(&gates[i].bytes, 0, memory_order_relaxed);
        atomic_store_explicit(&gates[i].told, 0, memory_order_relaxed);
    }
}

/* How often the thread is inside: the next allocator may come back to us. */
static _Thread_local unsigned depth __attribute__((tls_model("initial-exec")));

void mm_registry_leave(struct mm_gate *gate)
{
    depth--;
    /* Release pairs with the load in mm_registry_lock_all(): it has seen what was done inside. */
    if (gate != NULL)
        atomic_fetch_sub_explicit(&gate->inside, 1, memory_order_release);
}

/* Both steps are sequentially consistent with those of mm_registry_lock_all(): either the gates are
 * found closed here, or this thread is found inside there. Who is inside already is waited for, and
 * does not wait. */
static bool go_in(struct mm_gate *gate)
{
    atomic_fetch_add(&gate->inside, 1);
    if (mm_likely(!atomic_load(&closed)) || depth > 0)
        return true;
    atomic_fetch_sub_explicit(&gate->inside, 1, memory_order_release);
    return false;
}

/* None for a process of one thread, where whoever forks is not inside, nor for the thread inside
 * fork(), which is alone. */
struct mm_gate *mm_registry_enter(void)
{
    if (mm_os_single_threaded() || mm_locks_are_passed()) {
        depth++;
        return NULL;
    }
    uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
    struct mm_gate *gate = &gates[(stack >> 16 ^ stack >> 23) % GATES];
    while (mm_unlikely(!go_in(gate))) {
        mm_lock(&closed_lock); /* until they open */
        mm_unlock(&closed_lock);
    }
    depth++;
    return gate;
}

bool mm_registry_is_inside(void)
{
    return depth > 0;
}

/* Who passes no gate is alone. */
static int64_t add(_Atomic int64_t *sum, int64_t change, bool alone)
{
    if (!alone)
        return atomic_fetch_add_explicit(sum, change, memory_order_relaxed) + change;
    int64_t now = atomic_load_explicit(sum, memory_order_relaxed) + change;
    atomic_store_explicit(sum, now, memory_order_relaxed);
    return now;
}

static struct mm_gate *or_first(struct mm_gate *gate)
{
    return gate != NULL ? gate : &gates[0];
}

static void count(struct mm_gate *gate, int64_t change)
{
    add(&or_first(gate)->count, change, gate == NULL);
}

bool mm_registry_hold(struct mm_gate *gate, int64_t change)
{
    struct mm_gate *noted = or_first(gate);
    int64_t bytes = add(&noted->bytes, change, gate == NULL);
    int64_t told = atomic_load_explicit(&noted->told, memory_order_relaxed);
    if (depth > 1 || (bytes - told < MUCH && told - bytes < MUCH))
        return false;
    atomic_store_explicit(&noted->told, bytes, memory_order_relaxed);
    return true;
}

static struct leaf *leaf_of(uintptr_t address)
{
    if (leaves == NULL || address >> ADDRESS_BITS != 0)
        return NULL;
    /* Acquire pairs with the release in make_leaf(). */
    return atomic_load_explicit(&leaves[address >> LEAF_BITS], memory_order_acquire);
}

/* Releases pair with the acquires of leaf_of() and of a search. It can be searched before a block
 * is noted in it. */
static void publish_leaf(struct leaf *leaf)
{
    struct leaf *above = NULL, *below = atomic_load_explicit(&highest_leaf, memory_order_relaxed);
    for (; below != NULL && below->index > leaf->index; below = below->below)
        above = below;
    leaf->below = below;
    if (above == NULL)
        atomic_store_explicit(&highest_leaf, leaf, memory_order_release);
    else
        __atomic_store_n(&above->below, leaf, __ATOMIC_RELEASE);
    atomic_store_explicit(&leaves[leaf->index], leaf, memory_order_release);
}

static struct leaf *make_leaf(uintptr_t address)
{
    if (leaves == NULL || address >> ADDRESS_BITS != 0)
        return NULL;
    mm_lock(&leaf_lock);
    struct leaf *leaf = leaf_of(address);
    if (leaf == NULL && (leaf = mm_os_map(sizeof *leaf)) != NULL) {
        leaf->index = address >> LEAF_BITS;
        publish_leaf(leaf);
    }
    mm_unlock(&leaf_lock);
    return leaf;
}

static size_t word_index(uintptr_t address)
{
    return (address >> (GRANULE_BITS + 6)) % LEAF_WORDS;
}

static uint64_t bit_of(uintptr_t address)
{
    return (uint64_t)1 << (address >> GRANULE_BITS) % MM_WORD_BITS;
}

static struct word *word_in(struct leaf *leaf, uintptr_t address)
{
    return &leaf->words[address >> HALF_BITS & 1][word_index(address)];
}

/* The word that a block starting at `address` is noted in; NULL when none ever was near there, or
 * none can be. */
static struct word *word_of(uintptr_t address)
{
    struct leaf *leaf = address % HALF == 0 ? leaf_of(address) : NULL;
    return leaf != NULL ? word_in(leaf, address) : NULL;
}

static bool was_block(const struct word *word, uintptr_t address)
{
    return atomic_load_explicit(&word->once, memory_order_relaxed) & bit_of(address);
}

/* Both steps are sequentially consistent with those of forget_group(): either the group's bit is
 * found cleared here, or the block's there. True when the block was live already. */
static bool set_live(struct leaf *leaf, struct word *word, uintptr_t address)
{
    size_t index = word_index(address) / GROUP_WORDS;
    _Atomic uint64_t *groups = &leaf->groups[index / MM_WORD_BITS];
    uint64_t group = (uint64_t)1 << index % MM_WORD_BITS;
    bool before = atomic_fetch_or(&word->live, bit_of(address)) & bit_of(address);
    if (!(atomic_load(groups) & group))
        atomic_fetch_or(groups, group);
    return before;
}

/* --- sizes --- */

/* With the size goes where in the group the block starts: a small one may start there as well. */
#define PLACE_BITS (16u - HALF_BITS)
_Static_assert(GROUP == 1u << 16, "PLACE_BITS tell where in a group");

static _Atomic uint64_t *size_in(struct leaf *leaf, uintptr_t address)
{
    return &leaf->sizes[word_index(address) / GROUP_WORDS];
}

static uint64_t place_in_group(uintptr_t address)
{
    return address % GROUP / HALF;
}

/* The word that has the end bit of the small block at `address`, whose size is told by it; NULL
 * when there is none, or none any more. */
static _Atomic uint64_t *find_end(uintptr_t address, size_t *size)
{
    uint64_t mask = UINT64_MAX << address / HALF % MM_WORD_BITS;
    uintptr_t at = address - address % WORD_OF_ENDS;
    for (; at < address + GROUP; at += WORD_OF_ENDS, mask = UINT64_MAX) {
        struct leaf *leaf = leaf_of(at);
        _Atomic uint64_t *word = leaf != NULL ? &leaf->ends[at / WORD_OF_ENDS % LEAF_ENDS] : NULL;
        uint64_t ends =
            word != NULL ? atomic_load_explicit(word, memory_order_relaxed) & mask : 0;
        if (ends != 0) {
            *size = at + (mm_bit_lowest(ends) + 1) * HALF - address;
            return word;
        }
    }
    return NULL;
}

static uint64_t end_bit(uintptr_t address, size_t size)
{
    return (uint64_t)1 << (address + size - HALF) / HALF % MM_WORD_BITS;
}

/* Of a block of a group's size or more; 0 for others. */
static size_t large_size(struct leaf *leaf, uintptr_t address)
{
    uint64_t there = atomic_load_explicit(size_in(leaf, address), memory_order_relaxed);
    return there % (1u << PLACE_BITS) == place_in_group(address) ? there >> PLACE_BITS : 0;
}

/* 0 when it is not known. */
static size_t size_of(struct leaf *leaf, uintptr_t address)
{
    size_t size = large_size(leaf, address);
    if (size == 0)
        find_end(address, &size);
    return size;
}

MM_COLD static size_t forget_small(uintptr_t address)
{
    size_t size = 0;
    _Atomic uint64_t *word = find_end(address, &size);
    if (word != NULL)
        atomic_fetch_and_explicit(word, ~end_bit(address, size), memory_order_relaxed);
    return size;
}

static inline size_t forget_size(struct leaf *leaf, uintptr_t address)
{
    size_t size = large_size(leaf, address);
    if (mm_unlikely(size == 0))
        return forget_small(address);
    atomic_store_explicit(size_in(leaf, address), 0, memory_order_relaxed);
    return size;
}

MM_COLD static void keep_small(uintptr_t address, size_t size)
{
    uintptr_t last = address + size - HALF;
    struct leaf *leaf = leaf_of(last) != NULL ? leaf_of(last) : make_leaf(last);
    if (leaf != NULL && size != 0)
        atomic_fetch_or_explicit(&leaf->ends[last / WORD_OF_ENDS % LEAF_ENDS],
                                 end_bit(address, size), memory_order_relaxed);
}

static inline void keep_size(struct leaf *leaf, uintptr_t address, size_t size)
{
    if (mm_likely(size >= GROUP))
        atomic_store_explicit(size_in(leaf, address),
                              (uint64_t)size << PLACE_BITS | place_in_group(address),
                              memory_order_relaxed);
    else
        keep_small(address, size);
}

/* --- blocks come and go --- */

static void take_on_trust(uintptr_t address)
{
    atomic_fetch_or(&unknown, A_BLOCK | address % A_BLOCK);
}

bool mm_registry_is_trusted(const void *pointer)
{
    uintptr_t address = mm_os_untagged(pointer);
    uintptr_t like = atomic_load_explicit(&unknown, memory_order_relaxed);
    return like != 0 && (address % A_BLOCK & ~like) == 0;
}

int64_t mm_registry_add(struct mm_gate *gate, const void *block, size_t size)
{
    uintptr_t address = mm_os_untagged(block);
    struct leaf *leaf = leaf_of(address);
    if (mm_unlikely(leaf == NULL))
        leaf = make_leaf(address);
    if (mm_unlikely(leaf == NULL || address % HALF != 0)) {
        take_on_trust(address);
        return 0;
    }
    struct word *word = word_in(leaf, address);
    size_t before = 0;
    size = (size + HALF - 1) & ~(HALF - 1);
    if (mm_unlikely(set_live(leaf, word, address)))
        before = forget_size(leaf, address);
    else
        count(gate, 1);
    if (!was_block(word, address))
        atomic_fetch_or_explicit(&word->once, bit_of(address), memory_order_relaxed);
    keep_size(leaf, address, size);
    return (int64_t)(size - before);
}

bool mm_registry_remove(struct mm_gate *gate, const void *block, size_t *size)
{
    uintptr_t address = mm_os_untagged(block);
    struct leaf *leaf = leaf_of(address);
    struct word *word = leaf != NULL ? word_in(leaf, address) : NULL;
    *size = 0;
    if (mm_unlikely(word == NULL || address % HALF != 0 || !was_block(word, address)))
        return mm_registry_is_trusted(block);
    /* The read-modify-write that finds the bit set passes the block on from whoever used it to
     * whoever frees it. */
    if (!(atomic_fetch_and(&word->live, ~bit_of(address)) & bit_of(address)))
        return false;
    *size = forget_size(leaf, address);
    count(gate, -1);
    return true;
}

size_t mm_registry_forget(struct mm_gate *gate, const void *block)
{
    uintptr_t address = mm_os_untagged(block);
    size_t size = 0;
    if (mm_registry_is_live(block) && mm_registry_remove(gate, block, &size))
        atomic_fetch_and_explicit(&word_of(address)->once, ~bit_of(address), memory_order_relaxed);
    return size;
}

bool mm_registry_is_live(const void *block)
{
    uintptr_t address = mm_os_untagged(block);
    struct word *word = word_of(address);
    return word != NULL &&
           (atomic_load_explicit(&word->live, memory_order_relaxed) & bit_of(address)) != 0;
}

bool mm_registry_was_block(const void *pointer)
{
    uintptr_t address = mm_os_untagged(pointer);
    struct word *word = word_of(address);
    return word != NULL && was_block(word, address);
}

/* --- the blocks around an address --- */

/* A place to search down from: words up to `index`, of that one only the bits of `mask`, by the
 * half of the granule that a block starts in. */
struct place {
    size_t index;
    uint64_t mask[2];
};

static const struct place end_of_leaf = {LEAF_WORDS - 1, {UINT64_MAX, UINT64_MAX}};

static struct place place_of(uintptr_t address)
{
    uint64_t bit = bit_of(address), below = bit - 1;
    return (struct place){word_index(address), {below | bit, below | (address & HALF ? bit : 0)}};
}

static uint64_t live_at(const struct leaf *leaf, struct place place, unsigned half)
{
    return atomic_load(&leaf->words[half][place.index].live) & place.mask[half];
}

/* Of the blocks that start in a word's bytes, as an offset in the leaf. */
static uintptr_t offset_of(struct place place, unsigned bit, uint64_t in_second_half)
{
    uintptr_t offset = (uintptr_t)(place.index * MM_WORD_BITS + bit) << GRANULE_BITS;
    return offset + (in_second_half >> bit & 1 ? HALF : 0);
}

/* The highest block that starts in a group, at `from` or below; false when there is none. */
static bool highest_in_group(struct leaf *leaf, size_t group, struct place from, uintptr_t *offset)
{
    while (from.index + 1 > group * GROUP_WORDS) {
        uint64_t first = live_at(leaf, from, 0), second = live_at(leaf, from, 1);
        if ((first | second) != 0) {
            *offset = offset_of(from, mm_log2_floor(first | second), second);
            return true;
        }
        from = (struct place){from.index - 1, {UINT64_MAX, UINT64_MAX}};
    }
    return false;
}

static struct place end_of_group(size_t group)
{
    return (struct place){group * GROUP_WORDS + GROUP_WORDS - 1, {UINT64_MAX, UINT64_MAX}};
}

/* No block was found in it; nor will the next search look there, unless one came meanwhile. Nobody
 * else searches between the two steps. */
static void forget_group(struct leaf *leaf, size_t group)
{
    _Atomic uint64_t *groups = &leaf->groups[group / MM_WORD_BITS];
    uint64_t bit = (uint64_t)1 << group % MM_WORD_BITS;
    uintptr_t unused;
    atomic_fetch_and(groups, ~bit);
    if (highest_in_group(leaf, group, end_of_group(group), &unused))
        atomic_fetch_or(groups, bit);
}

/* The same in a leaf. */
static bool highest_in_leaf(struct leaf *leaf, struct place from, uintptr_t *offset)
{
    size_t last = from.index / GROUP_WORDS;
    uint64_t mask = mm_bits_below(last % MM_WORD_BITS + 1);
    for (size_t i = last / MM_WORD_BITS + 1; i-- > 0; mask = UINT64_MAX) {
        uint64_t groups = atomic_load(&leaf->groups[i]) & mask;
        while (groups != 0) {
            size_t group = i * MM_WORD_BITS + mm_log2_floor(groups);
            if (highest_in_group(leaf, group, group == last ? from : end_of_group(group), offset))
                return true;
            if (group != last)
                forget_group(leaf, group);
            groups &= ~((uint64_t)1 << group % MM_WORD_BITS);
        }
    }
    return false;
}

/* The nearest live block that starts at `address` or below; 0 when there is none. */
static uintptr_t find_below(uintptr_t address)
{
    size_t index = address >> LEAF_BITS;
    struct leaf *leaf = atomic_load_explicit(&highest_leaf, memory_order_acquire);
    for (; leaf != NULL; leaf = __atomic_load_n(&leaf->below, __ATOMIC_ACQUIRE)) {
        uintptr_t offset;
        if (leaf->index <= index &&
            highest_in_leaf(leaf, leaf->index == index ? place_of(address) : end_of_leaf, &offset))
            return ((uintptr_t)leaf->index << LEAF_BITS) + offset;
    }
    return 0;
}

/* The nearest that starts above it, within a group's size; 0 when there is none. */
static uintptr_t find_above(uintptr_t address)
{
    struct place place = place_of(address);
    place.mask[0] = ~place.mask[0];
    place.mask[1] = ~place.mask[1];
    for (uintptr_t at = address; at - address < GROUP; at += GROUP / GROUP_WORDS) {
        struct leaf *leaf = leaf_of(at);
        place.index = word_index(at);
        uint64_t first = leaf != NULL ? live_at(leaf, place, 0) : 0;
        uint64_t second = leaf != NULL ? live_at(leaf, place, 1) : 0;
        if ((first | second) != 0) {
            unsigned bit = mm_bit_lowest(first | second);
            return (at & ~(((uintptr_t)1 << LEAF_BITS) - 1)) +
                   offset_of(place, bit, first >> bit & 1 ? 0 : second);
        }
        place.mask[0] = place.mask[1] = UINT64_MAX;
    }
    return 0;
}

static struct mm_forwarded described(uintptr_t address)
{
    size_t size = address != 0 ? size_of(leaf_of(address), address) : 0;
    return (struct mm_forwarded){address, size};
}

static void take_turn(void)
{
    for (unsigned round = 0; atomic_exchange_explicit(&looking, true, memory_order_acquire);
         round++)
        mm_os_wait(round);
}

/* A signal handler that frees badly must not come upon its own thread's turn. */
struct mm_near mm_registry_near(const void *pointer)
{
    uintptr_t address = mm_os_untagged(pointer);
    if (leaves == NULL || address >> ADDRESS_BITS != 0)
        return (struct mm_near){0};
    struct mm_signals signals = mm_os_block_signals();
    take_turn();
    uintptr_t below = find_below(address);
    /* Release pairs with the acquire in take_turn(). */
    atomic_store_explicit(&looking, false, memory_order_release);
    mm_os_restore_signals(&signals);
    return (struct mm_near){described(below), described(find_above(address))};
}

bool mm_registry_around(const void *pointer, struct mm_forwarded *block)
{
    *block = mm_registry_near(pointer).below;
    return mm_os_untagged(pointer) - block->start < block->size &&
           mm_os_is_readable((const void *)block->start);
}

/* Less than nothing while another thread is between two gates. */
static size_t at_least_none(int64_t sum)
{
    return sum > 0 ? (size_t)sum : 0;
}

size_t mm_registry_count(void)
{
    int64_t count = 0;
    for (unsigned i = 0; i < GATES; i++)
        count += atomic_load_explicit(&gates[i].count, memory_order_relaxed);
    return at_least_none(count);
}

size_t mm_registry_bytes(void)
{
    int64_t bytes = 0;
    for (unsigned i = 0; i < GATES; i++)
        bytes += atomic_load_explicit(&gates[i].bytes, memory_order_relaxed);
    return at_least_none(bytes);
}

void mm_registry_lock_all(void)
{
    mm_lock(&closed_lock);
    atomic_store(&closed, true);
    for (unsigned i = 0; i < GATES; i++) {
        for (unsigned round = 0; atomic_load(&gates[i].inside) != 0; round++)
            mm_os_wait(round);
    }
}

void mm_registry_unlock_all(void)
{
    atomic_store(&closed, false);
    mm_unlock(&closed_lock);
}

void mm_registry_renew_locks(void)
{
    /* Of threads that looked whether they may go in. */
    for (unsigned i = 0; i < GATES; i++)
        atomic_store_explicit(&gates[i].inside, 0, memory_order_relaxed);
    mm_registry_unlock_all();
    /* A thread that looked around is gone here. */
    atomic_store_explicit(&looking, false, memory_order_relaxed);
}
