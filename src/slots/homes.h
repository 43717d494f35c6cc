/* homes.h - the heaps of threads, by where the thread's mm_tls_heap lies.
 *
 * A thread may end without giving its heap up: one that first asked for memory when its last
 * destructors ran, and one that ended past libc. No hook tells of it, and to ask the system about
 * each thread takes calls that a sandbox may forbid. But two threads that live never have a
 * variable at one address, and libc gives the stacks of ended threads, with their variables, to new
 * ones: so a new thread finds what was left behind where it itself is now. The same helps the
 * program's first thread, whose variables get their initial values only after resolvers of the
 * program ran. */
#ifndef MM_HOMES_H
#define MM_HOMES_H

#include "slots/heap.h"

/* All under mm_heap_lock, but for the first two in a fork()'s child, and where no other thread is.
 */
void mm_homes_add(struct mm_heap *heap);
void mm_homes_clear(void);
/* Does nothing when it is not there. */
void mm_homes_remove(struct mm_heap *heap);
/* The heap whose `tls` it is; NULL when there is none. */
struct mm_heap *mm_homes_find(struct mm_heap **tls);

#endif
