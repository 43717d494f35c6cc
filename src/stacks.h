/* stacks.h - who allocated and first freed a block, as far as that is kept. */
#ifndef MM_STACKS_H
#define MM_STACKS_H

#include "os.h"
#include <stdbool.h>
#include <stddef.h>

#define MM_STACK_FRAMES_MAX 32u

struct mm_stack {
    unsigned count;
    const void *frames[MM_STACK_FRAMES_MAX];
    pid_t thread;
    char name[MM_THREAD_NAME];
};
struct mm_stack_history {
    bool has_allocated, has_freed;
    size_t asked; /* bytes */
    struct mm_stack allocated, freed;
};

/* What is known of the block that `ptr` is, was, or points into. False: nothing is kept. */
bool mm_stacks_history(const void *ptr, struct mm_stack_history *history);

#endif
