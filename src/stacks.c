/* stacks.c - see stacks.h. The tables:
 *
 *   words     stacks, one after the other: a head, then the frames; an id is the number of the head
 *   chains    by hash of a stack: the id of the last one, whose head has the id of the one before
 *   threads   by number
 *   traced    by unit: of the batch that starts there, the slots whose records hold
 *   records   by 16 bytes of the arena: slot i of a batch has the i-th from the batch's start on
 *   blocks    by hash of the address: forwarded blocks, with their records
 *
 * Slots are of 16 bytes or more, so a batch's records never reach those of the next one. */
#include "stacks.h"

#include "next.h"
#include "registry.h"
#include <stdatomic.h>
#include <string.h>

#define ID_BITS      24u
#define THREAD_BITS  20u
#define ASKED_BITS   20u
#define WORDS        ((size_t)1 << ID_BITS)
#define THREADS      ((size_t)1 << THREAD_BITS)
#define CHAIN_BITS   18u
#define BLOCK_BITS   20u
#define PROBES       32u   /* places that a forwarded block may have */
#define RECENT       16u   /* threads that are looked at for one that has no tracer of its own */
#define NAMED_LATE   4096u /* threads that are looked at for one that is given a name */
#define FIRST_THREAD 1u

_Static_assert(ID_BITS + THREAD_BITS + ASKED_BITS == 64, "an event is one word");
_Static_assert(MM_UNWINDER_MOST < 1u << 8 && 8 + ID_BITS == 32, "so is a stack's head");
_Static_assert(MM_SLOT_SIZE_MAX < 1u << ASKED_BITS, "what is asked of a slot fits");

/* A stack, a thread and a size, packed; 0: nothing is known. */
typedef _Atomic uint64_t event;

struct record {
    event allocated, freed;
};

struct thread {
    _Atomic pid_t id;
    _Atomic bool is_gone;
    char name[MM_THREAD_NAME]; /* as far as we were told */
};

struct block {
    _Atomic uintptr_t address; /* 0: a free place */
    _Atomic size_t asked;
    struct record record;
};

static struct tables {
    unsigned frames; /* 0: nothing is traced */
    uint32_t every;
    uint64_t *words;
    _Atomic uint32_t *chains;
    struct thread *threads;
    _Atomic uint64_t *traced;
    struct record *records;
    struct block *blocks;
} tables;
static _Atomic uint64_t words_used, stacks_lost;
static _Atomic uint32_t threads_used;

struct part {
    void **table;
    size_t size;
};

enum { PARTS = 6 };

static void list_parts(struct part parts[static PARTS])
{
    size_t granules = mm_arena.size / MM_GRANULE, units = mm_arena.size >> MM_UNIT_SHIFT;
    parts[0] = (struct part){(void **)&tables.chains, sizeof *tables.chains << CHAIN_BITS};
    parts[1] = (struct part){(void **)&tables.words, sizeof *tables.words * WORDS};
    parts[2] = (struct part){(void **)&tables.threads, sizeof *tables.threads * THREADS};
    parts[3] = (struct part){(void **)&tables.traced, sizeof *tables.traced * (units + 1)};
    parts[4] = (struct part){(void **)&tables.records, sizeof *tables.records * (granules + 1)};
    parts[5] = (struct part){(void **)&tables.blocks, sizeof *tables.blocks << BLOCK_BITS};
}

static bool map_parts(void)
{
    struct part parts[PARTS];
    bool complete = true;
    list_parts(parts);
    for (unsigned i = 0; i < PARTS; i++) {
        *parts[i].table = mm_os_map(parts[i].size);
        if (*parts[i].table != NULL)
            mm_os_set_dumped(*parts[i].table, parts[i].size, false);
        complete = complete && *parts[i].table != NULL;
    }
    return complete;
}

static void release_parts(void)
{
    struct part parts[PARTS];
    list_parts(parts);
    for (unsigned i = 0; i < PARTS; i++) {
        if (*parts[i].table != NULL)
            mm_os_release(*parts[i].table, parts[i].size);
    }
    tables = (struct tables){0};
}

bool mm_stacks_start(const struct mm_stacks_settings *settings)
{
    if (settings->frames == 0)
        return true;
    atomic_store(&words_used, 1); /* id 0 is no stack, thread 0 no thread */
    atomic_store(&threads_used, 1);
    atomic_store(&stacks_lost, 0);
    if (!map_parts() || !mm_unwinder_start(&settings->unwind)) {
        release_parts();
        return false;
    }
    tables.frames = settings->frames < MM_UNWINDER_MOST ? settings->frames : MM_UNWINDER_MOST;
    tables.every = settings->every;
    return true;
}

/* The arena is still there: its size is that of two tables. */
void mm_stacks_stop(void)
{
    if (tables.frames == 0)
        return;
    mm_unwinder_stop();
    release_parts();
}

bool mm_stacks_are_kept(void)
{
    return tables.frames != 0;
}

uint64_t mm_stacks_lost(void)
{
    return atomic_load_explicit(&stacks_lost, memory_order_relaxed);
}

/* --- stacks: a word with their number of frames, then the frames --- */

static uint64_t mix(uint64_t value)
{
    value *= 0x9e3779b97f4a7c15u;
    return value ^ value >> 32;
}

/* A sum of products, turned by their place, that do not wait for each other. */
static uint64_t hash_of(const struct mm_frames *stack)
{
    uint64_t hash = stack->count;
    for (unsigned i = 0; i < stack->count; i++) {
        uint64_t product = (uintptr_t)stack->frames[i] * 0x9e3779b97f4a7c15u;
        unsigned turn = 7 * i % 64;
        hash += product << turn | product >> (63 - turn) >> 1;
    }
    return mix(hash);
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

/* Among the stacks of a chain from `id` on, up to but not including `end`. */
static uint32_t find_stack(const struct mm_frames *stack, uint64_t hash, uint32_t id, uint32_t end)
{
    for (; id != end; id = next_of(tables.words[id])) {
        const uint64_t *words = &tables.words[id];
        if (words[0] >> 32 == hash >> 32 && count_of(words[0]) == stack->count &&
            memcmp(&words[1], stack->frames, stack->count * sizeof *words) == 0)
            return id;
    }
    return 0;
}

static uint32_t take_words(uint64_t count)
{
    if (atomic_load_explicit(&words_used, memory_order_relaxed) + count > WORDS)
        return 0;
    uint64_t id = atomic_fetch_add_explicit(&words_used, count, memory_order_relaxed);
    return id + count <= WORDS ? (uint32_t)id : 0;
}

/* The id of a stack, 0 when there is no room for it. Of two threads that bring the same one at the
 * same time both get one id, and the other's words are lost. */
static uint32_t intern(const struct mm_frames *stack)
{
    uint64_t hash = hash_of(stack);
    _Atomic uint32_t *chain = &tables.chains[hash % ((size_t)1 << CHAIN_BITS)];
    /* Acquire, here and when the exchange fails, pairs with the release of an exchange that
     * succeeded: the words are there. */
    uint32_t first = atomic_load_explicit(chain, memory_order_acquire);
    uint32_t found = find_stack(stack, hash, first, 0);
    uint32_t made = found == 0 ? take_words(1 + stack->count) : 0;
    if (found == 0 && made == 0)
        atomic_fetch_add_explicit(&stacks_lost, 1, memory_order_relaxed);
    if (made == 0)
        return found;
    memcpy(&tables.words[made + 1], stack->frames, stack->count * sizeof *tables.words);
    for (uint32_t looked_at = first; found == 0; looked_at = first) {
        tables.words[made] = head_of(stack, first, hash);
        if (atomic_compare_exchange_strong_explicit(chain, &first, made, memory_order_release,
                                                    memory_order_acquire))
            return made;
        found = find_stack(stack, hash, first, looked_at);
    }
    return found;
}

/* Walked by this thread at this moment; 0 when it is not kept. */
static uint32_t current_stack(struct mm_tracer *tracer)
{
    struct mm_frames frames;
    uint32_t *note =
        mm_unwinder_walk(tracer != NULL ? tracer->memory : NULL, tables.frames, &frames);
    if (note != NULL && *note != 0)
        return *note;
    uint32_t id = frames.count > 0 ? intern(&frames) : 0;
    if (note != NULL)
        *note = id;
    return id;
}

/* --- threads --- */

/* Without a system call but for the first thread, at the start. Others begin with the name of
 * whoever started them: that of the first is the best that is known of it. */
static void name_thread(uint32_t number, pid_t id)
{
    if (number == FIRST_THREAD)
        mm_os_thread_name(id, tables.threads[number].name);
    else
        memcpy(tables.threads[number].name, tables.threads[FIRST_THREAD].name, MM_THREAD_NAME);
}

static uint32_t add_thread(pid_t id)
{
    uint32_t number = atomic_load_explicit(&threads_used, memory_order_relaxed);
    if (number < THREADS)
        number = atomic_fetch_add_explicit(&threads_used, 1, memory_order_relaxed);
    if (number >= THREADS)
        return 0;
    name_thread(number, id);
    /* Release pairs with the acquire of whoever reads the id: the name is there. */
    atomic_store_explicit(&tables.threads[number].id, id, memory_order_release);
    return number;
}

/* The number of a thread, if it is one of the last `most`; else 0. */
static uint32_t find_thread(pid_t id, unsigned most)
{
    uint32_t number = atomic_load_explicit(&threads_used, memory_order_relaxed);
    number = number < THREADS ? number : THREADS;
    for (unsigned i = 0; i < most && number-- > FIRST_THREAD; i++) {
        struct thread *thread = &tables.threads[number];
        if (atomic_load_explicit(&thread->id, memory_order_relaxed) == id &&
            !atomic_load_explicit(&thread->is_gone, memory_order_relaxed))
            return number;
    }
    return 0;
}

static uint32_t own_number(void)
{
    pid_t id = mm_os_own_id();
    uint32_t number = find_thread(id, RECENT);
    return number != 0 ? number : add_thread(id);
}

static uint32_t current_thread(struct mm_tracer *tracer)
{
    if (tracer == NULL)
        return own_number();
    if (tracer->thread == 0)
        mm_tracer_thread_starts(tracer);
    return tracer->thread;
}

/* A thread often gets its name before it allocates, from whoever started it. */
void mm_stacks_thread_named(pid_t id, const char *name)
{
    if (!mm_stacks_are_kept() || id == 0)
        return;
    uint32_t number = find_thread(id, NAMED_LATE);
    if (number != 0 || (number = add_thread(id)) != 0)
        mm_os_name_as_given(name, tables.threads[number].name);
}

/* As long as there is the thread, it can tell its name itself. */
static void tell_thread(struct mm_stack *stack, uint32_t number)
{
    struct thread *thread = &tables.threads[number];
    stack->thread = atomic_load_explicit(&thread->id, memory_order_acquire);
    memcpy(stack->name, "?", 2);
    if (number != 0 && !atomic_load_explicit(&thread->is_gone, memory_order_acquire))
        mm_os_thread_name(stack->thread, stack->name);
    if (stack->name[0] == '?') /* gone, or left behind by fork() */
        memcpy(stack->name, thread->name, sizeof stack->name);
}

/* --- events --- */

static uint64_t event_now(struct mm_tracer *tracer, size_t asked)
{
    uint32_t stack = current_stack(tracer);
    return (uint64_t)current_thread(tracer) << (64 - THREAD_BITS) | (uint64_t)asked << ID_BITS |
           stack;
}

static size_t asked_of(uint64_t happened)
{
    return happened << THREAD_BITS >> (64 - ASKED_BITS);
}

static bool tell_event(struct mm_stack *stack, uint64_t happened)
{
    uint32_t id = (uint32_t)(happened & (WORDS - 1));
    const uint64_t *words = &tables.words[id];
    stack->count = 0;
    if (id != 0)
        stack->count = count_of(words[0]);
    for (unsigned i = 0; i < stack->count; i++)
        stack->frames[i] = (const void *)words[1 + i]; /* NOLINT(performance-no-int-to-ptr) */
    if (happened != 0)
        tell_thread(stack, (uint32_t)(happened >> (64 - THREAD_BITS)));
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

size_t mm_tracer_size(void)
{
    return sizeof(struct mm_tracer) + mm_unwinder_memory_size;
}

/* Between 1 and twice the average less 1, so that the program's own rhythm does not matter. */
static uint32_t draw(struct mm_tracer *tracer)
{
    tracer->random = tracer->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((tracer->random >> 32) * (2 * (uint64_t)tables.every - 1) >> 32);
}

struct mm_tracer *mm_tracer_make(void *at, uint32_t seed)
{
    struct mm_tracer *tracer = at;
    tracer->memory = (struct mm_unwinder_memory *)(tracer + 1);
    tracer->random = seed;
    tracer->untraced = draw(tracer);
    return tracer;
}

void mm_tracer_thread_starts(struct mm_tracer *tracer)
{
    tracer->thread = own_number();
    mm_unwinder_thread_starts(tracer->memory);
}

void mm_tracer_thread_ends(struct mm_tracer *tracer)
{
    struct thread *thread = &tables.threads[tracer->thread];
    if (tracer->thread != 0)
        atomic_store_explicit(&thread->is_gone, true, memory_order_release);
    tracer->thread = 0;
}

void mm_tracer_lend(struct mm_tracer *tracer)
{
    tracer->thread = 0;
}

bool mm_tracer_is_due(struct mm_tracer *tracer)
{
    if (tracer->untraced != 0) {
        tracer->untraced--;
        return false;
    }
    tracer->untraced = draw(tracer);
    return true;
}

uint64_t mm_tracer_ration(struct mm_tracer *tracer, uint64_t claimed)
{
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

static _Atomic uint64_t *traced_of(uintptr_t base)
{
    return &tables.traced[(base - mm_arena.base) >> MM_UNIT_SHIFT];
}

static struct record *record_of(uintptr_t base, unsigned index)
{
    return &tables.records[(base - mm_arena.base) / MM_GRANULE + index];
}

uint64_t mm_stacks_traced(const struct mm_batch *batch)
{
    return atomic_load_explicit(traced_of(batch->base), memory_order_relaxed);
}

static bool is_traced(uintptr_t base, unsigned index)
{
    return atomic_load_explicit(traced_of(base), memory_order_relaxed) >> index & 1;
}

void mm_stacks_open(const struct mm_batch *batch)
{
    atomic_store_explicit(traced_of(batch->base), 0, memory_order_relaxed);
}

/* The owner alone writes the word: a load and a store will do. */
void mm_stacks_skip(const struct mm_batch *batch, uint64_t slots)
{
    uint64_t traced = mm_stacks_traced(batch);
    if (traced & slots)
        atomic_store_explicit(traced_of(batch->base), traced & ~slots, memory_order_relaxed);
}

void mm_stacks_allocated(struct mm_tracer *tracer, struct mm_batch *batch, unsigned index,
                         size_t asked)
{
    uint64_t traced = mm_stacks_traced(batch) | (uint64_t)1 << index;
    begin_record(record_of(batch->base, index), event_now(tracer, asked));
    atomic_store_explicit(traced_of(batch->base), traced, memory_order_relaxed);
    mm_batch_set_traced(batch, true);
}

void mm_stacks_resized(struct mm_tracer *tracer, const struct mm_batch *batch, unsigned index,
                       size_t asked)
{
    if (is_traced(batch->base, index))
        atomic_store_explicit(&record_of(batch->base, index)->allocated, event_now(tracer, asked),
                              memory_order_relaxed);
}

void mm_stacks_freed(struct mm_tracer *tracer, const struct mm_batch *batch, unsigned index)
{
    if (is_traced(batch->base, index))
        end_record(record_of(batch->base, index), tracer);
}

/* Where each allocation is traced, the next one would only set the tag again. */
void mm_stacks_settle(struct mm_batch *batch)
{
    if (tables.every > 1 && (mm_stacks_traced(batch) & mm_batch_live(batch)) == 0)
        mm_batch_set_traced(batch, false);
}

/* --- forwarded blocks --- */

static struct block *find_block(uintptr_t address)
{
    for (unsigned i = 0; i < PROBES; i++) {
        struct block *block = &tables.blocks[(mix(address >> 4) + i) % ((size_t)1 << BLOCK_BITS)];
        uintptr_t there = atomic_load_explicit(&block->address, memory_order_acquire);
        if (there == address)
            return block;
        if (there == 0)
            return NULL;
    }
    return NULL;
}

static bool is_over(const struct block *block)
{
    return atomic_load_explicit(&block->record.freed, memory_order_relaxed) != 0;
}

/* A free place, or that of another block that was freed. */
static struct block *take_block(uintptr_t address)
{
    struct block *found = find_block(address);
    for (unsigned i = 0; i < PROBES && found == NULL; i++) {
        struct block *block = &tables.blocks[(mix(address >> 4) + i) % ((size_t)1 << BLOCK_BITS)];
        uintptr_t there = atomic_load_explicit(&block->address, memory_order_relaxed);
        if ((there == 0 || is_over(block)) &&
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

void mm_stacks_forwarded(struct mm_tracer *tracer, bool due, const void *ptr, size_t asked)
{
    if (!due) {
        drop_block((uintptr_t)ptr);
        return;
    }
    uint64_t happened = event_now(tracer, 0);
    struct block *block = take_block((uintptr_t)ptr);
    if (block == NULL) {
        atomic_fetch_add_explicit(&stacks_lost, 1, memory_order_relaxed);
        return;
    }
    atomic_store_explicit(&block->asked, asked, memory_order_relaxed);
    begin_record(&block->record, happened);
}

void mm_stacks_forwarded_freed(struct mm_tracer *tracer, const void *ptr)
{
    struct block *block = tables.frames != 0 ? find_block((uintptr_t)ptr) : NULL;
    if (block != NULL && atomic_load_explicit(&block->record.allocated, memory_order_relaxed) != 0)
        end_record(&block->record, tracer);
}

/* --- what is known of a pointer --- */

static bool tell_slot(struct mm_stack_history *history, uintptr_t address)
{
    struct mm_slot_info info = mm_batch_inspect(address);
    if (!info.in_slot || !is_traced(info.base, info.index))
        return false;
    tell_record(history, record_of(info.base, info.index));
    return true;
}

static bool tell_block(struct mm_stack_history *history, const void *ptr)
{
    size_t size;
    const struct block *block = find_block((uintptr_t)ptr);
    if (block == NULL) {
        const void *around = mm_registry_around(ptr, mm_next_size_if_there, &size);
        block = around != NULL ? find_block((uintptr_t)around) : NULL;
    }
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
    bool is_slot = (uintptr_t)ptr - mm_arena.base < mm_arena.size;
    bool is_known = is_slot ? tell_slot(history, (uintptr_t)ptr) : tell_block(history, ptr);
    return is_known && (history->has_allocated || history->has_freed);
}
