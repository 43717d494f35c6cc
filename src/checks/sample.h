/* sample.h - which blocks get a guarded slot (slots/guarded.h), drawn where a bin's ration runs
 * out: one in so many, each by itself; or every one while there are slots that were never used, and
 * then as many as a hundredth of the run time pays for. What lies between such a block and its
 * slot's ends is filled, and looked at like a guard.
 *
 * Each heap's draws are its thread's; what all share are atomics. */
#ifndef MM_SAMPLE_H
#define MM_SAMPLE_H

#include "checks/checks.h"
#include "slots/guarded.h"

struct mm_sample_settings {
    uint32_t every; /* one in so many; 0: none, unless: */
    bool adaptive;
    bool below; /* all start where their slots do */
};

/* After the checks, whose watcher it goes before. `is_ready` is asked before each: whether a fault
 * would be told. */
void mm_sample_start(const struct mm_sample_settings *settings, bool (*is_ready)(void));
void mm_sample_stop(void);
bool mm_sample_is_on(void);
/* In a fork()'s child. */
void mm_sample_after_fork(void);

/* A block as the checks need it. */
struct mm_block mm_block_guarded(const struct mm_guarded_slot *slot);
/* Up to two damages of what was filled beside it: how many. */
unsigned mm_sample_damages(const struct mm_guarded_slot *slot, const struct mm_block *block,
                           struct mm_damage damages[MM_GUARDS]);

#endif
