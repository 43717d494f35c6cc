/* interned.c - see interned.h. The tables:
 *
 *   words     stacks, one after the other: a head, then the frames; an id is the number of the head
 *   chains    by hash of a stack: the id of the last one, whose head has the id of the one before
 *
 * A stack is whole before a chain leads to it, and never changes. */
#include "stacks/interned.h"

#include "system/os.h"
#include "system/pieces.h"
#include <string.h>

#define WORDS      ((size_t)1 << MM_INTERNED_BITS)
#define WORD_SHIFT 17u /* of a piece */
#define WORD_PIECE (sizeof(uint64_t) << WORD_SHIFT)
#define CHAIN_BITS 18u
#define FEW_BITS   9u /* chains of a few stacks */

_Static_assert(MM_UNWINDER_MOST < 1u << 8 && 8 + MM_INTERNED_BITS == 32, "a head is one word");

static mm_piece words[WORDS >> WORD_SHIFT] MM_SELDOM;
static _Atomic uint32_t *chains;
static unsigned chain_bits;
static _Atomic uint64_t words_used;

bool mm_interned_start(bool few)
{
    chain_bits = few ? FEW_BITS : CHAIN_BITS;
    atomic_store(&words_used, 1); /* id 0 is no stack */
    chains = mm_piece_map(sizeof *chains << chain_bits);
    return chains != NULL;
}

void mm_interned_stop(void)
{
    mm_piece_release_all(words, sizeof words / sizeof words[0], WORD_PIECE);
    if (chains != NULL)
        mm_os_release(chains, sizeof *chains << chain_bits);
    chains = NULL;
}

/* Two polynomials, of every other frame each, that do not wait for each other. */
static uint64_t hash_of(const struct mm_frames *stack)
{
    uint64_t even = stack->count, odd = 0;
    unsigned i = 0;
    for (; i + 1 < stack->count; i += 2) {
        even = (even + (uintptr_t)stack->frames[i]) * 0x9e3779b97f4a7c15u;
        odd = (odd + (uintptr_t)stack->frames[i + 1]) * 0x9e3779b97f4a7c15u;
    }
    if (i < stack->count)
        even = (even + (uintptr_t)stack->frames[i]) * 0x9e3779b97f4a7c15u;
    return mm_bits_mixed(even ^ (odd << 32 | odd >> 32));
}

/* A stack's head: how many frames, which stack comes next in its chain, and what of the hash the
 * chain does not tell. */
static uint64_t head_of(const struct mm_frames *stack, uint32_t next, uint64_t hash)
{
    return stack->count | (uint64_t)next << 8 | hash >> 32 << 32;
}

static unsigned count_of(uint64_t head)
{
    return head & 0xff;
}

static uint32_t next_of(uint64_t head)
{
    return head >> 8 & (WORDS - 1);
}

/* NULL when there is no such stack. */
static inline uint64_t *words_of(uint32_t id)
{
    uint64_t *there = mm_piece_at(&words[id >> WORD_SHIFT]);
    return there != NULL ? there + id % (1u << WORD_SHIFT) : NULL;
}

/* Among the stacks of a chain from `id` on, up to but not including `end`. */
static uint32_t find_stack(const struct mm_frames *stack, uint64_t hash, uint32_t id, uint32_t end)
{
    while (id != end) {
        const uint64_t *there = words_of(id);
        if (there[0] >> 32 == hash >> 32 && count_of(there[0]) == stack->count &&
            memcmp(&there[1], stack->frames, stack->count * sizeof *there) == 0)
            return id;
        id = next_of(there[0]);
    }
    return 0;
}

static bool has_memory(uint64_t id, uint64_t count)
{
    return id + count <= WORDS && mm_piece_need(&words[id >> WORD_SHIFT], WORD_PIECE) != NULL &&
           mm_piece_need(&words[(id + count - 1) >> WORD_SHIFT], WORD_PIECE) != NULL;
}

/* Of one piece. Memory first: what is refused for a while must not use up the numbers. */
static uint32_t take_words(uint64_t count)
{
    while (has_memory(atomic_load_explicit(&words_used, memory_order_relaxed), count)) {
        uint64_t id = atomic_fetch_add_explicit(&words_used, count, memory_order_relaxed);
        if (!has_memory(id, count))
            return 0;
        if (id >> WORD_SHIFT == (id + count - 1) >> WORD_SHIFT)
            return (uint32_t)id;
    }
    return 0;
}

/* The id of a stack, 0 when the table is full. Of two threads that bring the same one at the
 * same time both get one id, and the other's words are lost. */
uint32_t mm_interned_id(const struct mm_frames *stack)
{
    uint64_t hash = hash_of(stack);
    _Atomic uint32_t *chain = &chains[hash % ((size_t)1 << chain_bits)];
    /* Acquire, here and when the exchange fails, pairs with the release of an exchange that
     * succeeded: the words are there. */
    uint32_t first = atomic_load_explicit(chain, memory_order_acquire);
    uint32_t found = find_stack(stack, hash, first, 0);
    uint32_t made = found == 0 ? take_words(1 + stack->count) : 0;
    if (made == 0)
        return found;
    uint64_t *there = words_of(made);
    memcpy(&there[1], stack->frames, stack->count * sizeof *there);
    for (uint32_t looked_at = first; found == 0; looked_at = first) {
        there[0] = head_of(stack, first, hash);
        if (atomic_compare_exchange_strong_explicit(chain, &first, made, memory_order_release,
                                                    memory_order_acquire))
            return made;
        found = find_stack(stack, hash, first, looked_at);
    }
    return found;
}

unsigned mm_interned_frames(uint32_t id, const void *frames[static MM_UNWINDER_MOST])
{
    const uint64_t *there = id != 0 ? words_of(id) : NULL;
    unsigned count = there != NULL ? count_of(there[0]) : 0;
    for (unsigned i = 0; i < count; i++)
        frames[i] = (const void *)there[1 + i]; /* NOLINT(performance-no-int-to-ptr) */
    return count;
}
