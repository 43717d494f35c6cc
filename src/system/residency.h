/* residency.h - which pages of memory are there, without touching them.
 *
 * The system is asked by a call that sandboxes may end a process for: so it is not where a filter
 * is set at the start, nor once one is about to be. By any thread; nothing is locked. */
#ifndef MM_RESIDENCY_H
#define MM_RESIDENCY_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a seccomp filter looks at the calling thread's system calls, or that can't be known. */
bool mm_residency_is_filtered(void);
/* By who will ask, as the process starts. */
void mm_residency_start(void);
/* From now on it is not known. */
void mm_residency_give_up(void);
/* Of whole pages, one byte each, whose lowest bit is set for what is in memory; what was swapped
 * out is not. False when it is not known. */
bool mm_residency_of(const void *start, size_t size, unsigned char *pages);

#endif
