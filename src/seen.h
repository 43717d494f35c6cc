/* seen.h - which findings were told before, so that each is told once.
 *
 * A finding is one kind of misuse at one stack. To unwind a stack takes microseconds, so there are
 * two tables: that of *stacks* is the truth, that of *calls* remembers the fate of a stack by what
 * is cheap to know: kind, caller and depth of the stack. Two stacks may have these in common;
 * therefore a call that was seen is unwound again at first, and ever more seldom later.
 *
 * Both are fixed in size and lock-free. Calls overwrite each other. Stacks stay; when there is no
 * room for more, further ones are not told. */
#ifndef MM_SEEN_H
#define MM_SEEN_H

#include <stdint.h>

enum mm_fate {
    MM_FATE_UNKNOWN,
    MM_FATE_TOLD,
    MM_FATE_SUPPRESSED, /* by the user's wish */
    MM_FATE_SHOWN       /* just now; not noted */
};

/* Goes on with a hash, 0 at first. All below goes by its 62 upper bits. */
uint64_t mm_seen_hash(uint64_t hash, const void *value);

/* MM_FATE_UNKNOWN when the stack is to be unwound, and its fate noted. */
enum mm_fate mm_seen_call(uint64_t call);
void mm_seen_note_call(uint64_t call, enum mm_fate fate);

enum mm_fate mm_seen_stack(uint64_t stack);
/* MM_FATE_UNKNOWN when it was not there before: of several at once, one gets this. Otherwise the
 * fate that it has. */
enum mm_fate mm_seen_note_stack(uint64_t stack, enum mm_fate fate);

/* In a fork()'s child. */
void mm_seen_forget(void);

#endif
