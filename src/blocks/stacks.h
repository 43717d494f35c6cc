/* stacks.h - who allocated and who first freed a block, as far as that is kept.
 *
 * Of each allocation that is *traced* (every one, or one in K) a record is kept (record.h), which
 * outlives the block, and its batch, until the memory is handed out again; and of the life before
 * that the two stacks. Stacks are kept once each, in a table of bounded size; threads as well.
 * Nothing here takes a lock or calls malloc. */
#ifndef MM_STACKS_H
#define MM_STACKS_H

#include "slots/watcher.h"
#include "stacks/unwinder.h"
#include "system/os.h"
#include <stdbool.h>
#include <stddef.h>

struct mm_stack {
    unsigned count;
    const void *frames[MM_UNWINDER_MOST];
    pid_t thread; /* 0: not known */
    char name[MM_THREAD_NAME];
};
struct mm_stack_history {
    bool has_allocated, has_freed, has_before;
    mm_shape shape;
    size_t asked; /* bytes */
    struct mm_stack allocated, freed;
    struct mm_stack allocated_before, freed_before; /* of the memory's last life */
};

/* What is known of the block that `ptr` is, was, or points into. False: nothing is kept. */
bool mm_stacks_history(const void *ptr, struct mm_stack_history *history);

/* The number of the stack that it was allocated by; 0: not known. */
uint32_t mm_stacks_allocator(const void *ptr);

/* The same in more words, of a live block's start. */
struct mm_stacks_note {
    uint32_t stack, thread; /* numbers; 0: not known */
    size_t asked;           /* bytes */
    bool is_known;          /* otherwise none of these is */
};
struct mm_stacks_note mm_stacks_note(uintptr_t start);

struct mm_stacks_settings {
    unsigned frames;  /* kept of a stack; 0: nothing is traced, unless: */
    bool all;         /* each allocation has a record, and one in so many a stack */
    uint32_t every;   /* one in so many allocations is traced, on average */
    unsigned guarded; /* frames of blocks in guarded slots, which are always traced; 0: none is */
    struct mm_unwinder_settings unwind;
};

/* After the arena was reserved. False when the system refuses memory: nothing is traced then. */
bool mm_stacks_start(const struct mm_stacks_settings *settings);
void mm_stacks_stop(void);
bool mm_stacks_are_kept(void);
/* Whether each block's stack is. */
bool mm_stacks_have_frames(void);
/* Stacks that were not kept because the table was full. */
uint64_t mm_stacks_lost(void);

struct mm_record;

/* Slots of a batch whose records tell of their last handing out. */
uint64_t mm_stacks_traced(const struct mm_batch *batch);
/* A thread is given a name, which is to be known when it is gone. */
void mm_stacks_thread_named(pid_t id, const char *name);

/* Below, `watch` is that of the calling thread's heap; NULL when it has none. */

/* A slot is handed out, as the watcher is told: its record; NULL: memory is refused. */
struct mm_record *mm_stacks_handed_out(struct mm_watch *watch, struct mm_batch *batch,
                                       unsigned index, mm_shape shape);
/* A live slot that serves another request in place; by any thread. */
void mm_stacks_resized(struct mm_watch *watch, const struct mm_batch *batch, unsigned index,
                       mm_shape shape);
/* A live slot is about to be freed, by any thread. Of several the first is kept, and by what. */
void mm_stacks_freed(struct mm_watch *watch, const struct mm_batch *batch, unsigned index,
                     enum mm_call call);

/* The same in two steps: what happens now, and that this was the free of a slot. */
uint64_t mm_stacks_now(struct mm_watch *watch);
void mm_stacks_freed_at(struct mm_record *record, uint64_t now, enum mm_call call);

/* Blocks of the next allocator: handed out now, traced if it is the one in so many, else NULL; and
 * about to be given back, NULL when nothing is kept of it. */
struct mm_record *mm_stacks_forwarded(struct mm_watch *watch, const void *block, mm_shape shape);
struct mm_record *mm_stacks_forwarded_freed(struct mm_watch *watch, const void *block,
                                            enum mm_call call);
/* It was not given back after all. */
void mm_stacks_forwarded_kept(struct mm_record *record, const void *block);

/* For who looks for blocks that nothing points to. A live block is not to be told of; and none that
 * the calling thread allocates before this is called as often with false as with true. */
void mm_stacks_ignore(const void *block);
void mm_stacks_ignore_new(struct mm_watch *watch, bool ignore);
/* Whether there are any. */
bool mm_stacks_has_ignored(void);

/* A block in a guarded slot is handed out now: its record; NULL when memory is refused. And what
 * happens now, for the free of one. */
struct mm_record *mm_stacks_guarded(struct mm_watch *watch, unsigned number, mm_shape shape);
uint64_t mm_stacks_now_guarded(struct mm_watch *watch);

#endif
