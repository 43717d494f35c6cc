/* seam.h - the seam below src/system/os.c: each call that it makes of the system can be made to
 * fail, and the size of a page to be another one, of 16 or 64 KiB: SEAM_PAGE_SIZE=65536 in the
 * environment. Ranges are then held to that size. Memory may only be given back in pieces of at
 * most 4 MiB, by a thread that holds no lock of the heaps or the arena.
 *
 * May be used while other threads are inside the manager. */
#ifndef FAULTS_SEAM_H
#define FAULTS_SEAM_H

#include <stdbool.h>
#include <stdint.h>

enum seam_call {
#define CALL(name, ...) SEAM_##name,
#include "seam.def"
#undef CALL
    SEAM_CALLS
};

const char *seam_name(enum seam_call call);

/* Each of these takes the place of what was set before, and counts the calls anew. */
void seam_heal(void);
/* Fails, with this errno (0: the usual one), the `nth` call of a kind, from 1 on; and, if wanted,
 * all after it. */
void seam_fail(enum seam_call call, unsigned nth, bool later_too, int error);
/* Fails one in so many of all calls. */
void seam_fail_at_random(unsigned one_in, uint64_t seed);

unsigned seam_count(enum seam_call call);

#endif
