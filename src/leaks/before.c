/* before.c - see before.h. All is the caller's struct mm_before, but for the memory that it points
 * to, which is mapped anew with each look that is kept. */
#include "leaks/before.h"

struct mm_before_place {
    bool is_there;
    enum mm_mark mark;
    uint32_t stack;
    struct mm_before_found found;
};

/* The group's place, or a free one: half of them are. */
static struct mm_before_place *place_of(const struct mm_before *before,
                                        const struct mm_look_group *group)
{
    uint64_t key = mm_bits_mixed((uint64_t)group->stack * 8 + group->mark + 1);
    for (;; key++) {
        struct mm_before_place *place = &before->places[key % before->capacity];
        if (!place->is_there || (place->stack == group->stack && place->mark == group->mark))
            return place;
    }
}

static void forget(struct mm_before *before)
{
    if (before->places != NULL)
        mm_os_release(before->places, before->capacity * sizeof *before->places);
    before->places = NULL;
}

bool mm_before_keep(struct mm_before *before, const struct mm_look *look, uint64_t now)
{
    forget(before);
    before->capacity = (size_t)1 << mm_log2_ceil(2 * look->count + 1);
    before->places = mm_os_map(before->capacity * sizeof *before->places);
    before->bytes = 0;
    before->at = now;
    for (size_t i = 0; i < look->count && before->places != NULL; i++) {
        const struct mm_look_group *group = &look->groups[i];
        struct mm_before_place *place = place_of(before, group);
        place->is_there = true;
        place->mark = group->mark;
        place->stack = group->stack;
        place->found.blocks += group->blocks;
        place->found.bytes += group->bytes;
        before->bytes += group->bytes;
    }
    return before->places != NULL;
}

struct mm_before_found mm_before_find(const struct mm_before *before,
                                      const struct mm_look_group *group)
{
    return place_of(before, group)->found;
}

uint64_t mm_before_since(const struct mm_before *before, uint64_t now)
{
    if (before->places == NULL)
        return 0;
    return now > before->at ? now - before->at : 1;
}

void mm_before_renew(struct mm_before *before)
{
    mm_hold_renew(&before->hold);
    forget(before);
}
