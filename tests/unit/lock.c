/* lock.c - who waits for a lock while a fork() holds others: a request gives up, and whoever else
 * waits is woken all the same. */
#include "system/lock.h"

#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static struct mm_lock ordinary, of_fork;
static struct mm_lock *const fork_locks[] = {&of_fork};
static _Atomic bool forking, go_on, got;

static void *hold_for_fork(void *unused)
{
    mm_locks_take_for_fork(fork_locks, 1);
    atomic_store(&forking, true);
    while (!atomic_load(&go_on))
        usleep(1000);
    mm_locks_leave_in_parent(fork_locks, 1);
    return unused;
}

static void *request(void *lock)
{
    if (mm_lock_for_request(lock))
        mm_unlock(lock);
    return NULL;
}

static void *wait_long(void *unused)
{
    mm_lock(&ordinary);
    atomic_store(&got, true);
    mm_unlock(&ordinary);
    return unused;
}

static void start(pthread_t *thread, void *(*body)(void *), void *shared)
{
    CHECK(pthread_create(thread, NULL, body, shared) == 0);
    usleep(30000); /* it waits by now */
}

/* One request waits in vain, so that none waits any more; another one is then woken by the unlock,
 * and leaves without a look. */
static void woken_in_vain(void)
{
    pthread_t threads[4];
    mm_lock(&ordinary);
    start(&threads[0], hold_for_fork, NULL);
    while (!atomic_load(&forking))
        usleep(1000);
    start(&threads[1], request, &of_fork);
    start(&threads[2], request, &ordinary);
    start(&threads[3], wait_long, NULL);
    pthread_join(threads[1], NULL);
    mm_unlock(&ordinary);
    for (unsigned waited = 0; waited < 5000 && !atomic_load(&got); waited++)
        usleep(1000);
    CHECK(atomic_load(&got));
    atomic_store(&go_on, true);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* In a handler that came while fork() was under way: all stays held until that ends. */
static void forks_inside(void)
{
    mm_locks_take_for_fork(fork_locks, 1);
    mm_locks_take_for_fork(fork_locks, 1);
    mm_locks_leave_in_parent(fork_locks, 1);
    CHECK(mm_locks_are_passed() && mm_lock_is_own(&of_fork));
    mm_locks_take_for_fork(fork_locks, 1);
    mm_locks_leave_in_child(fork_locks, 1);
    CHECK(mm_locks_are_passed() && mm_lock_is_own(&of_fork));
    mm_locks_leave_in_parent(fork_locks, 1);
    CHECK(!mm_locks_are_passed() && !mm_lock_is_own(&of_fork));
}

int main(void)
{
    forks_inside();
    woken_in_vain();
    return 0;
}
