/* process.c - the start, at the first request of any thread; fork(), with every lock of ours held
 * in between; and the ends of threads.
 *
 * start_lock makes one start of several. It is the first of our locks: who holds it may take any
 * other, in the order of `locks`. Settings are written under it, before `started` is
 * set, and only read after. */
#include "entry/process.h"

#include "checks/quarantine.h"
#include "entry/guarded.h"
#include "entry/route.h"
#include "forwarded/next.h"
#include "forwarded/registry.h"
#include "slots/counting.h"
#include "slots/heap.h"
#include "slots/size_class.h"
#include "system/libc.h"
#include "system/os.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

_Atomic unsigned mm_process_classes = MM_CLASSES;

#define SLOTS_GUARDED 2u /* at least: the first is not used then */

static struct mm_lock start_lock;
static _Atomic bool started, is_aside;
/* Made once, and kept over mm_process_stop(). */
static pthread_key_t thread_key;
static _Atomic bool have_thread_key, have_fork_handlers;
/* Relaxed: of several forks that are under way at once each has threads. */
static _Atomic bool threads_at_fork;

/* Other destructors of this thread may still come, allocate and free: they get mm_heap_ending. */
static void thread_ends(void *unused)
{
    (void)unused;
    mm_heap_detach(&mm_heap_ending);
}

/* In this order everywhere: those further up may be held while those further down are taken. */
static struct mm_lock *const locks[] = {&start_lock, &mm_heap_ending_lock, &mm_heap_lock,
                                        &mm_arena_lock};
#define LOCKS (sizeof locks / sizeof locks[0])

/* The lock of libc's streams is the first, because a stream's own functions run inside it and
 * allocate; fork() would take it after ours. A signal handler that frees comes when all are held,
 * or none. */
static void lock_before_fork(void)
{
    struct mm_signals signals = mm_os_block_signals();
    mm_os_lock_streams();
    mm_registry_close();
    mm_locks_take_for_fork(locks, LOCKS);
    mm_os_restore_signals(&signals);
}

static void unlock_after_fork(void (*leave)(struct mm_lock *const[], unsigned), void (*open)(void),
                              void (*unlock_streams)(void))
{
    struct mm_signals signals = mm_os_block_signals();
    leave(locks, LOCKS);
    open();
    unlock_streams();
    mm_os_restore_signals(&signals);
}

/* The next allocator's own handlers, in the order in which they were registered. They take its
 * locks, so they run when nobody is inside any more who needs these. */
static struct mm_fork_handlers next_handlers[8];
static unsigned next_handler_count;

/* The next allocator may begin, and register them, in the middle of our own start. */
bool mm_process_add_next_fork_handlers(const struct mm_fork_handlers *handlers)
{
    bool took = mm_lock_unless_held(&start_lock);
    bool fits = next_handler_count < sizeof next_handlers / sizeof next_handlers[0];
    if (fits)
        next_handlers[next_handler_count++] = *handlers;
    if (took)
        mm_unlock(&start_lock);
    return fits;
}

static void call_if_any(void (*handler)(void))
{
    if (handler != NULL)
        handler();
}

/* One thread waits for nobody: a signal handler that forks may have interrupted it inside a lock,
 * which it leaves on both sides. */
static void before_fork(void)
{
    bool has_threads = !mm_os_single_threaded();
    atomic_store_explicit(&threads_at_fork, has_threads, memory_order_relaxed);
    if (has_threads)
        lock_before_fork();
    for (unsigned i = next_handler_count; i-- > 0;)
        call_if_any(next_handlers[i].prepare);
}

static bool had_threads_at_fork(void)
{
    return atomic_load_explicit(&threads_at_fork, memory_order_relaxed);
}

static void after_fork_in_parent(void)
{
    for (unsigned i = 0; i < next_handler_count; i++)
        call_if_any(next_handlers[i].parent);
    if (had_threads_at_fork())
        unlock_after_fork(mm_locks_leave_in_parent, mm_registry_open, mm_os_unlock_streams);
}

static void after_fork_in_child(void)
{
    for (unsigned i = 0; i < next_handler_count; i++)
        call_if_any(next_handlers[i].child);
    mm_os_own_memory();
    if (had_threads_at_fork())
        unlock_after_fork(mm_locks_leave_in_child, mm_registry_renew, mm_os_renew_streams);
    mm_report_forget();
    mm_quarantine_after_fork();
    mm_check_after_fork();
    mm_leaks_after_fork();
    mm_guarded_after_fork();
    mm_sample_after_fork();
    mm_faults_after_fork();
    mm_heap_renew_thread();
    if (had_threads_at_fork() && atomic_load_explicit(&started, memory_order_relaxed))
        mm_heap_after_fork();
}

static void report_freed_twice(void *slot)
{
    mm_report(&(struct mm_misuse){.kind = MEM_MNGR_DOUBLE_FREE, .ptr = slot});
}

static void make_thread_key(void)
{
    if (!atomic_load_explicit(&have_thread_key, memory_order_relaxed) && mm_next_has_keys())
        atomic_store(&have_thread_key, mm_next_key_create(&thread_key, thread_ends));
}

/* Where libpthread came late, the first thread that it starts makes the key. Looked for without our
 * lock: who holds the dynamic linker's may allocate. */
static bool have_thread_key_by_now(void)
{
    if (!atomic_load_explicit(&have_thread_key, memory_order_relaxed) && mm_next_has_keys()) {
        mm_lock(&start_lock);
        make_thread_key();
        mm_unlock(&start_lock);
    }
    return atomic_load_explicit(&have_thread_key, memory_order_relaxed);
}

static void start(const struct mm_process_config *config)
{
    mm_os_own_memory();
    mm_report_start(&config->report);
    mm_leaks_start(&config->leaks);
    atomic_store_explicit(&mm_process_classes, mm_class_of_size(config->slot_max) + 1,
                          memory_order_relaxed);
    mm_batch_slots_most = config->batch_slots;
    if (config->checks.guard != 0 && mm_batch_slots_most < SLOTS_GUARDED)
        mm_batch_slots_most = SLOTS_GUARDED;
    mm_heap_on_freed_twice = report_freed_twice;
    mm_arena_reserve(config->arena_size);
    if (config->stacks.guarded != 0)
        mm_faults_start(config->checks.quarantine != 0);
    if (!mm_checks_start(&config->checks, &config->stacks))
        mm_report_note("no memory for stacks and checks: none are kept");
    if (config->counts)
        mm_counting_start();
    mm_sample_start(&config->sample, mm_faults_are_told);
    make_thread_key();
    atomic_store_explicit(&started, true, memory_order_release);
}

/* pthread_atfork() allocates, so it comes when the manager is ready; and as early as can be, so
 * that our handler runs last before a fork and first after it. */
static void watch_forks(void)
{
    if (!atomic_exchange(&have_fork_handlers, true))
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

bool mm_process_start(const struct mm_process_config *config)
{
    mm_libc_look_up(mm_process_starts_late());
    if (!mm_lock_unless_held(&start_lock))
        return false;
    if (!atomic_load_explicit(&started, memory_order_relaxed)) {
        mm_libc_start();
        mm_registry_reserve();
        start(config);
    }
    mm_unlock(&start_lock);
    watch_forks();
    return mm_arena_size() != 0;
}

bool mm_process_started(void)
{
    return atomic_load_explicit(&started, memory_order_acquire);
}

void mm_process_stop(void)
{
    mm_lock(&start_lock);
    mm_heap_reset();
    mm_sample_stop();
    mm_checks_stop();
    mm_arena_release();
    mm_registry_release();
    atomic_store_explicit(&started, false, memory_order_release);
    mm_unlock(&start_lock);
}

void mm_process_keep_to(size_t limit)
{
    if (!mm_os_is_guest() || (mm_os_has_copy() && mm_os_single_threaded()))
        mm_arena_shrink(limit);
}

static void start_or_step_aside(void)
{
    mm_libc_start();
    if (mm_process_steps_aside()) {
        mm_registry_trust_all();
        atomic_store_explicit(&is_aside, true, memory_order_release);
        return;
    }
    mm_registry_reserve();
    struct mm_process_config config = mm_process_default_config();
    start(&config);
}

/* The registry comes first, so that what the start itself asks for is forwarded, and known. The
 * program's main() finds errno 0, and a first free() keeps it. The lock is held by this thread when
 * a start is under way in it: a signal handler came, or another preloaded library has its own of
 * libc's functions that a start calls, which allocate. */
static void start_by_default(void)
{
    int saved_errno = errno;
    if (atomic_load_explicit(&is_aside, memory_order_acquire))
        return;
    mm_libc_look_up(mm_process_starts_late());
    if (!mm_lock_unless_held(&start_lock))
        return;
    if (!atomic_load_explicit(&started, memory_order_relaxed))
        start_or_step_aside();
    mm_unlock(&start_lock);
    if (mm_process_started())
        watch_forks();
    errno = saved_errno;
}

struct mm_heap *mm_process_heap(void)
{
    if (mm_tls_heap != &mm_heap_none)
        return mm_tls_heap;
    if (!mm_process_started())
        start_by_default();
    if (!mm_process_started())
        return NULL;
    /* The start may have allocated, and so attached a heap already. */
    if (mm_tls_heap != &mm_heap_none)
        return mm_tls_heap;
    struct mm_heap *heap = mm_heap_attach();
    /* Any value but NULL makes the destructor run. */
    if (heap != NULL && have_thread_key_by_now())
        mm_next_key_set(thread_key, heap);
    return heap;
}
