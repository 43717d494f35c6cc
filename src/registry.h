/* registry.h - the exact set of live forwarded blocks: what the system allocator handed out
 * through us and was not given back yet.
 *
 * Two bits for each 16 bytes of address space: *live*, a block starts here, and *once*, one
 * did. They lie in leaves of a two-level map, which are made when their part of the address
 * space is first used and stay until mm_registry_release(). */
#ifndef MM_REGISTRY_H
#define MM_REGISTRY_H

#include "os.h"
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

/* Notes a block that the next allocator just returned. False when no memory can be had to note
 * it; the block must then be given back unused. */
bool mm_registry_add(struct mm_gate *gate, const void *block);
/* Notes a block that the next allocator moved, and that cannot be given back unused any more. Where
 * no memory can be had to note it, a later free of a place without a leaf is taken on trust: rather
 * a bad free missed there than a good one reported. */
void mm_registry_add_moved(struct mm_gate *gate, const void *block);
/* Strikes a block out, before the next allocator gets it. True in exactly one of several calls at
 * the same time; false when `block` is not a live forwarded block. */
bool mm_registry_remove(struct mm_gate *gate, const void *block);

bool mm_registry_is_live(const void *block);
/* Whether a forwarded block ever started here. */
bool mm_registry_was_block(const void *pointer);
/* The live forwarded block that `pointer` points into, and its size, which size_of() tells. NULL
 * when there is none. Takes turns with other threads inside, for some 100 ns. */
void *mm_registry_around(const void *pointer, size_t (*size_of)(void *block), size_t *size);
size_t mm_registry_count(void);
/* Notes that the blocks have become larger by `change` bytes altogether, or smaller. True when they
 * changed by a MiB or more since it was last true, as far as this gate saw. */
bool mm_registry_hold(struct mm_gate *gate, int64_t change);
size_t mm_registry_bytes(void);

/* For fork(), with threads: nobody goes in, or for a while only. Then one of the other two, in the
 * parent and in the child. */
void mm_registry_close(void);
void mm_registry_open(void);
void mm_registry_renew(void);

#endif
