#include "report.h"

#include "bitmap.h"
#include "finding.h"
#include "mapping.h"
#include "options.h"
#include "os.h"
#include "out.h"
#include "owner.h"
#include "report_json.h"
#include "report_text.h"
#include "seen.h"
#include "sink.h"
#include "stacks.h"
#include "suppress.h"
#include "symbolize.h"
#include "unwinder.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FRAMES       16u    /* of a bad call */
#define EXIT_STATUS  1      /* under MM_ON_ERROR=exit, when MM_EXITCODE does not say another */
#define ROOMS        4u     /* reports that are put together at the same time */
#define ROOM_WAIT_MS 10000u /* longer than it takes to symbolize one */

static struct mm_report_settings settings;
static const char *suppressions;
static size_t suppressions_size;
static _Atomic uint64_t counts[3], hidden, shown, suppressed, uncertain;
static _Atomic bool misused, summary_told;

/* Where a report is put together. Kept during a callback, which may misuse in turn. */
static struct room {
    struct mm_turn turn;
    struct mm_finding finding;
    struct mm_names names;
    struct mm_symbolize_room symbolize;
    char program[1024];
    char text[32768];
} rooms[ROOMS] MM_SELDOM;

/* NULL when all are taken for long. */
static struct room *take_room(void)
{
    uint64_t give_up = mm_os_milliseconds() + ROOM_WAIT_MS;
    unsigned round = 0;
    do {
        for (unsigned i = 0; i < ROOMS; i++) {
            if (mm_turn_try(&rooms[i].turn))
                return &rooms[i];
        }
        mm_os_wait(round++);
    } while (mm_os_milliseconds() <= give_up);
    return NULL;
}

void mm_report_note(const char *line)
{
    struct room *room = take_room();
    struct mm_out out;
    if (room == NULL)
        return;
    mm_out_start(&out, room->text, sizeof room->text);
    if (mm_options.format == MM_FORMAT_JSON)
        mm_report_json_note(&out, line);
    else
        mm_report_text_note(&out, line);
    mm_sink_write(room->text, out.length);
    mm_turn_end(&room->turn);
}

/* --- start --- */

void mm_report_start(const struct mm_report_settings *wanted)
{
    settings = *wanted;
    mm_sink_start(mm_report_note);
}

static void note_suppressions(struct mm_out *out)
{
    mm_out_format(out, "MM_SUPPRESSIONS=");
    mm_out_cut(out, mm_options.suppressions, 300);
}

static void complain_of_rule(size_t line, const char *why)
{
    char text[512];
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    note_suppressions(&out);
    mm_out_format(&out, ":%u: %s, ignored", (uint64_t)line, why);
    mm_report_note(text);
}

static void read_suppressions(void)
{
    suppressions = mm_os_read_file(mm_options.suppressions, &suppressions_size);
    if (suppressions != NULL) {
        mm_suppress_check(suppressions, suppressions_size, complain_of_rule);
        return;
    }
    char text[512];
    struct mm_out out;
    int error = errno;
    mm_out_start(&out, text, sizeof text);
    note_suppressions(&out);
    mm_out_format(&out, ": %s; nothing is suppressed",
                  error != 0 ? mm_os_error_text(error) : "not a regular file");
    mm_report_note(text);
}

void mm_report_read_options(const char *search_path)
{
    int saved_errno = errno;
    if (mm_options.suppressions != NULL)
        read_suppressions();
    if (mm_options.symbolize && !mm_symbolize_start(search_path))
        mm_report_note(
            "MM_SYMBOLIZE: none of llvm-symbolizer, eu-addr2line and addr2line is in PATH");
    errno = saved_errno;
}

/* --- one finding --- */

static void copy_name(char to[static MM_THREAD_NAME], const char from[static MM_THREAD_NAME])
{
    for (unsigned i = 0; i < MM_THREAD_NAME; i++)
        to[i] = from[i];
}

static void take_history(struct mm_trace *trace, const struct mm_stack *stack, struct room *room)
{
    trace->thread = stack->thread;
    copy_name(trace->thread_name, stack->name);
    mm_trace_take(trace, stack->frames, stack->count, room->program, &room->names);
}

static void describe(struct room *room)
{
    struct mm_finding *finding = &room->finding;
    struct mm_stack_history history = {0};
    struct mm_out out;
    bool is_of_block = finding->kind != MEM_MNGR_FOREIGN_FREE;
    bool is_known = is_of_block && mm_stacks_history(finding->ptr, &history);
    mm_out_start(&out, finding->description, sizeof finding->description);
    if (is_known && history.has_allocated)
        mm_out_format(&out, "%u bytes asked, ", (uint64_t)history.asked);
    mm_owner_describe(&out, finding->kind, finding->ptr, finding->program, &room->names.place);
    finding->say_how =
        settings.has_options && is_of_block && mm_options.stacks == 0 && finding->bad.count > 0;
    finding->asked = history.asked;
    finding->has_freed = history.has_freed;
    finding->has_allocated = history.has_allocated;
    take_history(&finding->freed, &history.freed, room);
    take_history(&finding->allocated, &history.allocated, room);
}

/* A bad call as mm_report() came to know it. */
struct call {
    enum mem_mngr_misuse_kind kind;
    const void *ptr;
    struct mm_frames stack;
};

/* The bad call's part; describe() does the rest, which takes longer. */
static void begin_finding(struct room *room, const struct call *call)
{
    struct mm_finding *finding = &room->finding;
    mm_mapping_program_path(room->program, sizeof room->program);
    finding->kind = call->kind;
    finding->ptr = call->ptr;
    finding->program = room->program;
    finding->bad.thread = mm_os_thread_id();
    mm_os_thread_name(finding->bad.thread, finding->bad.thread_name);
    room->names.used = 0;
    mm_trace_take(&finding->bad, call->stack.frames, call->stack.count, room->program,
                  &room->names);
}

static void note_changed(const char *module)
{
    char text[512];
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    mm_out_format(&out, "MM_SYMBOLIZE: ");
    mm_out_cut(&out, module, 300);
    mm_out_format(&out, " is not the file that was loaded; no lines of it are told");
    mm_report_note(text);
}

static void symbolize(struct room *room)
{
    room->symbolize.changed = NULL;
    if (mm_options.symbolize && !mm_os_is_guest() &&
        !mm_symbolize(&room->finding, &room->symbolize))
        mm_report_note("MM_SYMBOLIZE: the tool could not be run, or took longer than 5 s; "
                       "it is not run again");
    if (room->symbolize.changed != NULL)
        note_changed(room->symbolize.changed);
}

static bool is_suppressed_by(const char *kind, const char *name)
{
    return mm_suppress_matches(suppressions, suppressions_size, kind, name);
}

static bool is_suppressed(const struct mm_finding *finding)
{
    const char *kind = mm_finding_kind(finding->kind);
    for (unsigned i = 0; i < finding->bad.count; i++) {
        const struct mm_frame *frame = &finding->bad.frames[i];
        if (is_suppressed_by(kind, frame->place.symbol) ||
            is_suppressed_by(kind, frame->place.module) ||
            is_suppressed_by(kind, frame->function) || is_suppressed_by(kind, frame->file))
            return true;
    }
    return false;
}

static bool is_elsewhere(const struct mm_finding *finding)
{
    const char *module = finding->bad.count > 0 ? finding->bad.frames[0].place.module : NULL;
    return mm_options.only != NULL && module != NULL && !mm_suppress_is_in(mm_options.only, module);
}

static void tell(struct room *room, const struct mm_signals *signals)
{
    const struct mm_finding *finding = &room->finding;
    struct mm_out out;
    mm_out_start(&out, room->text, sizeof room->text);
    if (settings.on_misuse == NULL && mm_options.format == MM_FORMAT_JSON)
        mm_report_json_finding(&out, finding);
    else
        mm_report_text_finding(&out, finding);
    mm_os_restore_signals(signals);
    if (settings.on_misuse != NULL) {
        struct mem_mngr_misuse misuse = {finding->kind, (void *)(uintptr_t)finding->ptr, room->text,
                                         out.length};
        settings.on_misuse(&misuse, settings.user);
    } else {
        mm_sink_write(room->text, out.length);
    }
}

/* --- which are shown --- */

/* Whether there is still room for one more; takes it. */
static bool may_show(void)
{
    return atomic_load_explicit(&shown, memory_order_relaxed) < settings.most &&
           atomic_fetch_add_explicit(&shown, 1, memory_order_relaxed) < settings.most;
}

static bool can_suppress(void)
{
    return suppressions != NULL || mm_options.only != NULL;
}

/* Decides on a stack that was not seen before, and shows it. Symbolized, which takes longest, is
 * what is shown; and before that what may be suppressed by the names that it finds. */
static enum mm_fate judge(struct room *room, const struct call *call, uint64_t stack,
                          const struct mm_signals *signals)
{
    begin_finding(room, call);
    describe(room);
    if (can_suppress())
        symbolize(room);
    bool is_unwanted =
        can_suppress() && (is_elsewhere(&room->finding) || is_suppressed(&room->finding));
    enum mm_fate fate = is_unwanted ? MM_FATE_SUPPRESSED : MM_FATE_TOLD;
    enum mm_fate before = settings.once ? mm_seen_note_stack(stack, fate) : MM_FATE_UNKNOWN;
    if (before != MM_FATE_UNKNOWN)
        return before; /* another thread was first */
    if (is_unwanted || !may_show())
        return fate;
    if (!can_suppress())
        symbolize(room);
    tell(room, signals);
    return MM_FATE_SHOWN;
}

static enum mm_fate judge_in_room(const struct call *call, uint64_t stack)
{
    struct mm_signals signals = mm_os_block_signals();
    struct room *room = take_room();
    enum mm_fate fate = MM_FATE_TOLD;
    if (room != NULL) {
        fate = judge(room, call, stack, &signals);
        mm_turn_end(&room->turn);
    }
    mm_os_restore_signals(&signals);
    return fate;
}

static uint64_t hash_of_stack(const struct call *call)
{
    uint64_t hash = mm_seen_hash((uint64_t)call->kind + 1, NULL);
    for (unsigned i = 0; i < call->stack.count; i++)
        hash = mm_seen_hash(hash, call->stack.frames[i]);
    return hash;
}

/* No stack need be looked at when none will be shown, and all count alike. */
static bool is_full(void)
{
    return atomic_load_explicit(&shown, memory_order_relaxed) >= settings.most && !can_suppress();
}

static enum mm_fate recognise(struct call *call, const void *caller, bool exactly, uint64_t *stack)
{
    mm_unwinder_walk_from(caller, FRAMES, exactly, &call->stack);
    *stack = hash_of_stack(call);
    return settings.once ? mm_seen_stack(*stack) : MM_FATE_UNKNOWN;
}

/* The fate of a finding; MM_FATE_SHOWN for one that was shown just now. */
static enum mm_fate judge_call(enum mem_mngr_misuse_kind kind, const void *ptr, const void *caller)
{
    struct call call = {.kind = kind, .ptr = ptr};
    uint64_t stack;
    if (is_full())
        return MM_FATE_TOLD;
    enum mm_fate fate = recognise(&call, caller, false, &stack);
    if (fate == MM_FATE_UNKNOWN)
        fate = recognise(&call, caller, true, &stack);
    return fate != MM_FATE_UNKNOWN ? fate : judge_in_room(&call, stack);
}

/* --- what follows --- */

static void obey_on_error(void)
{
    if (mm_options.on_error == MM_ON_ERROR_ABORT)
        abort();
    if (mm_options.on_error == MM_ON_ERROR_EXIT)
        mm_os_exit_now(mm_options.exitcode >= 0 ? (int)mm_options.exitcode : EXIT_STATUS);
}

static void add_one(_Atomic uint64_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void count(enum mem_mngr_misuse_kind kind, enum mm_fate fate)
{
    if (fate == MM_FATE_SUPPRESSED) {
        add_one(&suppressed);
        return;
    }
    add_one(&counts[kind]);
    if (fate == MM_FATE_TOLD)
        add_one(&hidden);
}

void mm_report(enum mem_mngr_misuse_kind kind, const void *ptr, const void *caller)
{
    int saved_errno = errno;
    int cancel_state; /* free() is no cancellation point */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    atomic_store_explicit(&misused, true, memory_order_relaxed);
    enum mm_fate fate = judge_call(kind, ptr, caller);
    count(kind, fate);
    if (fate != MM_FATE_SUPPRESSED)
        obey_on_error();
    pthread_setcancelstate(cancel_state, &cancel_state);
    errno = saved_errno;
}

void mm_report_uncertain(void)
{
    add_one(&uncertain);
}

static uint64_t value_of(const _Atomic uint64_t *count_of)
{
    return atomic_load_explicit(count_of, memory_order_relaxed);
}

void mm_report_forget(void)
{
    for (unsigned i = 0; i < ROOMS; i++)
        mm_turn_renew(&rooms[i].turn);
    mm_sink_renew();
    atomic_store_explicit(&uncertain, 0, memory_order_relaxed);
    if (!atomic_exchange_explicit(&misused, false, memory_order_relaxed))
        return;
    for (unsigned kind = 0; kind < 3; kind++)
        atomic_store_explicit(&counts[kind], 0, memory_order_relaxed);
    mm_seen_forget();
    atomic_store_explicit(&hidden, 0, memory_order_relaxed);
    atomic_store_explicit(&shown, 0, memory_order_relaxed);
    atomic_store_explicit(&suppressed, 0, memory_order_relaxed);
    atomic_store_explicit(&summary_told, false, memory_order_relaxed);
}

size_t mm_report_count(void)
{
    size_t sum = 0;
    for (unsigned kind = 0; kind < 3; kind++)
        sum += value_of(&counts[kind]);
    return sum;
}

static struct mm_totals take_totals(void)
{
    return (struct mm_totals){
        .kinds = {value_of(&counts[0]), value_of(&counts[1]), value_of(&counts[2])},
        .hidden = value_of(&hidden),
        .suppressed = value_of(&suppressed),
        .uncertain = value_of(&uncertain),
    };
}

/* Whoever is first. */
static bool may_tell_summary(void)
{
    return (mm_report_count() > 0 || value_of(&suppressed) > 0) && !mm_os_is_guest() &&
           !atomic_exchange_explicit(&summary_told, true, memory_order_relaxed);
}

void mm_report_summary(void)
{
    struct mm_totals totals = take_totals();
    struct room *room = may_tell_summary() ? take_room() : NULL;
    struct mm_out out;
    if (room == NULL)
        return;
    mm_out_start(&out, room->text, sizeof room->text);
    if (mm_options.format == MM_FORMAT_JSON)
        mm_report_json_summary(&out, &totals);
    else
        mm_report_text_summary(&out, &totals);
    mm_sink_write(room->text, out.length);
    mm_turn_end(&room->turn);
}

int mm_report_exit_status(int status)
{
    bool is_ours = mm_options.exitcode >= 0 && mm_report_count() > 0 && !mm_os_is_guest();
    return is_ours ? (int)mm_options.exitcode : status;
}
