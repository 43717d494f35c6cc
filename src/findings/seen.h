/* seen.h - which findings were told before, so that each is told once, and how often each came.
 *
 * A finding is one kind of misuse at one stack. The table of stacks is fixed in size and lock-free.
 * They stay; when it is full, further ones are not told. */
#ifndef MM_SEEN_H
#define MM_SEEN_H

#include <stdint.h>

/* What was made of a finding. */
enum mm_told {
    MM_TOLD_NEVER, /* nothing yet */
    MM_TOLD_BEFORE,
    MM_TOLD_SUPPRESSED, /* by the user's wish */
    MM_TOLD_NOW         /* just now; not noted */
};

/* Goes on with a hash, whatever it began with. All below goes by its 62 upper bits. */
uint64_t mm_seen_hash(uint64_t hash, const void *value);

/* MM_TOLD_NEVER when it was not noted. */
enum mm_told mm_seen_stack(uint64_t stack);
/* MM_TOLD_NEVER when it was not there before: of several at once, one gets this. Otherwise
 * what was noted. */
enum mm_told mm_seen_note_stack(uint64_t stack, enum mm_told told);

/* How often something came, and when that was last told. */
struct mm_pace {
    _Atomic uint64_t count, told; /* told: on the clock of mm_os_milliseconds(); 0: not yet */
};

/* Of a stack that was noted, which counts as its first time; NULL when the table was full. */
struct mm_pace *mm_seen_pace(uint64_t stack);
/* Counts one more: how often it came so far if that is to be told now, at the 2nd, 4th, 8th ...
 * time and at most once a second, else 0. */
uint64_t mm_pace_step(struct mm_pace *pace);

/* In a fork()'s child. */
void mm_seen_forget(void);

#endif
