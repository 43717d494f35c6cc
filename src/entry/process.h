/* process.h - the manager's life in its process: started at the first request, kept whole over
 * fork(), its threads' heaps taken in as they end. */
#ifndef MM_PROCESS_H
#define MM_PROCESS_H

#include "checks/checks.h"
#include "findings/report.h"
#include "leaks/leaks.h"
#include <stdbool.h>
#include <stddef.h>

struct mm_process_config {
    struct mm_report_settings report;
    unsigned batch_slots;
    bool counts; /* slots that are handed out */
    size_t slot_max;
    size_t arena_size; /* 0: as much as the machine could fill */
    struct mm_stacks_settings stacks;
    struct mm_checks_settings checks;
    struct mm_leaks_settings leaks;
};

/* Starts the manager unless it is started; false when there is no memory for slots. In that case
 * requests are forwarded, and still checked where the registry could be had. */
bool mm_process_start(const struct mm_process_config *config);
bool mm_process_started(void);
/* Back to before the start. No other thread may be inside. */
void mm_process_stop(void);

/* The process is to do with so many bytes of address space: what of the slots' is not needed is
 * given up, as by mm_arena_shrink(). Not in a vfork()'s child, which shares the address space of a
 * process that is not limited. */
void mm_process_keep_to(size_t limit);

/* Whether other threads may load and unload modules when it starts. Implemented as the last one. */
bool mm_process_starts_late(void);
/* Whether never to start: all is forwarded then, and every pointer taken on trust. Implemented as
 * the last one. */
bool mm_process_steps_aside(void);
/* How to start when a request comes before anyone called mm_process_start(). Implemented by the
 * library (memory_manager.c) and by the shim (preload/start.c). */
struct mm_process_config mm_process_default_config(void);

/* Handlers of fork() that are the next allocator's: they run inside of our own, the first one
 * before the fork last. False when there are too many. */
struct mm_fork_handlers {
    void (*prepare)(void), (*parent)(void), (*child)(void); /* each may be NULL */
};
bool mm_process_add_next_fork_handlers(const struct mm_fork_handlers *handlers);

/* Slots serve the size classes below it; larger requests are forwarded. */
extern _Atomic unsigned mm_process_classes;

struct mm_heap;
/* The calling thread's heap; starts the manager if need be. mm_heap_ending in a thread that is in
 * its last destructors, NULL when there is no memory for a heap and in the middle of the start. */
struct mm_heap *mm_process_heap(void);

#endif
