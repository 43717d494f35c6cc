/* lock.c - a lock's word is written by whoever takes, gives up or waits for it; `forks` and what is
 * kept of the thread that holds all, by threads inside fork(). */
#include "system/lock.h"

#include "system/assert.h"
#include "system/kernel.h"
#include "system/os.h"
#include <limits.h>
#include <pthread.h>

#define WAITERS     ((uint32_t)1 << 31)
#define PATIENCE_MS 100u /* of a request with a fork(): most take less */

/* The thread that is inside fork() and holds the locks, 0 when none does: mm_os_self(), because
 * unlike the thread id it is the same on both sides. Only the thread itself needs to see its own
 * store. */
static _Atomic pthread_t passing_thread;
static bool taken[MM_LOCKS_MOST]; /* by it; not those that it held before */
/* How often it forks in there: in a handler that came while fork() was under way. */
static unsigned nested;
/* Threads that hold the locks for a fork(), or are about to; and whether a request has waited for
 * such a one in vain: then none waits any more, until that fork() ends after all. */
static _Atomic unsigned forks;
static _Atomic bool is_stuck;

bool mm_locks_are_passed(void)
{
    pthread_t thread = atomic_load_explicit(&passing_thread, memory_order_relaxed);
    return thread != 0 && thread == mm_os_self();
}

/* Threads apart by a multiple of 128 GiB have one name; see mm_lock_unless_held() for what of it.
 */
static uint32_t own_name(void)
{
    return ((uint32_t)((uintptr_t)mm_os_self() >> 6) | 1) & ~WAITERS;
}

/* False when a request is not to wait any longer. Asks no clock: that may be another library's, and
 * allocate. */
static bool wait_while(struct mm_lock *lock, uint32_t there, bool is_request)
{
    if (!is_request || atomic_load(&forks) == 0)
        return mm_kernel_futex_wait(&lock->state, there, 0);
    if (!atomic_load(&is_stuck) && !mm_kernel_futex_wait(&lock->state, there, PATIENCE_MS))
        atomic_store(&is_stuck, true);
    return !atomic_load(&is_stuck);
}

/* Who has waited does not know whether others do. Nor does who waits no more, and it may be the one
 * that was woken: then another is to be. */
static bool wait_for(struct mm_lock *lock, uint32_t name, bool is_request)
{
    for (;;) {
        uint32_t there = 0;
        /* Acquire on failure, too: who sees a forking thread's name sees `forks`. */
        if (atomic_compare_exchange_strong_explicit(&lock->state, &there, name | WAITERS,
                                                    memory_order_acquire, memory_order_acquire))
            return true;
        bool is_said = there & WAITERS || atomic_compare_exchange_strong_explicit(
                                              &lock->state, &there, there | WAITERS,
                                              memory_order_relaxed, memory_order_relaxed);
        if (is_said && !wait_while(lock, there | WAITERS, is_request)) {
            mm_kernel_futex_wake(&lock->state, 1);
            return false;
        }
    }
}

static bool is_free_for(struct mm_lock *lock, uint32_t name, uint32_t *there)
{
    *there = 0;
    return atomic_compare_exchange_strong_explicit(&lock->state, there, name, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

void mm_lock(struct mm_lock *lock)
{
    MM_ASSERT(!mm_lock_is_own(lock) || mm_locks_are_passed());
    uint32_t there, name = own_name();
    if (!mm_locks_are_passed() && !is_free_for(lock, name, &there))
        wait_for(lock, name, false);
}

void mm_unlock(struct mm_lock *lock)
{
    MM_ASSERT(mm_locks_are_passed() || mm_lock_is_own(lock));
    if (!mm_locks_are_passed() &&
        atomic_exchange_explicit(&lock->state, 0, memory_order_release) & WAITERS)
        mm_kernel_futex_wake(&lock->state, 1);
}

bool mm_lock_is_own(const struct mm_lock *lock)
{
    return (atomic_load_explicit(&lock->state, memory_order_relaxed) & ~WAITERS) == own_name();
}

static bool take_unless_held(struct mm_lock *lock, bool is_request)
{
    uint32_t there, name = own_name();
    if (mm_locks_are_passed() || is_free_for(lock, name, &there))
        return true;
    return (there & ~WAITERS) != name && wait_for(lock, name, is_request);
}

bool mm_lock_unless_held(struct mm_lock *lock)
{
    return take_unless_held(lock, false);
}

bool mm_lock_for_request(struct mm_lock *lock)
{
    return take_unless_held(lock, true);
}

/* Requests that wait already learn now for whom. */
void mm_locks_take_for_fork(struct mm_lock *const locks[], unsigned count)
{
    bool took[MM_LOCKS_MOST];
    MM_ASSERT(count <= MM_LOCKS_MOST);
    if (mm_locks_are_passed()) {
        nested++;
        return;
    }
    if (atomic_fetch_add(&forks, 1) == 0)
        atomic_store(&is_stuck, false); /* one that left the last fork() late may have set it */
    for (unsigned i = 0; i < count; i++) {
        took[i] = mm_lock_unless_held(locks[i]);
        mm_kernel_futex_wake(&locks[i]->state, INT_MAX);
    }
    for (unsigned i = 0; i < count; i++)
        taken[i] = took[i];
    atomic_store_explicit(&passing_thread, mm_os_self(), memory_order_relaxed);
}

static void leave(struct mm_lock *const locks[], unsigned count)
{
    MM_ASSERT(mm_locks_are_passed());
    bool took[MM_LOCKS_MOST];
    for (unsigned i = 0; i < count; i++)
        took[i] = taken[i];
    atomic_store_explicit(&passing_thread, 0, memory_order_relaxed);
    atomic_store(&is_stuck, false);
    for (unsigned i = count; i-- > 0;) {
        if (took[i])
            mm_unlock(locks[i]);
    }
}

void mm_locks_leave_in_parent(struct mm_lock *const locks[], unsigned count)
{
    if (nested > 0) {
        nested--;
        return;
    }
    leave(locks, count);
    atomic_fetch_sub(&forks, 1);
}

/* Other threads that were about to fork are not there. */
void mm_locks_leave_in_child(struct mm_lock *const locks[], unsigned count)
{
    atomic_store(&forks, nested > 0);
    if (nested > 0)
        nested--;
    else
        leave(locks, count);
}
