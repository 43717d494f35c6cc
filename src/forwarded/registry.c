/* registry.c - bits and sizes of forwarded blocks, in leaves of a two-level map. No lock: bits,
 * sums and leaves are changed by whichever thread comes, at any time. All of a block belongs to
 * whoever noted it until one atomic step strikes it out, and then to whoever did: what is kept of
 * its size is written by them alone. Who looks around does that alone, and nobody else waits
 * for it.
 *
 * A bit is set only while the next allocator counts the block as handed out: set after it gave the
 * block, cleared before it gets it back. So a fork() may come anywhere. What was between the two
 * steps in a thread that the child does not have is a block that nobody there knows of.
 *
 * It is the next allocator's locks that gates are for: beside many threads that go in and out, a
 * fork() would wait for them for seconds. Both sides wait for a while only, for what holds the
 * other one up may be that somebody waits. */
#include "forwarded/registry.h"

#include "forwarded/registry_leaf.h"
#include "system/kernel.h"

#define GATES      16u
#define CACHE_LINE 64u
#define MUCH       ((int64_t)1 << 20)

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

static struct mm_leaf *_Atomic *leaves;
static struct mm_leaf *_Atomic highest_leaf;
static _Atomic bool trusts_all;

/* Of blocks that could not be noted the low bits of their addresses, and A_BLOCK; 0: none. */
#define A_BLOCK ((uintptr_t)1 << MM_LEAF_GRANULE_BITS)
static _Atomic uintptr_t unknown;

_Atomic bool mm_registry_is_looked_at;

/* Behind the map, for when the system refuses memory: libc may still have blocks to hand out, which
 * seldom lie where none ever was. */
#define SPARES 3u
_Static_assert(MM_LEAF_WORDS_SIZE == MM_LEAF_ENDS_SIZE, "a spare serves as either");
_Static_assert(sizeof(struct mm_leaf) <= MM_LEAF_WORDS_SIZE, "or as a leaf");
static _Atomic unsigned spares_used;

#define MAP_SIZE (MM_LEAVES * sizeof *leaves + SPARES * MM_LEAF_WORDS_SIZE)

MM_COLD static void *take_spare(void)
{
    unsigned used = atomic_load(&spares_used);
    while (leaves != NULL && used < SPARES) {
        if (atomic_compare_exchange_weak(&spares_used, &used, used + 1))
            return (char *)(leaves + MM_LEAVES) + used * MM_LEAF_WORDS_SIZE;
    }
    return NULL;
}

static bool is_spare(const void *piece)
{
    return (uintptr_t)piece - (uintptr_t)leaves < MAP_SIZE;
}

bool mm_registry_reserve(void)
{
    /* Whole and at once: an entry is touched when its leaf is made, the rest costs nothing. */
    leaves = mm_os_map(MAP_SIZE);
    if (leaves == NULL)
        atomic_store(&unknown, A_BLOCK | MM_LEAF_HALF);
    return leaves != NULL;
}

void mm_registry_trust_all(void)
{
    atomic_store(&trusts_all, true);
}

static void release_pieces(mm_piece *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_spare(mm_piece_at(&places[i])))
            atomic_store(&places[i], NULL);
    }
    mm_piece_release_all(places, count, MM_LEAF_WORDS_SIZE);
}

void mm_registry_release(void)
{
    if (leaves == NULL)
        return;
    for (struct mm_leaf *leaf = atomic_load(&highest_leaf), *below; leaf != NULL; leaf = below) {
        below = atomic_load(&leaf->below);
        release_pieces(leaf->words[0], 2 * MM_LEAF_PARTS);
        release_pieces(leaf->ends, MM_LEAF_PARTS);
        if (!is_spare(leaf))
            mm_os_release(leaf, sizeof *leaf);
    }
    mm_os_release(leaves, MAP_SIZE);
    leaves = NULL;
    atomic_store(&spares_used, 0);
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

/* The outermost of these that a fork()'s child forgot: a handler that came there had forked. */
static _Thread_local unsigned forgotten __attribute__((tls_model("initial-exec")));

void mm_registry_leave(struct mm_gate *gate)
{
    bool is_forgotten = depth <= forgotten;
    MM_ASSERT(depth != 0);
    MM_ASSERT(is_forgotten || gate == NULL ||
              atomic_load_explicit(&gate->inside, memory_order_relaxed) != 0);
    depth--;
    if (mm_unlikely(is_forgotten))
        forgotten = depth;
    else if (gate != NULL)
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
    if (depth > 1 || (bytes - told < MUCH && told - bytes < MUCH))
        return false;
    atomic_store_explicit(&noted->told, bytes, memory_order_relaxed);
    return true;
}

static struct mm_leaf *leaf_of(uintptr_t address)
{
    if (leaves == NULL || address >> MM_LEAF_ADDRESS_BITS != 0)
        return NULL;
    /* Acquire pairs with the release in make_leaf(). */
    return atomic_load_explicit(&leaves[address >> MM_LEAF_BITS], memory_order_acquire);
}

struct mm_leaf *mm_registry_leaf(uintptr_t address)
{
    return leaf_of(address);
}

struct mm_leaf *mm_registry_highest_leaf(void)
{
    return atomic_load_explicit(&highest_leaf, memory_order_acquire);
}

/* Links it in, or finds the one that another thread did, or a signal handler in this one, before.
 * Releases pair with the acquires of a search. */
static struct mm_leaf *link_leaf(struct mm_leaf *leaf, size_t index)
{
    struct mm_leaf *_Atomic *place = &highest_leaf;
    for (;;) {
        struct mm_leaf *below = atomic_load_explicit(place, memory_order_acquire);
        if (below != NULL && mm_leaf_number(below) == index)
            return below;
        if (below != NULL && mm_leaf_number(below) > index) {
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
static struct mm_leaf *make_leaf(uintptr_t address)
{
    if (leaves == NULL || address >> MM_LEAF_ADDRESS_BITS != 0)
        return NULL;
    struct mm_leaf *made = mm_os_map(sizeof *made);
    if (made == NULL)
        made = take_spare();
    if (made == NULL)
        return leaf_of(address);
    size_t index = address >> MM_LEAF_BITS;
    atomic_store_explicit(&made->number, index, memory_order_relaxed);
    struct mm_leaf *leaf = link_leaf(made, index);
    if (leaf != made && !is_spare(made))
        mm_os_release(made, sizeof *made);
    /* Release pairs with the acquire of leaf_of(). */
    atomic_store_explicit(&leaves[index], leaf, memory_order_release);
    return leaf;
}

/* The word that a block starting at `address` is noted in; NULL when none ever was near there, or
 * none can be. */
static struct mm_leaf_word *word_of(uintptr_t address)
{
    struct mm_leaf *leaf = address % MM_LEAF_HALF == 0 ? leaf_of(address) : NULL;
    return leaf != NULL ? mm_leaf_word(leaf, address) : NULL;
}

static bool was_block(const struct mm_leaf_word *word, uintptr_t address)
{
    return atomic_load_explicit(&word->once, memory_order_relaxed) & mm_leaf_bit(address);
}

/* Both steps are sequentially consistent with those of forget_group(): either the group's bit is
 * found cleared here, or the block's there. True when the block was live already. */
static bool set_live(struct mm_leaf *leaf, struct mm_leaf_word *word, uintptr_t address)
{
    size_t index = mm_leaf_index(address) / MM_LEAF_GROUP_WORDS;
    _Atomic uint64_t *groups = &leaf->groups[index / MM_WORD_BITS];
    uint64_t group = (uint64_t)1 << index % MM_WORD_BITS;
    bool before = atomic_fetch_or(&word->live, mm_leaf_bit(address)) & mm_leaf_bit(address);
    if (!(atomic_load(groups) & group))
        atomic_fetch_or(groups, group);
    return before;
}

/* --- sizes --- */

/* With the size goes where in the group the block starts: a small one may start there as well. */
#define PLACE_BITS (16u - MM_LEAF_HALF_BITS)
_Static_assert(MM_LEAF_GROUP == 1u << 16, "PLACE_BITS tell where in a group");

static _Atomic uint64_t *size_in(struct mm_leaf *leaf, uintptr_t address)
{
    return &leaf->sizes[mm_leaf_index(address) / MM_LEAF_GROUP_WORDS];
}

static uint64_t place_in_group(uintptr_t address)
{
    return address % MM_LEAF_GROUP / MM_LEAF_HALF;
}

/* The word that has the end bit of the small block at `address`, whose size is told by it; NULL
 * when there is none, or none any more. */
static _Atomic uint64_t *find_end(uintptr_t address, size_t *size)
{
    uint64_t mask = UINT64_MAX << address / MM_LEAF_HALF % MM_WORD_BITS;
    uintptr_t at = address - address % MM_LEAF_END_BYTES;
    for (; at < address + MM_LEAF_GROUP; at += MM_LEAF_END_BYTES, mask = UINT64_MAX) {
        struct mm_leaf *leaf = leaf_of(at);
        _Atomic uint64_t *table = leaf != NULL ? mm_piece_at(&leaf->ends[mm_leaf_part(at)]) : NULL;
        _Atomic uint64_t *word =
            table != NULL ? &table[at / MM_LEAF_END_BYTES % MM_LEAF_PART_ENDS] : NULL;
        uint64_t ends = word != NULL ? atomic_load_explicit(word, memory_order_relaxed) & mask : 0;
        if (ends != 0) {
            *size = at + (mm_bit_lowest(ends) + 1) * MM_LEAF_HALF - address;
            return word;
        }
    }
    return NULL;
}

static uint64_t end_bit(uintptr_t address, size_t size)
{
    MM_ASSERT(size >= MM_LEAF_HALF);
    return (uint64_t)1 << (address + size - MM_LEAF_HALF) / MM_LEAF_HALF % MM_WORD_BITS;
}

/* Of a block of a group's size or more; 0 for others. */
static size_t large_size(struct mm_leaf *leaf, uintptr_t address)
{
    uint64_t there = atomic_load_explicit(size_in(leaf, address), memory_order_relaxed);
    return there % (1u << PLACE_BITS) == place_in_group(address) ? there >> PLACE_BITS : 0;
}

size_t mm_registry_size(struct mm_leaf *leaf, uintptr_t address)
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

static inline size_t forget_size(struct mm_leaf *leaf, uintptr_t address)
{
    size_t size = large_size(leaf, address);
    if (mm_unlikely(size == 0))
        return forget_small(address);
    atomic_store_explicit(size_in(leaf, address), 0, memory_order_relaxed);
    return size;
}

MM_COLD static void *use_spare(mm_piece *place)
{
    void *there = NULL, *spare = take_spare();
    if (spare != NULL && atomic_compare_exchange_strong(place, &there, spare))
        return spare;
    return there;
}

/* As either kind of piece. */
static inline void *need_piece(mm_piece *place)
{
    void *there = mm_piece_need(place, MM_LEAF_WORDS_SIZE);
    return mm_likely(there != NULL) ? there : use_spare(place);
}

MM_COLD static void keep_small(uintptr_t address, size_t size)
{
    uintptr_t last = address + size - MM_LEAF_HALF;
    struct mm_leaf *leaf = leaf_of(last) != NULL ? leaf_of(last) : make_leaf(last);
    _Atomic uint64_t *table = leaf != NULL ? need_piece(&leaf->ends[mm_leaf_part(last)]) : NULL;
    if (table != NULL)
        atomic_fetch_or_explicit(&table[last / MM_LEAF_END_BYTES % MM_LEAF_PART_ENDS],
                                 end_bit(address, size), memory_order_relaxed);
}

static inline void keep_size(struct mm_leaf *leaf, uintptr_t address, size_t size)
{
    MM_ASSERT(size != 0 && size % MM_LEAF_HALF == 0 && address % MM_LEAF_HALF == 0);
    MM_ASSERT(size >> (64 - PLACE_BITS) == 0);
    if (mm_likely(size >= MM_LEAF_GROUP))
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
    if (atomic_load_explicit(&trusts_all, memory_order_relaxed))
        return true;
    return like != 0 && (address % A_BLOCK & ~like) == 0;
}

_Atomic uint64_t mm_registry_changes = 1;
static _Atomic bool is_watched;

void mm_registry_watch(void)
{
    atomic_store_explicit(&is_watched, true, memory_order_relaxed);
}

/* Release pairs with the acquire of who keeps what it was told until this changes. */
void mm_registry_note_change(void)
{
    if (mm_unlikely(atomic_load_explicit(&is_watched, memory_order_relaxed)))
        atomic_fetch_add_explicit(&mm_registry_changes, 1, memory_order_release);
}

int64_t mm_registry_add(struct mm_gate *gate, const void *block, size_t size)
{
    uintptr_t address = mm_os_untagged(block);
    struct mm_leaf *leaf = leaf_of(address);
    if (mm_unlikely(leaf == NULL))
        leaf = make_leaf(address);
    struct mm_leaf_word *word = NULL;
    if (mm_likely(leaf != NULL))
        word = mm_leaf_word_in(need_piece(mm_leaf_words(leaf, address)), address);
    if (mm_unlikely(word == NULL || address % MM_LEAF_HALF != 0)) {
        take_on_trust(address);
        return 0;
    }
    size_t before = 0;
    size = size != 0 ? (size + MM_LEAF_HALF - 1) & ~(MM_LEAF_HALF - 1) : MM_LEAF_HALF;
    if (mm_unlikely(set_live(leaf, word, address)))
        before = forget_size(leaf, address);
    else
        count(gate, 1);
    if (!was_block(word, address))
        atomic_fetch_or_explicit(&word->once, mm_leaf_bit(address), memory_order_relaxed);
    keep_size(leaf, address, size);
    mm_registry_note_change();
    return (int64_t)(size - before);
}

bool mm_registry_remove(struct mm_gate *gate, const void *block, size_t *size)
{
    uintptr_t address = mm_os_untagged(block);
    struct mm_leaf *leaf = leaf_of(address);
    struct mm_leaf_word *word = leaf != NULL ? mm_leaf_word(leaf, address) : NULL;
    *size = 0;
    if (mm_unlikely(word == NULL || address % MM_LEAF_HALF != 0 || !was_block(word, address)))
        return mm_registry_is_trusted(block);
    /* The read-modify-write that finds the bit set passes the block on from whoever used it to
     * whoever frees it. */
    if (!(atomic_fetch_and(&word->live, ~mm_leaf_bit(address)) & mm_leaf_bit(address)))
        return false;
    *size = forget_size(leaf, address);
    mm_registry_note_change();
    count(gate, -1);
    return true;
}

size_t mm_registry_forget(struct mm_gate *gate, const void *block)
{
    uintptr_t address = mm_os_untagged(block);
    size_t size = 0;
    if (mm_registry_is_live(block) && mm_registry_remove(gate, block, &size))
        atomic_fetch_and_explicit(&word_of(address)->once, ~mm_leaf_bit(address),
                                  memory_order_relaxed);
    return size;
}

bool mm_registry_is_live(const void *block)
{
    uintptr_t address = mm_os_untagged(block);
    struct mm_leaf_word *word = word_of(address);
    return word != NULL &&
           (atomic_load_explicit(&word->live, memory_order_relaxed) & mm_leaf_bit(address)) != 0;
}

bool mm_registry_was_block(const void *pointer)
{
    uintptr_t address = mm_os_untagged(pointer);
    struct mm_leaf_word *word = word_of(address);
    return word != NULL && was_block(word, address);
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
    if (atomic_fetch_add(&closed, 1) == 0)
        atomic_store(&is_stuck, false); /* one that left the last fork() late may have set it */
    for (unsigned round = 0;
         round < ROUNDS_MOST && depth == 0 && somebody_is_inside() && !atomic_load(&is_stuck);
         round++)
        mm_os_wait(round);
}

void mm_registry_open(void)
{
    atomic_store(&is_stuck, false);
    MM_ASSERT(atomic_load(&closed) != 0);
    atomic_fetch_sub(&closed, 1);
    mm_kernel_futex_wake(&closed, 1);
}

void mm_registry_renew(void)
{
    atomic_store(&is_stuck, false);
    atomic_store(&closed, 0);
    forgotten = depth;
    for (unsigned i = 0; i < GATES; i++)
        atomic_store_explicit(&gates[i].inside, 0, memory_order_relaxed);
    /* A thread that looked around is gone here. */
    atomic_store_explicit(&mm_registry_is_looked_at, false, memory_order_relaxed);
}
