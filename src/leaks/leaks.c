/* leaks.c - see leaks.h. Settings are written at the start; `first_thread` in a fork()'s child.
 * What the last look of a process that goes on found is `before`'s, and whose hold that is. */
#include "leaks/leaks.h"

#include "blocks/threads.h"
#include "findings/finding.h"
#include "findings/report.h"
#include "findings/sink.h"
#include "leaks/answer.def"
#include "leaks/before.h"
#include "leaks/growth.h"
#include "slots/guarded.h"
#include "system/out.h"
#include <stdatomic.h>

static struct mm_leaks_settings settings;
static _Atomic uint32_t first_thread; /* whose blocks are this process's; 0: all are */
static struct mm_before before;

void mm_leaks_start(const struct mm_leaks_settings *wanted)
{
    settings = *wanted;
    if (settings.on)
        mm_os_note_maps();
}

void mm_leaks_after_fork(void)
{
    mm_look_renew();
    mm_growth_renew();
    mm_before_renew(&before);
    atomic_store_explicit(&first_thread, mm_threads_next(), memory_order_relaxed);
}

/* --- what is told --- */

static enum mm_leak_how how_of(const struct mm_look *look, enum mm_mark mark)
{
    if (mm_look_is_unsure(look))
        return MM_LEAK_UNSURE;
    return mark == MM_MARK_DIRECT     ? MM_LEAK_DIRECT
           : mark == MM_MARK_INDIRECT ? MM_LEAK_INDIRECT
                                      : MM_LEAK_TAGGED;
}

struct sums {
    uint64_t findings, blocks[MM_LEAK_UNSURE + 1], bytes[MM_LEAK_UNSURE + 1];
};

static uint64_t known_of(const struct mm_look_group *group, uint64_t since)
{
    uint64_t known = since != 0 ? mm_before_find(&before, group).blocks : 0;
    return known < group->blocks ? known : group->blocks;
}

/* `since`: milliseconds since a look to compare with; 0: there is none. */
static void tell_leak(const struct mm_look *look, const struct mm_look_group *group,
                      enum mm_leaks_when when, uint64_t since, struct sums *sums)
{
    struct mm_leak leak = {how_of(look, group->mark),
                           group->blocks,
                           group->bytes,
                           .milliseconds = since,
                           .known_blocks = known_of(group, since),
                           .is_apart = when == MM_LEAKS_ANSWER || settings.in_sum};
    bool is_certain = leak.how == MM_LEAK_DIRECT || leak.how == MM_LEAK_INDIRECT;
    struct mm_misuse misuse = {.kind = is_certain ? MEM_MNGR_LEAK : MEM_MNGR_POSSIBLE_LEAK,
                               .ptr = (const void *)group->first, /* NOLINT */
                               .call = when == MM_LEAKS_AT_EXIT ? MM_CALL_EXIT : MM_CALL_NONE,
                               .leak = &leak};
    bool in_sum = settings.in_sum && when == MM_LEAKS_AT_EXIT;
    if (in_sum ? mm_report_would_suppress(&misuse) : !mm_report(&misuse))
        return;
    sums->findings += is_certain && !settings.in_sum;
    sums->blocks[leak.how] += leak.blocks;
    sums->bytes[leak.how] += leak.bytes;
}

/* In a process that goes on another block may lie there by now, or the pointer be gone. */
static bool is_left(const struct mm_look_group *group)
{
    struct mm_stack_history history;
    uintptr_t word;
    const void *block = (const void *)group->first; /* NOLINT(performance-no-int-to-ptr) */
    return mm_peek(&word, group->at, sizeof word, sizeof word) == sizeof word &&
           mm_os_untagged((const void *)word) == group->first + group->offset && /* NOLINT */
           mm_stacks_allocator(block) == group->stack && mm_stacks_history(block, &history) &&
           history.has_freed;
}

static void tell_dangling(const struct mm_look_group *group, enum mm_leaks_when when)
{
    if (when != MM_LEAKS_AT_EXIT && !is_left(group))
        return;
    bool is_slot = mm_arena_has(group->first) || mm_guarded_has(group->first);
    struct mm_dangling dangling = {.at = group->at,
                                   .pointers = group->blocks,
                                   .is_to_start = !is_slot || group->offset == 0,
                                   .is_apart = when == MM_LEAKS_ANSWER};
    struct mm_misuse misuse = {.kind = MEM_MNGR_DANGLING,
                               .ptr = (const void *)(group->first + (is_slot ? group->offset : 0)),
                               .call = when == MM_LEAKS_AT_EXIT ? MM_CALL_EXIT : MM_CALL_NONE,
                               .dangling = &dangling};
    mm_report(&misuse);
}

static void write_sum(struct mm_out *out, const char *lead, uint64_t bytes, uint64_t blocks,
                      const char *how)
{
    mm_out_format(out, "%s", lead);
    mm_out_bytes(out, bytes);
    mm_out_format(out, " in ");
    mm_out_count(out, blocks, "block", "blocks");
    mm_out_format(out, " %s", how);
}

static void tell_sums(const struct mm_look *look, const struct sums *sums, enum mm_leaks_when when)
{
    static const char *const words[] = {"direct", "indirect", "possible", "possible"};
    char line[256];
    struct mm_out out;
    unsigned told = 0;
    mm_out_start(&out, line, sizeof line);
    mm_out_format(&out, "leaks:");
    for (unsigned how = 0; how <= MM_LEAK_UNSURE; how++) {
        if (sums->blocks[how] != 0)
            write_sum(&out, told++ > 0 ? ", " : " ", sums->bytes[how], sums->blocks[how],
                      words[how]);
    }
    if (told != 0 && look->unsure != 0) {
        mm_out_format(&out, "; ");
        mm_out_count(&out, look->unsure, "thread", "threads");
        mm_out_format(&out, " could not be asked for registers");
    }
    if (told != 0 && look->is_cut)
        mm_out_format(&out, "; not all memory could be looked at");
    if (told == 0)
        mm_out_format(&out, " none");
    else if (settings.in_sum && when == MM_LEAKS_AT_EXIT)
        mm_out_format(&out, "; MM_LEAKS=1 tells them");
    if (told != 0 || when == MM_LEAKS_ANSWER)
        mm_report_note(line);
}

static void complain(enum mm_look_result result, enum mm_leaks_when when)
{
    if (result == MM_LOOK_BUSY && when == MM_LEAKS_ANSWER)
        mm_sink_divert_end_by(MM_ANSWER_BUSY);
    if (result == MM_LOOK_NO_LIST)
        mm_report_note("leaks are not looked for: /proc/self can't be read");
    if (result == MM_LOOK_NO_MEMORY)
        mm_report_note("leaks are not looked for: no memory");
}

static void tell_all(const struct mm_look *look, enum mm_leaks_when when, uint64_t since,
                     struct sums *sums)
{
    for (size_t i = 0; i < look->count; i++) {
        if (look->groups[i].mark == MM_MARK_FREED)
            tell_dangling(&look->groups[i], when);
        else
            tell_leak(look, &look->groups[i], when, since, sums);
    }
    if (settings.leaks)
        tell_sums(look, sums, when);
    else if (look->count == 0 && when == MM_LEAKS_ANSWER)
        mm_report_note("dangling pointers: none");
}

/* In a process that goes on, beside what the look before found. */
static void tell_compared(const struct mm_look *look, enum mm_leaks_when when, struct sums *sums)
{
    uint64_t now = mm_os_milliseconds();
    bool compares = when != MM_LEAKS_AT_EXIT && mm_hold_try(&before.hold);
    tell_all(look, when, compares ? mm_before_since(&before, now) : 0, sums);
    if (!compares)
        return;
    mm_before_keep(&before, look, now);
    mm_hold_end(&before.hold);
}

size_t mm_leaks_tell(struct mm_leaks_found *found, enum mm_leaks_when when)
{
    struct sums sums = {0};
    if (found->result == MM_LOOK_DONE)
        tell_compared(&found->look, when, &sums);
    else
        complain(found->result, when);
    mm_look_end(&found->look);
    return sums.findings;
}

/* False when nothing is left to be told of leaks; `grown` is how many stacks grew. */
static bool find(struct mm_leaks_found *found, const struct mm_here *here, enum mm_leaks_when when,
                 int asker, size_t *grown)
{
    struct mm_look_settings with = {
        .leaks = settings.leaks,
        .dangling = settings.dangling,
        .strict = settings.strict,
        .roots = settings.roots,
        .in_copy = when != MM_LEAKS_AT_EXIT,
        .asker = asker,
        .first_thread = atomic_load_explicit(&first_thread, memory_order_relaxed),
    };
    *grown = 0;
    if (mm_os_is_guest())
        return false;
    if (settings.growth && when != MM_LEAKS_AT_EXIT)
        *grown = mm_growth_look(here);
    if (!settings.leaks && !settings.dangling)
        return false;
    found->result = mm_look(&found->look, &with, here);
    return found->result != MM_LOOK_LATER;
}

size_t mm_leaks_look(const struct mm_here *here, enum mm_leaks_when when)
{
    struct mm_leaks_found found;
    size_t grown;
    size_t told = find(&found, here, when, 0, &grown) ? mm_leaks_tell(&found, when) : 0;
    return told + grown;
}

bool mm_leaks_begin(const struct mm_here *here, int asker)
{
    struct mm_leaks_found found = {0};
    size_t grown;
    if (find(&found, here, MM_LEAKS_ANSWER, asker, &grown))
        mm_leaks_tell(&found, MM_LEAKS_ANSWER);
    return found.result == MM_LOOK_LATER;
}

bool mm_leaks_take(int asker, struct mm_leaks_found *found)
{
    return mm_look_take(asker, &found->look, &found->result);
}
