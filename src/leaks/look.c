/* look.c - see look.h. One thread looks at a time: `looking`. The table of threads that stand is
 * here for good, as the last of their handlers may look at it when all is over. */
#include "leaks/look.h"

#include "blocks/stacks.h"
#include "leaks/sort.h"
#include "stacks/interned.h"
#include "stacks/loaded.h"
#include "system/coverage.h"
#include "system/kernel.h"
#include "system/os.h"
#include <errno.h>
#include <sys/wait.h>

#define GROUPS      ((size_t)1 << 16) /* a power of two */
#define GROUPS_MOST (GROUPS - GROUPS / 4)

static struct mm_hold looking;
static struct mm_stop stop MM_SELDOM;

void mm_look_renew(void)
{
    mm_hold_renew(&looking);
}

/* --- groups --- */

struct grouping {
    struct mm_look *look;
    const struct mm_look_settings *settings;
};

/* A place of this key, or a free one. */
static struct mm_look_group *find_group(struct mm_look *look, uint32_t stack, enum mm_mark mark)
{
    uint64_t key = mm_bits_mixed((uint64_t)stack * 4 + mark + 1);
    for (;; key++) {
        struct mm_look_group *group = &look->groups[key % GROUPS];
        if (group->first == 0 || (group->stack == stack && group->mark == mark))
            return group;
    }
}

/* The dynamic linker keeps what it has for the threads that are gone where only stacks that are to
 * be used again tell of it. */
static bool is_of_linker(uint32_t stack)
{
    const void *frames[MM_UNWINDER_MOST];
    struct mm_loaded linker;
    return mm_interned_frames(stack, frames) != 0 && mm_loaded_linker(&linker) &&
           (uintptr_t)frames[0] >= linker.start && (uintptr_t)frames[0] < linker.end;
}

/* Those of too many stacks are put together. */
static void count_block(uintptr_t start, size_t size, enum mm_mark mark, void *with)
{
    struct grouping *grouping = with;
    struct mm_look *look = grouping->look;
    struct mm_stacks_note note = mm_stacks_note(start);
    uint32_t first_thread = grouping->settings->first_thread;
    if (first_thread != 0 && note.thread < first_thread)
        return;
    if (mm_look_is_unsure(look))
        mark = MM_MARK_POSSIBLE;
    uint32_t group_stack = note.stack;
    struct mm_look_group *group = find_group(look, group_stack, mark);
    if (group->first == 0 && look->count >= GROUPS_MOST) {
        group_stack = 0;
        group = find_group(look, group_stack, mark);
    }
    if (group->first == 0) {
        look->count++;
        *group = (struct mm_look_group){.stack = group_stack, .mark = mark, .first = start};
        group->is_of_linker = is_of_linker(group_stack);
    }
    group->blocks++;
    group->bytes += note.is_known ? note.asked : size;
}

static bool comes_before(const void *left, const void *right)
{
    const struct mm_look_group *one = left, *other = right;
    bool one_is_possible = one->mark == MM_MARK_POSSIBLE;
    if (one_is_possible != (other->mark == MM_MARK_POSSIBLE))
        return !one_is_possible;
    if (one->bytes != other->bytes)
        return one->bytes > other->bytes;
    return one->mark != other->mark ? one->mark < other->mark : one->first < other->first;
}

static void sort_groups(struct mm_look *look)
{
    size_t kept = 0;
    for (size_t i = 0; i < GROUPS; i++) {
        if (look->groups[i].first != 0 && !look->groups[i].is_of_linker)
            look->groups[kept++] = look->groups[i];
    }
    look->count = kept;
    mm_sort(look->groups, kept, sizeof *look->groups, comes_before);
}

/* --- the look --- */

/* What only an epoll or a pointer with a tag reaches is asked for where there is anything else. */
static void mark_all(struct mm_roots *roots, struct mm_marks *marks)
{
    if (mm_stacks_has_ignored())
        mm_marks_ignored(marks);
    mm_roots_tell(roots);
    mm_marks_flood(marks);
    if (mm_marks_are_all(marks))
        return;
    mm_roots_tell_epolls(roots);
    mm_marks_flood(marks);
}

static void group_all(struct mm_look *look, const struct mm_look_settings *settings,
                      struct mm_roots *roots, struct mm_marks *marks)
{
    struct grouping grouping = {look, settings};
    mark_all(roots, marks);
    if (mm_marks_are_all(marks))
        return;
    mm_marks_reached(marks);
    mm_marks_tagged(marks);
    mm_roots_tell(roots);
    mm_marks_flood(marks);
    mm_marks_possible(marks);
    mm_marks_classify(marks);
    mm_marks_each(marks, count_block, &grouping);
    sort_groups(look);
}

static enum mm_look_result look_while_all_stand(struct mm_look *look,
                                                const struct mm_look_settings *settings,
                                                const struct mm_here *here)
{
    struct mm_marks marks;
    struct mm_roots roots;
    enum mm_look_result result = MM_LOOK_NO_LIST;
    look->unsure = stop.unsure;
    look->is_cut = look->is_cut || !stop.is_whole;
    if (!mm_marks_start(&marks, settings->strict))
        return MM_LOOK_NO_MEMORY;
    if (mm_roots_start(&roots, &settings->roots, &stop, here, &marks)) {
        look->is_cut = look->is_cut || roots.is_cut;
        group_all(look, settings, &roots, &marks);
        mm_roots_end(&roots);
        result = MM_LOOK_DONE;
    }
    mm_marks_end(&marks);
    return result;
}

/* --- in a copy of the process: what comes of it lies behind the groups, in memory that both have
 * --- */

struct outcome {
    struct mm_look look;
    enum mm_look_result result;
};

static struct outcome *outcome_of(const struct mm_look *look)
{
    return (struct outcome *)(look->groups + look->capacity);
}

static _Noreturn void look_as_copy(struct mm_look *look, const struct mm_look_settings *settings,
                                   const struct mm_here *here)
{
    mm_kernel_die_with_parent();
    mm_coverage_anew();
    struct outcome *outcome = outcome_of(look);
    look->is_cut = !mm_roots_are_all(&settings->roots.before);
    outcome->result = look_while_all_stand(look, settings, here);
    outcome->look = *look;
    mm_coverage_write();
    mm_kernel_exit_group(0);
}

/* Nobody else waits for it; whoever kills it has no outcome. */
static enum mm_look_result take_outcome(struct mm_look *look, pid_t copy)
{
    while (mm_kernel_waitpid(copy, NULL, (int)__WCLONE) < 0 && errno == EINTR)
        ;
    *look = outcome_of(look)->look.groups != NULL ? outcome_of(look)->look : *look;
    return outcome_of(look)->result;
}

/* False when it can't be copied. */
static bool look_in_copy(struct mm_look *look, const struct mm_look_settings *settings,
                         const struct mm_here *here, enum mm_look_result *result)
{
    struct mm_look_settings with = *settings;
    with.roots.before = mm_roots_before();
    outcome_of(look)->result = MM_LOOK_NO_MEMORY;
    pid_t copy = mm_kernel_branch();
    if (copy == 0)
        look_as_copy(look, &with, here);
    if (copy > 0)
        mm_stop_end(&stop);
    if (with.roots.before.pages_fd >= 0)
        mm_os_close(with.roots.before.pages_fd);
    if (copy > 0)
        *result = take_outcome(look, copy);
    return copy > 0;
}

static size_t size_of_groups(const struct mm_look *look)
{
    return look->capacity * sizeof *look->groups + sizeof(struct outcome);
}

static bool map_groups(struct mm_look *look, bool is_shared)
{
    look->capacity = GROUPS;
    look->groups =
        is_shared ? mm_kernel_mmap_shared(size_of_groups(look)) : mm_os_map(size_of_groups(look));
    return look->groups != NULL;
}

static enum mm_look_result look_from(struct mm_look *look, const struct mm_look_settings *settings,
                                     const struct mm_here *here)
{
    enum mm_look_result result = MM_LOOK_NO_LIST;
    if (!map_groups(look, settings->in_copy))
        return MM_LOOK_NO_MEMORY;
    struct mm_signals signals = mm_os_block_signals();
    if (mm_stop_others(&stop) &&
        !(settings->in_copy && look_in_copy(look, settings, here, &result))) {
        result = look_while_all_stand(look, settings, here);
        mm_stop_end(&stop);
    }
    mm_os_restore_signals(&signals);
    return result;
}

enum mm_look_result mm_look(struct mm_look *look, const struct mm_look_settings *settings,
                            const struct mm_here *here)
{
    int saved_errno = errno;
    *look = (struct mm_look){0};
    if (!mm_hold_try(&looking))
        return MM_LOOK_BUSY;
    enum mm_look_result result = look_from(look, settings, here);
    mm_hold_end(&looking);
    errno = saved_errno;
    return result;
}

void mm_look_end(struct mm_look *look)
{
    if (look->groups != NULL)
        mm_os_release(look->groups, size_of_groups(look));
    *look = (struct mm_look){0};
}
