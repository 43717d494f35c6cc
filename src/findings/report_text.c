/* report_text.c - lines for people. All is the caller's; nothing is kept. */
#include "findings/report_text.h"

#include "findings/demangle.h"
#include "findings/own.h"
#include "findings/report_terminal.h"
#include <string.h>

#define REST_MOST 2000u /* what follows the frames, at its longest */
#define TRACES    5u
#define HEAD_LINES                                                                                 \
    3u /* more than the frames of a report have: hint, summary, lines that broke                   \
        */

static void write_head(struct mm_out *out)
{
    mm_out_format(out, "==%u==", (uint64_t)mm_os_process_id());
}

void mm_report_text_paint(struct mm_out *out, const struct mm_text_style *style,
                          enum mm_paint paint)
{
    static const char *const codes[] = {
        [MM_PLAIN] = "\033[0m",
        [MM_ALARM] = "\033[1;31m",
        [MM_STRONG] = "\033[1m",
        [MM_PLACE] = "\033[36m",
    };
    if (style->colours)
        mm_out_format(out, "%s", codes[paint]);
}

/* --- frames in a log --- */

static bool has_line(const struct mm_frame *frame)
{
    return frame->function != NULL && frame->file != NULL;
}

static void write_function(struct mm_out *out, const struct mm_frame *frame)
{
    mm_out_format(out, " in ");
    mm_out_cut(out, frame->function, MM_SYMBOL_SHOWN);
}

static void write_symbol(struct mm_out *out, const struct mm_frame *frame)
{
    const char *symbol = frame->place.symbol;
    if (symbol == NULL) {
        mm_out_format(out, frame->place.unloaded ? " in [unloaded]" : "");
        return;
    }
    mm_out_format(out, " in ");
    mm_demangle_cut(out, symbol, MM_SYMBOL_SHOWN);
    mm_out_format(out, "+%x%s", (uint64_t)frame->place.symbol_offset,
                  frame->place.unloaded ? " [unloaded]" : "");
}

static void write_line(struct mm_out *out, const struct mm_frame *frame)
{
    mm_out_format(out, " ");
    mm_out_cut(out, frame->file, MM_PATH_SHOWN);
    mm_out_format(out, ":%u", frame->line);
}

static void write_build_id(struct mm_out *out, const struct mm_place *place)
{
    if (place->build_id_size == 0)
        return;
    mm_out_format(out, " (BuildId: ");
    mm_out_hex(out, place->build_id, place->build_id_size);
    mm_out_format(out, ")");
}

static void write_frame(struct mm_out *out, unsigned number, const struct mm_frame *frame)
{
    mm_out_format(out, "    #%u %x", (uint64_t)number, (uint64_t)(uintptr_t)frame->address);
    if (frame->function != NULL)
        write_function(out, frame);
    else
        write_symbol(out, frame);
    if (has_line(frame))
        write_line(out, frame);
    mm_module_write_offset(out, &frame->place);
    write_build_id(out, &frame->place);
    mm_out_format(out, "\n");
}

static void write_frames(struct mm_out *out, const struct mm_trace *trace)
{
    for (unsigned i = 0; i < trace->count; i++) {
        size_t before = out->length;
        write_frame(out, i, &trace->frames[i]);
        if (mm_out_left(out) < REST_MOST) {
            mm_out_back_to(out, before);
            return;
        }
    }
}

/* --- the bad call --- */

/* What was written since then, from a space on, goes to a line of its own if it does not fit. */
static void keep_in_columns(struct mm_out *out, size_t before, const struct mm_text_style *style)
{
    static const char line_break[] = {'\n', ' ', ' ', ' '};
    if (!style->terminal || mm_terminal_columns(out) <= MM_TERMINAL_COLUMNS ||
        mm_out_left(out) <= sizeof line_break)
        return;
    size_t length = out->length - before;
    mm_out_format(out, "    ");
    memmove(out->buffer + before + sizeof line_break, out->buffer + before, length);
    memcpy(out->buffer + before, line_break, sizeof line_break);
}

/* "by fclose → free", "found at exit"; of a leak in a process that goes on nothing. */
static void write_how(struct mm_out *out, const struct mm_finding *finding,
                      const struct mm_text_style *style)
{
    bool is_looked_for = finding->leak != NULL || finding->dangling != NULL;
    bool is_late = finding->damage != NULL || is_looked_for;
    if (is_looked_for && !finding->at_exit)
        return;
    mm_out_format(out, is_late ? ", found" : "");
    size_t before = out->length;
    if (finding->at_exit)
        mm_out_format(out, " at exit");
    else if (finding->bad.count == 0 && !is_late)
        mm_out_format(out, " by two threads at the same time");
    else if (finding->bad.call == NULL)
        mm_out_format(out, " later");
    else {
        mm_out_format(out, " by ");
        mm_own_write_call(out, &finding->bad);
    }
    keep_in_columns(out, before, style);
}

static void write_thread(struct mm_out *out, const struct mm_trace *trace,
                         const struct mm_text_style *style)
{
    size_t before = out->length;
    mm_out_format(out, " in ");
    mm_out_thread(out, trace->thread, trace->thread_name);
    keep_in_columns(out, before, style);
}

/* How much of a part goes into a line: up to a space, where not all does. */
static size_t length_of_line(const char *part, size_t length, size_t most)
{
    if (length <= most)
        return length;
    for (size_t i = most; i > 0; i--) {
        if (part[i] == ' ')
            return i;
    }
    return most;
}

/* Each part on a line of its own. */
static void write_description(struct mm_out *out, const char *parts,
                              const struct mm_text_style *style)
{
    size_t most = style->terminal ? MM_TERMINAL_COLUMNS - 4 : SIZE_MAX;
    while (*parts != '\0') {
        const char *end = strstr(parts, "; ");
        size_t whole = end != NULL ? (size_t)(end - parts) : strlen(parts);
        size_t length = length_of_line(parts, whole, most);
        mm_out_format(out, "    ");
        for (size_t i = 0; i < length; i++)
            mm_out_format(out, "%c", parts[i]);
        mm_out_format(out, "\n");
        parts += length + (length < whole ? parts[length] == ' ' : end != NULL ? 2 : 0);
    }
}

static void write_error(struct mm_out *out, const struct mm_finding *finding,
                        const struct mm_text_style *style)
{
    write_head(out);
    mm_report_text_paint(out, style, MM_ALARM);
    mm_out_format(out, "ERROR: mmshim: %s", mm_kinds[finding->kind].name);
    mm_report_text_paint(out, style, MM_PLAIN);
    if (finding->touch != NULL && finding->touch->is_untold && finding->ptr == NULL)
        mm_out_format(out, " of an unknown address"); /* a null pointer is told as one */
    else
        mm_out_format(out, " of %x", (uint64_t)(uintptr_t)finding->ptr);
    write_how(out, finding, style);
    if (finding->bad.count > 0 && finding->dangling == NULL)
        write_thread(out, &finding->bad, style);
    mm_out_format(out, "\n");
    write_description(out, finding->description, style);
}

/* --- the block's history --- */

/* What is shown of a finding besides its head: the traces, each with a heading but the first. A
 * second free that is told at another owner's call comes after the first, of the life before. */
struct lives {
    unsigned count, shares[TRACES];
    const char *heading[TRACES];
    const struct mm_trace *trace[TRACES];
};

static void add_life(struct lives *lives, const char *heading, const struct mm_trace *trace)
{
    lives->heading[lives->count] = heading;
    lives->trace[lives->count++] = trace;
}

static void list_lives(struct lives *lives, const struct mm_finding *finding)
{
    lives->count = 0;
    bool is_held = finding->dangling != NULL && finding->bad.count > 0;
    add_life(lives, is_held ? "it lies in what was allocated" : NULL, &finding->bad);
    if (finding->has_freed)
        add_life(lives, finding->kind <= MEM_MNGR_FOREIGN_FREE ? "first freed" : "freed",
                 &finding->freed);
    if (finding->has_allocated)
        add_life(lives, "allocated", &finding->allocated);
    if (finding->has_before) {
        add_life(lives, "the memory was freed before", &finding->freed_before);
        add_life(lives, "and had been allocated", &finding->allocated_before);
    }
}

static void write_heading(struct mm_out *out, const char *what, const struct mm_trace *trace,
                          const struct mm_text_style *style)
{
    mm_report_text_paint(out, style, MM_STRONG);
    mm_out_format(out, "%s", what);
    mm_report_text_paint(out, style, MM_PLAIN);
    size_t before = out->length;
    mm_out_format(out, " by ");
    size_t call = out->length;
    mm_own_write_call(out, trace);
    if (out->length == call)
        mm_out_back_to(out, before);
    write_thread(out, trace, style);
    mm_out_format(out, ":\n");
}

static unsigned count_lines(const struct mm_out *out)
{
    unsigned lines = 0;
    for (size_t i = 0; i < out->length; i++)
        lines += out->buffer[i] == '\n';
    return lines;
}

static void write_lives(struct mm_out *out, struct lives *lives, const struct mm_text_style *style)
{
    unsigned taken = count_lines(out) + lives->count - 1 + HEAD_LINES;
    if (style->terminal)
        mm_terminal_share(lives->trace, lives->count,
                          taken < MM_TERMINAL_LINES ? MM_TERMINAL_LINES - taken : 1, lives->shares);
    for (unsigned i = 0; i < lives->count; i++) {
        if (lives->heading[i] != NULL)
            write_heading(out, lives->heading[i], lives->trace[i], style);
        if (style->terminal)
            mm_terminal_frames(out, lives->trace[i], lives->shares[i], style);
        else
            write_frames(out, lives->trace[i]);
    }
}

/* --- in one line --- */

/* Where to look: at the bad call, or, of what is found late, at what is known of the block. */
static const struct mm_trace *trace_to_sum_up(const struct mm_finding *finding, const char **what)
{
    *what = "";
    if (finding->leak != NULL && finding->has_allocated) {
        *what = finding->leak->blocks == 1 ? " of a block allocated" : " of blocks allocated";
        return &finding->allocated;
    }
    if (finding->damage == NULL && finding->dangling == NULL)
        return &finding->bad;
    bool was_freed = finding->kind != MEM_MNGR_OVERFLOW && finding->kind != MEM_MNGR_UNDERFLOW &&
                     finding->has_freed;
    if (was_freed || finding->has_allocated) {
        *what = was_freed ? " of a block freed" : " of a block allocated";
        return was_freed ? &finding->freed : &finding->allocated;
    }
    return &finding->bad;
}

static void write_place(struct mm_out *out, const struct mm_frame *frame,
                        const struct mm_text_style *style)
{
    if (style->terminal) {
        unsigned taken = mm_terminal_columns(out) + 1;
        mm_terminal_place(out, frame, MM_TERMINAL_COLUMNS - taken, style);
    } else if (has_line(frame)) {
        write_line(out, frame);
        write_function(out, frame);
    } else {
        write_symbol(out, frame);
        mm_module_write_offset(out, &frame->place);
    }
}

/* Kind, and the innermost place of the program's own code. */
static void write_in_short(struct mm_out *out, const struct mm_finding *finding,
                           const struct mm_text_style *style)
{
    const char *what;
    const struct mm_trace *trace = trace_to_sum_up(finding, &what);
    mm_out_format(out, "%s%s", mm_kinds[finding->kind].name, what);
    if (trace->count > 0)
        write_place(out, &trace->frames[trace->own < trace->count ? trace->own : 0], style);
    mm_out_format(out, "\n");
}

void mm_report_text_finding(struct mm_out *out, const struct mm_finding *finding,
                            const struct mm_text_style *style)
{
    struct lives lives;
    list_lives(&lives, finding);
    write_error(out, finding, style);
    write_lives(out, &lives, style);
    if (finding->advice != NULL)
        mm_out_format(out, "    (%s)\n", finding->advice);
    mm_report_text_paint(out, style, MM_STRONG);
    mm_out_format(out, "SUMMARY: mmshim: ");
    mm_report_text_paint(out, style, MM_PLAIN);
    write_in_short(out, finding, style);
}

static const struct mm_text_style in_log;

void mm_report_text_again(struct mm_out *out, const struct mm_finding *finding, uint64_t times)
{
    write_head(out);
    mm_out_format(out, " mmshim: again, %u times so far: ", times);
    write_in_short(out, finding, &in_log);
}

void mm_report_text_note(struct mm_out *out, const char *line)
{
    write_head(out);
    mm_out_format(out, " mmshim: ");
    mm_out_cut(out, line, mm_out_left(out));
    mm_out_format(out, "\n");
}

/* A word of kinds.def: for one, and behind a bar for several, where that is another. */
static void write_word(struct mm_out *out, uint64_t count, const char *word)
{
    const char *bar = strchr(word, '|');
    const char *end = bar != NULL ? bar : word + strlen(word);
    if (bar != NULL && count != 1) {
        mm_out_format(out, "%s", bar + 1);
        return;
    }
    for (; word < end; word++)
        mm_out_format(out, "%c", *word);
}

void mm_report_text_totals(struct mm_out *out, const struct mm_totals *totals, bool at_end)
{
    uint64_t frees = 0, others = 0;
    for (unsigned kind = 0; kind < MM_KINDS; kind++)
        *(kind < MM_KINDS_OF_FREES ? &frees : &others) += totals->kinds[kind];
    write_head(out);
    mm_out_format(out, " mmshim: %s", at_end ? "" : "so far ");
    if (others > 0)
        mm_out_count(out, frees + others, "finding", "findings");
    else
        mm_out_count(out, frees, "bad free", "bad frees");
    for (unsigned kind = 0; kind < MM_KINDS; kind++) {
        if (kind >= MM_KINDS_OF_FREES && totals->kinds[kind] == 0)
            continue;
        mm_out_format(out, "%s %u ", kind == 0 ? ":" : ",", totals->kinds[kind]);
        write_word(out, totals->kinds[kind], mm_kinds[kind].word);
    }
    if (totals->hidden > 0)
        mm_out_format(out, "; %u not shown", totals->hidden);
    if (totals->suppressed > 0)
        mm_out_format(out, "; %u more suppressed", totals->suppressed);
    mm_out_format(out, "\n");
    if (totals->uncertain == 0 || !at_end)
        return;
    write_head(out);
    mm_out_format(out, " mmshim: ");
    mm_out_count(out, totals->uncertain, "free of a block", "frees of blocks");
    mm_out_format(out, " of threads that fork() left behind %s free already; not counted as bad\n",
                  totals->uncertain == 1 ? "was" : "were");
}
