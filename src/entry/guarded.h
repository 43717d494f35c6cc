/* guarded.h - blocks in guarded slots, for route.c, free.c and check.c: their frees and verdicts;
 * and faults on what is closed there. */
#ifndef MM_ENTRY_GUARDED_H
#define MM_ENTRY_GUARDED_H

#include "entry/inside.h"
#include "slots/guarded.h"

/* For a pointer into the pool. */
enum mm_verdict mm_free_guarded(const void *ptr, mm_shape how, const void *caller);
enum mm_verdict mm_verdict_of_guarded(const void *ptr);
/* True for a live block's start. */
bool mm_guarded_is_live(const void *ptr, size_t *asked);
/* Looks beside all of them: how many damages were found that were not told before. */
size_t mm_check_guarded(const void *caller, enum mm_call call);

/* Before the manager's start is over, where guarded slots are wanted. */
void mm_faults_start(bool of_full_stack);
/* In a fork()'s child: nobody else is in the middle of a step. */
void mm_faults_after_fork(void);
/* Whether a fault of the calling thread would be told: its handler is put before the program's, and
 * stays there until the program sets another. */
bool mm_faults_are_told(void);

#endif
