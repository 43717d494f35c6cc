/* report.c - which findings are told, to whom, and what follows from one.
 *
 * Nothing locks. A report is put together in a draft of its own (draft.h), with signals blocked;
 * counts and what was seen are atomics, of the memory rather than of the process: what a vfork()'s
 * child frees badly there counts for its parent. */
#include "findings/report.h"

#include "blocks/stacks.h"
#include "findings/describe.h"
#include "findings/draft.h"
#include "findings/finding.h"
#include "findings/local.h"
#include "findings/own.h"
#include "findings/report_json.h"
#include "findings/report_text.h"
#include "findings/seen.h"
#include "findings/sink.h"
#include "findings/suppress.h"
#include "findings/unwanted.h"
#include "stacks/unwinder.h"
#include "system/bitmap.h"
#include "system/coverage.h"
#include "system/mapping.h"
#include "system/os.h"
#include "system/out.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES      16u   /* of a bad call */
#define EXIT_STATUS 1     /* of MM_THEN_EXIT, when no other is set */
#define STACK_TAKEN 4096u /* for a report that is passed to a callback */

static struct mm_report_settings settings;
static _Atomic uint64_t counts[MM_KINDS], hidden, shown, suppressed, uncertain;
static _Atomic bool misused, summary_told;

/* What is not shown any more because of MM_MAX_REPORTS. */
static struct mm_pace unshown;

/* Writes a draft's text, however long that takes, and gives the draft back. */
static bool write_and_leave(struct mm_draft *draft, size_t length)
{
    bool written = mm_sink_write(draft->text, length);
    mm_draft_give_back(draft);
    return written;
}

void mm_report_note(const char *line)
{
    struct mm_draft *draft = mm_draft_take();
    struct mm_out out;
    if (draft == NULL)
        return;
    mm_out_start(&out, draft->text, sizeof draft->text);
    if (settings.json)
        mm_report_json_note(&out, line);
    else
        mm_report_text_note(&out, line);
    write_and_leave(draft, out.length);
}

/* --- start --- */

void mm_report_start(const struct mm_report_settings *wanted)
{
    settings = *wanted;
    mm_sink_start(settings.log, mm_report_note);
    mm_own_start(settings.wrappers);
    mm_unwanted_start(settings.only);
}

static void note_suppressions(struct mm_out *out)
{
    mm_out_format(out, "MM_SUPPRESSIONS=");
    mm_out_cut(out, settings.suppressions, 300);
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
    size_t size;
    const char *read = mm_os_read_file(settings.suppressions, &size);
    if (read != NULL) {
        mm_suppress_check(read, size, complain_of_rule);
        mm_unwanted_add(read, size);
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

void mm_report_read_files(const char *search_path)
{
    int saved_errno = errno;
    if (settings.suppressions != NULL)
        read_suppressions();
    if (settings.symbolize && !mm_symbolize_start(search_path))
        mm_report_note(
            "MM_SYMBOLIZE: none of llvm-symbolizer, eu-addr2line and addr2line is in PATH");
    errno = saved_errno;
}

/* --- one finding --- */

static bool is_for_terminal(void)
{
    return settings.on_misuse == NULL && !settings.json && mm_sink_is_terminal();
}

/* A bad call as mm_report() came to know it. */
struct call {
    const struct mm_misuse *misuse;
    enum mem_mngr_misuse_kind kind;
    const void *ptr;
    struct mm_frames stack;
    uint64_t hash; /* of kind and stack */
    bool is_again; /* not the first of its finding, or none is shown any more */
};

/* The bad call's part; describe() does the rest, which takes longer. */
static void begin_finding(struct mm_draft *draft, const struct call *call)
{
    struct mm_finding *finding = &draft->finding;
    mm_mapping_program_path(draft->program, sizeof draft->program);
    finding->kind = call->kind;
    finding->ptr = call->ptr;
    finding->program = draft->program;
    finding->bad.thread = mm_os_thread_id();
    mm_os_thread_name(finding->bad.thread, finding->bad.thread_name);
    finding->bad.call = mm_describe_what(call->misuse, settings.is_library);
    draft->names.used = 0;
    mm_trace_take(&finding->bad, call->stack.frames, call->stack.count, draft->program,
                  &draft->names);
}

MM_COLD static void describe(struct mm_draft *draft, const struct call *call)
{
    mm_describe(draft, call->misuse,
                &(struct mm_describe_for){settings.is_library, is_for_terminal()});
}

MM_COLD static void note_changed(const char *module)
{
    char text[512];
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    mm_out_format(&out, "MM_SYMBOLIZE: ");
    mm_out_cut(&out, module, 300);
    mm_out_format(&out, " is not the file that was loaded; no lines of it are told");
    mm_report_note(text);
}

static void symbolize(struct mm_draft *draft)
{
    if (settings.symbolize && !mm_os_is_guest())
        draft->sources = mm_symbolize_take();
    if (draft->sources != NULL && !mm_symbolize(&draft->finding, draft->sources))
        mm_report_note("MM_SYMBOLIZE: the tool could not be run, or took longer than 5 s; "
                       "it is not run again");
    if (draft->sources != NULL && draft->sources->changed != NULL)
        note_changed(draft->sources->changed);
}

/* --- which are shown --- */

/* Whether one more may be shown; then it is counted as that. */
static bool may_show(void)
{
    return atomic_load_explicit(&shown, memory_order_relaxed) < settings.most &&
           atomic_fetch_add_explicit(&shown, 1, memory_order_relaxed) < settings.most;
}

/* Nobody's call: what a look found. */
static bool is_looked_for(const struct call *call)
{
    return call->misuse->leak != NULL || call->misuse->dangling != NULL;
}

static bool is_apart(const struct call *call)
{
    const struct mm_misuse *misuse = call->misuse;
    return (misuse->leak != NULL && misuse->leak->is_apart) ||
           (misuse->dangling != NULL && misuse->dangling->is_apart);
}

/* Decides on a stack that was not seen before. Symbolized, which takes longest, is what is shown;
 * and before that what may be suppressed by the names that it finds. */
MM_COLD static enum mm_told judge(struct mm_draft *draft, struct call *call)
{
    begin_finding(draft, call);
    describe(draft, call);
    if (mm_unwanted_any())
        symbolize(draft);
    bool is_unwanted = mm_unwanted_any() && mm_unwanted(&draft->finding);
    enum mm_told told = is_unwanted ? MM_TOLD_SUPPRESSED : MM_TOLD_BEFORE;
    bool once = settings.once && !is_apart(call);
    enum mm_told before = once ? mm_seen_note_stack(call->hash, told) : MM_TOLD_NEVER;
    call->is_again = before == MM_TOLD_BEFORE; /* another thread was first */
    if (before != MM_TOLD_NEVER)
        return before;
    if (is_unwanted)
        return told;
    call->is_again = !is_apart(call) && !may_show();
    return call->is_again ? MM_TOLD_BEFORE : MM_TOLD_NOW;
}

static struct mm_text_style text_style(struct mm_draft *draft)
{
    struct mm_text_style style = {.terminal = is_for_terminal(), .folder = draft->folder};
    style.colours = settings.colour == MM_COLOUR_ALWAYS ||
                    (settings.colour == MM_COLOUR_AUTO && style.terminal);
    if (style.terminal)
        mm_os_current_folder(draft->folder, sizeof draft->folder);
    return style;
}

/* When all is known that tells whose a frame is. */
static void judge_traces(struct mm_finding *finding)
{
    mm_own_judge(&finding->bad);
    mm_own_judge(&finding->freed);
    mm_own_judge(&finding->allocated);
    mm_own_judge(&finding->freed_before);
    mm_own_judge(&finding->allocated_before);
}

MM_COLD static size_t write_finding(struct mm_draft *draft)
{
    struct mm_out out;
    if (!mm_unwanted_any())
        symbolize(draft);
    judge_traces(&draft->finding);
    draft->finding.advice = mm_describe_advice(&draft->finding, &settings.advises);
    mm_local_describe(&draft->finding, draft->sources, is_for_terminal());
    mm_out_start(&out, draft->text, sizeof draft->text);
    if (settings.on_misuse == NULL && settings.json) {
        mm_report_json_finding(&out, &draft->finding);
    } else {
        struct mm_text_style style = text_style(draft);
        mm_report_text_finding(&out, &draft->finding, &style);
    }
    mm_draft_leave_sources(draft);
    return out.length;
}

/* The stack is the one place that is given back however a callback ends, by longjmp() among them.
 */
static __attribute__((noinline)) void call_back_from_stack(struct mm_draft *draft,
                                                           struct mem_mngr_misuse *misuse,
                                                           const struct mm_signals *signals)
{
    char text[STACK_TAKEN];
    memcpy(text, misuse->report, misuse->report_size + 1);
    misuse->report = text;
    mm_draft_give_back(draft);
    mm_os_restore_signals(signals);
    settings.on_misuse(misuse, settings.user);
}

/* False when nobody took it. Gives the draft back. */
static bool tell(struct mm_draft *draft, const struct mm_signals *signals)
{
    size_t length = write_finding(draft);
    struct mem_mngr_misuse misuse = {draft->finding.kind, (void *)(uintptr_t)draft->finding.ptr,
                                     draft->text, length};
    if (settings.on_misuse != NULL && length < STACK_TAKEN) {
        call_back_from_stack(draft, &misuse, signals);
        return true;
    }
    mm_os_restore_signals(signals);
    bool written = true;
    if (settings.on_misuse != NULL)
        settings.on_misuse(&misuse, settings.user);
    else
        written = mm_sink_write(draft->text, length);
    if (settings.on_told != NULL)
        settings.on_told(&misuse);
    mm_draft_give_back(draft);
    return written;
}

static void add_one(_Atomic uint64_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void count(enum mem_mngr_misuse_kind kind, enum mm_told told)
{
    if (told == MM_TOLD_SUPPRESSED) {
        add_one(&suppressed);
        return;
    }
    add_one(&counts[kind]);
    if (told == MM_TOLD_BEFORE)
        add_one(&hidden);
}

/* Counted is what is known, before it is told: a callback may leave, the process end meanwhile. */
static enum mm_told judge_in_draft(struct call *call)
{
    struct mm_signals signals = mm_os_block_signals();
    struct mm_draft *draft = mm_draft_take();
    enum mm_told told = draft != NULL ? judge(draft, call) : MM_TOLD_BEFORE;
    if (!is_apart(call))
        count(call->kind, told);
    if (told == MM_TOLD_NOW) {
        if (!tell(draft, &signals) && !is_apart(call))
            add_one(&hidden);
        return told;
    }
    if (draft != NULL)
        mm_draft_give_back(draft);
    mm_os_restore_signals(&signals);
    return told;
}

/* What is found late is of the block, wherever that was. */
static uint64_t hash_of_stack(const struct call *call)
{
    uint64_t hash = mm_seen_hash((uint64_t)call->kind + 1, NULL);
    if (call->misuse->leak != NULL)
        hash += (uint64_t)call->misuse->leak->how << 32;
    if (call->misuse->dangling != NULL)
        hash += (uint64_t)mm_stacks_allocator((const void *)call->misuse->dangling->at) /* NOLINT */
                << 32;
    if (call->misuse->damage != NULL || is_looked_for(call))
        hash = mm_seen_hash(hash + mm_stacks_allocator(call->ptr), NULL);
    for (unsigned i = 0; i < call->stack.count; i++)
        hash = mm_seen_hash(hash, call->stack.frames[i]);
    return hash;
}

static bool are_most_shown(void)
{
    return atomic_load_explicit(&shown, memory_order_relaxed) >= settings.most;
}

static enum mm_told recognise(struct call *call, const void *caller, bool exactly)
{
    if (call->misuse->touch != NULL)
        mm_unwinder_walk_context(call->misuse->touch->context, FRAMES, exactly, &call->stack);
    else if (!is_looked_for(call))
        mm_unwinder_walk_from(caller, FRAMES, exactly, &call->stack);
    call->hash = hash_of_stack(call);
    return settings.once ? mm_seen_stack(call->hash) : MM_TOLD_NEVER;
}

/* Counts a finding; MM_TOLD_NOW when it was shown. No stack need be looked at when none will be
 * shown, and all count alike. */
static enum mm_told judge_call(struct call *call, const void *caller)
{
    enum mm_told told = MM_TOLD_BEFORE;
    if (is_apart(call))
        return judge_in_draft(call);
    if (!are_most_shown() || mm_unwanted_any()) {
        told = recognise(call, caller, false);
        if (told == MM_TOLD_NEVER)
            told = recognise(call, caller, true);
    }
    if (told == MM_TOLD_NEVER)
        return judge_in_draft(call);
    count(call->kind, told);
    call->is_again = told == MM_TOLD_BEFORE;
    return told;
}

/* --- what follows --- */

static void obey_on_error(enum mm_told told)
{
    if (settings.then != MM_THEN_GO_ON)
        mm_coverage_end();
    if (settings.then == MM_THEN_STOP && told == MM_TOLD_NOW)
        mm_os_trap();
    if (settings.then == MM_THEN_ABORT)
        abort();
    if (settings.then == MM_THEN_EXIT)
        mm_os_exit_now(settings.has_exit_status ? settings.exit_status : EXIT_STATUS);
}

static uint64_t value_of(const _Atomic uint64_t *count_of)
{
    return atomic_load_explicit(count_of, memory_order_relaxed);
}

static struct mm_totals take_totals(void)
{
    struct mm_totals totals = {
        .hidden = value_of(&hidden),
        .suppressed = value_of(&suppressed),
        .uncertain = value_of(&uncertain),
    };
    for (unsigned kind = 0; kind < MM_KINDS; kind++)
        totals.kinds[kind] = value_of(&counts[kind]);
    return totals;
}

static void write_totals(struct mm_draft *draft, bool at_end)
{
    struct mm_totals totals = take_totals();
    struct mm_out out;
    mm_out_start(&out, draft->text, sizeof draft->text);
    if (settings.json)
        mm_report_json_totals(&out, &totals, at_end);
    else
        mm_report_text_totals(&out, &totals, at_end);
    write_and_leave(draft, out.length);
}

static void write_again(struct mm_draft *draft, const struct call *call, uint64_t times)
{
    struct mm_out out;
    begin_finding(draft, call);
    if (is_looked_for(call)) {
        describe(draft, call);
        judge_traces(&draft->finding);
    } else {
        draft->finding.damage = NULL;
        draft->finding.leak = NULL;
        draft->finding.dangling = NULL;
        draft->finding.access = NULL;
        draft->finding.touch = NULL;
        mm_traces_name((struct mm_trace *const[]){&draft->finding.bad}, 1, draft->program,
                       &draft->names);
        mm_own_judge(&draft->finding.bad);
    }
    mm_out_start(&out, draft->text, sizeof draft->text);
    if (settings.json)
        mm_report_json_again(&out, &draft->finding, times);
    else
        mm_report_text_again(&out, &draft->finding, times);
    write_and_leave(draft, out.length);
}

/* What was counted only, as it comes: a process that a signal ends tells nothing at its end. */
static void tell_again(const struct call *call)
{
    struct mm_pace *pace = are_most_shown() ? NULL : mm_seen_pace(call->hash);
    uint64_t times = mm_pace_step(pace != NULL ? pace : &unshown);
    struct mm_draft *draft = times > 0 ? mm_draft_take() : NULL;
    if (draft == NULL)
        return;
    if (pace != NULL)
        write_again(draft, call, times);
    else
        write_totals(draft, false);
}

bool mm_report(const struct mm_misuse *misuse)
{
    struct call call = {.misuse = misuse, .kind = misuse->kind, .ptr = misuse->ptr};
    int saved_errno = errno;
    int cancel_state; /* free() is no cancellation point */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    atomic_store_explicit(&misused, true, memory_order_relaxed);
    enum mm_told told = judge_call(&call, misuse->caller);
    if (call.is_again && settings.once)
        tell_again(&call);
    bool ends_by_fault = misuse->touch != NULL && settings.then == MM_THEN_ABORT;
    if (told != MM_TOLD_SUPPRESSED && !is_looked_for(&call) && !ends_by_fault)
        obey_on_error(told);
    pthread_setcancelstate(cancel_state, &cancel_state);
    errno = saved_errno;
    return told != MM_TOLD_SUPPRESSED;
}

bool mm_report_would_suppress(const struct mm_misuse *misuse)
{
    struct call call = {.misuse = misuse, .kind = misuse->kind, .ptr = misuse->ptr};
    if (!mm_unwanted_any())
        return false;
    int saved_errno = errno;
    struct mm_signals signals = mm_os_block_signals();
    struct mm_draft *draft = mm_draft_take();
    bool is_unwanted = false;
    if (draft != NULL) {
        begin_finding(draft, &call);
        describe(draft, &call);
        is_unwanted = mm_unwanted(&draft->finding);
        mm_draft_give_back(draft);
    }
    mm_os_restore_signals(&signals);
    errno = saved_errno;
    return is_unwanted;
}

bool mm_report_fault(const struct mm_misuse *misuse)
{
    return mm_report(misuse) && settings.then == MM_THEN_ABORT;
}

void mm_report_uncertain(void)
{
    add_one(&uncertain);
}

void mm_report_forget(void)
{
    mm_draft_renew();
    mm_symbolize_renew();
    mm_sink_renew();
    atomic_store_explicit(&uncertain, 0, memory_order_relaxed);
    if (!atomic_exchange_explicit(&misused, false, memory_order_relaxed))
        return;
    for (unsigned kind = 0; kind < MM_KINDS; kind++)
        atomic_store_explicit(&counts[kind], 0, memory_order_relaxed);
    mm_seen_forget();
    unshown = (struct mm_pace){0};
    atomic_store_explicit(&hidden, 0, memory_order_relaxed);
    atomic_store_explicit(&shown, 0, memory_order_relaxed);
    atomic_store_explicit(&suppressed, 0, memory_order_relaxed);
    atomic_store_explicit(&summary_told, false, memory_order_relaxed);
}

static size_t count_all(bool possible_too)
{
    size_t sum = 0;
    for (unsigned kind = 0; kind < MM_KINDS; kind++)
        sum += possible_too || mm_kinds[kind].is_certain ? value_of(&counts[kind]) : 0;
    return sum;
}

size_t mm_report_count(void)
{
    return count_all(false);
}

/* Whoever is first. */
static bool may_tell_summary(void)
{
    return (count_all(true) > 0 || value_of(&suppressed) > 0) && !mm_os_is_guest() &&
           !atomic_exchange_explicit(&summary_told, true, memory_order_relaxed);
}

void mm_report_summary(void)
{
    struct mm_draft *draft = may_tell_summary() ? mm_draft_take() : NULL;
    if (draft != NULL)
        write_totals(draft, true);
}

int mm_report_exit_status(int status)
{
    if (mm_report_count() == 0 || mm_os_is_guest())
        return status;
    if (settings.has_exit_status)
        return settings.exit_status;
    bool has_leaks = settings.leak_status != 0 && value_of(&counts[MEM_MNGR_LEAK]) > 0;
    return has_leaks ? settings.leak_status : status;
}
