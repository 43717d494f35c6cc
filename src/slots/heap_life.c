/* heap_life.c - heaps are made, taken by threads, left by them and taken up again; and what becomes
 * of them in a fork()'s child. mm_heap_lock guards the row of all heaps and that of idle ones, and
 * whoever works on an idle heap holds it; mm_heap_ending_lock is held around the heap for threads
 * in their last destructors. */
#include "slots/collect.h"
#include "slots/heap.h"
#include "slots/homes.h"

struct mm_heap mm_heap_none;
struct mm_heap mm_heap_ending MM_SELDOM;
_Thread_local struct mm_heap *mm_tls_heap = &mm_heap_none;

struct mm_lock mm_heap_lock;
static struct mm_heap *_Atomic all_heaps;
static struct mm_heap *idle_heaps;
static _Atomic uint32_t heaps_made;

struct mm_lock mm_heap_ending_lock;
static struct mm_heap *heap_for_ending; /* the real heap behind mm_heap_ending */

/* `size` bytes kept away from the slots like everything else: a row of lines. */
static void *take_memory(size_t size)
{
    uint32_t line = mm_arena_take_lines((uint32_t)((size + MM_LINE_SIZE - 1) / MM_LINE_SIZE));
    return line != MM_LINE_NONE ? mm_batch_of_line(line) : NULL;
}

/* Under mm_heap_lock. */
static struct mm_heap *make_heap(void)
{
    size_t heap_size = (sizeof(struct mm_heap) + MM_LINE_SIZE - 1) & ~(size_t)(MM_LINE_SIZE - 1);
    struct mm_heap *heap = take_memory(heap_size + (mm_watcher != NULL ? mm_watcher->size : 0));
    if (heap == NULL)
        return NULL;
    if (mm_watcher != NULL) {
        heap->watch = (struct mm_watch *)((char *)heap + heap_size);
        mm_watcher->heap_made(heap->watch, mm_heap_count());
    }
    heap->number = mm_heap_count() + 1;
    atomic_store_explicit(&heaps_made, heap->number, memory_order_relaxed);
    mm_pins_add(&heap->pin);
    heap->next = atomic_load_explicit(&all_heaps, memory_order_relaxed);
    atomic_store_explicit(&all_heaps, heap, memory_order_release);
    return heap;
}

/* Under mm_heap_lock. A heap that a thread left behind is the best: its place is taken. */
static struct mm_heap *find_heap(void)
{
    struct mm_heap *heap = mm_homes_find(&mm_tls_heap);
    if (heap != NULL) {
        mm_homes_remove(heap);
        mm_pin_drop(&heap->pin);
        if (heap->watch != NULL)
            mm_watcher->thread_ends(heap->watch);
    } else if ((heap = idle_heaps) != NULL) {
        idle_heaps = heap->next_there;
    } else {
        heap = make_heap();
    }
    return heap;
}

/* Relaxed: reports only say what they find. */
static void set_thread(struct mm_heap *heap, pid_t id, uintptr_t stack)
{
    atomic_store_explicit(&heap->thread, id, memory_order_relaxed);
    atomic_store_explicit(&heap->stack, stack, memory_order_relaxed);
}

static _Atomic uint32_t threads; /* that were given one */

uint32_t mm_heap_threads(void)
{
    return atomic_load_explicit(&threads, memory_order_relaxed);
}

struct mm_heap *mm_heap_attach(void)
{
    if (!mm_lock_for_request(&mm_heap_lock))
        return NULL;
    struct mm_heap *heap = find_heap();
    if (heap != NULL) {
        atomic_store_explicit(&heap->state, MM_HEAP_ACTIVE, memory_order_relaxed);
        set_thread(heap, mm_os_own_id(), (uintptr_t)__builtin_frame_address(0));
        heap->tls = &mm_tls_heap;
        mm_homes_add(heap);
        mm_tls_heap = heap;
        atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
        MM_ASSERT(atomic_load_explicit(&heap->pin.line, memory_order_relaxed) == MM_LINE_NONE);
        if (heap->watch != NULL)
            mm_watcher->thread_starts(heap->watch);
    }
    mm_unlock(&mm_heap_lock);
    return heap;
}

bool mm_heap_borrow(struct mm_heap *heap)
{
    if (!mm_lock_unless_held(&mm_heap_lock))
        return false;
    struct mm_heap **link = &idle_heaps;
    while (*link != NULL && *link != heap)
        link = &(*link)->next_there;
    bool found = *link != NULL;
    if (found) {
        *link = heap->next_there;
        atomic_store_explicit(&heap->state, MM_HEAP_ACTIVE, memory_order_relaxed);
    }
    mm_unlock(&mm_heap_lock);
    return found;
}

void mm_heap_hand_back(struct mm_heap *heap)
{
    struct mm_twice twice = {.count = 0};
    mm_lock(&mm_heap_lock);
    atomic_store_explicit(&heap->state, MM_HEAP_IDLE, memory_order_relaxed);
    mm_collect_pending(heap, &twice); /* of threads that took it for active */
    heap->next_there = idle_heaps;
    idle_heaps = heap;
    mm_unlock(&mm_heap_lock);
    mm_collect_tell(&twice);
}

void mm_heap_detach(struct mm_heap *then)
{
    struct mm_heap *heap = mm_tls_heap;
    mm_tls_heap = then;
    if (heap == &mm_heap_none || heap == &mm_heap_ending)
        return;
    struct mm_twice twice = {.count = 0};
    mm_heap_collect(heap);
    if (!mm_lock_unless_held(&mm_heap_lock))
        return;
    mm_homes_remove(heap);
    atomic_store_explicit(&heap->state, MM_HEAP_IDLE, memory_order_relaxed);
    mm_collect_pending(heap, &twice); /* of threads that still took it for active */
    mm_heap_settle(heap);
    if (heap->watch != NULL)
        mm_watcher->thread_ends(heap->watch);
    set_thread(heap, 0, 0);
    heap->tls = NULL;
    heap->next_there = idle_heaps;
    idle_heaps = heap;
    mm_unlock(&mm_heap_lock);
    mm_collect_tell(&twice);
    mm_arena_shed();
}

/* Under mm_heap_ending_lock. */
static struct mm_heap *heap_for_all(void)
{
    if (heap_for_ending == NULL && mm_lock_for_request(&mm_heap_lock)) {
        heap_for_ending = make_heap();
        mm_unlock(&mm_heap_lock);
    }
    return heap_for_ending;
}

void *mm_heap_alloc_ending(unsigned class, mm_shape shape)
{
    struct mm_twice twice = {.count = 0};
    void *slot = NULL;
    if (!mm_lock_for_request(&mm_heap_ending_lock))
        return NULL;
    struct mm_heap *heap = heap_for_all();
    if (heap != NULL) {
        mm_collect_pending(heap, &twice);
        slot = mm_heap_alloc(heap, class, shape);
        if (heap->watch != NULL)
            mm_watcher->thread_lends(heap->watch);
    }
    mm_unlock(&mm_heap_ending_lock);
    mm_collect_tell(&twice);
    mm_arena_shed();
    return slot;
}

uint32_t mm_heap_count(void)
{
    return atomic_load_explicit(&heaps_made, memory_order_relaxed);
}

struct mm_heap *mm_heap_first(void)
{
    return atomic_load_explicit(&all_heaps, memory_order_acquire);
}

void mm_heap_reset(void)
{
    mm_tls_heap = &mm_heap_none;
    for (struct mm_heap *heap = mm_heap_first(); heap != NULL; heap = heap->next) {
        /* Where a thread ended that left its heap behind there may be anything by now. */
        if (heap->tls != NULL && mm_os_is_readable(heap->tls) && *heap->tls == heap)
            *heap->tls = &mm_heap_none;
    }
    mm_homes_clear();
    atomic_store_explicit(&all_heaps, NULL, memory_order_relaxed);
    mm_pins_reset();
    idle_heaps = heap_for_ending = NULL;
    atomic_store_explicit(&heaps_made, 0, memory_order_relaxed);
}

void mm_heap_renew_thread(void)
{
    if (mm_tls_heap != &mm_heap_none && mm_tls_heap != &mm_heap_ending)
        atomic_store_explicit(&mm_tls_heap->thread, mm_os_thread_id(), memory_order_relaxed);
    if (mm_tls_heap->watch != NULL)
        mm_watcher->thread_ends(mm_tls_heap->watch);
}

/* Its thread is not here, so that what it pinned is nobody's; and no thread of ours may go on in
 * the middle of its step, whoever gets its stack, and its place. */
static void leave_behind(struct mm_heap *heap)
{
    atomic_store_explicit(&heap->state, MM_HEAP_STALE, memory_order_relaxed);
    heap->tls = NULL;
    mm_pin_drop(&heap->pin);
}

static void keep_own_heap(void)
{
    mm_homes_clear();
    mm_pins_drop_shared();
    for (struct mm_heap *heap = mm_heap_first(); heap != NULL; heap = heap->next) {
        if (heap->tls == &mm_tls_heap)
            mm_homes_add(heap);
        else if (heap != heap_for_ending &&
                 atomic_load_explicit(&heap->state, memory_order_relaxed) != MM_HEAP_IDLE)
            leave_behind(heap);
        atomic_store_explicit(&heap->pending, MM_LINE_NONE, memory_order_relaxed);
    }
}

/* The parent's other threads may have been anywhere: between the remote bit and the push, or in
 * the middle of the push; and pages were copied at different times. So the stacks are dropped and
 * every remote word looked at, where there ever was a remote free. Remote frees of a stale heap's
 * blocks are taken as done, so that from now on its remote bits are the child's own. */
void mm_heap_after_fork(void)
{
    mm_arena_after_fork();
    keep_own_heap();
    uint32_t line = (1 + MM_GRAVE_LINES) * MM_LINE_SIZE;
    uint32_t end = mm_arena_lines_end();
    struct mm_twice twice = {.count = 0}; /* the parent's to tell */
    struct mm_heap *own = mm_tls_heap;
    bool was_claiming = own->is_claiming;
    if (own != &mm_heap_none)
        own->is_claiming = true; /* the walk knows what may be closed, but for what is shed */
    for (struct mm_batch *batch; (batch = mm_batch_walk_remote(&line, end)) != NULL;
         twice.count = 0) {
        struct mm_heap *owner = mm_batch_owner(batch);
        if (owner == NULL ||
            atomic_load_explicit(&owner->state, memory_order_relaxed) == MM_HEAP_STALE)
            mm_batch_collect(batch);
        else
            mm_collect_batch(owner, batch, &twice);
    }
    if (own != &mm_heap_none)
        own->is_claiming = was_claiming;
}
