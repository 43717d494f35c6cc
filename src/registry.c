/* registry.c - no lock: bits, sums and leaves are changed by whichever thread comes, at any time.
 *
 * A bit is set only while the next allocator counts the block as handed out: set after it gave the
 * block, cleared before it gets it back. So a fork() may come anywhere. What was between the two
 * steps in a thread that the child does not have is a block that nobody there knows of.
 *
 * It is the next allocator's locks that gates are for: beside many threads that go in and out, a
 * fork() would wait for them for seconds. Both sides wait for a while only, for what holds the
 * other one up may be that somebody waits. */
#include "registry.h"

#include "bitmap.h"
#include "kernel.h"
#include <stdatomic.h>

#define ADDRESS_BITS 48u /* user space of x86-64 and aarch64 */
#define LEAF_BITS    28u /* a leaf covers 256 MiB */
#define GRANULE_BITS 4u
#define LEAVES       ((size_t)1 << (ADDRESS_BITS - LEAF_BITS))
#define LEAF_WORDS   ((size_t)1 << (LEAF_BITS - GRANULE_BITS - 6))
#define GROUP_WORDS  64u /* words that one bit of a leaf's `groups` stands for */
#define LEAF_GROUPS  (LEAF_WORDS / GROUP_WORDS)
#define GATES        16u
#define CACHE_LINE   64u
#define MUCH         ((int64_t)1 << 20)

/* The words of both bits lie side by side, so that a free touches one cache line. */
struct word {
    _Atomic uint64_t live, once;
};

/* `groups` is for the search for the block below an address. A group's bit is set after the live
 * bit of a block; whoever looks around clears it where the group turns out to be empty, see
 * forget_group(). */
struct leaf {
    struct word words[LEAF_WORDS];
    _Atomic uint64_t groups[LEAF_GROUPS / MM_WORD_BITS];
    size_t index;
    struct leaf *_Atomic below; /* the next lower one that there is */
};

/* A thread goes through one of several gates, by the address of its stack, so that threads seldom
 * write to the same cache line. What the live blocks come to is kept by gate as well: only the sums
 * over all gates mean anything. */
static struct mm_gate {
    _Alignas(CACHE_LINE) _Atomic unsigned inside; /* threads, and those about to find it closed */
    _Atomic int64_t count, bytes;
    _Atomic int64_t told; /* bytes, when mm_registry_hold() last returned true */
} gates[GATES];
static _Atomic uint32_t closed; /* by so many threads inside fork() */
static _Atomic bool is_stuck;   /* one that found them closed waited in vain: none does any more */
#define PATIENCE_MS 2000u
#define ROUNDS_MOST 400u /* as long, of who closes them; by no clock, which may be another's */

static struct leaf *_Atomic *leaves;
static struct leaf *_Atomic highest_leaf;
static _Atomic bool some_unknown; /* see mm_registry_add_moved() */
static _Atomic bool trusts_all;

/* Whoever looks around takes turns by this word: 0 when nobody does, LOOKING while one searches,
 * and then the address of the block whose size it reads. Who strikes out that block waits. */
#define LOOKING 1u
static _Atomic uintptr_t looked_at;

bool mm_registry_reserve(void)
{
    /* Whole and at once: an entry is touched when its leaf is made, the rest costs nothing. */
    leaves = mm_os_map(LEAVES * sizeof *leaves);
    if (leaves == NULL)
        atomic_store(&some_unknown, true);
    return leaves != NULL;
}

void mm_registry_trust_all(void)
{
    atomic_store(&trusts_all, true);
}

void mm_registry_release(void)
{
    if (leaves == NULL)
        return;
    for (struct leaf *leaf = atomic_load(&highest_leaf), *below; leaf != NULL; leaf = below) {
        below = atomic_load(&leaf->below);
        mm_os_release(leaf, sizeof *leaf);
    }
    mm_os_release(leaves, LEAVES * sizeof *leaves);
    leaves = NULL;
    atomic_store(&some_unknown, false);
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
    if (gate != NULL)
        atomic_fetch_sub_explicit(&gate->inside, 1, memory_order_release);
}

static bool is_closed(void)
{
    return mm_unlikely(atomic_load(&closed) != 0) && !atomic_load(&is_stuck);
}

/* One lets the next one in: all at once would be in each other's way in there. */
MM_COLD static void wait_outside(struct mm_gate *gate)
{
    uint32_t there;
    atomic_fetch_sub_explicit(&gate->inside, 1, memory_order_release);
    while (is_closed() && (there = atomic_load(&closed)) != 0) {
        if (!mm_kernel_futex_wait(&closed, there, PATIENCE_MS))
            atomic_store(&is_stuck, true);
    }
    mm_kernel_futex_wake(&closed, 1);
    atomic_fetch_add(&gate->inside, 1);
}

/* None for a process of one thread. Who is inside already does not wait, nor does the thread inside
 * fork(). */
struct mm_gate *mm_registry_enter(void)
{
    if (mm_os_single_threaded()) {
        depth++;
        return NULL;
    }
    uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
    struct mm_gate *gate = &gates[(stack >> 16 ^ stack >> 23) % GATES];
    atomic_fetch_add(&gate->inside, 1);
    if (is_closed() && depth == 0 && !mm_locks_are_passed())
        wait_outside(gate);
    depth++;
    return gate;
}

void mm_registry_pass(bool passes)
{
    depth += passes ? 1u : -1u;
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
    if (bytes - told < MUCH && told - bytes < MUCH)
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

/* Links it in, or finds the one that another thread did, or a signal handler in this one, before.
 * Releases pair with the acquires of a search. */
static struct leaf *link_leaf(struct leaf *leaf)
{
    struct leaf *_Atomic *place = &highest_leaf;
    for (;;) {
        struct leaf *below = atomic_load_explicit(place, memory_order_acquire);
        if (below != NULL && below->index == leaf->index)
            return below;
        if (below != NULL && below->index > leaf->index) {
            place = &below->below;
            continue;
        }
        atomic_store_explicit(&leaf->below, below, memory_order_relaxed);
        if (atomic_compare_exchange_strong_explicit(place, &below, leaf, memory_order_release,
                                                    memory_order_relaxed))
            return leaf;
    }
}

/* Without a lock: whoever comes in between may never come back, be it a handler that exits or a
 * fork(). It can be searched before a block is noted in it. */
static struct leaf *make_leaf(uintptr_t address)
{
    if (leaves == NULL || address >> ADDRESS_BITS != 0)
        return NULL;
    struct leaf *made = mm_os_map(sizeof *made);
    if (made == NULL)
        return leaf_of(address);
    made->index = address >> LEAF_BITS;
    struct leaf *leaf = link_leaf(made);
    if (leaf != made)
        mm_os_release(made, sizeof *made);
    /* Release pairs with the acquire of leaf_of(). */
    atomic_store_explicit(&leaves[leaf->index], leaf, memory_order_release);
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

/* Both steps are sequentially consistent with those of forget_group(): either the group's bit is
 * found cleared here, or the block's there. */
static void set_live(struct leaf *leaf, size_t index, uintptr_t address)
{
    _Atomic uint64_t *groups = &leaf->groups[index / GROUP_WORDS / MM_WORD_BITS];
    uint64_t group = (uint64_t)1 << index / GROUP_WORDS % MM_WORD_BITS;
    atomic_fetch_or(&leaf->words[index].live, bit_of(address));
    if (!(atomic_load(groups) & group))
        atomic_fetch_or(groups, group);
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
    set_live(leaf, word_index(address), address);
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
        return (atomic_load_explicit(&some_unknown, memory_order_relaxed) &&
                address % (1u << GRANULE_BITS) == 0) ||
               atomic_load_explicit(&trusts_all, memory_order_relaxed);
    }
    /* The read-modify-write that finds the bit set passes the block on from whoever used it to
     * whoever frees it. Sequentially consistent with the two steps of read_size(): either the block
     * is seen to be looked at, or the bit is seen to be gone. */
    if (!(atomic_fetch_and(&word->live, ~bit_of(address)) & bit_of(address)))
        return false;
    for (unsigned round = 0; mm_unlikely(atomic_load(&looked_at) == address); round++)
        mm_os_wait(round);
    count(gate, -1);
    return true;
}

bool mm_registry_is_live(const void *block)
{
    struct word *word = word_of((uintptr_t)block);
    if (word == NULL)
        return atomic_load_explicit(&trusts_all, memory_order_relaxed);
    return atomic_load_explicit(&word->live, memory_order_relaxed) & bit_of((uintptr_t)block);
}

bool mm_registry_was_block(const void *pointer)
{
    struct word *word = word_of((uintptr_t)pointer);
    return word != NULL && was_block(word, (uintptr_t)pointer);
}

/* --- the block around an address --- */

/* A place to search down from: words up to `index`, of that one only the bits of `mask`. */
struct place {
    size_t index;
    uint64_t mask;
};

/* The highest block that starts in a group, at `from` or below; false when there is none. */
static bool highest_in_group(struct leaf *leaf, size_t group, struct place from, uintptr_t *offset)
{
    for (; from.index + 1 > group * GROUP_WORDS; from.index--, from.mask = UINT64_MAX) {
        uint64_t live = atomic_load(&leaf->words[from.index].live) & from.mask;
        if (live != 0) {
            *offset = (from.index * MM_WORD_BITS + mm_log2_floor(live)) << GRANULE_BITS;
            return true;
        }
    }
    return false;
}

static struct place end_of_group(size_t group)
{
    return (struct place){group * GROUP_WORDS + GROUP_WORDS - 1, UINT64_MAX};
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
    static const struct place end = {LEAF_WORDS - 1, UINT64_MAX};
    size_t index = address >> LEAF_BITS;
    struct leaf *leaf = atomic_load_explicit(&highest_leaf, memory_order_acquire);
    for (; leaf != NULL; leaf = atomic_load_explicit(&leaf->below, memory_order_acquire)) {
        struct place here = {word_index(address), bit_of(address) | (bit_of(address) - 1)};
        uintptr_t offset;
        if (leaf->index <= index &&
            highest_in_leaf(leaf, leaf->index == index ? here : end, &offset))
            return ((uintptr_t)leaf->index << LEAF_BITS) + offset;
    }
    return 0;
}

/* 0 when it is given back at this moment; until this returns it cannot be. */
static size_t read_size(uintptr_t block, size_t (*size_of)(void *block))
{
    atomic_store(&looked_at, block);
    bool live = atomic_load(&word_of(block)->live) & bit_of(block);
    return live ? size_of((void *)block) : 0;
}

static void take_turn(void)
{
    uintptr_t nobody = 0;
    for (unsigned round = 0; !atomic_compare_exchange_weak_explicit(
             &looked_at, &nobody, LOOKING, memory_order_acquire, memory_order_relaxed);
         round++) {
        nobody = 0;
        mm_os_wait(round);
    }
}

/* A signal handler that frees badly must not come upon its own thread's turn. */
void *mm_registry_around(const void *pointer, size_t (*size_of)(void *block), size_t *size)
{
    uintptr_t address = (uintptr_t)pointer;
    if (leaves == NULL || address >> ADDRESS_BITS != 0)
        return NULL;
    struct mm_signals signals = mm_os_block_signals();
    take_turn();
    uintptr_t block = find_below(address);
    *size = block != 0 ? read_size(block, size_of) : 0;
    /* Release pairs with the acquire in take_turn(). */
    atomic_store_explicit(&looked_at, 0, memory_order_release);
    mm_os_restore_signals(&signals);
    return address - block < *size ? (void *)block : NULL;
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

static bool somebody_is_inside(void)
{
    unsigned inside = 0;
    for (unsigned i = 0; i < GATES; i++)
        inside += atomic_load(&gates[i].inside);
    return inside != 0;
}

/* A signal handler that forks may have interrupted this thread inside. */
void mm_registry_close(void)
{
    atomic_fetch_add(&closed, 1);
    for (unsigned round = 0;
         round < ROUNDS_MOST && depth == 0 && somebody_is_inside() && !atomic_load(&is_stuck);
         round++)
        mm_os_wait(round);
}

void mm_registry_open(void)
{
    atomic_store(&is_stuck, false);
    atomic_fetch_sub(&closed, 1);
    mm_kernel_futex_wake(&closed, 1);
}

void mm_registry_renew(void)
{
    atomic_store(&is_stuck, false);
    atomic_store(&closed, 0);
    for (unsigned i = 0; i < GATES; i++)
        atomic_store_explicit(&gates[i].inside, 0, memory_order_relaxed);
    /* A thread that looked around is gone here. */
    atomic_store_explicit(&looked_at, 0, memory_order_relaxed);
}
