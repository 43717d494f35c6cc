/* arena.c - the reservation, its tables, and the way of chunks to heaps and back. All of it but
 * setting up and releasing is under mm_arena_lock; invariants of the pool: pool.h. */
#include "slots/arena.h"

#include "slots/pool.h"
#include "system/patience.h"
#include <stdatomic.h>

#define MIN_ARENA ((size_t)1 << 20)
#define ALIGNMENT ((size_t)1 << (MM_UNIT_SHIFT + MM_SPAN_ORDER_MAX))
/* Never accessible: the first chunk, and as much behind the last. No run of bad writes from slot to
 * slot gets any further; and a pointer that lies just before the first slot still is one into the
 * arena, and so told as interior like any other of its kind. */
#define GUARD       ((size_t)1 << MM_CHUNK_SHIFT)
#define GROUP_SHIFT (MM_CHUNK_SHIFT + 6) /* a group: the 64 chunks of one pool word, 4 MiB */

_Static_assert(MM_SPAN_ORDER_MAX <= MM_CHUNK_ORDER + 6, "a span fits a group");

struct mm_arena mm_arena;
/* Held by the thread itself: a signal handler came in between, perhaps one that exits, and in a
 * process of one thread libc's malloc would let it. Then what is here is left as it is; and by a
 * request while a fork() is under way, too. */
struct mm_lock mm_arena_lock;
struct mm_pool mm_pool;

/* A part of the reservation, committed from its start. */
struct part {
    uintptr_t start;
    _Atomic uintptr_t committed;
    uintptr_t end;
    size_t step; /* committed at least this much at a time */
};

static struct {
    struct part lines, chunks, words, marks, units, arena;
    uintptr_t end; /* of the reservation, which starts with the lines */
    _Atomic uint32_t next_line;
    /* Of commits. Whose wish goes unasked is served by the next allocator. */
    struct mm_patience patience;
} state;

/* For whoever holds the lock, or is alone. */
static uintptr_t committed_of(const struct part *part)
{
    return atomic_load_explicit(&part->committed, memory_order_relaxed);
}

static bool commit_up_to(struct part *part, uintptr_t end)
{
    MM_ASSERT(part->start <= committed_of(part) && committed_of(part) <= part->end);
    uintptr_t from = committed_of(part);
    if (end <= from)
        return true;
    uintptr_t wanted = mm_round_up(end, part->step);
    if (wanted > part->end)
        wanted = part->end;
    if (wanted < end || !mm_os_commit((void *)from, wanted - from))
        return false;
    /* Release pairs with the acquire of mm_arena_chunks(): walkers find the tables up to there. */
    atomic_store_explicit(&part->committed, wanted, memory_order_release);
    return true;
}

static uintptr_t lay_out(struct part *part, uintptr_t start, size_t size, size_t step)
{
    *part = (struct part){start, start, start + mm_round_up(size, mm_os_page_size()), step};
    return part->end;
}

static size_t lines_size(size_t arena)
{
    return ((arena >> MM_UNIT_SHIFT) + 2 * MM_GRAVE_LINES) * MM_LINE_SIZE;
}

static size_t chunks_size(size_t arena)
{
    return (arena >> MM_CHUNK_SHIFT) * sizeof(struct mm_chunk);
}

static size_t units_size(size_t arena)
{
    return (arena >> MM_UNIT_SHIFT) * sizeof(uint32_t);
}

/* Lays the parts out for an arena of `size` bytes from `start` on, with no gap; the end of the
 * last.
 */
static uintptr_t lay_out_all(uintptr_t start, size_t size)
{
    size_t page = mm_os_page_size();
    size_t groups = ((size >> MM_CHUNK_SHIFT) + MM_WORD_BITS - 1) / MM_WORD_BITS;
    uintptr_t at =
        lay_out(&state.lines, start, lines_size(size), mm_round_up((size_t)64 << 10, page));
    at = lay_out(&state.chunks, at, chunks_size(size), page);
    at = lay_out(&state.words, at, MM_POOL_WORDS * groups * sizeof(uint64_t), page);
    at = lay_out(&state.marks, at, lines_size(size) / (MM_LINES_A_MARK * MM_LINE_SIZE) + 1, page);
    at = lay_out(&state.units, at, units_size(size), page);
    at = state.units.end = mm_round_up(at, ALIGNMENT);
    at = lay_out(&state.arena, at, size, (size_t)1 << 20);
    atomic_store_explicit(&state.arena.committed, state.arena.start + GUARD, memory_order_relaxed);
    return at;
}

static void release_from(uintptr_t start, uintptr_t end)
{
    mm_os_release((void *)start, end - start);
}

/* One by one: between them may lie what mm_arena_shrink() gave up, and is another's by now. */
static void release_all(void)
{
    release_from(state.lines.start, state.lines.end);
    release_from(state.chunks.start, state.chunks.end);
    release_from(state.words.start, state.words.end);
    release_from(state.marks.start, state.marks.end);
    release_from(state.units.start, state.units.end);
    release_from(state.arena.start, state.end);
}

static bool reserve(size_t size)
{
    size_t whole = lay_out_all(0, size) + ALIGNMENT + GUARD;
    void *start = mm_os_reserve(whole);
    if (start == NULL)
        return false;
    lay_out_all((uintptr_t)start, size);
    state.end = (uintptr_t)start + whole;
    size_t words_size = state.words.end - state.words.start;
    if (!mm_os_make_readable((void *)state.units.start, state.units.end - state.units.start) ||
        !commit_up_to(&state.words, state.words.start + words_size) ||
        !commit_up_to(&state.marks, state.marks.end) ||
        !commit_up_to(&state.lines, state.lines.start + (MM_GRAVE_LINES + 1) * MM_LINE_SIZE)) {
        release_all();
        return false;
    }
    size_t groups = words_size / sizeof(uint64_t) / MM_POOL_WORDS;
    _Atomic uint64_t *words = (_Atomic uint64_t *)state.words.start;
    mm_pool = (struct mm_pool){.free = words,
                               .dirty = words + groups,
                               .old = words + 2 * groups,
                               .refused = words + 3 * groups,
                               .purging = words + 4 * groups,
                               .given = words + 5 * groups};
    atomic_store_explicit(&state.next_line, (1 + MM_GRAVE_LINES) * MM_LINE_SIZE,
                          memory_order_relaxed);
    return true;
}

/* Of what RLIMIT_AS grants: the program needs the rest for its libraries, stacks and larger blocks.
 */
static size_t share_of(size_t limit)
{
    return (limit / 4) & ~(((size_t)1 << GROUP_SHIFT) - 1);
}

/* As much as the machine could fill, if the limit grants it. */
static size_t natural_size(void)
{
    size_t size = (size_t)1 << mm_log2_ceil(mm_os_physical_memory());
    size_t share = share_of(mm_os_address_space_limit());
    return size < share ? size : share;
}

bool mm_arena_reserve(size_t size)
{
    if (size == 0)
        size = natural_size();
    else
        size &= ~(((size_t)1 << MM_CHUNK_SHIFT) - 1);
    while (size >= MIN_ARENA && !reserve(size))
        size /= 2;
    if (size < MIN_ARENA)
        return false;
    mm_arena = (struct mm_arena){state.arena.start, size, (_Atomic uint32_t *)state.units.start,
                                 state.lines.start, (_Atomic uint8_t *)state.marks.start};
    return true;
}

void mm_arena_release(void)
{
    if (mm_arena_size() == 0)
        return;
    mm_arena = (struct mm_arena){0};
    release_all();
    mm_pool = (struct mm_pool){0};
    state.arena = (struct part){0};
    state.patience = (struct mm_patience){0};
}

static void cut(struct part *part, size_t size)
{
    uintptr_t end = mm_round_up(part->start + size, mm_os_page_size());
    if (end < committed_of(part))
        end = committed_of(part);
    if (end >= part->end)
        return;
    release_from(end, part->end);
    part->end = end;
}

/* The size first, so that no pointer of whoever gets the address space is taken for a slot. They
 * get it by the kernel's lock, after us, so relaxed will do. */
static void shrink_to(size_t size)
{
    uintptr_t end = state.arena.start + size;
    atomic_store_explicit(&mm_arena.size, size, memory_order_relaxed);
    state.arena.end = end;
    if (end + GUARD < state.end) {
        release_from(end + GUARD, state.end);
        state.end = end + GUARD;
    }
    cut(&state.units, units_size(size));
    cut(&state.chunks, chunks_size(size));
    cut(&state.lines, lines_size(size));
}

void mm_arena_shrink(size_t limit)
{
    size_t size = share_of(limit);
    if (!mm_lock_unless_held(&mm_arena_lock))
        return;
    if (mm_arena_size() != 0) {
        size_t committed = mm_round_up(committed_of(&state.arena), ALIGNMENT) - state.arena.start;
        size = size > committed ? size : committed;
        if (size < mm_arena_size())
            shrink_to(size);
    }
    mm_unlock(&mm_arena_lock);
}

struct mm_chunk *mm_arena_chunk(size_t index)
{
    return (struct mm_chunk *)state.chunks.start + index;
}

/* The program's own data belongs into a core file, unlike the tables. That is said a step ahead, so
 * that the kernel moves two borders and needs no mapping in between, which it refuses a process
 * that has used up all; what nobody ever wrote to is in no core file. */
static bool commit_slots(uintptr_t end)
{
    uintptr_t from = committed_of(&state.arena), ahead = mm_round_up(end, state.arena.step);
    ahead += state.arena.step;
    ahead = ahead < state.arena.end ? ahead : state.arena.end;
    mm_os_set_dumped((void *)from, ahead - from, true);
    return commit_up_to(&state.arena, end);
}

/* Commits the arena up to `end`, and its tables with it: first these, so that no chunk is in the
 * pool without its struct and units. */
static bool grow(uintptr_t end)
{
    size_t units = (end - state.arena.start) >> MM_UNIT_SHIFT;
    size_t chunks = (end - state.arena.start) >> MM_CHUNK_SHIFT;
    return commit_up_to(&state.chunks, state.chunks.start + chunks * sizeof(struct mm_chunk)) &&
           commit_up_to(&state.units, state.units.start + units * sizeof(uint32_t)) &&
           commit_slots(end);
}

/* Adds what lies behind the committed end to the pool: an eighth of what there is, between 1 and
 * 64 MiB, so that system calls stay few; less where that is refused. */
static bool extend_pool(void)
{
    uintptr_t from = committed_of(&state.arena);
    uintptr_t whole = from & ~(state.arena.step - 1); /* all but the first time that is `from` */
    /* A multiple of the arena's own step: the tables must reach as far as the slots. */
    size_t step = mm_round_up((from - state.arena.start) / 8 + 1, state.arena.step);
    step = step > ((size_t)64 << 20) ? (size_t)64 << 20 : step;
    if (step > state.arena.end - whole)
        step = state.arena.end - whole;
    if (from == state.arena.end || !mm_patience_may_ask(&state.patience) ||
        !mm_patience_note(&state.patience, grow(whole + step) || grow(whole + state.arena.step)))
        return false;
    size_t last = mm_arena_chunk_index(committed_of(&state.arena));
    for (size_t chunk = mm_arena_chunk_index(from); chunk < last; chunk++)
        mm_pool_set_bits(mm_pool.free, chunk / MM_WORD_BITS, (uint64_t)1 << chunk % MM_WORD_BITS);
    return true;
}

/* None as long as only the guard is there: the table has no memory yet. */
size_t mm_arena_chunks(void)
{
    uintptr_t end = atomic_load_explicit(&state.arena.committed, memory_order_acquire);
    return end > state.arena.start + GUARD ? mm_arena_chunk_index(end) : 0;
}

size_t mm_arena_taken(void)
{
    return mm_pool_get(&mm_pool.taken_chunks) << MM_CHUNK_SHIFT;
}

size_t mm_pool_groups(void)
{
    return (mm_arena_chunks() + MM_WORD_BITS - 1) / MM_WORD_BITS;
}

static bool find_run(const _Atomic uint64_t *words, unsigned order, size_t *chunk)
{
    size_t groups = mm_pool_groups();
    for (size_t group = mm_pool.first_group; group < groups; group++) {
        uint64_t word = mm_pool_bits(words, group);
        unsigned start;
        if (word != 0 && mm_bits_find_run(word, order, &start)) {
            *chunk = group * MM_WORD_BITS + start;
            return true;
        }
    }
    return false;
}

/* Dirty memory first: it is there already. */
static bool find_chunks(unsigned order, size_t *chunk)
{
    while (mm_pool.first_group < mm_arena_chunk_index(committed_of(&state.arena)) / MM_WORD_BITS &&
           mm_pool_bits(mm_pool.free, mm_pool.first_group) == 0)
        mm_pool.first_group++;
    if (mm_pool_get(&mm_pool.dirty_chunks) > 0 && find_run(mm_pool.dirty, order, chunk))
        return true;
    while (!find_run(mm_pool.free, order, chunk)) {
        if (!extend_pool())
            return false;
    }
    return true;
}

size_t mm_pool_held(void)
{
    size_t now =
        (mm_pool_get(&mm_pool.taken_chunks) << MM_CHUNK_SHIFT) + mm_pool_get(&mm_pool.others);
    if (now > mm_pool_get(&mm_pool.most)) {
        atomic_store_explicit(&mm_pool.most, now, memory_order_relaxed);
        mm_pool_allow();
    }
    return now;
}

void mm_pool_remove(size_t group, uint64_t run)
{
    MM_ASSERT(run != 0 && (mm_pool_bits(mm_pool.free, group) & run) == run);
    MM_ASSERT((mm_pool_bits(mm_pool.purging, group) & run) == 0);
    MM_ASSERT((mm_pool_bits(mm_pool.old, group) & ~mm_pool_bits(mm_pool.dirty, group)) == 0);
    uint64_t dirty = mm_pool_bits(mm_pool.dirty, group) & run;
    uint64_t refused = mm_pool_bits(mm_pool.refused, group) & run;
    mm_pool_add(&mm_pool.dirty_chunks, -(size_t)mm_bit_count(dirty));
    if (mm_unlikely(refused != 0)) {
        mm_pool_add(&mm_pool.refused_chunks, -(size_t)mm_bit_count(refused));
        mm_pool_allow();
    }
    mm_pool_clear_bits(mm_pool.free, group, run);
    mm_pool_clear_bits(mm_pool.dirty, group, run);
    mm_pool_clear_bits(mm_pool.old, group, run);
    mm_pool_clear_bits(mm_pool.refused, group, run);
}

void mm_pool_put(size_t group, uint64_t run, uint64_t dirty)
{
    MM_ASSERT((dirty & ~run) == 0 && group < mm_pool_groups());
    MM_ASSERT(((mm_pool_bits(mm_pool.free, group) | mm_pool_bits(mm_pool.purging, group)) & run) ==
              0);
    mm_pool_set_bits(mm_pool.free, group, run);
    mm_pool_set_bits(mm_pool.dirty, group, dirty);
    mm_pool_add(&mm_pool.dirty_chunks, mm_bit_count(dirty));
    if (group < mm_pool.first_group)
        mm_pool.first_group = group;
}

/* Memory that went back before its time, as nobody might have come later, is wanted again. */
static void learn(uint64_t clean_again)
{
    size_t count = mm_bit_count(clean_again);
    count = count < mm_pool.early ? count : mm_pool.early;
    mm_pool.early -= count;
    mm_pool.learned += count;
    mm_pool_allow();
}

void *mm_arena_take_chunks(unsigned order, bool *zero)
{
    MM_ASSERT(order <= MM_SPAN_ORDER_MAX - MM_CHUNK_ORDER);
    void *start = NULL;
    size_t chunk;
    if (!mm_lock_for_request(&mm_arena_lock))
        return NULL;
    if (mm_arena_size() != 0 && find_chunks(order, &chunk)) {
        size_t group = chunk / MM_WORD_BITS;
        uint64_t run = mm_bits_run(chunk % MM_WORD_BITS, order);
        MM_ASSERT(chunk != 0 && chunk + ((size_t)1 << order) <= mm_arena_chunks());
        uint64_t dirty = mm_pool_bits(mm_pool.dirty, group) & run;
        *zero = dirty == 0;
        if (mm_unlikely(mm_pool.early != 0))
            learn(run & mm_pool_bits(mm_pool.given, group) & ~dirty);
        mm_pool_remove(group, run);
        mm_pool_add(&mm_pool.taken_chunks, (size_t)1 << order);
        mm_pool_held();
        start = (void *)(mm_arena.base + (chunk << MM_CHUNK_SHIFT));
    }
    mm_unlock(&mm_arena_lock);
    return start;
}

bool mm_arena_give_chunks(void *start, unsigned order)
{
    size_t chunk = mm_arena_chunk_index((uintptr_t)start);
    size_t group = chunk / MM_WORD_BITS;
    uint64_t run = mm_bits_run(chunk % MM_WORD_BITS, order);
    if (!mm_lock_for_request(&mm_arena_lock))
        return false;
    mm_pool_put(group, run, run);
    MM_ASSERT(mm_pool_get(&mm_pool.taken_chunks) >= (size_t)1 << order);
    mm_pool_set_bits(mm_pool.given, group, run);
    mm_pool_add(&mm_pool.taken_chunks, -((size_t)1 << order));
    mm_unlock(&mm_arena_lock);
    return true;
}

bool mm_arena_was_given(uintptr_t address)
{
    size_t chunk = mm_arena_chunk_index(address);
    uint64_t given = mm_pool_bits(mm_pool.given, chunk / MM_WORD_BITS);
    return given >> chunk % MM_WORD_BITS & 1;
}

static bool commit_lines(uintptr_t end)
{
    return end <= committed_of(&state.lines) ||
           (mm_patience_may_ask(&state.patience) &&
            mm_patience_note(&state.patience, commit_up_to(&state.lines, end)));
}

uint32_t mm_arena_take_lines(uint32_t count)
{
    uint32_t first = MM_LINE_NONE;
    if (!mm_lock_for_request(&mm_arena_lock))
        return MM_LINE_NONE;
    uint32_t next = mm_arena_lines_end();
    uint64_t end = next + (uint64_t)count * MM_LINE_SIZE;
    if (mm_arena_size() != 0 && end <= UINT32_MAX && commit_lines(state.lines.start + end)) {
        first = next;
        atomic_store_explicit(&state.next_line, (uint32_t)end, memory_order_relaxed);
    }
    mm_unlock(&mm_arena_lock);
    return first;
}

uint32_t mm_arena_lines_end(void)
{
    return atomic_load_explicit(&state.next_line, memory_order_relaxed);
}

uint32_t mm_arena_next_marked(uint32_t line, uint32_t end)
{
    const uint32_t step = MM_LINES_A_MARK * MM_LINE_SIZE;
    while (line < end &&
           atomic_load_explicit(&mm_arena.marks[line / step], memory_order_relaxed) == 0)
        line = (line / step + 1) * step;
    return line;
}

static size_t pooled_chunks(void)
{
    size_t chunks = 0, groups = mm_pool_groups();
    for (size_t group = 0; group < groups; group++)
        chunks +=
            mm_bit_count(mm_pool_bits(mm_pool.free, group) | mm_pool_bits(mm_pool.purging, group));
    return chunks;
}

struct mm_arena_usage mm_arena_usage(void)
{
    struct mm_arena_usage usage = {0};
    if (!mm_lock_unless_held(&mm_arena_lock))
        return usage;
    if (mm_arena_size() != 0) {
        const struct part *tables[] = {&state.lines, &state.chunks, &state.words, &state.marks,
                                       &state.units};
        for (unsigned i = 0; i < sizeof tables / sizeof tables[0]; i++)
            usage.metadata += committed_of(tables[i]) - tables[i]->start;
        usage.reserved = mm_arena_size();
        usage.committed = committed_of(&state.arena) - state.arena.start - GUARD;
        usage.taken = mm_pool_get(&mm_pool.taken_chunks) << MM_CHUNK_SHIFT;
        usage.dirty = mm_pool_get(&mm_pool.dirty_chunks) << MM_CHUNK_SHIFT;
        usage.pooled = pooled_chunks() << MM_CHUNK_SHIFT;
        usage.lines = mm_arena_lines_end() - (1 + MM_GRAVE_LINES) * MM_LINE_SIZE;
        usage.chunks = mm_arena_chunks();
    }
    mm_unlock(&mm_arena_lock);
    return usage;
}
