/* groups.c - see groups.h. All state is the caller's. */
#include "leaks/groups.h"

#include "blocks/stacks.h"
#include "leaks/sort.h"
#include "stacks/interned.h"
#include "stacks/loaded.h"

#define GROUPS_MOST (MM_GROUPS - MM_GROUPS / 4)

/* The dynamic linker keeps what it has for the threads that are gone where only stacks that are to
 * be used again tell of it. */
static bool is_of_linker(uint32_t stack)
{
    const void *frames[MM_UNWINDER_MOST];
    struct mm_loaded linker;
    return mm_interned_frames(stack, frames) != 0 && mm_loaded_linker(&linker) &&
           (uintptr_t)frames[0] >= linker.start && (uintptr_t)frames[0] < linker.end;
}

/* A place of this key, or a free one. */
static struct mm_look_group *find_group(struct mm_look *look, uint32_t stack, uint32_t holder,
                                        enum mm_mark mark)
{
    uint64_t key = mm_bits_mixed(((uint64_t)holder << 32 | stack) * 8 + mark + 1);
    for (;; key++) {
        struct mm_look_group *group = &look->groups[key % MM_GROUPS];
        if (group->first == 0 ||
            (group->stack == stack && group->holder == holder && group->mark == mark))
            return group;
    }
}

/* The same, with room for one more: those of too many stacks are put together. */
static struct mm_look_group *need_group(struct mm_look *look, uint32_t stack, uint32_t holder,
                                        enum mm_mark mark, uintptr_t first)
{
    struct mm_look_group *group = find_group(look, stack, holder, mark);
    if (group->first == 0 && look->count >= GROUPS_MOST) {
        stack = holder = 0;
        group = find_group(look, stack, holder, mark);
    }
    if (group->first != 0)
        return group;
    look->count++;
    *group = (struct mm_look_group){.stack = stack, .holder = holder, .mark = mark, .first = first};
    group->is_of_linker = is_of_linker(stack);
    return group;
}

void mm_groups_block(uintptr_t start, size_t size, enum mm_mark mark, void *with)
{
    struct mm_grouping *grouping = with;
    struct mm_look *look = grouping->look;
    struct mm_stacks_note note = mm_stacks_note(start);
    uint32_t first_thread = grouping->settings->first_thread;
    if (first_thread != 0 && note.thread < first_thread)
        return;
    if (mm_look_is_unsure(look))
        mark = MM_MARK_POSSIBLE;
    struct mm_look_group *group = need_group(look, note.stack, 0, mark, start);
    group->blocks++;
    group->bytes += note.is_known ? note.asked : size;
}

void mm_groups_pointer(const struct mm_dangling_pointer *pointer, void *with)
{
    struct mm_grouping *grouping = with;
    uint32_t stack = mm_stacks_allocator((const void *)pointer->block); /* NOLINT */
    uint32_t holder =
        pointer->holder != 0 ? mm_stacks_allocator((const void *)pointer->holder) : 0; /* NOLINT */
    struct mm_look_group *group =
        need_group(grouping->look, stack, holder, MM_MARK_FREED, pointer->block);
    if (group->blocks++ == 0) {
        group->at = pointer->at;
        group->offset = pointer->offset;
    }
}

static bool comes_before(const void *left, const void *right)
{
    const struct mm_look_group *one = left, *other = right;
    unsigned one_last = one->mark == MM_MARK_FREED ? 2 : one->mark == MM_MARK_POSSIBLE;
    unsigned other_last = other->mark == MM_MARK_FREED ? 2 : other->mark == MM_MARK_POSSIBLE;
    if (one_last != other_last)
        return one_last < other_last;
    if (one->bytes != other->bytes)
        return one->bytes > other->bytes;
    return one->mark != other->mark ? one->mark < other->mark : one->first < other->first;
}

void mm_groups_sort(struct mm_look *look)
{
    size_t kept = 0;
    for (size_t i = 0; i < MM_GROUPS; i++) {
        if (look->groups[i].first != 0 && !look->groups[i].is_of_linker)
            look->groups[kept++] = look->groups[i];
    }
    look->count = kept;
    mm_sort(look->groups, kept, sizeof *look->groups, comes_before);
}

bool mm_groups_have_possible(const struct mm_look *look)
{
    bool has = false;
    for (size_t i = 0; i < MM_GROUPS && !has; i++)
        has = look->groups[i].first != 0 && look->groups[i].mark == MM_MARK_POSSIBLE;
    return has;
}
