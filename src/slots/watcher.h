/* watcher.h - who watches slots: somebody above that keeps more of a block than its live bit. Heaps
 * tell it what happens to a slot, and know nothing of what is kept.
 *
 * Neither fast path knows of a watcher. On the way out the bins get only as many claimed slots as
 * may go unwatched, the rest is held back, and the next one comes through mm_heap_refill(). On the
 * way back the tag of a batch with watched slots (mm_batch_set_traced()) leads to the slow free,
 * whose caller tells the watcher itself. */
#ifndef MM_WATCHER_H
#define MM_WATCHER_H

#include "slots/batch.h"
#include "slots/size_class.h"
#include <stddef.h>
#include <stdint.h>

/* What a request was for, in a word, as a watcher keeps it: bytes asked, the alignment where one
 * was asked for, and the family of functions that are to free the block. */
typedef uint64_t mm_shape;
enum mm_family { MM_FAMILY_MALLOC, MM_FAMILY_NEW, MM_FAMILY_NEW_ARRAY };

#define MM_SHAPE_ASKED_BITS     47u
#define MM_SHAPE_ALIGNMENT_BITS 6u /* its logarithm; 0: none was asked for */
#define MM_SHAPE_FAMILY_SHIFT   (MM_SHAPE_ASKED_BITS + MM_SHAPE_ALIGNMENT_BITS)
#define MM_SHAPE_FAMILY_BITS    3u
#define MM_SHAPE_GUARDED        ((mm_shape)1 << (MM_SHAPE_FAMILY_SHIFT + MM_SHAPE_FAMILY_BITS))
#define MM_SHAPE_HELD           (MM_SHAPE_GUARDED << 1)
#define MM_SHAPE_TOLD           (MM_SHAPE_HELD << 1) /* of a damage to it */
#define MM_SHAPE_TOLD_FREED     ((mm_shape)1 << 63)  /* of a write after its free */
#define MM_SHAPE_IGNORED        (MM_SHAPE_TOLD << 1) /* not told when nothing points to it */
/* Of how a block is freed: by realloc(). In a record: by what it was first freed, an mm_call. */
#define MM_SHAPE_BY_REALLOC (MM_SHAPE_IGNORED << 1)
#define MM_SHAPE_CALL_SHIFT 61u
#define MM_SHAPE_CALL       ((mm_shape)3 << MM_SHAPE_CALL_SHIFT)
_Static_assert(MM_SHAPE_IGNORED < MM_SHAPE_CALL >> 1 && !(MM_SHAPE_IGNORED & MM_SHAPE_CALL),
               "each flag of a record has a bit of its own");

/* What the program called, as reports name it; the first four free, and fit into a shape. */
enum mm_call {
    MM_CALL_FREE,
    MM_CALL_REALLOC,
    MM_CALL_DELETE,
    MM_CALL_DELETE_ARRAY,
    MM_CALL_USABLE_SIZE,
    MM_CALL_CHECK,
    MM_CALL_EXIT,
    MM_CALL_NONE /* nothing that it has to do with */
};

static inline mm_shape mm_shape_of(size_t asked, unsigned alignment_log2, enum mm_family family)
{
    return asked | (mm_shape)alignment_log2 << MM_SHAPE_ASKED_BITS |
           (mm_shape)family << MM_SHAPE_FAMILY_SHIFT;
}

/* The same of a free, which may name any size. */
static inline mm_shape mm_shape_named(size_t size, unsigned alignment_log2, enum mm_family family)
{
    size_t most = ((size_t)1 << MM_SHAPE_ASKED_BITS) - 1;
    return mm_shape_of(size < most ? size : most, alignment_log2, family);
}

static inline size_t mm_shape_asked(mm_shape shape)
{
    return shape & (((mm_shape)1 << MM_SHAPE_ASKED_BITS) - 1);
}

/* 1: none was asked for. */
static inline size_t mm_shape_alignment(mm_shape shape)
{
    return (size_t)1 << (shape >> MM_SHAPE_ASKED_BITS) % (1u << MM_SHAPE_ALIGNMENT_BITS);
}

static inline enum mm_family mm_shape_family(mm_shape shape)
{
    return (enum mm_family)((shape >> MM_SHAPE_FAMILY_SHIFT) % (1u << MM_SHAPE_FAMILY_BITS));
}

static inline enum mm_call mm_shape_call(mm_shape how)
{
    if (how & MM_SHAPE_BY_REALLOC)
        return MM_CALL_REALLOC;
    enum mm_family family = mm_shape_family(how);
    return family == MM_FAMILY_NEW         ? MM_CALL_DELETE
           : family == MM_FAMILY_NEW_ARRAY ? MM_CALL_DELETE_ARRAY
                                           : MM_CALL_FREE;
}

/* Of a record's. */
static inline enum mm_call mm_shape_freed_by(mm_shape shape)
{
    return (enum mm_call)((shape & MM_SHAPE_CALL) >> MM_SHAPE_CALL_SHIFT);
}

/* What a heap has to do with it: this, and behind it the watcher's own. Touched by the heap's
 * thread alone. */
struct mm_watch {
    uint64_t held[MM_CLASSES]; /* claimed slots kept off the fast path, so that it stops in time */
};

struct mm_watcher {
    size_t size; /* of a heap's watch, in bytes */
    /* Bytes that a slot has beyond what is asked, where every slot is watched: a free one keeps
     * them at its end, as long as what lies above it is live, so that pages with such ones are not
     * given back. And slots that are never handed out, of any batch. */
    size_t guard;
    uint64_t unused;
    /* All zero but for `held`, and stays where it is. */
    void (*heap_made)(struct mm_watch *watch, uint32_t seed);
    /* The calling thread takes the heap; all system calls that a sandbox might forbid come here,
     * and with its first requests. It ends, or becomes another one in a fork()'s child; and the
     * next to use the heap is any thread. */
    void (*thread_starts)(struct mm_watch *watch);
    void (*thread_ends)(struct mm_watch *watch);
    void (*thread_lends)(struct mm_watch *watch);

    /* Which of a batch's claimed slots (not 0) may be handed out unwatched; counts them. */
    uint64_t (*ration)(struct mm_watch *watch, uint64_t claimed);
    /* The slots of a batch are handed out for the first time; `slots` are handed out unwatched; one
     * is handed out, watched, and not live yet. */
    void (*batch_opened)(const struct mm_batch *batch);
    void (*unwatched)(const struct mm_batch *batch, uint64_t slots);
    void (*handed_out)(struct mm_watch *watch, struct mm_batch *batch, unsigned index,
                       mm_shape shape);
    /* Slots of a tagged batch were freed: it may drop the tag. */
    void (*settle)(struct mm_batch *batch);
    /* Whole chunks without a batch went back to the system, `size` bytes in one group of them: what
     * is kept of them may go, too. In any thread, with no lock held. */
    void (*given_back)(uintptr_t start, size_t size);
};

/* NULL: nobody watches. Changed while there is no heap. */
extern const struct mm_watcher *mm_watcher;

#endif
