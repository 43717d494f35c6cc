/* stacks.c - see stacks.h. Fills the records (record.h) as slots are handed out and freed, walks
 * and keeps the stacks that go with them, and is the heaps' watcher. A tracer is touched by its
 * heap's thread alone. */
#include "blocks/stacks.h"

#include "blocks/record.h"
#include "blocks/threads.h"
#include "forwarded/registry.h"
#include "slots/guarded.h"
#include "slots/heap.h"
#include "stacks/interned.h"
#include <stdatomic.h>
#include <string.h>

_Static_assert(MM_EVENT_STACK_BITS == MM_INTERNED_BITS && MM_EVENT_THREAD_BITS == MM_THREADS_BITS &&
                   MM_EVENT_STACK_BITS + MM_EVENT_THREAD_BITS + MM_EVENT_TICK_BITS == 64,
               "an event is one word");

/* A heap's watch. */
struct mm_tracer {
    struct mm_watch watch; /* first */
    uint64_t random;
    uint32_t untraced; /* allocations until the next that is traced */
    uint32_t thread;   /* number of the heap's thread; 0: there were too many */
    bool has_thread;   /* it was asked for */
    uint32_t ignores;  /* how often that was asked for; not 0: blocks are not to be told of */
    struct mm_unwinder_memory *memory;
};

static struct mm_tracer *tracer_of(struct mm_watch *watch)
{
    return (struct mm_tracer *)watch;
}

static struct {
    bool on;
    bool all;         /* each block has a record, though not each a stack */
    unsigned frames;  /* 0: no stacks are kept */
    unsigned guarded; /* of blocks in guarded slots; 0: there are none */
    uint32_t every;
} settings;
static _Atomic uint64_t stacks_lost;

static void release_tables(void)
{
    mm_threads_release();
    mm_records_stop();
    mm_interned_stop();
    settings.on = false;
    settings.guarded = 0;
}

static struct mm_watcher watcher;

static unsigned at_most(unsigned frames)
{
    return frames < MM_UNWINDER_MOST ? frames : MM_UNWINDER_MOST;
}

static bool start_tables(const struct mm_stacks_settings *wanted)
{
    struct mm_unwinder_settings unwind = wanted->unwind;
    unwind.few = !settings.on;
    return (!settings.on || mm_records_start()) && mm_interned_start(!settings.on) &&
           mm_unwinder_start(&unwind);
}

/* Of guarded slots alone no heap need know here. */
bool mm_stacks_start(const struct mm_stacks_settings *wanted)
{
    settings.on = wanted->frames != 0 || wanted->all;
    if (!settings.on && wanted->guarded == 0)
        return true;
    atomic_store(&stacks_lost, 0);
    settings.all = wanted->all;
    settings.frames = at_most(wanted->frames);
    settings.guarded = at_most(wanted->guarded);
    settings.every = wanted->every;
    if (!start_tables(wanted)) {
        release_tables();
        return false;
    }
    if (!settings.on)
        return true;
    watcher.size = sizeof(struct mm_tracer) + mm_unwinder_memory_size;
    mm_watcher = &watcher;
    return true;
}

void mm_stacks_stop(void)
{
    if (!settings.on && settings.guarded == 0)
        return;
    mm_watcher = NULL;
    mm_unwinder_stop();
    release_tables();
}

bool mm_stacks_are_kept(void)
{
    return settings.on;
}

bool mm_stacks_have_frames(void)
{
    return settings.on && settings.frames != 0 && settings.every == 1;
}

uint64_t mm_stacks_lost(void)
{
    return atomic_load_explicit(&stacks_lost, memory_order_relaxed);
}

static void lose(void)
{
    atomic_fetch_add_explicit(&stacks_lost, 1, memory_order_relaxed);
}

MM_COLD static uint32_t new_stack(const struct mm_frames *frames)
{
    uint32_t id = frames->count > 0 ? mm_interned_id(frames) : 0;
    if (id == 0 && frames->count > 0)
        lose();
    return id;
}

/* Walked by this thread at this moment; 0 when it is not kept. Not inlined: from where it is called
 * tells the unwinder the way out of the manager. */
MM_COLD static uint32_t current_stack(struct mm_unwinder_memory *memory, unsigned most)
{
    struct mm_frames frames;
    if (most == 0)
        return 0;
    uint32_t *note = mm_unwinder_walk(memory, most, &frames);
    if (mm_unlikely(note == NULL))
        return new_stack(&frames);
    if (mm_unlikely(*note == 0))
        *note = new_stack(&frames);
    uint32_t id = *note;
    mm_unwinder_noted(memory);
    return id;
}

/* --- threads --- */

static void take_thread(struct mm_tracer *tracer, uint32_t number)
{
    tracer->thread = number;
    mm_unwinder_thread_starts(tracer->memory);
    atomic_signal_fence(memory_order_seq_cst); /* a handler that finds it walks by it */
    tracer->has_thread = true;
}

/* In its last destructors a thread counts as gone, and still has its number. */
static inline uint32_t current_thread(struct mm_tracer *tracer)
{
    if (mm_unlikely(tracer == NULL))
        return mm_threads_own(true);
    if (mm_unlikely(!tracer->has_thread))
        take_thread(tracer, mm_threads_own(true));
    return tracer->thread;
}

/* A vfork()'s child that names itself goes by its parent's id here. */
void mm_stacks_thread_named(pid_t id, const char *name)
{
    if ((settings.on || settings.guarded != 0) && id != 0 && !mm_os_is_guest())
        mm_threads_name(id, name);
}

/* --- events --- */

static inline struct mm_unwinder_memory *memory_of(struct mm_tracer *tracer)
{
    return tracer != NULL ? tracer->memory : NULL;
}

/* Into each caller, see current_stack(). With up to `most` frames; a thread's memory is for stacks
 * of one length. */
static inline __attribute__((always_inline)) uint64_t
event_with(struct mm_tracer *tracer, struct mm_unwinder_memory *memory, unsigned most)
{
    uint64_t thread = current_thread(tracer); /* first: it says whose stack is walked */
    uint32_t stack = current_stack(memory, most);
    uint64_t tick = mm_arena_last_tick() / MM_PURGE_TICK_MS;
    MM_ASSERT(stack < 1u << MM_EVENT_STACK_BITS);
    return tick << (64 - MM_EVENT_TICK_BITS) | thread << MM_EVENT_STACK_BITS | stack;
}

static inline __attribute__((always_inline)) uint64_t event_now(struct mm_tracer *tracer)
{
    return event_with(tracer, memory_of(tracer), settings.frames);
}

static bool tell_event(struct mm_stack *stack, uint64_t happened)
{
    stack->count = mm_interned_frames(happened % (1u << MM_EVENT_STACK_BITS), stack->frames);
    if (happened != 0)
        mm_threads_tell(happened >> MM_EVENT_STACK_BITS & ((1u << MM_EVENT_THREAD_BITS) - 1),
                        &stack->thread, stack->name);
    return stack->count > 0;
}

static uint64_t load(const mm_event *happened)
{
    return atomic_load_explicit(happened, memory_order_relaxed);
}

static void store(mm_event *place, uint64_t happened)
{
    atomic_store_explicit(place, happened, memory_order_relaxed);
}

static _Atomic bool has_ignored; /* stays true */

static mm_shape as_told(const struct mm_tracer *tracer, mm_shape shape)
{
    return tracer != NULL && tracer->ignores != 0 ? shape | MM_SHAPE_IGNORED : shape;
}

/* The memory's life so far, if it was one to its end, becomes the one before. A page of records
 * that nobody touched is written to first, or it would be asked for twice. */
static void begin_record(struct mm_record *record, mm_shape shape, uint64_t happened)
{
    store(&record->shape, shape);
    uint64_t freed = load(&record->freed);
    if (freed != 0) {
        store(&record->freed_before, freed);
        store(&record->allocated_before, load(&record->allocated));
    }
    store(&record->freed, 0);
    store(&record->allocated, happened);
    atomic_store_explicit(&record->shape, shape, memory_order_release);
}

/* Whose shape it is does not change between the two: who frees has the block. */
void mm_stacks_freed_at(struct mm_record *record, uint64_t now, enum mm_call call)
{
    uint64_t none = 0;
    if (atomic_compare_exchange_strong_explicit(&record->freed, &none, now, memory_order_relaxed,
                                                memory_order_relaxed) &&
        call != MM_CALL_FREE)
        atomic_fetch_or_explicit(&record->shape, (mm_shape)call << MM_SHAPE_CALL_SHIFT,
                                 memory_order_relaxed);
}

static void end_record(struct mm_record *record, struct mm_tracer *tracer, enum mm_call call)
{
    if (load(&record->freed) == 0)
        mm_stacks_freed_at(record, event_now(tracer), call);
}

uint64_t mm_stacks_now(struct mm_watch *watch)
{
    return event_now(tracer_of(watch));
}

static void tell_record(struct mm_stack_history *history, const struct mm_record *record)
{
    history->shape = mm_record_shape(record);
    history->asked = mm_shape_asked(history->shape);
    history->has_allocated = tell_event(&history->allocated, load(&record->allocated));
    history->has_freed = tell_event(&history->freed, load(&record->freed));
    history->has_before = tell_event(&history->freed_before, load(&record->freed_before));
    tell_event(&history->allocated_before, load(&record->allocated_before));
}

/* --- tracers --- */

/* Between 1 and twice the average less 1, so that the program's own rhythm does not matter. */
static uint32_t draw(struct mm_tracer *tracer)
{
    tracer->random = tracer->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((tracer->random >> 32) * (2 * (uint64_t)settings.every - 1) >> 32);
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
    tracer->ignores = 0;
}

static void thread_ends(struct mm_watch *watch)
{
    mm_threads_end(tracer_of(watch)->thread);
    thread_lends(watch);
}

/* Whether the next allocation is traced; counts it. */
static bool is_due(struct mm_tracer *tracer)
{
    if (mm_likely(settings.every == 1))
        return true;
    if (tracer->untraced != 0) {
        tracer->untraced--;
        return false;
    }
    tracer->untraced = draw(tracer);
    return true;
}

static uint64_t ration(struct mm_watch *watch, unsigned class, uint64_t claimed)
{
    (void)class;
    struct mm_tracer *tracer = tracer_of(watch);
    uint64_t left = claimed;
    if (settings.all)
        return 0;
    if (mm_bit_count(claimed) <= tracer->untraced) {
        tracer->untraced -= mm_bit_count(claimed);
        return claimed;
    }
    for (; left != 0 && tracer->untraced != 0; tracer->untraced--)
        left &= left - 1;
    return claimed & ~left;
}

/* --- slots --- */

uint64_t mm_stacks_traced(const struct mm_batch *batch)
{
    return mm_records_traced(mm_batch_base(batch));
}

/* NULL: it is not traced. */
static struct mm_record *traced_record(const struct mm_batch *batch, unsigned index)
{
    return mm_records_traced_slot(mm_batch_base(batch), mm_batch_size(batch), index);
}

/* The owner alone writes the word: a load and a store will do. */
static void skip(const struct mm_batch *batch, uint64_t slots)
{
    uint64_t traced = mm_records_traced(mm_batch_base(batch));
    if (traced & slots)
        atomic_store_explicit(mm_records_traced_word(mm_batch_base(batch)), traced & ~slots,
                              memory_order_relaxed);
}

static void begin_batch(const struct mm_batch *batch)
{
    skip(batch, UINT64_MAX);
}

/* Held before says nothing of it any more. */
struct mm_record *mm_stacks_handed_out(struct mm_watch *watch, struct mm_batch *batch,
                                       unsigned index, mm_shape shape)
{
    struct mm_tracer *tracer = tracer_of(watch);
    uint64_t bit = (uint64_t)1 << index;
    struct mm_kept kept = mm_records_need_kept(mm_batch_base(batch), mm_batch_size(batch), index);
    _Atomic uint64_t *held = mm_records_held_word(mm_batch_line(batch));
    mm_kept_fetch(&kept);
    __builtin_prefetch(mm_batch_slot_start(batch, index), 1);
    uint64_t now = is_due(tracer) ? event_now(tracer) : 0;
    if (held != NULL && (atomic_load_explicit(held, memory_order_relaxed) & bit))
        atomic_fetch_and_explicit(held, ~bit, memory_order_relaxed);
    if (mm_unlikely(kept.traced == NULL || kept.record == NULL)) {
        skip(batch, bit);
        lose();
        return NULL;
    }
    MM_ASSERT(index < batch->slots && !(mm_batch_live(batch) >> index & 1));
    begin_record(kept.record, as_told(tracer, shape), now);
    uint64_t before = atomic_load_explicit(kept.traced, memory_order_relaxed);
    atomic_store_explicit(kept.traced, before | bit, memory_order_relaxed);
    mm_batch_set_traced(batch, true);
    return kept.record;
}

static void note_slot(struct mm_watch *watch, struct mm_batch *batch, unsigned index,
                      mm_shape shape)
{
    mm_stacks_handed_out(watch, batch, index, shape);
}

void mm_stacks_resized(struct mm_watch *watch, const struct mm_batch *batch, unsigned index,
                       mm_shape shape)
{
    struct mm_record *record = traced_record(batch, index);
    if (record == NULL)
        return;
    mm_record_set_shape(record, shape);
    store(&record->allocated, event_now(tracer_of(watch)));
}

void mm_stacks_freed(struct mm_watch *watch, const struct mm_batch *batch, unsigned index,
                     enum mm_call call)
{
    struct mm_record *record = traced_record(batch, index);
    if (record != NULL)
        end_record(record, tracer_of(watch), call);
}

/* Where each allocation is traced, the next one would only set the tag again. */
static void settle(struct mm_batch *batch)
{
    if (settings.every > 1 && !settings.all &&
        (mm_stacks_traced(batch) & mm_batch_live(batch)) == 0)
        mm_batch_set_traced(batch, false);
}

static struct mm_watcher watcher = {
    .leaves_slots = true,
    .heap_made = begin_tracer,
    .thread_starts = thread_starts,
    .thread_ends = thread_ends,
    .thread_lends = thread_lends,
    .ration = ration,
    .batch_opened = begin_batch,
    .unwatched = skip,
    .handed_out = note_slot,
    .settle = settle,
    .given_back = mm_records_give_back,
};

/* --- forwarded blocks --- */

/* A block that is not traced may lie where one was that is: its record is for others to take. */
static void drop_block(uintptr_t address)
{
    struct mm_record *record = mm_records_again_forwarded(address);
    if (record != NULL) {
        begin_record(record, 0, 0);
        store(&record->freed_before, 0);
        mm_records_let_forwarded_go(record);
    }
}

struct mm_record *mm_stacks_forwarded(struct mm_watch *watch, const void *ptr, mm_shape shape)
{
    if (!settings.on)
        return NULL;
    struct mm_tracer *tracer = tracer_of(watch);
    uintptr_t address = mm_os_untagged(ptr);
    bool due = tracer == NULL || is_due(tracer);
    if (!due && !settings.all) {
        drop_block(address);
        return NULL;
    }
    uint64_t happened = due ? event_now(tracer) : 0;
    struct mm_record *record = mm_records_need_forwarded(address);
    if (record == NULL)
        lose();
    else
        begin_record(record, as_told(tracer, shape), happened);
    return record;
}

struct mm_record *mm_stacks_forwarded_freed(struct mm_watch *watch, const void *ptr,
                                            enum mm_call call)
{
    uintptr_t address = mm_os_untagged(ptr);
    struct mm_record *record = settings.on ? mm_records_own_forwarded(address) : NULL;
    if (record == NULL)
        return NULL;
    end_record(record, tracer_of(watch), call);
    if (!(mm_record_shape(record) & MM_SHAPE_HELD))
        mm_records_let_forwarded_go(record);
    return record;
}

void mm_stacks_forwarded_kept(struct mm_record *record, const void *ptr)
{
    if (record == NULL || mm_records_again_forwarded(mm_os_untagged(ptr)) != record)
        return;
    atomic_fetch_and_explicit(&record->shape, ~MM_SHAPE_CALL, memory_order_relaxed);
    store(&record->freed, 0);
}

/* --- blocks in guarded slots --- */

uint64_t mm_stacks_now_guarded(struct mm_watch *watch)
{
    struct mm_tracer *tracer = settings.on ? tracer_of(watch) : NULL;
    bool is_usual = settings.guarded == settings.frames;
    return event_with(tracer, is_usual ? memory_of(tracer) : NULL, settings.guarded);
}

struct mm_record *mm_stacks_guarded(struct mm_watch *watch, unsigned number, mm_shape shape)
{
    struct mm_record *record = mm_records_need_guarded(number);
    if (record == NULL)
        lose();
    else
        begin_record(record, as_told(settings.on ? tracer_of(watch) : NULL, shape),
                     mm_stacks_now_guarded(watch));
    return record;
}

/* --- what is known of a pointer --- */

static struct mm_record *record_around(const void *ptr)
{
    uintptr_t address = mm_os_untagged(ptr);
    struct mm_forwarded around;
    if (mm_guarded_has(address))
        return mm_records_of_guarded(address);
    if (!settings.on)
        return NULL;
    if (mm_arena_has(address)) {
        struct mm_slot_info info = mm_batch_inspect(address);
        return info.in_slot ? mm_records_traced_slot(info.base, info.size, info.index) : NULL;
    }
    struct mm_record *record = mm_records_forwarded(address);
    if (record == NULL && mm_registry_around(ptr, &around))
        record = mm_records_forwarded(around.start);
    return record;
}

bool mm_stacks_history(const void *ptr, struct mm_stack_history *history)
{
    *history = (struct mm_stack_history){0};
    const struct mm_record *record = record_around(ptr);
    if (record == NULL)
        return false;
    bool is_slot = mm_arena_has(mm_os_untagged(ptr)) || mm_guarded_has(mm_os_untagged(ptr));
    uintptr_t address = is_slot ? 0 : mm_records_address(record);
    tell_record(history, record);
    /* Another block may have taken the place meanwhile. */
    return (history->has_allocated || history->has_freed) &&
           (is_slot || mm_records_address(record) == address);
}

uint32_t mm_stacks_allocator(const void *ptr)
{
    const struct mm_record *record = record_around(ptr);
    return record != NULL ? load(&record->allocated) % (1u << MM_EVENT_STACK_BITS) : 0;
}

/* NULL as well where all that is known is of a block before. */
static struct mm_record *record_of_live(const void *ptr)
{
    struct mm_forwarded around;
    uintptr_t address = mm_os_untagged(ptr);
    if (mm_arena_has(address) || mm_guarded_has(address))
        return record_around(ptr);
    return mm_registry_around(ptr, &around) ? mm_records_own_forwarded(around.start) : NULL;
}

struct mm_stacks_note mm_stacks_note(uintptr_t start)
{
    const struct mm_record *record = settings.on ? record_of_live((const void *)start) : NULL;
    if (record == NULL)
        return (struct mm_stacks_note){0};
    uint64_t happened = load(&record->allocated);
    return (struct mm_stacks_note){
        .stack = happened % (1u << MM_EVENT_STACK_BITS),
        .thread = happened >> MM_EVENT_STACK_BITS & ((1u << MM_EVENT_THREAD_BITS) - 1),
        .asked = mm_shape_asked(mm_record_shape(record)),
        .is_known = true,
    };
}

/* --- blocks that are not to be told of --- */

void mm_stacks_ignore(const void *block)
{
    struct mm_record *record = settings.on && block != NULL ? record_of_live(block) : NULL;
    if (record == NULL)
        return;
    atomic_store_explicit(&has_ignored, true, memory_order_relaxed);
    atomic_fetch_or_explicit(&record->shape, MM_SHAPE_IGNORED, memory_order_relaxed);
}

void mm_stacks_ignore_new(struct mm_watch *watch, bool ignore)
{
    struct mm_tracer *tracer = settings.on ? tracer_of(watch) : NULL;
    if (tracer == NULL || (!ignore && tracer->ignores == 0))
        return;
    if (ignore)
        atomic_store_explicit(&has_ignored, true, memory_order_relaxed);
    tracer->ignores += ignore ? 1u : -1u;
}

bool mm_stacks_has_ignored(void)
{
    return atomic_load_explicit(&has_ignored, memory_order_relaxed);
}
