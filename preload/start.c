/* start.c - how the shim starts, at the first request or in its constructor, and what it does
 * at exit. */
#include "entry/options.h"
#include "entry/process.h"
#include "entry/route.h"
#include "findings/report.h"
#include "findings/sink.h"
#include "lookup.h"
#include "lsan.h"
#include "slots/heap.h"
#include "stacks/loaded.h"
#include "stacks/module.h"
#include "system/coverage.h"
#include "verbose.h"
#include "view/snapshot.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT      __attribute__((visibility("default")))
#define LEAK_STATUS 23 /* as LeakSanitizer has it */

extern int __cxa_atexit(void (*function)(void *), void *argument, void *library);
extern void *__libc_stack_end;

/* --- which copy of us --- */

/* An image and a launcher may each preload one. The first in the search order works; the others
 * find that this name is not their own here, and pass everything on. Every version has it. */
EXPORT const char mmshim_first_copy = 0;
extern const char own_mark __attribute__((alias("mmshim_first_copy"), visibility("hidden")));

bool shim_is_aside(void)
{
    const char *volatile first = &mmshim_first_copy; /* the compiler is not to compare */
    return first != &own_mark;
}

/* --- options --- */

/* A request may come before libc knows the environment. It then lies where the kernel put it: on
 * the stack, after argc and the arguments. */
static char **environment(void)
{
    if (environ != NULL)
        return environ;
    long count = *(long *)__libc_stack_end;
    return (char **)__libc_stack_end + 1 + count + 1;
}

/* The end of the environment when there is none of this name. */
static char **find_variable(const char *name)
{
    size_t length = strlen(name);
    char **variable = environment();
    while (*variable != NULL &&
           (strncmp(*variable, name, length) != 0 || (*variable)[length] != '='))
        variable++;
    return variable;
}

const char *shim_variable(const char *name)
{
    const char *found = *find_variable(name);
    return found != NULL ? strchr(found, '=') + 1 : NULL;
}

static void ignore(const char *line)
{
    (void)line;
}

/* What is not set follows MM_DEBUG. */
static size_t or_debug(int64_t value, size_t debug)
{
    return value >= 0 ? (size_t)value : mm_options.debug ? debug : 0;
}

static unsigned wanted_frames(void)
{
    return (unsigned)(mm_options.stacks < 0 && shim_looks() ? 16 : or_debug(mm_options.stacks, 16));
}

/* Of glibc's malloc the low byte counts. */
static int perturbation(void)
{
    const char *value = mm_os_is_privileged() ? NULL : shim_variable("MALLOC_PERTURB_");
    return value != NULL ? (int)(strtol(value, NULL, 0) & 0xff) : 0;
}

static struct mm_checks_settings wanted_checks(void)
{
    return (struct mm_checks_settings){
        .quarantine = or_debug(mm_options.quarantine, (size_t)64 << 20),
        .guard = or_debug(mm_options.guard, 16),
        .mismatch = or_debug(mm_options.mismatch, 1) != 0,
        .perturb = perturbation(),
    };
}

/* https://no-color.org: set, and not empty. */
static enum mm_report_colour wanted_colour(void)
{
    const char *no_color = shim_variable("NO_COLOR"), *terminal = shim_variable("TERM");
    if (mm_options.color != MM_COLOR_AUTO)
        return mm_options.color == MM_COLOR_ALWAYS ? MM_COLOUR_ALWAYS : MM_COLOUR_NEVER;
    bool is_unwanted = (no_color != NULL && no_color[0] != '\0') ||
                       (terminal != NULL && strcmp(terminal, "dumb") == 0);
    return is_unwanted ? MM_COLOUR_NEVER : MM_COLOUR_AUTO;
}

/* For a debugger to stop in: each finding comes by here once it is told, in the thread whose call
 * it was. */
EXPORT __attribute__((noinline)) void mmshim_on_finding(const struct mem_mngr_misuse *finding)
{
    __asm__ volatile("" : : "r"(finding) : "memory");
}

#define FRAMES_GUARDED 12u /* of blocks with pages of their own */

static struct mm_sample_settings wanted_sample(void)
{
    int64_t every = mm_options.guard_sample;
    return (struct mm_sample_settings){.every = every > 0 ? (uint32_t)every : 0,
                                       .adaptive = every < 0 && mm_options.debug,
                                       .below = mm_options.guard_below};
}

static unsigned wanted_guarded_frames(void)
{
    struct mm_sample_settings sample = wanted_sample();
    bool any = sample.every != 0 || sample.adaptive;
    return !any ? 0 : wanted_frames() != 0 ? wanted_frames() : FRAMES_GUARDED;
}

/* What of it is not on. */
static struct mm_report_advice wanted_advice(void)
{
    return (struct mm_report_advice){.stacks = wanted_frames() == 0,
                                     .below =
                                         !mm_options.guard_below || wanted_guarded_frames() == 0};
}

static struct mm_report_settings wanted_reports(void)
{
    return (struct mm_report_settings){
        .on_told = mmshim_on_finding,
        .once = true,
        .most = (uint64_t)mm_options.max_reports,
        .advises = wanted_advice(),
        .json = mm_options.format == MM_FORMAT_JSON,
        .symbolize = mm_options.symbolize,
        .colour = wanted_colour(),
        .wrappers = mm_options.wrappers,
        .log = mm_options.log,
        .suppressions = mm_options.suppressions,
        .only = mm_options.only,
        .then = mm_options.on_error == MM_ON_ERROR_ABORT  ? MM_THEN_ABORT
                : mm_options.on_error == MM_ON_ERROR_EXIT ? MM_THEN_EXIT
                : mm_options.on_error == MM_ON_ERROR_STOP ? MM_THEN_STOP
                                                          : MM_THEN_GO_ON,
        .has_exit_status = mm_options.exitcode >= 0,
        .exit_status = (int)mm_options.exitcode,
        .leak_status =
            mm_options.leaks != MM_LEAKS_OFF && mm_options.leaks != MM_LEAKS_SUM ? LEAK_STATUS : 0,
    };
}

static struct mm_leaks_settings wanted_leaks(void)
{
    return (struct mm_leaks_settings){
        .on = shim_looks(),
        .leaks = mm_options.leaks != MM_LEAKS_OFF && mm_options.leaks != MM_LEAKS_GROWTH,
        .dangling = mm_options.dangling,
        .strict = mm_options.leaks == MM_LEAKS_STRICT,
        .in_sum = mm_options.leaks == MM_LEAKS_SUM,
        .growth = mm_options.leaks == MM_LEAKS_GROWTH,
        .roots = {.own = (const void *)mm_process_default_config,
                  .libc_heap_is_own = !mm_next_may_call_back()},
    };
}

/* Twice: where complaints go, and in which form, may be set behind what they are about. A program
 * with rights of its own takes nothing from its user's environment. */
static void read_options(void)
{
    bool is_trusted = !mm_os_is_privileged();
    if (is_trusted)
        mm_options_read(environment(), ignore);
    struct mm_report_settings report = wanted_reports();
    mm_report_start(&report);
    if (is_trusted)
        mm_options_read(environment(), mm_report_note);
    mm_report_read_files(shim_variable("PATH"));
}

/* In our constructor at the latest. */
bool mm_process_starts_late(void)
{
    return false;
}

bool mm_process_steps_aside(void)
{
    if (!shim_is_aside())
        return false;
    shim_leave_libc_alone();
    shim_find_operators();
    shim_find_lsan();
    return true;
}

struct mm_process_config mm_process_default_config(void)
{
    static bool done;
    if (!done) {
        done = true;
        shim_set_up_libc();
        shim_find_operators();
        shim_find_lsan();
        mm_loaded_start((const void *)mm_process_default_config);
        read_options();
    }
    return (struct mm_process_config){
        .report = wanted_reports(),
        .batch_slots = (unsigned)mm_options.batch_slots,
        .slot_max = (size_t)mm_options.slot_max,
        .arena_size = (size_t)mm_options.arena_size,
        .counts = mm_options.verbose,
        .checks = wanted_checks(),
        .leaks = wanted_leaks(),
        .sample = wanted_sample(),
        .stacks = {.frames = wanted_frames(),
                   .all = shim_looks(),
                   .every = (uint32_t)mm_options.stacks_sample,
                   .guarded = wanted_guarded_frames(),
                   .unwind = {.frame_pointers = mm_options.unwind == MM_UNWIND_FP,
                              .own = (const void *)mm_process_default_config}},
    };
}

static void write_snapshot(void)
{
    char buffer[4096], head[64];
    struct mm_out out;
    int cancel_state = PTHREAD_CANCEL_ENABLE; /* no end of a process is a cancellation point */
    if (!mm_sink_has_stderr())
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    mm_out_start(&out, head, sizeof head);
    mm_out_format(&out, "==%u== mmshim snapshot: ", (uint64_t)mm_os_process_id());
    mm_out_to_file(&out, buffer, sizeof buffer, STDERR_FILENO);
    mm_snapshot_write(&out, head, (size_t)mm_options.snapshot_batches);
    mm_out_flush(&out);
    pthread_setcancelstate(cancel_state, &cancel_state);
}

static void tell_lost_stacks(void)
{
    char line[128];
    struct mm_out out;
    if (mm_stacks_lost() == 0)
        return;
    mm_out_start(&out, line, sizeof line);
    mm_out_format(
        &out, "%u times a stack was not kept: the table of stacks is full, or memory was refused",
        mm_stacks_lost());
    mm_report_note(line);
}

MM_COLD static void tell_the_rest(const struct mm_here *here)
{
    if (mm_tls_heap != &mm_heap_none && mm_tls_heap != &mm_heap_ending)
        mm_heap_collect(mm_tls_heap); /* frees by two threads at once may show only now */
    mm_check(NULL);
    shim_tell_leaks(here, MM_LEAKS_AT_EXIT);
    mm_report_summary();
    shim_tell_end();
    tell_lost_stacks();
    if (mm_options.snapshot)
        write_snapshot();
}

#ifdef MM_COVERAGE
void __real___gcov_exit(void);
void __wrap___gcov_exit(void);

/* Destructors would write what was counted, and nothing that comes after them: at_exit() does. */
void __wrap___gcov_exit(void)
{
    if (shim_is_aside())
        __real___gcov_exit();
}

static void write_counts(void)
{
    __real___gcov_exit();
}
#else
static void write_counts(void)
{
}
#endif

/* Its frame is looked through for pointers, and so it has nothing else in it. */
static void at_exit(void *unused)
{
    struct mm_here here = {0};
    (void)unused;
    if (shim_looks())
        mm_here_take(&here);
    tell_the_rest(&here);
    write_counts();
    /* glibc lets a handler change the status in this way, and goes on with what is left to do. The
     * handler itself is taken off before it is called, so this does not come back. */
    if (mm_report_exit_status(-1) >= 0)
        exit(mm_report_exit_status(-1));
}

/* --- other ends than exit() --- */

/* For a vfork()'s child, whose end is none of the process, nothing is told and nothing changed. */
EXPORT _Noreturn void _exit(int status)
{
    mm_check(NULL);
    mm_report_summary();
    shim_tell_end();
    status = mm_report_exit_status(status);
    mm_coverage_end();
    void (*next)(int) = (void (*)(int))shim_libc(SHIM_EXIT);
    if (next != NULL)
        next(status);
    mm_os_exit_now(status);
}

EXPORT _Noreturn void _Exit(int status)
{
    _exit(status);
}

/* libc ends the process itself after this, past our _exit(). */
static void at_quick_exit_of_all(void)
{
    mm_check(NULL);
    mm_report_summary();
    shim_tell_end();
    if (mm_report_exit_status(-1) >= 0)
        _exit(mm_report_exit_status(-1));
}

/* Is the path, `length` characters long, that of a file of this name? */
static bool is_file(const char *path, size_t length, const char *name)
{
    size_t name_length = strlen(name);
    if (length < name_length)
        return false;
    const char *last = path + length - name_length;
    return memcmp(last, name, name_length) == 0 && (last == path || last[-1] == '/');
}

/* Takes the files of this name out of a list in LD_PRELOAD's form, in place. */
static void take_out(char *list, const char *name)
{
    char *end = list + strlen(list), *kept = list;
    size_t step;
    for (char *entry = list; entry < end; entry += step) {
        size_t length = strcspn(entry, ": ");
        step = length + strspn(entry + length, ": ");
        if (is_file(entry, length, name))
            continue;
        memmove(kept, entry, step);
        kept += step;
    }
    while (kept > list && (kept[-1] == ':' || kept[-1] == ' '))
        kept--;
    memset(kept, '\0', (size_t)(end - kept));
}

static void forget(char **variable)
{
    for (; *variable != NULL; variable++)
        variable[0] = variable[1];
}

/* Under MM_CHILDREN=0 the environment becomes what it would be without us, for what is started from
 * here as well as for a program that looks at it. It is changed where it lies: nothing is
 * allocated. */
static void leave_children_alone(void)
{
    struct mm_place self;
    struct mm_place_text text;
    char **variable = find_variable("LD_PRELOAD");
    if (mm_options.children || *variable == NULL)
        return;
    char *list = strchr(*variable, '=') + 1;
    mm_module_place(&mm_options, "", &self, &text);
    if (self.module == NULL)
        return;
    const char *slash = strrchr(self.module, '/');
    take_out(list, slash != NULL ? slash + 1 : self.module);
    take_out(list, "libmmshim_bounds.so");
    if (*list == '\0')
        forget(variable);
}

/* Registered here, before the program's own start, and for no library in particular, at_exit() runs
 * last of all, after the destructors of every library. */
static void begin_for_process(void)
{
    mm_process_heap();
    shim_find_libc();
    shim_find_dlsym();
    if (shim_is_aside())
        return;
    if (mm_options.log == NULL && !mm_os_is_privileged())
        shim_tell_missing_stderr();
    leave_children_alone();
    shim_start_lsan();
    shim_tell_process();
    shim_tell_start();
    __cxa_atexit(at_exit, NULL, NULL);
    at_quick_exit(at_quick_exit_of_all);
}

/* A program begins with an errno of 0. */
__attribute__((constructor)) static void begin(void)
{
    int saved_errno = errno;
    begin_for_process();
    errno = saved_errno;
}
