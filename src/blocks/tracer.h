/* tracer.h - what a heap's watch is to stacks.c; everything in it is touched by the heap's thread
 * alone. */
#ifndef MM_TRACER_H
#define MM_TRACER_H

#include "slots/watcher.h"
#include "stacks/unwinder.h"
#include <stdbool.h>

struct mm_tracer {
    struct mm_watch watch; /* first */
    uint64_t random;
    uint32_t untraced; /* allocations until the next that is traced */
    uint32_t thread;   /* number of the heap's thread; 0: there were too many */
    bool has_thread;   /* it was asked for */
    uint32_t looks;    /* times that its name was, or was not, looked at */
    struct mm_unwinder_memory *memory;
};

#endif
