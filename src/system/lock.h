/* lock.h - the manager's locks. Each knows who holds it.
 *
 * The thread inside fork() holds them all from its prepare handler to its parent or child handler.
 * It passes through them itself, for handlers of others allocate in between; and no request waits
 * for it for ever: libc takes locks of its own inside of fork(), which a thread that allocates may
 * hold. */
#ifndef MM_LOCK_H
#define MM_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* After Ulrich Drepper's third mutex ("Futexes Are Tricky", 2011), and no pthread_mutex_t: a
 * preloaded library that counts those may allocate in its pthread_mutex_lock(). */
struct mm_lock {
    _Atomic uint32_t state; /* 0: free; else the holder's name, and whether somebody may wait */
};

void mm_lock(struct mm_lock *lock);
void mm_unlock(struct mm_lock *lock);
/* Whether the calling thread holds it. Once in many millions of pairs of threads also when the
 * other one does. */
bool mm_lock_is_own(const struct mm_lock *lock);
/* False, and not locked, when it does: a signal handler came in between. */
bool mm_lock_unless_held(struct mm_lock *lock);
/* For malloc() and free(): false, too, when a fork() does not come to its end. */
bool mm_lock_for_request(struct mm_lock *lock);

/* The locks in the order in which they are taken. What the forking thread holds already, because a
 * signal handler of its own forks, it goes on to hold on both sides. */
#define MM_LOCKS_MOST 4u
void mm_locks_take_for_fork(struct mm_lock *const locks[], unsigned count);
bool mm_locks_are_passed(void); /* by the calling thread */
/* In the parent or the child, by the same thread. */
void mm_locks_leave_in_parent(struct mm_lock *const locks[], unsigned count);
void mm_locks_leave_in_child(struct mm_lock *const locks[], unsigned count);

#endif
