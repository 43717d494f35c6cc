/* registry.h - the exact set of live forwarded blocks: what the system allocator handed out
 * through us and was not given back yet.
 *
 * Two bits for each 16 bytes of address space: *live*, a block starts here, and *once*, one
 * did; the same for blocks that start in the middle of these 16. Sizes are kept here, too: who
 * asked the system allocator would have it read what the program may have overwritten, before it
 * looks for that itself. All lies in leaves of a two-level map, which are made when their part of
 * the address space is first used and stay until mm_registry_release(). What a processor ignores of
 * an address (mm_os_untagged()) is ignored here. */
#ifndef MM_REGISTRY_H
#define MM_REGISTRY_H

#include "system/os.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False when the system refuses the memory; every pointer is then taken on trust. */
bool mm_registry_reserve(void);
void mm_registry_release(void);
/* Instead of the first one: every pointer is taken on trust, whatever it is. */
void mm_registry_trust_all(void);

/* Bracket a call of the next allocator and the change of the registry that goes with it. They nest:
 * the next allocator may itself ask us for memory. */
struct mm_gate;
struct mm_gate *mm_registry_enter(void);
void mm_registry_leave(struct mm_gate *gate);
/* Between these two the calling thread never waits to go in: for calls of libc's functions that
 * allocate with a lock held which fork() takes. */
void mm_registry_pass(bool passes);
/* Whether the calling thread is between such two. */
bool mm_registry_is_inside(void);

/* Notes a block that the next allocator just returned, or returned before and now with another
 * size. Returns by how many bytes there is more to hold. Size 0 is not known, and taken for the
 * least that a block has. A block that cannot be noted, as no memory is to be had or it lies where
 * none can, serves all the same; from then on a free of a place where none was noted is taken on
 * trust: rather a bad free missed than a good one reported. */
int64_t mm_registry_add(struct mm_gate *gate, const void *block, size_t size);
/* Strikes a block out, before the next allocator gets it; *size is what was noted of it, 0 when
 * nothing was. True in exactly one of several calls at the same time; false when `block` is not a
 * live forwarded block. */
bool mm_registry_remove(struct mm_gate *gate, const void *block, size_t *size);

/* As if a live block had never been one; returns what was noted of its size. */
size_t mm_registry_forget(struct mm_gate *gate, const void *block);

bool mm_registry_is_live(const void *block);
/* Whether it would be taken on trust if none was noted there. */
bool mm_registry_is_trusted(const void *pointer);
/* Whether a forwarded block ever started here. */
bool mm_registry_was_block(const void *pointer);

struct mm_forwarded {
    uintptr_t start; /* 0: none */
    size_t size;     /* 0: not known, or it is gone by now */
};
/* The live forwarded blocks that start nearest to an address: there or below, however far, and
 * above, within 64 KiB. One thread looks at a time, for some 100 ns. */
struct mm_near {
    struct mm_forwarded below, above;
};
struct mm_near mm_registry_near(const void *pointer);
/* Whether `pointer` points into the one below. Not where that is unmapped by now: somebody gave it
 * back round us (MM_DEEPBIND=keep). */
bool mm_registry_around(const void *pointer, struct mm_forwarded *block);

/* Calls back for each live block, in no order; size 0: not known. */
void mm_registry_each(void (*each)(uintptr_t start, size_t size, void *with), void *with);

size_t mm_registry_count(void);
/* Notes that the blocks have become larger by `change` bytes altogether, or smaller. True when they
 * changed by a MiB or more since it was last true, as far as this gate saw; that is for
 * the outermost of nested calls to hear. */
bool mm_registry_hold(struct mm_gate *gate, int64_t change);
size_t mm_registry_bytes(void);

/* For fork(), with threads: nobody goes in, or for a while only. Then one of the other two, in the
 * parent and in the child. */
void mm_registry_close(void);
void mm_registry_open(void);
void mm_registry_renew(void);

#endif
