/* report_terminal.c - see report_terminal.h. All is the caller's; nothing is kept. */
#include "findings/report_terminal.h"

#include "findings/own.h"
#include <string.h>

#define FUNCTION_LEAST 24u /* columns, however long a path is */
#define PATH_MOST      56u
#define BETWEEN_MOST   3u /* frames of libraries that are shown all */

unsigned mm_terminal_columns(const struct mm_out *out)
{
    unsigned columns = 0;
    size_t start = out->length;
    while (start > 0 && out->buffer[start - 1] != '\n')
        start--;
    for (size_t i = start; i < out->length; i++) {
        if (out->buffer[i] == '\033') { /* up to its m */
            while (i < out->length && out->buffer[i] != 'm')
                i++;
        } else {
            columns += (out->buffer[i] & 0xc0) != 0x80;
        }
    }
    return columns;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

void mm_terminal_share(const struct mm_trace *const *traces, unsigned count, unsigned lines,
                       unsigned *shares)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned others = 0;
        for (unsigned j = i + 1; j < count; j++)
            others += least(traces[j]->shown, lines / (count - i));
        unsigned mine = others < lines ? lines - others : 1;
        shares[i] = least(traces[i]->shown, mine > 0 ? mine : 1);
        lines -= least(shares[i], lines);
    }
}

/* --- one frame --- */

static const char *behind_last_slash(const char *path, unsigned parts)
{
    const char *at = path + strlen(path);
    while (at > path && (at[-1] != '/' || --parts > 0))
        at--;
    return at;
}

/* Below the current folder from there on, else with the folder that it lies in. */
static const char *short_path(const char *path, const struct mm_text_style *style)
{
    size_t length = strlen(style->folder);
    if (length > 1 && strncmp(path, style->folder, length) == 0 && path[length] == '/')
        path += length + 1;
    else if (path[0] == '/')
        path = behind_last_slash(path, 2);
    return strlen(path) > PATH_MOST ? behind_last_slash(path, 1) : path;
}

static bool has_line(const struct mm_frame *frame)
{
    return frame->file != NULL && frame->line != 0;
}

static void write_source(struct mm_out *out, const struct mm_frame *frame,
                         const struct mm_text_style *style)
{
    mm_report_text_paint(out, style, MM_PLACE);
    mm_out_cut(out, short_path(frame->file, style), PATH_MOST);
    mm_out_format(out, ":%u", frame->line);
    mm_report_text_paint(out, style, MM_PLAIN);
}

static void write_module(struct mm_out *out, const struct mm_place *place)
{
    if (place->module == NULL)
        return;
    mm_out_format(out, " (");
    mm_out_cut(out, behind_last_slash(place->module, 1), PATH_MOST - 12);
    mm_out_format(out, "+%x%s)", (uint64_t)place->module_offset,
                  place->unloaded ? ", unloaded since" : "");
}

/* What stands behind a function, in a text of its own so that its columns are known. */
static void write_behind(struct mm_out *out, const struct mm_frame *frame,
                         const struct mm_text_style *style)
{
    if (has_line(frame)) {
        mm_out_format(out, " at ");
        write_source(out, frame, style);
        return;
    }
    if (frame->function == NULL && frame->place.symbol != NULL)
        mm_out_format(out, "+%x", (uint64_t)frame->place.symbol_offset);
    write_module(out, &frame->place);
}

static size_t room(unsigned columns, const struct mm_out *behind)
{
    unsigned taken = mm_terminal_columns(behind);
    return taken + FUNCTION_LEAST < columns ? columns - taken : FUNCTION_LEAST;
}

static void write_frame(struct mm_out *out, unsigned number, bool is_own,
                        const struct mm_frame *frame, const struct mm_text_style *style)
{
    char text[512];
    struct mm_out behind;
    mm_out_start(&behind, text, sizeof text);
    write_behind(&behind, frame, style);
    mm_out_format(out, "    #%u ", (uint64_t)number);
    size_t most = room(MM_TERMINAL_COLUMNS - mm_terminal_columns(out), &behind);
    if (is_own)
        mm_report_text_paint(out, style, MM_STRONG);
    bool has_name = mm_own_write_name(out, frame, most);
    if (is_own)
        mm_report_text_paint(out, style, MM_PLAIN);
    if (!has_name)
        mm_out_format(out, frame->place.module != NULL ? "in" : "%x",
                      (uint64_t)(uintptr_t)frame->address);
    mm_out_format(out, "%s\n", text);
}

/* --- a trace --- */

static void write_left_out(struct mm_out *out, unsigned count)
{
    if (count > 0)
        mm_out_format(out, "    ... %u more\n", (uint64_t)count);
}

/* From this one on, up to the next own one, when these are more than are shown; else 1. */
static unsigned count_aside(const struct mm_trace *trace, unsigned from)
{
    unsigned count = 0;
    while (from + count < trace->shown && !mm_own_is(&trace->frames[from + count]))
        count++;
    return count > BETWEEN_MOST && from + count < trace->shown ? count : 1;
}

static void write_from(struct mm_out *out, const struct mm_trace *trace, unsigned first,
                       unsigned lines, const struct mm_text_style *style)
{
    for (unsigned i = first, step; i < trace->shown && lines > 0; i += step, lines--) {
        step = i > first ? count_aside(trace, i) : 1;
        bool is_last_line = lines == 1 && i > first;
        if (is_last_line && i + step < trace->shown)
            step = trace->shown - i;
        if (step > 1)
            write_left_out(out, step);
        else
            write_frame(out, i, i == trace->own, &trace->frames[i], style);
    }
}

/* Between the call and the first own frame, which is always there, languages' libraries have many.
 */
void mm_terminal_frames(struct mm_out *out, const struct mm_trace *trace, unsigned lines,
                        const struct mm_text_style *style)
{
    bool has_own = trace->own < trace->shown;
    if (!has_own || trace->own < BETWEEN_MOST) {
        write_from(out, trace, has_own && trace->own >= lines ? trace->own : 0, lines, style);
        return;
    }
    if (lines > 2) {
        write_frame(out, 0, false, &trace->frames[0], style);
        write_left_out(out, trace->own - 1);
        lines -= 2;
    }
    write_from(out, trace, trace->own, lines, style);
}

void mm_terminal_place(struct mm_out *out, const struct mm_frame *frame, unsigned columns,
                       const struct mm_text_style *style)
{
    char text[512];
    struct mm_out behind;
    mm_out_start(&behind, text, sizeof text);
    if (has_line(frame)) {
        write_source(&behind, frame, style);
        mm_out_format(&behind, " in ");
        mm_out_format(out, " %s", text);
        mm_own_write_name(out, frame, room(columns, &behind));
    } else {
        write_behind(&behind, frame, style);
        mm_out_format(out, " in ");
        mm_own_write_name(out, frame, room(columns, &behind));
        mm_out_format(
            out, "%s",
            text + (frame->function == NULL && frame->place.symbol == NULL && text[0] == ' '));
    }
}
