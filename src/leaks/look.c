/* look.c - see look.h. One thread looks at a time: `looking`. The table of threads that stand is
 * here for good, as the last of their handlers may look at it when all is over. `later` is a look
 * that nobody waits for, of a copy or beside the program: it belongs to whoever makes `later.copy`
 * 0, and is given another only then by who has `looking`. */
#include "leaks/look.h"

#include "blocks/stacks.h"
#include "findings/sink.h"
#include "leaks/answer.def"
#include "leaks/beside.h"
#include "leaks/groups.h"
#include "system/coverage.h"
#include "system/helper.h"
#include "system/kernel.h"
#include "system/os.h"
#include "system/out.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#define LEFT_MS 60000u
#define LIFE_MS 100u
#define REST_MS 60000u /* that none is tried beside, after one that could not be done */

static struct mm_hold looking;
static struct mm_stop stop MM_SELDOM;
static struct {
    _Atomic pid_t copy; /* 0: there is none */
    _Atomic int asker;
    uint64_t since; /* on the clock of mm_os_milliseconds() */
    struct mm_look look;
} later MM_SELDOM;

/* --- the look --- */

/* What the program closes meanwhile is to be closed: a peer waits for that, or who wants a lock.
 * But for what is read here, and the pipe whose reader waits for the end of the copy. */
static void close_others(const struct mm_roots *roots)
{
    int kept[] = {roots->pages_fd, roots->shared_pages_fd, mm_sink_diverted_fd()};
    unsigned from = 0;
    for (int next = 0; next < INT_MAX; from = (unsigned)next + 1) {
        next = INT_MAX;
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
            if (kept[i] >= (int)from && kept[i] < next)
                next = kept[i];
        }
        if ((unsigned)next > from)
            mm_kernel_close_range(from, (unsigned)next - 1);
    }
}

/* What only an epoll or a pointer with a tag reaches is asked for where there is anything else; in
 * a copy, an epoll first. */
static void mark_all(struct mm_roots *roots, struct mm_marks *marks, bool is_copy)
{
    if (mm_stacks_has_ignored())
        mm_marks_ignored(marks);
    if (is_copy) {
        mm_roots_tell_epolls(roots);
        close_others(roots);
    }
    mm_roots_tell(roots);
    mm_marks_flood(marks);
    if (is_copy || mm_marks_are_all(marks))
        return;
    mm_roots_tell_epolls(roots);
    mm_marks_flood(marks);
}

static void sort_out(struct mm_roots *roots, struct mm_marks *marks, struct mm_grouping *grouping)
{
    mm_marks_reached(marks);
    mm_marks_tagged(marks);
    mm_roots_tell(roots);
    mm_marks_flood(marks);
    mm_marks_possible(marks);
    mm_marks_classify(marks);
    mm_marks_each(marks, mm_groups_block, grouping);
}

static void group_all(struct mm_look *look, const struct mm_look_settings *settings,
                      struct mm_roots *roots, struct mm_marks *marks)
{
    struct mm_grouping grouping = {look, settings};
    mark_all(roots, marks, settings->roots.before.is_copy);
    if (settings->dangling && !mm_dangling_each(marks, roots, mm_groups_pointer, &grouping))
        look->is_cut = true;
    if (settings->leaks && !mm_marks_are_all(marks))
        sort_out(roots, marks, &grouping);
    mm_groups_sort(look);
}

static void group_live(struct mm_look *look, const struct mm_look_settings *settings,
                       const struct mm_marks *marks)
{
    struct mm_grouping grouping = {look, settings};
    look->unsure = 0; /* nobody's registers matter */
    mm_marks_each(marks, mm_groups_block, &grouping);
    mm_groups_sort(look);
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
    if (settings->all) {
        group_live(look, settings, &marks);
        result = MM_LOOK_DONE;
    } else if (mm_roots_start(&roots, &settings->roots, &stop, here, &marks)) {
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
    _Atomic int result; /* enum mm_look_result; MM_LOOK_LATER: not yet */
};

static struct outcome *outcome_of(const struct mm_look *look)
{
    return (struct outcome *)(look->groups + look->capacity);
}

static size_t size_of_groups(const struct mm_look *look)
{
    return look->capacity * sizeof *look->groups + sizeof(struct outcome);
}

static bool map_groups(struct mm_look *look, bool is_shared)
{
    look->capacity = MM_GROUPS;
    look->groups =
        is_shared ? mm_kernel_mmap_shared(size_of_groups(look)) : mm_os_map(size_of_groups(look));
    return look->groups != NULL;
}

static _Noreturn void look_as_copy(struct mm_look *look, const struct mm_look_settings *settings,
                                   const struct mm_here *here, pid_t process)
{
    struct outcome *outcome = outcome_of(look);
    mm_kernel_die_with_parent();
    if (mm_kernel_parent_id() != process) /* it has ended before that */
        mm_kernel_exit_group(0);
    mm_coverage_anew();
    look->is_cut = !mm_roots_are_all(&settings->roots.before);
    enum mm_look_result result = look_while_all_stand(look, settings, here);
    outcome->look = *look;
    /* Release pairs with the acquire of outcome_for(). */
    atomic_store_explicit(&outcome->result, (int)result, memory_order_release);
    mm_coverage_write();
    if (settings->asker != 0)
        mm_os_write(mm_sink_diverted_fd(), &(char){MM_ANSWER_LATER}, 1);
    mm_kernel_exit_group(0);
}

/* Nobody else waits for it. */
static void wait_for(pid_t copy)
{
    while (mm_kernel_waitpid(copy, NULL, (int)__WCLONE) < 0 && errno == EINTR)
        ;
}

/* Whoever kills the copy has none. */
static enum mm_look_result outcome_for(struct mm_look *look)
{
    struct outcome *outcome = outcome_of(look);
    int result = atomic_load_explicit(&outcome->result, memory_order_acquire);
    if (result == MM_LOOK_LATER)
        return MM_LOOK_NO_MEMORY;
    *look = outcome->look;
    return (enum mm_look_result)result;
}

/* --- beside the program, by a helper --- */

enum progress { NOT_ASKED, STARTS, CAN_NOT, GOES_ON, BURIED, ENDED };

/* Belongs to who has `looking`, or to `later` when nobody waits. */
static struct {
    struct mm_beside beside;
    struct mm_helper helper;
    struct mm_look_settings settings;
    struct mm_here here;
    struct mm_look look;
    pid_t thread; /* that was asked */
    int fd;       /* for whoever asks */
    bool is_done;
    _Atomic bool is_unwanted;
    _Atomic uint32_t progress;
} aside MM_SELDOM;

static _Atomic uint64_t rests_until; /* on the clock of mm_os_milliseconds() */

static void tell_progress(enum progress progress)
{
    atomic_store(&aside.progress, progress);
    mm_kernel_futex_wake(&aside.progress, INT_MAX);
}

/* What a helper held that was killed goes; descriptors it takes along. By the first who sees it. */
static void bury_if_dead(enum progress progress)
{
    uint32_t was = progress;
    if (!mm_helper_has_ended(&aside.helper) ||
        !atomic_compare_exchange_strong(&aside.progress, &was, BURIED))
        return;
    mm_stop_end(&stop);
    mm_beside_renew(&aside.beside);
    aside.is_done = false;
    tell_progress(progress == STARTS ? CAN_NOT : ENDED);
}

static enum progress wait_while(enum progress progress)
{
    uint32_t now;
    while ((now = atomic_load(&aside.progress)) == (uint32_t)progress || now == BURIED) {
        bury_if_dead(progress);
        mm_kernel_futex_wait(&aside.progress, now, LIFE_MS);
    }
    return (enum progress)now;
}

/* The pipe of who asked, in the helper's own descriptors: its reader waits for the helper's end. */
static bool open_answer(void)
{
    char path[64];
    struct mm_out out;
    if (aside.fd < 0)
        return true;
    mm_out_start(&out, path, sizeof path);
    mm_out_format(&out, "/proc/self/task/%u/fd/%u", (uint64_t)aside.thread, (uint64_t)aside.fd);
    aside.fd = mm_kernel_open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return aside.fd >= 0;
}

static void look_beside(void *unused)
{
    struct mm_grouping grouping = {&aside.look, &aside.settings};
    (void)unused;
    if (!open_answer() || !mm_beside_start(&aside.beside)) {
        tell_progress(CAN_NOT);
        return;
    }
    tell_progress(GOES_ON);
    aside.is_done = mm_beside_mark(&aside.beside);
    if (aside.is_done) {
        if (!mm_marks_are_all(&aside.beside.marks))
            sort_out(&aside.beside.roots, &aside.beside.marks, &grouping);
        /* Pointers with a tag are asked for as all run: where there are such, some may have moved
         * to where was looked already, and a copy tells. */
        aside.is_done = !mm_groups_have_possible(&aside.look) &&
                        !aside.beside.marks.missed.is_cut && !atomic_load(&aside.is_unwanted);
        mm_groups_sort(&aside.look);
        mm_beside_end(&aside.beside);
    }
    if (aside.fd >= 0)
        mm_os_write(aside.fd, &(char){MM_ANSWER_LATER}, 1);
    tell_progress(ENDED);
}

static void prepare_aside(const struct mm_look *look, const struct mm_look_settings *settings,
                          const struct mm_here *here)
{
    bool waits = settings->asker == 0;
    memset(&aside, 0, sizeof aside);
    aside.look = *look;
    aside.settings = *settings;
    aside.thread = mm_os_thread_id();
    aside.fd = waits ? -1 : mm_sink_diverted_fd();
    if (waits)
        aside.here = *here;
    aside.beside = (struct mm_beside){.strict = settings->strict,
                                      .roots_settings = &aside.settings.roots,
                                      .here = &aside.here,
                                      .waits = waits ? mm_os_thread_id() : 0,
                                      .stop = &stop,
                                      .is_unwanted = &aside.is_unwanted};
    atomic_store(&aside.progress, STARTS);
}

/* Where it was: false when it could not be done. */
static bool end_aside(struct mm_look *look)
{
    wait_while(GOES_ON);
    mm_helper_end(&aside.helper);
    if (!aside.is_done)
        atomic_store(&rests_until, mm_os_milliseconds() + REST_MS);
    bool is_done = aside.is_done;
    *look = aside.look;
    atomic_store(&aside.progress, NOT_ASKED); /* from now on it is the next one's */
    return is_done;
}

/* --- what nobody waits for --- */

#define ASIDE (-1) /* in the copy's place */

static bool has_ended(pid_t copy)
{
    if (copy == ASIDE) {
        bury_if_dead(GOES_ON);
        return atomic_load(&aside.progress) == ENDED;
    }
    return mm_kernel_waitpid(copy, NULL, (int)__WCLONE | WNOHANG) != 0;
}

static void let_go(pid_t copy)
{
    if (copy == ASIDE)
        end_aside(&later.look);
    mm_look_end(&later.look);
}

/* Whether there is a look that was left. What nobody came for is let go after a while. */
static bool is_taken(void)
{
    pid_t copy = atomic_load(&later.copy);
    bool is_left = copy != 0 && mm_os_milliseconds() - later.since > LEFT_MS && has_ended(copy);
    if (is_left && atomic_compare_exchange_strong(&later.copy, &copy, 0))
        let_go(copy);
    return copy != 0 && !is_left;
}

static void leave(struct mm_look *look, int asker, pid_t copy)
{
    later.look = *look;
    later.since = mm_os_milliseconds();
    *look = (struct mm_look){0};
    atomic_store(&later.asker, asker);
    atomic_store(&later.copy, copy);
}

static bool may_be_beside(const struct mm_look_settings *settings)
{
    return settings->in_copy && settings->leaks && !settings->dangling && !settings->all &&
           atomic_load(&aside.progress) == NOT_ASKED &&
           mm_os_milliseconds() >= atomic_load(&rests_until) && mm_beside_is_worth_it();
}

/* False when it can't be done so. */
static bool look_aside(struct mm_look *look, const struct mm_look_settings *settings,
                       const struct mm_here *here, enum mm_look_result *result)
{
    struct mm_look_settings with = *settings;
    if (!map_groups(look, false))
        return false;
    if (is_taken())
        with.asker = 0;
    prepare_aside(look, &with, here);
    if (!mm_helper_start(&aside.helper, look_beside, NULL) || wait_while(STARTS) == CAN_NOT) {
        mm_helper_end(&aside.helper);
        atomic_store(&aside.progress, NOT_ASKED);
        mm_look_end(look);
        return false;
    }
    if (with.asker != 0) {
        *look = (struct mm_look){0};
        leave(look, with.asker, ASIDE);
        *result = MM_LOOK_LATER;
        return true;
    }
    *result = MM_LOOK_DONE;
    if (end_aside(look))
        return true;
    mm_look_end(look);
    return false;
}

/* A copy ends with the thread that it was made by. */
static bool may_leave(const struct mm_look_settings *settings)
{
    return settings->asker != 0 && mm_os_thread_id() == mm_kernel_process_id() && !is_taken();
}

/* False when it can't be copied. */
static bool look_in_copy(struct mm_look *look, const struct mm_look_settings *settings,
                         const struct mm_here *here, enum mm_look_result *result)
{
    pid_t process = mm_kernel_process_id();
    struct mm_look_settings with = *settings;
    with.roots.before = mm_roots_before();
    if (!may_leave(settings))
        with.asker = 0;
    atomic_store(&outcome_of(look)->result, MM_LOOK_LATER);
    pid_t copy = mm_kernel_branch();
    if (copy == 0)
        look_as_copy(look, &with, here, process);
    if (copy > 0)
        mm_stop_end(&stop);
    if (with.roots.before.pages_fd >= 0)
        mm_os_close(with.roots.before.pages_fd);
    if (copy > 0 && with.asker != 0) {
        leave(look, with.asker, copy);
        *result = MM_LOOK_LATER;
    } else if (copy > 0) {
        wait_for(copy);
        *result = outcome_for(look);
    }
    return copy > 0;
}

static enum mm_look_result look_from(struct mm_look *look, const struct mm_look_settings *settings,
                                     const struct mm_here *here)
{
    enum mm_look_result result = MM_LOOK_NO_LIST;
    if (!map_groups(look, settings->in_copy))
        return MM_LOOK_NO_MEMORY;
    if (mm_stop_others(&stop) &&
        !(settings->in_copy && look_in_copy(look, settings, here, &result))) {
        result = look_while_all_stand(look, settings, here);
        mm_stop_end(&stop);
    }
    return result;
}

static enum mm_look_result look_somehow(struct mm_look *look,
                                        const struct mm_look_settings *settings,
                                        const struct mm_here *here)
{
    enum mm_look_result result;
    struct mm_signals signals = mm_os_block_signals();
    if (!may_be_beside(settings) || !look_aside(look, settings, here, &result))
        result = look_from(look, settings, here);
    mm_os_restore_signals(&signals);
    return result;
}

/* Whoever asks from elsewhere is not to have a thread wait; at exit nobody wants what goes on. */
static bool is_alone(const struct mm_look_settings *settings)
{
    if (settings->asker == 0) {
        if (!settings->in_copy)
            atomic_store(&aside.is_unwanted, true);
        wait_while(GOES_ON);
    }
    bury_if_dead(GOES_ON);
    return atomic_load(&aside.progress) != GOES_ON;
}

enum mm_look_result mm_look(struct mm_look *look, const struct mm_look_settings *settings,
                            const struct mm_here *here)
{
    int saved_errno = errno;
    *look = (struct mm_look){0};
    if (!mm_hold_try(&looking))
        return MM_LOOK_BUSY;
    enum mm_look_result result = MM_LOOK_BUSY;
    if (is_alone(settings))
        result = look_somehow(look, settings, here);
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

/* False when it is to be looked for in another way. */
static bool take_aside(struct mm_look *look, enum mm_look_result *result)
{
    *result = MM_LOOK_DONE;
    if (end_aside(look))
        return true;
    mm_look_end(look);
    return false;
}

bool mm_look_take(int asker, struct mm_look *look, enum mm_look_result *result)
{
    int saved_errno = errno;
    pid_t copy = atomic_load(&later.copy);
    *look = later.look; /* read before it is claimed: from then on the next may be put there */
    bool is_ours = copy != 0 && atomic_load(&later.asker) == asker &&
                   atomic_compare_exchange_strong(&later.copy, &copy, 0);
    if (is_ours && copy != ASIDE) {
        wait_for(copy);
        *result = outcome_for(look);
    }
    if (is_ours && copy == ASIDE)
        is_ours = take_aside(look, result);
    errno = saved_errno;
    return is_ours;
}

/* The copy is the parent's. */
void mm_look_renew(void)
{
    if (atomic_exchange(&later.copy, 0) != 0)
        mm_look_end(&later.look);
    /* The helper may have been about to give some of its tables back: they stay. */
    if (atomic_exchange(&aside.progress, NOT_ASKED) != NOT_ASKED) {
        mm_helper_renew(&aside.helper);
        mm_look_end(&aside.look);
    }
    mm_stop_renew();
    mm_hold_renew(&looking);
}
