/* growth.c - see growth.h. What was live at the last look is `before`'s; whoever has its hold reads
 * and writes it. */
#include "leaks/growth.h"

#include "findings/finding.h"
#include "findings/report.h"
#include "leaks/before.h"
#include "system/os.h"
#include "system/out.h"

#define TOLD_MOST   16u
#define SHARE_LEAST 64u /* of all that grew; less is not told */

static struct mm_before before;

void mm_growth_renew(void)
{
    mm_before_renew(&before);
}

static uint64_t sum_of(const struct mm_look *look, uint64_t *blocks)
{
    uint64_t bytes = 0;
    *blocks = 0;
    for (size_t i = 0; i < look->count; i++) {
        bytes += look->groups[i].bytes;
        *blocks += look->groups[i].blocks;
    }
    return bytes;
}

/* --- what has grown --- */

static uint64_t growth_of(const struct mm_look_group *group)
{
    uint64_t was = mm_before_find(&before, group).bytes;
    return group->bytes > was ? group->bytes - was : 0;
}

/* The largest that comes behind `told`, by growth and place; NULL: none grew. */
static const struct mm_look_group *next_of(const struct mm_look *look,
                                           const struct mm_look_group *told)
{
    const struct mm_look_group *next = NULL;
    uint64_t most = 0, limit = told != NULL ? growth_of(told) : UINT64_MAX;
    for (const struct mm_look_group *group = look->groups; group < look->groups + look->count;
         group++) {
        uint64_t growth = growth_of(group);
        if (growth > most && (growth < limit || (growth == limit && group > told))) {
            next = group;
            most = growth;
        }
    }
    return next;
}

static uint64_t growth_of_all(const struct mm_look *look)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < look->count; i++)
        sum += growth_of(&look->groups[i]);
    return sum;
}

static bool tell(const struct mm_look_group *group, uint64_t milliseconds)
{
    struct mm_leak leak = {.how = MM_LEAK_GROWN,
                           .blocks = group->blocks,
                           .bytes = group->bytes,
                           .grown_bytes = growth_of(group),
                           .milliseconds = milliseconds,
                           .stack = group->stack,
                           .is_apart = true};
    struct mm_misuse misuse = {.kind = MEM_MNGR_POSSIBLE_LEAK,
                               .ptr = (const void *)group->first, /* NOLINT */
                               .call = MM_CALL_NONE,
                               .leak = &leak};
    return mm_report(&misuse);
}

static size_t tell_most(const struct mm_look *look, uint64_t milliseconds)
{
    uint64_t least = growth_of_all(look) / SHARE_LEAST;
    const struct mm_look_group *group = NULL;
    size_t told = 0;
    while (told < TOLD_MOST && (group = next_of(look, group)) != NULL && growth_of(group) >= least)
        told += tell(group, milliseconds);
    return told;
}

/* --- the look --- */

static void tell_sum(uint64_t bytes, uint64_t blocks, uint64_t milliseconds)
{
    char line[256];
    struct mm_out out;
    mm_out_start(&out, line, sizeof line);
    mm_out_format(&out, "growth: ");
    mm_out_bytes(&out, bytes);
    mm_out_format(&out, " in ");
    mm_out_count(&out, blocks, "block", "blocks");
    if (milliseconds == 0) {
        mm_out_format(&out, " are live; the next look tells what grew");
    } else {
        uint64_t more = bytes > before.bytes ? bytes - before.bytes : before.bytes - bytes;
        mm_out_format(&out, " are live, ");
        mm_out_bytes(&out, more);
        mm_out_format(&out, " %s than %u.%u s ago", bytes < before.bytes ? "less" : "more",
                      milliseconds / 1000, milliseconds / 100 % 10);
    }
    mm_report_note(line);
}

static size_t compare(const struct mm_look *look)
{
    uint64_t blocks, bytes = sum_of(look, &blocks), now = mm_os_milliseconds();
    uint64_t since = mm_before_since(&before, now);
    size_t told = since != 0 ? tell_most(look, since) : 0;
    tell_sum(bytes, blocks, since);
    if (!mm_before_keep(&before, look, now))
        mm_report_note("growth: no memory to compare with");
    return told;
}

size_t mm_growth_look(const struct mm_here *here)
{
    struct mm_look look;
    struct mm_look_settings with = {.all = true, .in_copy = true};
    size_t told = 0;
    if (!mm_hold_try(&before.hold)) {
        mm_report_note("growth is not looked for: another thread does");
        return 0;
    }
    if (mm_look(&look, &with, here) == MM_LOOK_DONE)
        told = compare(&look);
    else
        mm_report_note("growth is not looked for: no memory, or /proc/self can't be read");
    mm_look_end(&look);
    mm_hold_end(&before.hold);
    return told;
}
