/* heap.h - one thread's list of memory lists, and the two fast paths.
 *
 * Everything in a heap is touched by its thread alone, but for `pending`, which other threads
 * push to, `pin`, `thread` and `stack`, which they read, and `state`. A heap outlives its thread:
 * it is then idle, and the next new thread takes it up.
 *
 * mm_tls_heap is never NULL: before a thread's first request it refers to mm_heap_none, and after
 * its last destructor to mm_heap_ending. Both have no batch and own none, so that the fast paths
 * need no check of their own. */
#ifndef MM_HEAP_H
#define MM_HEAP_H

#include "slots/batch.h"
#include "slots/pins.h"
#include "slots/size_class.h"
#include "slots/spans.h"
#include "slots/watcher.h"
#include <stdatomic.h>

/* The hot part of a memory list. */
struct mm_bin {
    uint64_t claimed; /* slots of `batch` noted for the next requests; not live */
    struct mm_batch *batch;
};

/* Of batches, by line; linked by `next` and `prev`. */
struct mm_queue {
    uint32_t first, last;
};

/* The rest of a memory list. Available batches come round in turn, so that each gathers free slots
 * meanwhile; of the sparse ones the last comes first, so that the others are left alone. The first
 * of these are the wholly free ones. */
struct mm_list {
    _Alignas(32) struct mm_queue available; /* aligned, so that an index is a shift */
    struct mm_queue sparse;
    uint32_t batches;
    uint32_t spare; /* bytes of batches that are wholly free */
    uint8_t window; /* see mm_batch_window(); set once there is a batch */
    uint8_t rounds; /* how often slots were claimed from the current batch once more, modulo 256 */
    uint8_t keep;   /* how much more may stay wholly free than at first, in 32 KiB */
    bool closed;    /* a batch was closed, and none opened since */
    bool zero;      /* the claimed slots read as zero */
};
_Static_assert(sizeof(struct mm_list) == 32, "no larger than its alignment");

enum mm_heap_state {
    MM_HEAP_ACTIVE,
    MM_HEAP_IDLE, /* its thread is gone */
    MM_HEAP_STALE /* its thread was left behind by fork(), perhaps half-way through a step */
};

struct mm_heap {
    struct mm_bin bins[MM_CLASSES];
    struct mm_list lists[MM_CLASSES];
    struct mm_spans spans;    /* where its batches lie */
    size_t bytes, spare;      /* of its batches, and of the wholly free ones among them; */
    size_t spare_more;        /* as lists have learned, and as could not be closed */
    bool is_shedding;         /* no batch that is wholly free is kept; */
    bool is_claiming;         /* or now is not the time to see to that */
    uint32_t chunks_shed;     /* that came back meanwhile */
    _Atomic uint32_t pending; /* stack of batches with remote frees, by line */
    uint32_t claims;          /* since it was made; paces the purge clock */
    uint32_t number;          /* from 1 on, in order of creation */
    _Atomic int state;        /* enum mm_heap_state */
    struct mm_pin pin;        /* for frees of other heaps' slots */
    struct mm_watch *watch;   /* NULL: nobody watches */
    _Atomic pid_t thread;
    _Atomic uintptr_t stack; /* an address in the thread's stack */
    uint64_t next_look,
        round_started;          /* of pages.c, by the clock; milliseconds between rounds; and */
    uint32_t pause, look_at;    /* the chunk where it goes on */
    bool look_news;             /* found in this round */
    struct mm_heap *next_there; /* among the idle ones, or those of one home */
    struct mm_heap *next;       /* all heaps there are; never changes */
    struct mm_heap **tls;       /* the thread's mm_tls_heap */
};

extern struct mm_heap mm_heap_none, mm_heap_ending;
extern _Thread_local struct mm_heap *mm_tls_heap __attribute__((tls_model("initial-exec")));

/* Hands out one of a bin's claimed slots; there must be one. */
static inline void *mm_bin_pop(struct mm_bin *bin)
{
    struct mm_batch *batch = bin->batch;
    unsigned index = mm_bit_lowest(bin->claimed);
    MM_ASSERT(index < mm_batch_slots(batch) && !(mm_batch_live(batch) >> index & 1));
    bin->claimed &= bin->claimed - 1;
    mm_batch_set_live(batch, mm_batch_live(batch) | (uint64_t)1 << index);
    return mm_batch_slot_start(batch, index);
}

/* Claims slots of a class, for when none are: of the current batch, an available one or a new one.
 * False when the arena is used up. */
bool mm_heap_claim(struct mm_heap *heap, unsigned class);
/* The same, and hands one of them out; NULL when the arena is used up. `shape` is that of
 * the request, for who watches the slot. */
MM_COLD void *mm_heap_refill(struct mm_heap *heap, unsigned class, mm_shape shape);

/* A slot of a class; NULL when the arena is used up. */
static inline void *mm_heap_alloc(struct mm_heap *heap, unsigned class, mm_shape shape)
{
    struct mm_bin *bin = &heap->bins[class];
    return mm_likely(bin->claimed != 0) ? mm_bin_pop(bin) : mm_heap_refill(heap, class, shape);
}

/* How many threads had a heap. */
uint32_t mm_heap_threads(void);

/* The `frees_left` of a batch of this heap has come to 0. */
MM_COLD void mm_heap_batch_due(struct mm_heap *heap, struct mm_batch *batch);

/* Whether a batch is of a thread that fork() left behind. */
static inline bool mm_heap_left_behind(const struct mm_batch *batch)
{
    const struct mm_heap *owner = mm_batch_owner(batch);
    return owner != NULL &&
           atomic_load_explicit(&owner->state, memory_order_relaxed) == MM_HEAP_STALE;
}

/* Whether the slot was never handed out, nor its memory as part of another. What
 * another thread's heap has claimed is not known here and taken as handed out. */
bool mm_heap_never_handed_out(const struct mm_slot_info *info);

/* Takes over what other threads freed; for the heap's own thread, with no lock held. */
void mm_heap_collect(struct mm_heap *heap);

/* A thread that doesn't own `batch` queued its first remote free there. */
void mm_heap_push_pending(struct mm_heap *heap, struct mm_batch *batch);
/* The last live slot of one of its batches was freed there; NULL when it is closed already. */
void mm_heap_collect_if_idle(struct mm_heap *heap);

/* No batch is current any more, nor kept where none need be; for a heap that its thread leaves. */
void mm_heap_settle(struct mm_heap *heap);

/* Gives the calling thread a heap, an idle one if there is one. NULL when memory is refused, in a
 * signal handler that came in the middle of this, and while a fork() is under way. */
struct mm_heap *mm_heap_attach(void);
/* The calling thread's heap becomes idle; `then` is what mm_tls_heap refers to from now on. */
void mm_heap_detach(struct mm_heap *then);
/* For threads in their last destructors: one heap shared under its own lock. NULL when memory is
 * refused, and at the moments named above. */
void *mm_heap_alloc_ending(unsigned class, mm_shape shape);

/* An idle heap is the calling thread's for a while, beside its own: nobody else takes it up,
 * collects there or closes a batch. False when it is not idle. For work that is not to be done
 * under a lock. */
bool mm_heap_borrow(struct mm_heap *heap);
void mm_heap_hand_back(struct mm_heap *heap);

/* Closes what is wholly free in idle heaps and collects in the calling thread's; gives back the
 * free pages in batches of both, and of other threads' what was freed there by others and waits to
 * be collected. Bytes given back. */
size_t mm_heap_trim(void);

/* How many were made: as many threads were there at once, at most. */
uint32_t mm_heap_count(void);
/* All heaps there are, linked by `next`. */
struct mm_heap *mm_heap_first(void);

/* Forgets all heaps; every thread is as before its first request. */
void mm_heap_reset(void);
/* In a fork()'s child, always: the thread has another id there. */
void mm_heap_renew_thread(void);
/* In the child of a process that had threads: heaps of threads that don't exist there become stale,
 * and remote frees that were under way are taken over. */
void mm_heap_after_fork(void);

/* Told of each slot that a collection found freed twice, with no lock held; set by a higher layer.
 */
extern void (*mm_heap_on_freed_twice)(void *slot);

extern struct mm_lock mm_heap_lock, mm_heap_ending_lock;

#endif
