/* verbose.c - MM_VERBOSE: what is looked for, told at the start of a process, and how much was
 * looked at, told at its end. It keeps one flag: that the end was told. */
#include "verbose.h"

#include "blocks/stacks.h"
#include "checks/checks.h"
#include "entry/options.h"
#include "findings/report.h"
#include "slots/counting.h"
#include "slots/heap.h"
#include "system/os.h"
#include "system/out.h"
#include "view/snapshot.h"
#include <stdatomic.h>

static _Atomic bool told_end;

struct part {
    bool is_on, is_of_debug;
    const char *what;
};

/* Those that are on, or those that are not. */
static void write_parts(struct mm_out *out, const struct part *parts, unsigned count, bool on)
{
    unsigned written = 0;
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].is_on == on)
            mm_out_format(out, "%s%s", written++ > 0 ? ", " : "", parts[i].what);
    }
}

static bool would_debug_add(const struct part *parts, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].is_of_debug && !parts[i].is_on)
            return true;
    }
    return false;
}

void shim_tell_start(void)
{
    const struct part parts[] = {
        {true, false, "bad frees"},
        {mm_checks.guard != 0, true, "writes beside blocks"},
        {mm_checks.holds, true, "writes to freed blocks"},
        {mm_checks.mismatch, true, "mismatched frees"},
        {mm_stacks_are_kept(), true, "who allocated and freed"},
        {mm_options.leaks != MM_LEAKS_OFF, false, "leaks"},
        {false, false, "reads"},
    };
    const unsigned count = sizeof parts / sizeof parts[0];
    char line[400];
    struct mm_out out;
    if (!mm_options.verbose || mm_os_is_guest())
        return;
    mm_out_start(&out, line, sizeof line);
    mm_out_format(&out, MM_VERSION " is active; looked for: ");
    write_parts(&out, parts, count, true);
    mm_out_format(&out, "; not: ");
    write_parts(&out, parts, count, false);
    mm_out_format(&out, would_debug_add(parts, count) ? " (MM_DEBUG=1 looks for more)" : "");
    mm_report_note(line);
}

void shim_tell_end(void)
{
    char line[200];
    struct mm_out out;
    if (!mm_options.verbose || mm_os_is_guest() ||
        atomic_exchange_explicit(&told_end, true, memory_order_relaxed))
        return;
    uint64_t given = mm_counting_handed_out(), live = mm_snapshot_sums().live;
    mm_out_start(&out, line, sizeof line);
    mm_out_count(&out, mm_report_count(), "finding", "findings");
    mm_out_format(&out, mm_os_single_threaded() ? " in " : " in about ");
    mm_out_grouped(&out, given > live ? given - live : 0);
    mm_out_format(&out, " frees by ");
    mm_out_count(&out, mm_heap_threads(), "thread", "threads");
    mm_out_format(&out, "; those of blocks over 64 KiB are looked at, too, but not counted");
    mm_report_note(line);
}
