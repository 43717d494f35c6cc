/* threads.c - a table in pieces, by number. An entry is its thread's from when the number was
 * taken; its name may be changed by whoever names it. */
#include "blocks/threads.h"

#include "system/pieces.h"
#include <stdatomic.h>
#include <string.h>

#define THREADS      ((size_t)1 << MM_THREADS_BITS)
#define RECENT       16u   /* threads that are looked at for one that has no number at hand */
#define NAMED_LATE   4096u /* threads that are looked at for one that is given a name */
#define FIRST_THREAD 1u
#define NAME_WORDS   (MM_THREAD_NAME / sizeof(uint64_t))

struct thread {
    _Atomic pid_t id;
    _Atomic bool is_gone;
    _Atomic uint64_t name[NAME_WORDS]; /* as far as we were told */
};

#define THREAD_SHIFT 12u /* of a piece */
#define THREAD_PIECE (sizeof(struct thread) << THREAD_SHIFT)

static mm_piece threads[THREADS >> THREAD_SHIFT] MM_SELDOM;
static _Atomic uint32_t threads_used = FIRST_THREAD;

void mm_threads_release(void)
{
    mm_piece_release_all(threads, sizeof threads / sizeof threads[0], THREAD_PIECE);
    atomic_store(&threads_used, FIRST_THREAD);
}

uint32_t mm_threads_next(void)
{
    return atomic_load_explicit(&threads_used, memory_order_relaxed);
}

/* NULL: there is none of this number. */
static struct thread *thread_of(uint32_t number)
{
    struct thread *there = number != 0 ? mm_piece_at(&threads[number >> THREAD_SHIFT]) : NULL;
    return there != NULL ? there + number % (1u << THREAD_SHIFT) : NULL;
}

/* Relaxed: what is read while a name is given may be half of each, and ends in a zero like both. */
static void get_name(const struct thread *thread, char name[static MM_THREAD_NAME])
{
    for (unsigned i = 0; i < NAME_WORDS; i++) {
        uint64_t word = atomic_load_explicit(&thread->name[i], memory_order_relaxed);
        memcpy(name + i * sizeof word, &word, sizeof word);
    }
}

static void set_name(struct thread *thread, const char name[static MM_THREAD_NAME])
{
    for (unsigned i = 0; i < NAME_WORDS; i++) {
        uint64_t word;
        memcpy(&word, name + i * sizeof word, sizeof word);
        atomic_store_explicit(&thread->name[i], word, memory_order_relaxed);
    }
}

/* Without a system call but for the first thread, at the start. Others begin with the name of
 * whoever started them: that of the first is the best that is known of it. */
static void name_thread(struct thread *thread, pid_t id)
{
    const struct thread *first = thread_of(FIRST_THREAD);
    char name[MM_THREAD_NAME] = {0};
    if (thread == first)
        mm_os_thread_name(id, name);
    else if (first != NULL)
        get_name(first, name);
    set_name(thread, name);
}

/* 0 when there are too many: events are of nobody then. */
static uint32_t add_thread(pid_t id)
{
    uint32_t number = atomic_load_explicit(&threads_used, memory_order_relaxed);
    if (number < THREADS)
        number = atomic_fetch_add_explicit(&threads_used, 1, memory_order_relaxed);
    if (number >= THREADS)
        return 0;
    struct thread *thread = mm_piece_need(&threads[number >> THREAD_SHIFT], THREAD_PIECE);
    if (thread == NULL)
        return 0;
    thread += number % (1u << THREAD_SHIFT);
    name_thread(thread, id);
    /* Release pairs with the acquire of whoever reads the id: the name is there. */
    atomic_store_explicit(&thread->id, id, memory_order_release);
    return number;
}

/* The number of a thread, if it is one of the last `most`; else 0. */
static uint32_t find_thread(pid_t id, unsigned most, bool may_be_gone)
{
    uint32_t number = atomic_load_explicit(&threads_used, memory_order_relaxed);
    number = number < THREADS ? number : THREADS;
    for (unsigned i = 0; i < most && number-- > FIRST_THREAD; i++) {
        const struct thread *thread = thread_of(number);
        if (thread != NULL && atomic_load_explicit(&thread->id, memory_order_relaxed) == id &&
            (may_be_gone || !atomic_load_explicit(&thread->is_gone, memory_order_relaxed)))
            return number;
    }
    return 0;
}

uint32_t mm_threads_own(bool may_be_gone)
{
    pid_t id = mm_os_own_id();
    uint32_t number = find_thread(id, RECENT, may_be_gone);
    return number != 0 ? number : add_thread(id);
}

void mm_threads_end(uint32_t number)
{
    struct thread *thread = thread_of(number);
    if (thread != NULL)
        atomic_store_explicit(&thread->is_gone, true, memory_order_release);
}

/* A thread often gets its name before it allocates, from whoever started it. */
void mm_threads_name(pid_t id, const char *name)
{
    uint32_t number = find_thread(id, NAMED_LATE, false);
    struct thread *thread = thread_of(number != 0 ? number : add_thread(id));
    char plain[MM_THREAD_NAME] = {0};
    mm_os_name_as_given(name, plain);
    if (thread != NULL)
        set_name(thread, plain);
}

/* As long as there is the thread, it can tell its name itself. */
void mm_threads_tell(uint32_t number, pid_t *id, char name[static MM_THREAD_NAME])
{
    struct thread *thread = thread_of(number);
    memcpy(name, "?", 2);
    if (thread == NULL)
        return;
    *id = atomic_load_explicit(&thread->id, memory_order_acquire);
    if (!atomic_load_explicit(&thread->is_gone, memory_order_acquire))
        mm_os_thread_name(*id, name);
    if (name[0] == '?') /* gone, or left behind by fork() */
        get_name(thread, name);
}
