#include "report.h"

#include "backtrace.h"
#include "bitmap.h"
#include "options.h"
#include "os.h"
#include "out.h"
#include "owner.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_SIZE     4000u /* below PIPE_BUF, so that a pipe takes it in one piece */
#define LINE_MAX_SIZE 800u  /* a frame at its longest, see backtrace.c */
#define SEEN_SIZE     4096u /* a power of two */
#define EXIT_STATUS   1     /* under MM_ON_ERROR=exit, when MM_EXITCODE does not say another */

static const char *const kind_names[] = {"double-free", "interior-free", "foreign-free"};

static struct mm_report_settings settings;
static struct mm_os_file_id stderr_at_start;
static _Atomic uint64_t counts[3], hidden, shown, uncertain;
/* What was shown: caller and kind in one word, by open addressing; never emptied. */
static _Atomic uintptr_t seen[SEEN_SIZE];

void mm_report_start(const struct mm_report_settings *wanted)
{
    settings = *wanted;
    stderr_at_start = mm_os_file_id(STDERR_FILENO);
}

bool mm_report_can_write(void)
{
    struct mm_os_file_id now = mm_os_file_id(STDERR_FILENO);
    return stderr_at_start.open && now.open && now.device == stderr_at_start.device &&
           now.inode == stderr_at_start.inode;
}

void mm_report_write(const void *text, size_t size)
{
    if (mm_report_can_write())
        mm_os_write(STDERR_FILENO, text, size);
}

void mm_report_note(const char *line)
{
    char text[512];
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    mm_out_format(&out, "==%u== mmshim: %s\n", (uint64_t)mm_os_process_id(), line);
    mm_report_write(text, out.length);
}

/* True the first time, and when too many different ones came before to tell. */
static bool is_new(enum mem_mngr_misuse_kind kind, const void *caller)
{
    uintptr_t key = (uintptr_t)caller * 4 + (uintptr_t)kind + 1;
    size_t start = (key * 0x9e3779b97f4a7c15u) >> 52;
    for (size_t i = 0; i < SEEN_SIZE; i++) {
        _Atomic uintptr_t *entry = &seen[(start + i) % SEEN_SIZE];
        uintptr_t there = 0;
        if (atomic_compare_exchange_strong_explicit(entry, &there, key, memory_order_relaxed,
                                                    memory_order_relaxed))
            return true;
        if (there == key)
            return false;
    }
    return true;
}

static void write_frames(struct mm_out *out, const void *const *frames, unsigned count)
{
    for (unsigned i = 0; i < count && out->length + 2 * LINE_MAX_SIZE < TEXT_SIZE; i++) {
        mm_out_format(out, "    #%u %x", (uint64_t)i, (uint64_t)(uintptr_t)frames[i]);
        mm_backtrace_place(out, frames[i]);
        mm_out_format(out, "\n");
    }
}

static void compose(struct mm_out *out, enum mem_mngr_misuse_kind kind, const void *ptr,
                    const void *caller)
{
    const void *frames[MM_FRAMES_MAX];
    unsigned count = mm_backtrace(caller, frames);
    pid_t thread = mm_os_thread_id();
    char name[MM_THREAD_NAME];
    mm_os_thread_name(thread, name);
    mm_out_format(out, "==%u==ERROR: mmshim: %s of %x (", (uint64_t)mm_os_process_id(),
                  kind_names[kind], (uint64_t)(uintptr_t)ptr);
    mm_owner_describe(out, kind, ptr);
    if (count > 0)
        mm_out_format(out, ") in thread %u (%s)\n", (uint64_t)thread, name);
    else
        mm_out_format(out, "), by two threads at the same time\n");
    write_frames(out, frames, count);
    mm_out_format(out, "SUMMARY: mmshim: %s", kind_names[kind]);
    if (count > 0)
        mm_backtrace_place(out, frames[0]);
    mm_out_format(out, "\n");
}

static void show(enum mem_mngr_misuse_kind kind, const void *ptr, const void *caller)
{
    char text[TEXT_SIZE];
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    compose(&out, kind, ptr, caller);
    if (settings.on_misuse != NULL) {
        struct mem_mngr_misuse misuse = {kind, (void *)(uintptr_t)ptr, text, out.length};
        settings.on_misuse(&misuse, settings.user);
    } else {
        mm_report_write(text, out.length);
    }
}

static void obey_on_error(void)
{
    if (mm_options.on_error == MM_ON_ERROR_ABORT)
        abort();
    if (mm_options.on_error == MM_ON_ERROR_EXIT)
        mm_os_exit_now(mm_options.exitcode >= 0 ? (int)mm_options.exitcode : EXIT_STATUS);
}

/* Whether there is still room for one more; takes it. */
static bool may_show(void)
{
    return atomic_load_explicit(&shown, memory_order_relaxed) < settings.most &&
           atomic_fetch_add_explicit(&shown, 1, memory_order_relaxed) < settings.most;
}

void mm_report(enum mem_mngr_misuse_kind kind, const void *ptr, const void *caller)
{
    int saved_errno = errno;
    int cancel_state; /* free() is no cancellation point */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    atomic_fetch_add_explicit(&counts[kind], 1, memory_order_relaxed);
    if ((!settings.once || is_new(kind, caller)) && may_show())
        show(kind, ptr, caller);
    else
        atomic_fetch_add_explicit(&hidden, 1, memory_order_relaxed);
    obey_on_error();
    pthread_setcancelstate(cancel_state, &cancel_state);
    errno = saved_errno;
}

void mm_report_uncertain(void)
{
    atomic_fetch_add_explicit(&uncertain, 1, memory_order_relaxed);
}

void mm_report_forget(void)
{
    if (mm_report_count() == 0)
        return;
    for (unsigned kind = 0; kind < 3; kind++)
        atomic_store_explicit(&counts[kind], 0, memory_order_relaxed);
    for (unsigned i = 0; i < SEEN_SIZE; i++)
        atomic_store_explicit(&seen[i], 0, memory_order_relaxed);
    atomic_store_explicit(&hidden, 0, memory_order_relaxed);
    atomic_store_explicit(&shown, 0, memory_order_relaxed);
}

size_t mm_report_count(void)
{
    size_t sum = 0;
    for (unsigned kind = 0; kind < 3; kind++)
        sum += atomic_load_explicit(&counts[kind], memory_order_relaxed);
    return sum;
}

void mm_report_summary(void)
{
    char line[256];
    struct mm_out out;
    uint64_t doubtful = atomic_load_explicit(&uncertain, memory_order_relaxed);
    size_t sum = mm_report_count();
    mm_out_start(&out, line, sizeof line);
    if (sum > 0) {
        mm_out_format(&out, "%u bad frees: %u double, %u interior, %u foreign", (uint64_t)sum,
                      atomic_load(&counts[MEM_MNGR_DOUBLE_FREE]),
                      atomic_load(&counts[MEM_MNGR_INTERIOR_FREE]),
                      atomic_load(&counts[MEM_MNGR_FOREIGN_FREE]));
        uint64_t not_shown = atomic_load_explicit(&hidden, memory_order_relaxed);
        if (not_shown > 0)
            mm_out_format(&out, "; %u not shown", not_shown);
        mm_report_note(line);
    }
    if (sum > 0 && doubtful > 0) {
        mm_out_start(&out, line, sizeof line);
        mm_out_format(&out,
                      "%u frees of blocks of threads that fork() left behind were free already; "
                      "not counted as bad",
                      doubtful);
        mm_report_note(line);
    }
}
