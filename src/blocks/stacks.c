/* stacks.c - see stacks.h. The tables:
 *
 *   blocks    by hash of the address: forwarded blocks, with their records
 *   groups    by 4 MiB of the arena: for each unit, of the batch that starts there, the slots whose
 *             records hold; and the records, one for 16 bytes: slot i of a batch has the i-th from
 *             the batch's start on
 *
 * Slots are of 16 bytes or more, so a batch's records never reach those of the next one, and a
 * batch lies in one group. All are in pieces (pieces.h): the address space that they take grows
 * with what is traced, as does what is locked of a process that calls mlockall(). */
#include "blocks/stacks.h"

#include "blocks/threads.h"
#include "forwarded/next.h"
#include "forwarded/registry.h"
#include "stacks/interned.h"
#include "system/pieces.h"
#include <stdatomic.h>
#include <string.h>

#define ID_BITS     MM_INTERNED_BITS
#define THREAD_BITS MM_THREADS_BITS
#define ASKED_BITS  20u
#define BLOCK_BITS  20u
#define PROBES      32u /* places that a forwarded block may have */

/* Of a piece, by what it holds. */
#define BLOCK_SHIFT 14u
#define GROUP_SHIFT 22u

_Static_assert(ID_BITS + THREAD_BITS + ASKED_BITS == 64, "an event is one word");
_Static_assert(MM_SLOT_SIZE_MAX < 1u << ASKED_BITS, "what is asked of a slot fits");
_Static_assert(MM_UNIT_SHIFT + MM_SPAN_ORDER_MAX <= GROUP_SHIFT, "a batch lies in one group");

/* A stack, a thread and a size, packed; 0: nothing is known. */
typedef _Atomic uint64_t event;

struct record {
    event allocated, freed;
};

struct block {
    _Atomic uintptr_t address; /* 0: a free place */
    _Atomic size_t asked;
    struct record record;
};

/* A heap's watch. */
struct mm_tracer {
    struct mm_watch watch; /* first */
    uint64_t random;
    uint32_t untraced; /* allocations until the next that is traced */
    uint32_t thread;   /* number of the heap's thread; 0: there were too many */
    bool has_thread;   /* it was asked for */
    struct mm_unwinder_memory *memory;
};

static struct mm_tracer *tracer_of(struct mm_watch *watch)
{
    return (struct mm_tracer *)watch;
}

struct group {
    _Atomic uint64_t traced[1u << (GROUP_SHIFT - MM_UNIT_SHIFT)];
    struct record records[((size_t)1 << GROUP_SHIFT) / MM_GRANULE];
};

static struct tables {
    unsigned frames; /* 0: nothing is traced */
    uint32_t every;
    mm_piece *groups;
    size_t group_count;
} tables;
static mm_piece blocks[1u << (BLOCK_BITS - BLOCK_SHIFT)] MM_SELDOM;
static _Atomic uint64_t stacks_lost;

#define BLOCK_PIECE (sizeof(struct block) << BLOCK_SHIFT)

static void release_tables(void)
{
    mm_threads_release();
    mm_piece_release_all(blocks, sizeof blocks / sizeof blocks[0], BLOCK_PIECE);
    if (tables.groups != NULL) {
        mm_piece_release_all(tables.groups, tables.group_count, sizeof(struct group));
        mm_os_release(tables.groups, tables.group_count * sizeof *tables.groups);
    }
    mm_interned_stop();
    tables = (struct tables){0};
}

static struct mm_watcher watcher;

bool mm_stacks_start(const struct mm_stacks_settings *settings)
{
    if (settings->frames == 0)
        return true;
    atomic_store(&stacks_lost, 0);
    tables.group_count = (mm_arena_size() >> GROUP_SHIFT) + 1;
    tables.groups = mm_piece_map(tables.group_count * sizeof *tables.groups);
    if (tables.groups == NULL || !mm_interned_start() || !mm_unwinder_start(&settings->unwind)) {
        release_tables();
        return false;
    }
    tables.frames = settings->frames < MM_UNWINDER_MOST ? settings->frames : MM_UNWINDER_MOST;
    tables.every = settings->every;
    watcher.size = sizeof(struct mm_tracer) + mm_unwinder_memory_size;
    mm_watcher = &watcher;
    return true;
}

void mm_stacks_stop(void)
{
    if (tables.frames == 0)
        return;
    mm_watcher = NULL;
    mm_unwinder_stop();
    release_tables();
}

bool mm_stacks_are_kept(void)
{
    return tables.frames != 0;
}

uint64_t mm_stacks_lost(void)
{
    return atomic_load_explicit(&stacks_lost, memory_order_relaxed);
}

static void lose(void)
{
    atomic_fetch_add_explicit(&stacks_lost, 1, memory_order_relaxed);
}

/* Walked by this thread at this moment; 0 when it is not kept. */
static uint32_t current_stack(struct mm_tracer *tracer)
{
    struct mm_frames frames;
    uint32_t *note =
        mm_unwinder_walk(tracer != NULL ? tracer->memory : NULL, tables.frames, &frames);
    if (note != NULL && *note != 0)
        return *note;
    uint32_t id = frames.count > 0 ? mm_interned_id(&frames) : 0;
    if (id == 0 && frames.count > 0)
        lose();
    if (note != NULL)
        *note = id;
    return id;
}

/* --- threads --- */

static void take_thread(struct mm_tracer *tracer, uint32_t number)
{
    tracer->thread = number;
    tracer->has_thread = true;
    mm_unwinder_thread_starts(tracer->memory);
}

/* In its last destructors a thread counts as gone, and still has its number. */
static uint32_t current_thread(struct mm_tracer *tracer)
{
    if (tracer == NULL)
        return mm_threads_own(true);
    if (!tracer->has_thread)
        take_thread(tracer, mm_threads_own(true));
    return tracer->thread;
}

/* A vfork()'s child that names itself goes by its parent's id here. */
void mm_stacks_thread_named(pid_t id, const char *name)
{
    if (mm_stacks_are_kept() && id != 0 && !mm_os_is_guest())
        mm_threads_name(id, name);
}

/* --- events --- */

static uint64_t event_now(struct mm_tracer *tracer, size_t asked)
{
    uint32_t stack = current_stack(tracer);
    MM_ASSERT(stack < 1u << ID_BITS && asked < (size_t)1 << ASKED_BITS);
    return (uint64_t)current_thread(tracer) << (64 - THREAD_BITS) | (uint64_t)asked << ID_BITS |
           stack;
}

static size_t asked_of(uint64_t happened)
{
    return happened << THREAD_BITS >> (64 - ASKED_BITS);
}

static bool tell_event(struct mm_stack *stack, uint64_t happened)
{
    stack->count = mm_interned_frames(happened % (1u << ID_BITS), stack->frames);
    if (happened != 0)
        mm_threads_tell((uint32_t)(happened >> (64 - THREAD_BITS)), &stack->thread, stack->name);
    return stack->count > 0;
}

static void begin_record(struct record *record, uint64_t happened)
{
    atomic_store_explicit(&record->freed, 0, memory_order_relaxed);
    atomic_store_explicit(&record->allocated, happened, memory_order_relaxed);
}

static void end_record(struct record *record, struct mm_tracer *tracer)
{
    uint64_t none = 0;
    if (atomic_load_explicit(&record->freed, memory_order_relaxed) == 0)
        atomic_compare_exchange_strong_explicit(&record->freed, &none, event_now(tracer, 0),
                                                memory_order_relaxed, memory_order_relaxed);
}

static void tell_record(struct mm_stack_history *history, const struct record *record)
{
    uint64_t allocated = atomic_load_explicit(&record->allocated, memory_order_relaxed);
    uint64_t freed = atomic_load_explicit(&record->freed, memory_order_relaxed);
    history->asked = asked_of(allocated);
    history->has_allocated = tell_event(&history->allocated, allocated);
    history->has_freed = tell_event(&history->freed, freed);
}

/* --- tracers --- */

/* Between 1 and twice the average less 1, so that the program's own rhythm does not matter. */
static uint32_t draw(struct mm_tracer *tracer)
{
    tracer->random = tracer->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((tracer->random >> 32) * (2 * (uint64_t)tables.every - 1) >> 32);
}

static void begin_tracer(struct mm_watch *watch, uint32_t seed)
{
    struct mm_tracer *tracer = tracer_of(watch);
    tracer->memory = (struct mm_unwinder_memory *)(tracer + 1);
    tracer->random = seed;
    tracer->untraced = draw(tracer);
}

static void thread_starts(struct mm_watch *watch)
{
    take_thread(tracer_of(watch), mm_threads_own(false));
}

static void thread_lends(struct mm_watch *watch)
{
    struct mm_tracer *tracer = tracer_of(watch);
    tracer->thread = 0;
    tracer->has_thread = false;
}

static void thread_ends(struct mm_watch *watch)
{
    mm_threads_end(tracer_of(watch)->thread);
    thread_lends(watch);
}

/* Whether the next allocation is traced; counts it. */
static bool is_due(struct mm_tracer *tracer)
{
    if (tracer->untraced != 0) {
        tracer->untraced--;
        return false;
    }
    tracer->untraced = draw(tracer);
    return true;
}

static uint64_t ration(struct mm_watch *watch, uint64_t claimed)
{
    struct mm_tracer *tracer = tracer_of(watch);
    uint64_t left = claimed;
    if (mm_bit_count(claimed) <= tracer->untraced) {
        tracer->untraced -= mm_bit_count(claimed);
        return claimed;
    }
    for (; left != 0 && tracer->untraced != 0; tracer->untraced--)
        left &= left - 1;
    return claimed & ~left;
}

/* --- slots --- */

static size_t offset_of(uintptr_t base)
{
    return (base - mm_arena.base) % ((size_t)1 << GROUP_SHIFT);
}

static mm_piece *group_of(uintptr_t base)
{
    return &tables.groups[(base - mm_arena.base) >> GROUP_SHIFT];
}

static struct record *record_of(struct group *group, uintptr_t base, unsigned index)
{
    MM_ASSERT(offset_of(base) / MM_GRANULE + index < ((size_t)1 << GROUP_SHIFT) / MM_GRANULE);
    return &group->records[offset_of(base) / MM_GRANULE + index];
}

static _Atomic uint64_t *traced_of(struct group *group, uintptr_t base)
{
    return &group->traced[offset_of(base) >> MM_UNIT_SHIFT];
}

static uint64_t traced_at(struct group *group, uintptr_t base)
{
    return group != NULL ? atomic_load_explicit(traced_of(group, base), memory_order_relaxed) : 0;
}

uint64_t mm_stacks_traced(const struct mm_batch *batch)
{
    uintptr_t base = mm_batch_base(batch);
    return traced_at(mm_piece_at(group_of(base)), base);
}

/* NULL: it is not traced. */
static struct record *traced_record(uintptr_t base, unsigned index)
{
    struct group *group = mm_piece_at(group_of(base));
    return traced_at(group, base) >> index & 1 ? record_of(group, base, index) : NULL;
}

/* The owner alone writes the word: a load and a store will do. */
static void skip(const struct mm_batch *batch, uint64_t slots)
{
    uintptr_t base = mm_batch_base(batch);
    struct group *group = mm_piece_at(group_of(base));
    uint64_t traced = traced_at(group, base);
    if (traced & slots)
        atomic_store_explicit(traced_of(group, base), traced & ~slots, memory_order_relaxed);
}

static void begin_batch(const struct mm_batch *batch)
{
    skip(batch, UINT64_MAX);
}

static void note_slot(struct mm_watch *watch, struct mm_batch *batch, unsigned index, size_t asked)
{
    struct mm_tracer *tracer = tracer_of(watch);
    uintptr_t base = mm_batch_base(batch);
    is_due(tracer);
    struct group *group = mm_piece_need(group_of(base), sizeof(struct group));
    if (group == NULL) {
        lose();
        return;
    }
    uint64_t traced = traced_at(group, base) | (uint64_t)1 << index;
    MM_ASSERT(index < batch->slots && !(mm_batch_live(batch) >> index & 1));
    begin_record(record_of(group, base, index), event_now(tracer, asked));
    atomic_store_explicit(traced_of(group, base), traced, memory_order_relaxed);
    mm_batch_set_traced(batch, true);
}

void mm_stacks_resized(struct mm_watch *watch, const struct mm_batch *batch, unsigned index,
                       size_t asked)
{
    struct record *record = traced_record(mm_batch_base(batch), index);
    if (record != NULL)
        atomic_store_explicit(&record->allocated, event_now(tracer_of(watch), asked),
                              memory_order_relaxed);
}

void mm_stacks_freed(struct mm_watch *watch, const struct mm_batch *batch, unsigned index)
{
    struct record *record = traced_record(mm_batch_base(batch), index);
    if (record != NULL)
        end_record(record, tracer_of(watch));
}

/* Where each allocation is traced, the next one would only set the tag again. */
static void settle(struct mm_batch *batch)
{
    if (tables.every > 1 && (mm_stacks_traced(batch) & mm_batch_live(batch)) == 0)
        mm_batch_set_traced(batch, false);
}

/* The records of a chunk's slots take as much memory as the chunk, where its slots are small. */
static void give_back(uintptr_t start, size_t size)
{
    struct group *group = mm_piece_at(group_of(start));
    if (group != NULL)
        mm_os_purge(record_of(group, start, 0), size);
}

static struct mm_watcher watcher = {
    .heap_made = begin_tracer,
    .thread_starts = thread_starts,
    .thread_ends = thread_ends,
    .thread_lends = thread_lends,
    .ration = ration,
    .batch_opened = begin_batch,
    .unwatched = skip,
    .handed_out = note_slot,
    .settle = settle,
    .given_back = give_back,
};

/* --- forwarded blocks --- */

/* The places that a block may have, in one piece. */
static mm_piece *places_of(uintptr_t address)
{
    return &blocks[mm_bits_mixed(address >> 4) % (1u << BLOCK_BITS) >> BLOCK_SHIFT];
}

static struct block *place_of(struct block *places, uintptr_t address, unsigned number)
{
    return &places[(mm_bits_mixed(address >> 4) + number) % (1u << BLOCK_SHIFT)];
}

static struct block *find_block(uintptr_t address)
{
    struct block *places = mm_piece_at(places_of(address));
    for (unsigned i = 0; i < PROBES && places != NULL; i++) {
        struct block *block = place_of(places, address, i);
        uintptr_t there = atomic_load_explicit(&block->address, memory_order_acquire);
        if (there == address)
            return block;
        if (there == 0)
            return NULL;
    }
    return NULL;
}

static bool was_freed(const struct block *block)
{
    return atomic_load_explicit(&block->record.freed, memory_order_relaxed) != 0;
}

/* A free place, or that of another block that was freed. */
static struct block *take_block(uintptr_t address)
{
    struct block *found = find_block(address);
    struct block *places = mm_piece_need(places_of(address), BLOCK_PIECE);
    for (unsigned i = 0; i < PROBES && places != NULL && found == NULL; i++) {
        struct block *block = place_of(places, address, i);
        uintptr_t there = atomic_load_explicit(&block->address, memory_order_relaxed);
        if ((there == 0 || was_freed(block)) &&
            atomic_compare_exchange_strong_explicit(&block->address, &there, address,
                                                    memory_order_acq_rel, memory_order_relaxed))
            found = block;
    }
    return found;
}

/* A block that is not traced may lie where one was that is. */
static void drop_block(uintptr_t address)
{
    struct block *block = find_block(address);
    if (block != NULL)
        begin_record(&block->record, 0);
}

void mm_stacks_forwarded(struct mm_watch *watch, const void *ptr, size_t asked)
{
    if (tables.frames == 0)
        return;
    struct mm_tracer *tracer = tracer_of(watch);
    if (tracer != NULL && !is_due(tracer)) {
        drop_block(mm_os_untagged(ptr));
        return;
    }
    uint64_t happened = event_now(tracer, 0);
    struct block *block = take_block(mm_os_untagged(ptr));
    if (block == NULL) {
        lose();
        return;
    }
    atomic_store_explicit(&block->asked, asked, memory_order_relaxed);
    begin_record(&block->record, happened);
}

void mm_stacks_forwarded_freed(struct mm_watch *watch, const void *ptr)
{
    struct block *block = tables.frames != 0 ? find_block(mm_os_untagged(ptr)) : NULL;
    if (block != NULL && atomic_load_explicit(&block->record.allocated, memory_order_relaxed) != 0)
        end_record(&block->record, tracer_of(watch));
}

void mm_stacks_forwarded_kept(const void *ptr)
{
    struct block *block = tables.frames != 0 ? find_block(mm_os_untagged(ptr)) : NULL;
    if (block != NULL)
        atomic_store_explicit(&block->record.freed, 0, memory_order_relaxed);
}

/* --- what is known of a pointer --- */

static bool tell_slot(struct mm_stack_history *history, uintptr_t address)
{
    struct mm_slot_info info = mm_batch_inspect(address);
    const struct record *record = info.in_slot ? traced_record(info.base, info.index) : NULL;
    if (record != NULL)
        tell_record(history, record);
    return record != NULL;
}

static bool tell_block(struct mm_stack_history *history, const void *ptr)
{
    struct mm_forwarded around;
    const struct block *block = find_block(mm_os_untagged(ptr));
    if (block == NULL && mm_registry_around(ptr, &around))
        block = find_block(around.start);
    if (block == NULL)
        return false;
    uintptr_t address = atomic_load_explicit(&block->address, memory_order_relaxed);
    tell_record(history, &block->record);
    history->asked = atomic_load_explicit(&block->asked, memory_order_relaxed);
    /* Another block may have taken the place meanwhile. */
    return atomic_load_explicit(&block->address, memory_order_relaxed) == address;
}

bool mm_stacks_history(const void *ptr, struct mm_stack_history *history)
{
    *history = (struct mm_stack_history){0};
    if (tables.frames == 0)
        return false;
    uintptr_t address = mm_os_untagged(ptr);
    bool is_slot = mm_arena_has(address);
    bool is_known = is_slot ? tell_slot(history, address) : tell_block(history, ptr);
    return is_known && (history->has_allocated || history->has_freed);
}
