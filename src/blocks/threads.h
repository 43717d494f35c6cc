/* threads.h - threads by number, so that whoever allocated or freed a block can be told when it is
 * gone. Numbers are never used again; by any thread at any time, without a lock. */
#ifndef MM_THREADS_H
#define MM_THREADS_H

#include "system/os.h"
#include <stdbool.h>
#include <stdint.h>

#define MM_THREADS_BITS 20u /* of a number; 0: none, as there were too many, or no memory */

/* The calling thread's. One that has ended and runs its last destructors `may_be_gone`, and is
 * found again all the same. */
uint32_t mm_threads_own(bool may_be_gone);
/* The number that the next one gets. */
uint32_t mm_threads_next(void);
void mm_threads_end(uint32_t number);
/* A thread is given a name, which is to be known when it is gone. */
void mm_threads_name(pid_t id, const char *name);
/* "?" when nothing is known; *id is left alone then. */
void mm_threads_tell(uint32_t number, pid_t *id, char name[static MM_THREAD_NAME]);
/* Forgets all, while nobody asks. */
void mm_threads_release(void);

#endif
