/* tell.c - see roots.h: the words of roots. All state is the caller's struct mm_roots. */
#include "leaks/roots.h"

#include "leaks/present.h"
#include "system/kernel.h"
#include "system/peek.h"
#include <string.h>

/* Of all that stand, for when they run again: words that may be pointers with a tag. */
static void keep_tagged(struct mm_roots *roots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!mm_marks_may_be_tagged(roots->marks, roots->words[i]))
            continue;
        if (roots->tagged_count < MM_ROOTS_WORDS)
            roots->tagged[roots->tagged_count++] = roots->words[i];
        else
            roots->marks->missed.is_cut = true; /* in vain */
    }
}

static void tell_words(struct mm_roots *roots, uintptr_t at, size_t size)
{
    bool is_libc = at >= roots->libc && at < roots->libc_end;
    size_t count = size / sizeof *roots->words;
    if (roots->tagged != NULL && roots->stop->threads != NULL)
        keep_tagged(roots, count);
    if (roots->visit == NULL)
        mm_marks_words(roots->marks, roots->words, count,
                       is_libc ? MM_WORDS_OF_LIBC : MM_WORDS_ANY);
    else if (!is_libc)
        roots->visit(roots->words, count, at, roots->with);
}

/* As much as can be read from there on, up to `most`; through a pipe, where there is no other way,
 * less than it has room for. */
static size_t copy(struct mm_roots *roots, uintptr_t at, size_t most)
{
    ssize_t got = mm_kernel_read_own(roots->words, (const void *)at, most);
    if (got > 0 || roots->marks->copies != NULL)
        return got > 0 ? (size_t)got : 0;
    return mm_peek(roots->words, at, 0, most < MM_ROOTS_PIECE ? most : MM_ROOTS_PIECE);
}

/* As far as they can be read. */
static void tell_pages(struct mm_roots *roots, uintptr_t start, uintptr_t end)
{
    uintptr_t mask = mm_os_page_size() - 1;
    for (uintptr_t at = start; at < end;) {
        size_t most = MM_ROOTS_WORDS * sizeof *roots->words - (at & mask);
        size_t got = copy(roots, at, end - at < most ? end - at : most);
        uintptr_t next = got != 0 ? at + got : (at | mask) + 1;
        if (got != 0)
            tell_words(roots, at, got);
        else
            mm_marks_miss(roots->marks, (struct mm_range){at, next < end ? next : end});
        at = next;
    }
}

static void tell_row(struct mm_range row, void *roots)
{
    tell_pages(roots, row.start, row.end);
}

/* Pages that hold something. */
static void tell_part(struct mm_range part, void *with)
{
    struct mm_roots *roots = with;
    part.start = mm_round_up(part.start, sizeof(uintptr_t));
    part.end &= ~(uintptr_t)(sizeof(uintptr_t) - 1);
    mm_present_each(roots->pages_fd, roots->entries, part, tell_row, roots);
}

void mm_roots_tell_written(struct mm_roots *roots, struct mm_range written)
{
    tell_pages(roots, written.start, written.end);
}

/* A thread's registers may lie on a stack of their own, in a block that nothing points to. */
static void tell_registers(struct mm_roots *roots)
{
    for (size_t i = 0; i < atomic_load(&roots->stop->count); i++) {
        const struct mm_thread *thread = &roots->stop->threads[i];
        if (atomic_load(&thread->state) != MM_THREAD_STANDS)
            continue;
        bool is_below = thread->sp > thread->frame && thread->sp - thread->frame < MM_THREAD_FRAME;
        uintptr_t end = is_below ? thread->sp : thread->frame + MM_THREAD_FRAME;
        tell_pages(roots, thread->frame & ~(uintptr_t)(sizeof(uintptr_t) - 1), end);
    }
}

static void tell_list(struct mm_roots *roots, const struct mm_ranges *list)
{
    for (size_t i = 0; i < list->count; i++)
        mm_ranges_outside(&roots->excluded, list->of[i], tell_part, roots);
}

static void tell_lists(struct mm_roots *roots)
{
    int own_fd = roots->pages_fd;
    tell_list(roots, &roots->candidates);
    roots->pages_fd = roots->shared_pages_fd;
    tell_list(roots, &roots->shared);
    roots->pages_fd = own_fd;
}

void mm_roots_each(struct mm_roots *roots, mm_roots_visit visit, void *with)
{
    roots->visit = visit;
    roots->with = with;
    tell_lists(roots);
    roots->visit = NULL;
}

bool mm_roots_is_stack(const struct mm_roots *roots, uintptr_t address)
{
    bool is_stack = address >= roots->here->low && address < roots->here->home;
    for (size_t i = 0; i < atomic_load(&roots->stop->count) && !is_stack; i++) {
        const struct mm_thread *thread = &roots->stop->threads[i];
        is_stack = address >= thread->low && address < thread->home;
    }
    return is_stack;
}

/* Words with a tag, while threads run: of stacks and registers as when these stood, else as of now.
 */
static void tell_tagged(struct mm_roots *roots)
{
    if (!mm_roots_renew(roots))
        roots->marks->missed.is_cut = true;
    mm_roots_each_part(roots, MM_PARTS_BUT_SLOTS, tell_part, roots);
    mm_marks_words(roots->marks, roots->tagged, roots->tagged_count, MM_WORDS_ANY);
}

void mm_roots_tell(struct mm_roots *roots)
{
    if (roots->stacks != NULL && roots->marks->tagged)
        tell_tagged(roots);
    else
        tell_lists(roots);
    tell_registers(roots);
    mm_marks_words(roots->marks, roots->here->registers, MM_HERE_REGISTERS, MM_WORDS_ANY);
}

/* --- while threads run --- */

static size_t depth(uintptr_t low, uintptr_t home, uintptr_t sp)
{
    return sp > low && sp < home ? home - sp : 0;
}

size_t mm_roots_depth(const struct mm_stop *stop)
{
    size_t sum = 0;
    for (size_t i = 0; i < atomic_load(&stop->count); i++)
        sum += depth(stop->threads[i].low, stop->threads[i].home, stop->threads[i].sp);
    return sum;
}

/* All of it, where a thread has gone to another stack. */
static void tell_stack(struct mm_roots *roots, uintptr_t low, uintptr_t home, uintptr_t sp)
{
    size_t used = depth(low, home, sp);
    struct mm_range part = {used != 0 ? home - used - MM_RED_ZONE : low, home};
    tell_part(part, roots);
}

static bool has_owner(const struct mm_roots *roots, struct mm_range stack)
{
    bool has = stack.start == roots->here->low && stack.end == roots->here->home;
    for (size_t i = 0; i < atomic_load(&roots->stop->count) && !has; i++) {
        const struct mm_thread *thread = &roots->stop->threads[i];
        has = atomic_load(&thread->state) == MM_THREAD_STANDS && stack.start == thread->low &&
              stack.end == thread->home;
    }
    return has;
}

void mm_roots_tell_standing(struct mm_roots *roots, const struct mm_stop *stop,
                            const struct mm_here *here)
{
    const struct mm_stop *nobody = roots->stop;
    const struct mm_here *nowhere = roots->here;
    roots->tagged_count = 0;
    roots->stop = stop;
    roots->here = here;
    tell_stack(roots, here->low, here->home, here->sp);
    for (size_t i = 0; i < atomic_load(&stop->count); i++) {
        const struct mm_thread *thread = &stop->threads[i];
        if (atomic_load(&thread->state) == MM_THREAD_STANDS && thread->home != 0)
            tell_stack(roots, thread->low, thread->home, thread->sp);
    }
    for (size_t i = 0; i < roots->stacks->count; i++) {
        if (!has_owner(roots, roots->stacks->of[i]))
            tell_part(roots->stacks->of[i], roots);
    }
    tell_list(roots, &roots->shared);
    tell_registers(roots);
    memcpy(roots->words, here->registers, sizeof here->registers);
    tell_words(roots, 0, sizeof here->registers);
    roots->stop = nobody;
    roots->here = nowhere;
}
