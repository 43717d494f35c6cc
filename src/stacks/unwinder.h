/* unwinder.h - call stacks, for reports, and fast enough to be taken at every allocation.
 *
 * A stack is walked by what the compiler left for exceptions in each module (.eh_frame: call frame
 * information), which needs no frame pointers. What that says of one return address is worked out
 * once and kept as a *rule*: where the frame begins, and where it saved the caller's return address
 * and frame pointer. A step then is one look at the rules and one or two loads from the stack.
 *
 * A thread moreover remembers its last stacks with every word of memory that led through them. As
 * long as these words are the same, so is the stack, and nothing is walked.
 *
 * Allocates nothing and takes no lock. May be called from any place, signal handlers too. Code
 * without call frame information ends a stack.
 *
 * Whatever lies on a stack, nothing faults: what is known to be the calling thread's own stack, and
 * modules that are never unloaded (loaded.h), are read as they are, all else as peek.h does. */
#ifndef MM_UNWINDER_H
#define MM_UNWINDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MM_UNWINDER_MOST 32u

/* From the function that called into the manager on, innermost first, as addresses inside the
 * calls. */
struct mm_frames {
    unsigned count;
    const void *frames[MM_UNWINDER_MOST];
};

struct mm_unwinder_settings {
    bool frame_pointers; /* walk by them alone: for code without call frame information */
    bool few;            /* stacks are walked now and then: in little memory */
    /* An address in the module that the manager is, whose frames are left out; NULL: none are. */
    const void *own;
};

/* False when the system refuses memory. */
bool mm_unwinder_start(const struct mm_unwinder_settings *settings);
void mm_unwinder_stop(void);
/* A thread's last stacks. All zero at first; for one thread at a time, each of which says so when
 * it takes it over. */
struct mm_unwinder_memory;
extern const size_t mm_unwinder_memory_size;
void mm_unwinder_thread_starts(struct mm_unwinder_memory *memory);

/* Takes up to `most` frames of the calling thread's stack. With a memory, the result is where the
 * caller keeps what it makes of this stack: what was stored there when the same stack was last
 * walked, and `frames` is empty; or 0, and `frames` is filled. The place is the caller's until it
 * says that it has noted that: a signal handler in between walks as if there were no memory. NULL
 * without a memory, or when the stack cannot be remembered; `frames` is filled then too. */
uint32_t *mm_unwinder_walk(struct mm_unwinder_memory *memory, unsigned most,
                           struct mm_frames *frames);
void mm_unwinder_noted(struct mm_unwinder_memory *memory);

/* Takes up to `most` frames from the function that `caller` returns into on, at least this one
 * unless `caller` is NULL. Always by unwind tables, and without what mm_unwinder_start() makes. Not
 * `exactly` is by rules that are kept, some 10 ns a frame instead of 150: good to know a stack
 * again, but not to show it. */
void mm_unwinder_walk_from(const void *caller, unsigned most, bool exactly,
                           struct mm_frames *frames);

/* The same from the instruction on that a signal interrupted, by the handler's third argument. */
void mm_unwinder_walk_context(const void *context, unsigned most, bool exactly,
                              struct mm_frames *frames);

/* One function's frame on the calling thread's stack. */
struct mm_unwinder_frame {
    const void *pc;  /* as mm_frames has it */
    intptr_t offset; /* of the address that was looked for, from the frame's end on: below 0 */
};
/* The frame that an address lies in, of the function that `caller` returns into or further out. */
bool mm_unwinder_frame_around(const void *caller, uintptr_t address,
                              struct mm_unwinder_frame *frame);

#endif
