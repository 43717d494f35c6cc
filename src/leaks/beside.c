/* beside.c - see beside.h. All state is the caller's struct mm_beside. */
#include "leaks/beside.h"

#include "blocks/stacks.h"
#include "system/folder.h"
#include "system/kernel.h"
#include "system/os.h"
#include "system/residency.h"
#include <string.h>

#define WORTH_IT_KB ((size_t)128 << 10) /* that are there: some 4 ms to copy */
#define TEXT        4096u
#define OF_QUEUES   0x19800202 /* MQUEUE_MAGIC, which is in no header */
#define ROUNDS      40u        /* of step 3, all in all; */
#define STALLS      6u         /* and of these without use */
#define FEW_PAGES   384u       /* some 1 ms to look at */
#define STOP_NS     UINT64_C(3500000)
#define LEAST_NS    UINT64_C(1000000) /* of it for the pages, however long it took to stop all */
#define SUSPECTS    50000u            /* some 2 ms to ask once more about */
#define HUGE_MOST   ((size_t)32 << 20)
#define SHARED_MOST ((size_t)4 << 20)
#define STACKS_MOST ((size_t)4 << 20) /* some 2 ms */

/* --- whether to try --- */

/* The number behind a name; 0: there is none. */
static size_t number_of(const char *text, const char *name)
{
    size_t number = 0;
    const char *at = strstr(text, name);
    at = at != NULL ? at + strlen(name) : "";
    while (*at == ' ' || *at == '\t')
        at++;
    for (; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (size_t)(*at - '0');
    return number;
}

/* A queue's descriptor that is closed by a thread of descriptors of its own takes the notification
 * that the process waits for with it. */
static void find_queue(unsigned fd, void *found)
{
    struct statfs of;
    if (mm_kernel_fstatfs((int)fd, &of) == 0 && of.f_type == OF_QUEUES)
        *(bool *)found = true;
}

static bool has_queues(void)
{
    bool found = false;
    return mm_folder_numbers("/proc/thread-self/fd", find_queue, &found) == 0 || found;
}

bool mm_beside_is_worth_it(void)
{
    char text[TEXT];
    mm_folder_text("/proc/thread-self/status", text, TEXT);
    return number_of(text, "\nVmRSS:") >= WORTH_IT_KB && !mm_residency_is_filtered() &&
           !has_queues();
}

/* --- what all that stand are asked --- */

static void add_stack(struct mm_ranges *stacks, uintptr_t low, uintptr_t home)
{
    if (home != 0)
        mm_ranges_add(stacks, low, home);
}

static bool find_stacks(struct mm_beside *beside)
{
    struct mm_stop *stop = beside->stop;
    if (!mm_stop_all(stop, beside->waits, false))
        return false;
    bool is_sure = stop->unsure == 0 && stop->is_whole;
    bool is_mapped = mm_ranges_map(&beside->stacks, atomic_load(&stop->count) + 1);
    for (size_t i = 0; i < atomic_load(&stop->count) && is_mapped; i++) {
        if (atomic_load(&stop->threads[i].state) == MM_THREAD_STANDS)
            add_stack(&beside->stacks, stop->threads[i].low, stop->threads[i].home);
    }
    mm_stop_end(stop);
    if (is_mapped)
        add_stack(&beside->stacks, beside->here->low, beside->here->home);
    mm_ranges_sort(&beside->stacks);
    return is_sure && is_mapped;
}

/* --- marking --- */

struct watching {
    const struct mm_writes *writes;
    bool (*act)(const struct mm_writes *writes, struct mm_range range);
    bool failed;
};

static void act(struct mm_range part, void *with)
{
    struct watching *watching = with;
    watching->failed = watching->failed || !watching->act(watching->writes, part);
}

static bool on_all(struct mm_beside *beside,
                   bool (*on)(const struct mm_writes *writes, struct mm_range range))
{
    struct watching watching = {&beside->writes, on, false};
    mm_roots_each_part(&beside->roots, MM_PARTS_LISTED, act, &watching);
    return !watching.failed;
}

static void unwatch(struct mm_range part, void *with)
{
    mm_writes_unwatch(with, part);
}

static void tell_rest(struct mm_range rest, void *with)
{
    mm_roots_tell_written(with, rest);
}

static void rescan(struct mm_range pages, void *with)
{
    struct mm_beside *beside = with;
    mm_marks_rescan(&beside->marks, pages, tell_rest, &beside->roots);
}

struct round {
    struct mm_beside *beside;
    struct mm_writes_search search;
    size_t watched, others;
    bool failed;
};

static void rescan_part(struct mm_range part, void *with)
{
    struct round *round = with;
    if (round->failed || round->watched + round->others > round->search.most ||
        atomic_load_explicit(round->beside->is_unwanted, memory_order_relaxed))
        return;
    struct mm_writes_count count = mm_writes_each(&round->beside->writes, part, &round->search);
    round->failed = count.watched == SIZE_MAX || count.others == SIZE_MAX;
    round->watched += count.watched;
    round->others += count.others;
}

/* What was written to since the last time. */
static struct round rescan_all(struct mm_beside *beside, bool anew, size_t most)
{
    struct round round = {beside, {anew, most, rescan, beside}, 0, 0, false};
    mm_roots_each_part(&beside->roots, MM_PARTS_ALL, rescan_part, &round);
    return round;
}

static size_t size_of(const struct mm_ranges *ranges)
{
    size_t size = 0;
    for (size_t i = 0; i < ranges->count; i++)
        size += ranges->of[i].end - ranges->of[i].start;
    return size;
}

static const struct mm_stop nobody;
static const struct mm_here nowhere;

static bool may_go_on(const struct mm_beside *beside)
{
    return !beside->roots.is_cut && size_of(&beside->roots.shared) <= SHARED_MOST;
}

struct huge {
    const struct mm_writes *writes;
    size_t size;
};

static void count_huge(struct mm_range part, void *with)
{
    struct huge *huge = with;
    if (huge->size <= HUGE_MOST)
        huge->size += mm_writes_huge(huge->writes, part);
}

/* To copy those takes next to no time; and they would be taken apart here. */
static bool has_huge_pages(struct mm_beside *beside)
{
    struct huge huge = {&beside->writes, 0};
    mm_roots_each_part(&beside->roots, MM_PARTS_LISTED, count_huge, &huge);
    return huge.size > HUGE_MOST;
}

/* The first list of what is mapped tells what to watch; what is read is read after that. */
static bool watch_all(struct mm_beside *beside)
{
    struct mm_marks none = {0};
    bool is_listed = mm_roots_start(&beside->roots, &beside->settings, &nobody, &nowhere, &none);
    mm_ranges_release(&none.unreadable);
    beside->watches = is_listed && may_go_on(beside) && !has_huge_pages(beside);
    return beside->watches && on_all(beside, mm_writes_watch) && on_all(beside, mm_writes_forget) &&
           mm_kernel_barrier();
}

static bool start_all(struct mm_beside *beside)
{
    beside->settings = *beside->roots_settings;
    beside->settings.stacks = &beside->stacks;
    if (!watch_all(beside))
        return false;
    mm_roots_end(&beside->roots);
    return mm_marks_start(&beside->marks, beside->strict) &&
           mm_marks_copy(&beside->marks, beside->writes.pages_fd, beside->is_unwanted) &&
           mm_roots_start(&beside->roots, &beside->settings, &nobody, &nowhere, &beside->marks) &&
           may_go_on(beside);
}

/* While all run. */
static bool flood(struct mm_beside *beside)
{
    return mm_marks_flood_until(&beside->marks, 0);
}

static bool mark_first(struct mm_beside *beside)
{
    if (mm_stacks_has_ignored())
        mm_marks_ignored(&beside->marks);
    mm_roots_tell(&beside->roots);
    return flood(beside);
}

enum outcome { DONE, AGAIN, IN_VAIN };

/* For what the system tells of the program's descriptors: the first thread may have ended. */
static pid_t thread_of(const struct mm_beside *beside)
{
    for (size_t i = 0; i < atomic_load(&beside->stop->count) && beside->waits == 0; i++) {
        if (atomic_load(&beside->stop->threads[i].state) == MM_THREAD_STANDS)
            return beside->stop->threads[i].id;
    }
    return beside->waits;
}

/* All stand: what is left of the time goes to the pages. */
static enum outcome mark_rest(struct mm_beside *beside, uint64_t began)
{
    uint64_t least = mm_os_nanoseconds() + LEAST_NS, until = began + STOP_NS;
    if (beside->stop->unsure != 0 || !beside->stop->is_whole || beside->marks.missed.is_cut ||
        mm_roots_depth(beside->stop) > STACKS_MOST)
        return IN_VAIN;
    struct round round = rescan_all(beside, false, FEW_PAGES);
    if (round.failed)
        return IN_VAIN;
    if (round.watched + round.others > FEW_PAGES)
        return AGAIN;
    if (mm_stacks_has_ignored())
        mm_marks_ignored(&beside->marks);
    mm_marks_rescan_missed(&beside->marks, tell_rest, &beside->roots);
    mm_roots_tell_standing(&beside->roots, beside->stop, beside->here);
    if (!mm_marks_flood_until(&beside->marks, least > until ? least : until))
        return AGAIN;
    mm_marks_drop_freed(&beside->marks);
    beside->roots.thread = thread_of(beside);
    return DONE;
}

static enum outcome stop_and_mark(struct mm_beside *beside)
{
    if (mm_marks_suspect(&beside->marks) > SUSPECTS)
        return IN_VAIN;
    uint64_t began = mm_os_nanoseconds();
    if (!mm_stop_all(beside->stop, beside->waits, true))
        return IN_VAIN;
    enum outcome outcome = mark_rest(beside, began);
    mm_stop_end(beside->stop);
    return outcome;
}

/* What was mapped since the last list is watched from the next round on, which looks at it first.
 */
static bool watch_more(struct mm_beside *beside)
{
    return mm_roots_renew(&beside->roots) && may_go_on(beside) && on_all(beside, mm_writes_watch);
}

/* Each round has less to do than the one before, and so has the next; but for programs that write
 * faster than can be looked at. */
static bool mark_all(struct mm_beside *beside)
{
    size_t least = SIZE_MAX;
    size_t others = 0;
    unsigned stalls = 0;
    if (!mark_first(beside))
        return false;
    for (unsigned round = 0; round < ROUNDS && stalls < STALLS; round++) {
        if (mm_residency_is_filtered() || (others > FEW_PAGES / 4 && !watch_more(beside)))
            return false;
        struct round done = rescan_all(beside, true, SIZE_MAX / 4);
        size_t pages = done.watched + done.others;
        others = done.others;
        if (done.failed || !flood(beside))
            return false;
        enum outcome outcome = pages > FEW_PAGES ? AGAIN : stop_and_mark(beside);
        if (outcome != AGAIN)
            return outcome == DONE;
        stalls += pages <= FEW_PAGES || pages > least - least / 4;
        least = pages < least ? pages : least;
    }
    return false;
}

/* What only an epoll reaches, too: it takes too long to be asked for while all stand. What was
 * freed since then may have been reached by one. */
static void mark_what_the_system_holds(struct mm_beside *beside)
{
    if (mm_marks_are_all(&beside->marks))
        return;
    mm_roots_tell_epolls(&beside->roots);
    flood(beside);
    mm_marks_drop_freed(&beside->marks);
}

bool mm_beside_start(struct mm_beside *beside)
{
    beside->roots.pages_fd = -1;
    return mm_writes_start(&beside->writes);
}

bool mm_beside_mark(struct mm_beside *beside)
{
    bool is_done = find_stacks(beside) && start_all(beside) && mark_all(beside) &&
                   !mm_residency_is_filtered() && !beside->marks.missed.is_cut &&
                   mm_roots_hold(&beside->roots);
    if (is_done)
        mark_what_the_system_holds(beside);
    if (beside->watches && beside->roots.candidates.of != NULL)
        mm_roots_each_part(&beside->roots, MM_PARTS_LISTED, unwatch, &beside->writes);
    mm_writes_end(&beside->writes);
    if (!is_done)
        mm_beside_end(beside);
    return is_done;
}

void mm_beside_renew(struct mm_beside *beside)
{
    beside->writes.watch_fd = beside->writes.pages_fd = beside->roots.pages_fd = -1;
    mm_writes_end(&beside->writes);
    mm_beside_end(beside);
}

void mm_beside_end(struct mm_beside *beside)
{
    mm_roots_end(&beside->roots);
    mm_marks_end(&beside->marks);
    mm_ranges_release(&beside->stacks);
}
