/* report_text.c - lines for people. All is the caller's; nothing is kept. */
#include "findings/report_text.h"

#define REST_MOST 2000u /* what follows the frames, at its longest */

static void write_head(struct mm_out *out)
{
    mm_out_format(out, "==%u==", (uint64_t)mm_os_process_id());
}

static bool has_line(const struct mm_frame *frame)
{
    return frame->function != NULL && frame->file != NULL;
}

static void write_function(struct mm_out *out, const struct mm_frame *frame)
{
    mm_out_format(out, " in ");
    mm_out_cut(out, frame->function, MM_SYMBOL_SHOWN);
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
        mm_module_write_symbol(out, &frame->place);
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

static void write_history(struct mm_out *out, const char *what, const struct mm_trace *trace)
{
    mm_out_format(out, "%s by ", what);
    mm_out_thread(out, trace->thread, trace->thread_name);
    mm_out_format(out, ":\n");
    write_frames(out, trace);
}

/* A second free that is told at another owner's call comes after the first, of the life before. */
static void write_lives(struct mm_out *out, const struct mm_finding *finding)
{
    if (finding->has_freed)
        write_history(out, finding->kind == MEM_MNGR_USE_AFTER_FREE ? "freed" : "first freed",
                      &finding->freed);
    if (finding->has_allocated)
        write_history(out, "allocated", &finding->allocated);
    if (!finding->has_before)
        return;
    write_history(out, "the memory was freed before", &finding->freed_before);
    write_history(out, "and had been allocated", &finding->allocated_before);
}

/* Kind and innermost place. */
static void write_in_short(struct mm_out *out, const struct mm_finding *finding)
{
    const struct mm_frame *frame = &finding->bad.frames[0];
    mm_out_format(out, "%s", mm_kinds[finding->kind].name);
    if (finding->bad.count > 0 && has_line(frame)) {
        write_line(out, frame);
        write_function(out, frame);
    } else if (finding->bad.count > 0) {
        mm_module_write_symbol(out, &frame->place);
        mm_module_write_offset(out, &frame->place);
    }
    mm_out_format(out, "\n");
}

void mm_report_text_finding(struct mm_out *out, const struct mm_finding *finding)
{
    write_head(out);
    mm_out_format(out, "ERROR: mmshim: %s of %x (%s)", mm_kinds[finding->kind].name,
                  (uint64_t)(uintptr_t)finding->ptr, finding->description);
    bool is_late = finding->damage != NULL;
    if (finding->bad.count > 0) {
        mm_out_format(out, is_late ? ", found in " : " in ");
        mm_out_thread(out, finding->bad.thread, finding->bad.thread_name);
        mm_out_format(out, "\n");
    } else {
        mm_out_format(out, is_late ? ", found later\n" : ", by two threads at the same time\n");
    }
    write_frames(out, &finding->bad);
    write_lives(out, finding);
    if (finding->say_how)
        mm_out_format(out, "    (run with MM_STACKS=16 to see who allocated and first freed it)\n");
    mm_out_format(out, "SUMMARY: mmshim: ");
    write_in_short(out, finding);
}

void mm_report_text_again(struct mm_out *out, const struct mm_finding *finding, uint64_t times)
{
    write_head(out);
    mm_out_format(out, " mmshim: again, %u times so far: ", times);
    write_in_short(out, finding);
}

void mm_report_text_note(struct mm_out *out, const char *line)
{
    write_head(out);
    mm_out_format(out, " mmshim: ");
    mm_out_cut(out, line, mm_out_left(out));
    mm_out_format(out, "\n");
}

void mm_report_text_totals(struct mm_out *out, const struct mm_totals *totals, bool at_end)
{
    uint64_t frees = 0, others = 0;
    for (unsigned kind = 0; kind < MM_KINDS; kind++)
        *(kind < MM_KINDS_OF_FREES ? &frees : &others) += totals->kinds[kind];
    write_head(out);
    mm_out_format(out, " mmshim: %s%u %s", at_end ? "" : "so far ", frees + others,
                  others > 0 ? "findings" : "bad frees");
    for (unsigned kind = 0; kind < MM_KINDS; kind++) {
        if (kind < MM_KINDS_OF_FREES || totals->kinds[kind] > 0)
            mm_out_format(out, "%s %u %s", kind == 0 ? ":" : ",", totals->kinds[kind],
                          mm_kinds[kind].word);
    }
    if (totals->hidden > 0)
        mm_out_format(out, "; %u not shown", totals->hidden);
    if (totals->suppressed > 0)
        mm_out_format(out, "; %u more suppressed", totals->suppressed);
    mm_out_format(out, "\n");
    if (totals->uncertain == 0 || !at_end)
        return;
    write_head(out);
    mm_out_format(out,
                  " mmshim: %u frees of blocks of threads that fork() left behind were free "
                  "already; not counted as bad\n",
                  totals->uncertain);
}
