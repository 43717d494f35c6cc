/* lsan.c - who asks for a look at leaks: the end of the process, a signal, and LeakSanitizer's
 * interface, for programs that speak to it: what they ask for is done here, and by a real one as
 * well where that comes behind us. What programs define for it is asked: whether they want no look,
 * and rules of what not to tell.
 *
 * `other` and `program` are found once, in the start, and only read after. */
#include "lsan.h"

#include "blocks/stacks.h"
#include "entry/inside.h"
#include "entry/options.h"
#include "entry/process.h"
#include "findings/report.h"
#include "findings/sink.h"
#include "findings/unwanted.h"
#include "leaks/answer.def"
#include "leaks/leaks.h"
#include "leaks/stop.h"
#include "lookup.h"
#include "system/coverage.h"
#include "system/kernel.h"
#include "system/mapping.h"
#include "system/os.h"
#include "system/out.h"
#include <errno.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static struct {
    void (*disable)(void), (*enable)(void), (*check)(void);
    void (*ignore)(const void *object), (*add_root)(const void *, size_t),
        (*drop_root)(const void *, size_t);
    int (*recoverable_check)(void);
} other;

static struct {
    int (*turned_off)(void);
    const char *(*rules)(void);
} program;

static bool is_turned_off;
static bool is_done; /* the check that is the last one */

static void *next_of(const char *name)
{
    return mm_libc_find(MM_LIBC_NEXT, name);
}

size_t shim_tell_leaks(const struct mm_here *here, enum mm_leaks_when when)
{
    if (!shim_looks() || is_turned_off || is_done || !mm_process_started())
        return 0;
    return mm_leaks_look(here, when);
}

/* --- a signal that asks for a look --- */

/* -1: nobody reads there, any more. */
static int open_answer(int number)
{
    char path[64];
    struct mm_out out;
    mm_out_start(&out, path, sizeof path);
    mm_out_format(&out, MM_ANSWER_FOLDER "/" MM_ANSWER_NAME "%u", (uint64_t)number);
    return mm_os_open_pipe(path);
}

/* False when it is for somebody else. */
static bool divert(int fd)
{
    if (mm_sink_divert(fd))
        return true;
    mm_os_write(fd, &(char){MM_ANSWER_BUSY}, 1);
    mm_os_close(fd);
    return false;
}

static void find_for(const struct mm_here *here, int number, bool asks_twice)
{
    bool is_later = false;
    struct mm_leaks_found found;
    if (mm_leaks_take(number, &found))
        mm_leaks_tell(&found, MM_LEAKS_ANSWER);
    else if (is_turned_off || is_done)
        mm_report_note("leaks are not looked for: the program does not want it");
    else if (asks_twice && shim_looks() && mm_process_started())
        is_later = mm_leaks_begin(here, number);
    else
        shim_tell_leaks(here, MM_LEAKS_ANSWER);
    if (is_later)
        mm_sink_divert_leave();
    else
        mm_sink_divert_end(MM_ANSWER_END);
}

/* What is told to who asked is told there, and nowhere else, as long as there is somebody. */
static void answer(const struct mm_here *here, const siginfo_t *info)
{
    int number = info->si_value.sival_int;
    int fd = open_answer(number);
    if (fd < 0)
        shim_tell_leaks(here, MM_LEAKS_ANSWER);
    else if (divert(fd))
        find_for(here, number, ((uintptr_t)info->si_value.sival_ptr & MM_ANSWER_TWICE) != 0);
}

static void look_at_signal(int signal, siginfo_t *info, void *context)
{
    struct mm_here here;
    uint64_t began = mm_os_milliseconds();
    int saved_errno = errno;
    (void)signal;
    mm_here_take(&here);
    if (info->si_code != SI_QUEUE || info->si_value.sival_int <= 0)
        shim_tell_leaks(&here, MM_LEAKS_LIVE);
    else if (!mm_os_is_guest())
        answer(&here, info);
    errno = saved_errno;
    mm_stop_put_back(context, began);
}

/* For who asks, whom the environment does not tell it where a program shows its title there. */
static void show_signal(int signal)
{
    char path[1024];
    struct mm_mapping own = {.path = path, .capacity = sizeof path};
    int saved_errno = errno;
    if (mm_mapping_find((uintptr_t)show_signal, &own) == MM_MAPPING_FOUND)
        mm_os_map_mark(path, (unsigned)signal);
    errno = saved_errno;
}

/* A program that sets a handler of its own later has that one. */
static void obey_signal(int signal)
{
    struct mm_kernel_action ours = mm_kernel_action_of(look_at_signal), there;
    if (mm_kernel_action(signal, NULL, &there) && (uintptr_t)there.handler == (uintptr_t)SIG_DFL &&
        mm_kernel_action(signal, &ours, NULL))
        show_signal(signal);
    else
        mm_report_note("MM_LEAKS_SIGNAL: the process can't have a handler for it");
}

/* --- the start --- */

/* Where the shim is not installed there is no such file. */
static void add_known_leaks(void)
{
    size_t size;
    int saved_errno = errno;
    const char *rules = mm_os_read_file(MM_LEAKS_FILE, &size);
    if (rules != NULL)
        mm_unwanted_add(rules, size);
    errno = saved_errno;
}

void shim_find_lsan(void)
{
    program.turned_off = (int (*)(void))mm_libc_find(MM_LIBC_FIRST, "__lsan_is_turned_off");
    program.rules =
        (const char *(*)(void))mm_libc_find(MM_LIBC_FIRST, "__lsan_default_suppressions");
    other.disable = (void (*)(void))next_of("__lsan_disable");
    other.enable = (void (*)(void))next_of("__lsan_enable");
    other.check = (void (*)(void))next_of("__lsan_do_leak_check");
    other.ignore = (void (*)(const void *))next_of("__lsan_ignore_object");
    other.add_root = (void (*)(const void *, size_t))next_of("__lsan_register_root_region");
    other.drop_root = (void (*)(const void *, size_t))next_of("__lsan_unregister_root_region");
    other.recoverable_check = (int (*)(void))next_of("__lsan_do_recoverable_leak_check");
}

void shim_start_lsan(void)
{
    if (!shim_looks())
        return;
    is_turned_off = program.turned_off != NULL && program.turned_off() != 0;
    const char *text = program.rules != NULL ? program.rules() : NULL;
    if (text != NULL)
        mm_unwanted_add(text, strlen(text));
    add_known_leaks();
    if (mm_options.leaks_signal > 0)
        obey_signal((int)mm_options.leaks_signal);
}

EXPORT void __lsan_disable(void)
{
    mm_stacks_ignore_new(mm_own_watch(), true);
    if (other.disable != NULL)
        other.disable();
}

EXPORT void __lsan_enable(void)
{
    mm_stacks_ignore_new(mm_own_watch(), false);
    if (other.enable != NULL)
        other.enable();
}

EXPORT void __lsan_ignore_object(const void *object)
{
    mm_stacks_ignore(object);
    if (other.ignore != NULL)
        other.ignore(object);
}

/* All memory that can be written to is a root anyway. */
EXPORT void __lsan_register_root_region(const void *start, size_t size)
{
    if (other.add_root != NULL)
        other.add_root(start, size);
}

EXPORT void __lsan_unregister_root_region(const void *start, size_t size)
{
    if (other.drop_root != NULL)
        other.drop_root(start, size);
}

/* What only the launcher's default asks for changes nothing that a program does. */
static bool is_asked_for(void)
{
    return mm_options.leaks != MM_LEAKS_SUM;
}

EXPORT int __lsan_do_recoverable_leak_check(void)
{
    struct mm_here here;
    mm_here_take(&here);
    bool has_leaks = is_asked_for() && shim_tell_leaks(&here, MM_LEAKS_LIVE) != 0;
    return (other.recoverable_check != NULL && other.recoverable_check() != 0) || has_leaks;
}

/* It is the last one, and the end of a process that has leaks. */
EXPORT void __lsan_do_leak_check(void)
{
    struct mm_here here;
    mm_here_take(&here);
    bool has_leaks = is_asked_for() && shim_tell_leaks(&here, MM_LEAKS_AT_EXIT) != 0;
    is_done = is_asked_for();
    if (has_leaks) {
        mm_report_summary();
        mm_coverage_end();
        mm_os_exit_now(mm_report_exit_status(0));
    }
    if (other.check != NULL)
        other.check();
}
