/* beside.h - marks what is reached while the program runs, and stops it for the rest alone: what
 * was written to since, and what threads hold. Where the system tells who writes to which page
 * (writes.h), and the program does not write more than can be looked at.
 *
 *   1  all stand for a moment, for where their stacks are
 *   2  writes are watched; what is live is taken into tables; roots and all that they reach are
 *      marked
 *   3  what was written to since is looked at, again and again, until it is little
 *   4  all stand; what was written to since, stacks and registers are looked at. If that takes too
 *      long all go on, and it begins anew at 3
 *   5  the program goes on, and is not slowed down any more */
#ifndef MM_BESIDE_H
#define MM_BESIDE_H

#include "leaks/mark.h"
#include "leaks/roots.h"
#include "leaks/stop.h"
#include "leaks/writes.h"
#include <stdbool.h>

struct mm_beside {
    bool strict;
    const struct mm_roots_settings *roots_settings;
    const struct mm_here *here; /* of the thread that waits, and is not stopped; or all 0 */
    pid_t waits;                /* its id, or 0 */
    struct mm_stop *stop;
    const _Atomic bool *is_unwanted; /* then it gives up */

    struct mm_marks marks;
    struct mm_roots roots;
    struct mm_writes writes;
    bool watches;
    struct mm_ranges stacks;
    struct mm_roots_settings settings;
};

/* Whether copying the process would take longer than a stop may, and nothing is known that is in
 * the way. */
bool mm_beside_is_worth_it(void);
/* By a helper, whose descriptors are its own, with all else 0: whether the system has what is
 * needed. */
bool mm_beside_start(struct mm_beside *beside);
/* After that. False when it could not be done: then nothing is left. Else the marks are as of when
 * all stood last, for what was live at the start and still was then, until mm_beside_end(). */
bool mm_beside_mark(struct mm_beside *beside);
void mm_beside_end(struct mm_beside *beside);
/* In a fork()'s child: what was mapped for it is given back. */
void mm_beside_renew(struct mm_beside *beside);

#endif
