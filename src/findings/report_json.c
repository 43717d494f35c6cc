/* report_json.c - lines for programs. All is the caller's; nothing is kept. */
#include "findings/report_json.h"

#include "checks/bounds.h"
#include "checks/checks.h"
#include "findings/own.h"
#include "system/mapping.h"

#define VERSION    1u    /* of this format */
#define TEXT_SHOWN 1024u /* bytes: in C++ one name may be longer than a report */
#define TEXT_LEAST 64u   /* what is left of it, rather than that frames are left out */
#define REST_MOST  2000u /* what follows the frames, at its longest */

/* --- texts --- */

static void write_escaped(struct mm_out *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    mm_out_format(out, "\\u00%c%c", digits[c >> 4], digits[c & 15]);
}

static void write_character(struct mm_out *out, const unsigned char *text, size_t length)
{
    if (length == 0)
        mm_out_format(out, "\\ufffd");
    else if (*text == '"' || *text == '\\')
        mm_out_format(out, "\\%c", *text);
    else if (mm_out_is_control((const char *)text))
        write_escaped(out, text[length - 1]);
    else
        for (size_t i = 0; i < length; i++)
            mm_out_format(out, "%c", text[i]);
}

/* Cut between two characters, with an ellipsis. */
static void write_text(struct mm_out *out, const char *text, size_t most)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + most;
    mm_out_format(out, "\"");
    for (size_t length; *at != '\0'; at += length > 0 ? length : 1) {
        length = mm_out_character((const char *)at);
        if (at + length > end || at == end) {
            mm_out_format(out, "...");
            break;
        }
        write_character(out, at, length);
    }
    mm_out_format(out, "\"");
}

/* --- members --- */

static void write_cut_member(struct mm_out *out, const char *name, const char *text, size_t most)
{
    if (text == NULL)
        return;
    mm_out_format(out, ",\"%s\":", name);
    write_text(out, text, most);
}

static void write_text_member(struct mm_out *out, const char *name, const char *text)
{
    write_cut_member(out, name, text, TEXT_SHOWN);
}

static void write_number(struct mm_out *out, const char *name, uint64_t number)
{
    mm_out_format(out, ",\"%s\":%u", name, number);
}

/* A kind's name with _ for -, as a member's name. */
static void write_count(struct mm_out *out, const char *kind, uint64_t count)
{
    mm_out_format(out, ",\"");
    for (; *kind != '\0'; kind++)
        mm_out_format(out, "%c", *kind == '-' ? '_' : *kind);
    mm_out_format(out, "\":%u", count);
}

static void write_address(struct mm_out *out, const char *name, uint64_t address)
{
    mm_out_format(out, ",\"%s\":\"%x\"", name, address);
}

/* --- the time: the civil calendar from days, in eras of 400 years that start in March --- */

static void write_padded(struct mm_out *out, uint64_t number, unsigned digits)
{
    uint64_t unit = 1;
    for (unsigned i = 1; i < digits; i++)
        unit *= 10;
    for (; unit > 0; unit /= 10)
        mm_out_format(out, "%u", number / unit % 10);
}

static void write_date(struct mm_out *out, uint64_t days_since_1970)
{
    uint64_t days = days_since_1970 + 719468; /* since March 1st of the year 0 */
    uint64_t era = days / 146097, day_of_era = days % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t months = (5 * day_of_year + 2) / 153; /* since March */
    uint64_t month = months < 10 ? months + 3 : months - 9;
    write_padded(out, era * 400 + year_of_era + (month <= 2), 4);
    mm_out_format(out, "-");
    write_padded(out, month, 2);
    mm_out_format(out, "-");
    write_padded(out, day_of_year - (153 * months + 2) / 5 + 1, 2);
}

static void write_time(struct mm_out *out)
{
    uint64_t now = mm_os_wall_clock(), seconds = now / 1000;
    mm_out_format(out, ",\"time\":\"");
    write_date(out, seconds / 86400);
    mm_out_format(out, "T");
    write_padded(out, seconds / 3600 % 24, 2);
    mm_out_format(out, ":");
    write_padded(out, seconds / 60 % 60, 2);
    mm_out_format(out, ":");
    write_padded(out, seconds % 60, 2);
    mm_out_format(out, ".");
    write_padded(out, now % 1000, 3);
    mm_out_format(out, "Z\"");
}

/* --- objects --- */

static void begin(struct mm_out *out, const char *type)
{
    char host[MM_HOST_NAME], program[1024];
    mm_os_host_name(host);
    mm_mapping_program_path(program, sizeof program);
    mm_out_format(out, "{\"mmshim\":%u,\"type\":\"%s\"", (uint64_t)VERSION, type);
    write_time(out);
    write_text_member(out, "host", host);
    write_number(out, "pid", (uint64_t)mm_os_process_id());
    write_text_member(out, "program", program);
}

static void end(struct mm_out *out)
{
    mm_out_format(out, "}\n");
}

static void write_place(struct mm_out *out, const struct mm_place *place, size_t most)
{
    if (place->module != NULL) {
        write_cut_member(out, "module", place->module, most);
        write_address(out, "offset", place->module_offset);
    }
    if (place->unloaded)
        mm_out_format(out, ",\"unloaded\":true");
    if (place->build_id_size > 0) {
        mm_out_format(out, ",\"build_id\":\"");
        mm_out_hex(out, place->build_id, place->build_id_size);
        mm_out_format(out, "\"");
    }
    if (place->symbol != NULL) {
        write_cut_member(out, "symbol", place->symbol, most);
        write_address(out, "symbol_offset", place->symbol_offset);
    }
}

static void write_frame(struct mm_out *out, const struct mm_frame *frame, size_t most)
{
    mm_out_format(out, "{\"address\":\"%x\"", (uint64_t)(uintptr_t)frame->address);
    write_place(out, &frame->place, most);
    write_cut_member(out, "function", frame->function, most);
    write_cut_member(out, "file", frame->file, most);
    if (frame->line > 0)
        write_number(out, "line", frame->line);
    if (frame->line > 0 && frame->function_line > 0)
        write_number(out, "function_line", frame->function_line);
    if (frame->is_generated)
        mm_out_format(out, ",\"generated\":true");
    mm_out_format(out, "}");
}

/* As many as fit, with texts of up to `most` bytes. */
static unsigned write_frames(struct mm_out *out, const struct mm_trace *trace, size_t most)
{
    unsigned i = 0;
    mm_out_format(out, "\"frames\":[");
    for (; i < trace->count; i++) {
        size_t before = out->length;
        mm_out_format(out, i > 0 ? "," : "");
        write_frame(out, &trace->frames[i], most);
        if (mm_out_left(out) < REST_MOST) {
            mm_out_back_to(out, before);
            break;
        }
    }
    mm_out_format(out, "]");
    return i;
}

static void write_thread(struct mm_out *out, const struct mm_trace *trace)
{
    mm_out_format(out, "\"thread\":{\"id\":%u", (uint64_t)trace->thread);
    write_text_member(out, "name", trace->thread_name);
    mm_out_format(out, "}");
}

/* What was called there; and which frame, counted from 0, is the first of the program's own. */
static void write_call(struct mm_out *out, const struct mm_trace *trace)
{
    char call[256];
    struct mm_out text;
    mm_out_start(&text, call, sizeof call);
    mm_own_write_call(&text, trace);
    if (text.length > 0)
        write_text_member(out, "call", call);
    if (trace->own < trace->count)
        write_number(out, "own_frame", trace->own);
}

static unsigned write_history(struct mm_out *out, const char *name, const struct mm_trace *trace,
                              size_t most)
{
    mm_out_format(out, ",\"%s\":{", name);
    write_thread(out, trace);
    write_call(out, trace);
    mm_out_format(out, ",");
    return write_frames(out, trace, most);
}

/* Returns how many frames fitted. */
static unsigned write_traces(struct mm_out *out, const struct mm_finding *finding, size_t most)
{
    mm_out_format(out, ",");
    if (finding->bad.count > 0) {
        write_thread(out, &finding->bad);
        mm_out_format(out, ",");
    }
    unsigned written = write_frames(out, &finding->bad, most);
    if (finding->has_freed) {
        written += write_history(out, "freed", &finding->freed, most);
        mm_out_format(out, "}");
    }
    if (finding->has_allocated) {
        written += write_history(out, "allocated", &finding->allocated, most);
        write_number(out, "size", finding->asked);
        mm_out_format(out, "}");
    }
    if (finding->has_before) {
        written += write_history(out, "freed_before", &finding->freed_before, most);
        mm_out_format(out, "}");
        written += write_history(out, "allocated_before", &finding->allocated_before, most);
        mm_out_format(out, "}");
    }
    return written;
}

static unsigned count_frames(const struct mm_finding *finding)
{
    return finding->bad.count + (finding->has_freed ? finding->freed.count : 0) +
           (finding->has_allocated ? finding->allocated.count : 0) +
           (finding->has_before ? finding->freed_before.count + finding->allocated_before.count
                                : 0);
}

static void write_kind(struct mm_out *out, const struct mm_finding *finding)
{
    write_text_member(out, "kind", mm_kinds[finding->kind].name);
    write_address(out, "address", (uint64_t)(uintptr_t)finding->ptr);
}

/* Where it begins, from the block's start on, and what is there now. */
static void write_damage(struct mm_out *out, const struct mm_damage *damage)
{
    mm_out_format(out, ",\"damage\":{\"offset\":%d,\"size\":%u,\"bytes\":\"",
                  (int64_t)(damage->at - damage->block), (uint64_t)damage->asked);
    mm_out_hex(out, damage->found, damage->found_count);
    mm_out_format(out, "\"}");
}

static void write_leak(struct mm_out *out, const struct mm_leak *leak)
{
    static const char *const words[] = {"direct", "indirect", "tagged", "unsure", "grown"};
    mm_out_format(out, ",\"leak\":{\"how\":\"%s\"", words[leak->how]);
    write_number(out, "blocks", leak->blocks);
    write_number(out, "bytes", leak->bytes);
    if (leak->how == MM_LEAK_GROWN)
        write_number(out, "grown_bytes", leak->grown_bytes);
    else if (leak->milliseconds != 0)
        write_number(out, "known_blocks", leak->known_blocks);
    if (leak->milliseconds != 0)
        write_number(out, "milliseconds", leak->milliseconds);
    mm_out_format(out, "}");
}

/* The call, and where it begins, from the block's start on. */
static void write_access(struct mm_out *out, const struct mm_access *access)
{
    mm_out_format(out, ",\"access\":{\"function\":");
    write_text(out, access->function, TEXT_SHOWN);
    mm_out_format(out, ",\"by\":\"%s\",\"bytes\":%u,\"at_least\":%s",
                  access->is_write ? "write" : "read", (uint64_t)access->size,
                  access->is_at_least ? "true" : "false");
    if (access->from != 0)
        mm_out_format(out, ",\"distance\":%d}", (int64_t)(access->start - access->from));
    else
        mm_out_format(out, ",\"offset\":%d,\"size\":%u}", (int64_t)(access->start - access->block),
                      (uint64_t)access->asked);
}

/* What an instruction did, and where, from the block's start on. */
static void write_touch(struct mm_out *out, const struct mm_touch *touch)
{
    const char *separator = "";
    mm_out_format(out, ",\"access\":{");
    if (touch->block != 0) {
        mm_out_format(out, "\"offset\":%d,\"size\":%u", (int64_t)(touch->at - touch->block),
                      (uint64_t)touch->asked);
        separator = ",";
    }
    if (touch->access != MM_FAULT_UNKNOWN)
        mm_out_format(out, "%s\"by\":\"%s\"", separator,
                      touch->access == MM_FAULT_WRITE ? "write" : "read");
    mm_out_format(out, "}");
}

/* Where not all frames fit beside long names, these are written shorter. */
void mm_report_json_finding(struct mm_out *out, const struct mm_finding *finding)
{
    begin(out, "finding");
    write_kind(out, finding);
    write_text_member(out, "description", finding->description);
    write_call(out, &finding->bad);
    if (finding->damage != NULL)
        write_damage(out, finding->damage);
    if (finding->leak != NULL)
        write_leak(out, finding->leak);
    if (finding->dangling != NULL)
        mm_out_format(out, ",\"dangling\":{\"at\":\"%x\",\"pointers\":%u}",
                      (uint64_t)finding->dangling->at, finding->dangling->pointers);
    if (finding->access != NULL)
        write_access(out, finding->access);
    if (finding->touch != NULL)
        write_touch(out, finding->touch);
    size_t before = out->length, most = TEXT_SHOWN;
    while (write_traces(out, finding, most) < count_frames(finding) && most > TEXT_LEAST) {
        mm_out_back_to(out, before);
        most /= 2;
    }
    end(out);
}

void mm_report_json_again(struct mm_out *out, const struct mm_finding *finding, uint64_t times)
{
    begin(out, "again");
    write_kind(out, finding);
    write_number(out, "times", times);
    mm_out_format(out, ",");
    write_frames(out, &finding->bad, TEXT_SHOWN);
    end(out);
}

void mm_report_json_note(struct mm_out *out, const char *line)
{
    begin(out, "note");
    write_text_member(out, "text", line);
    end(out);
}

void mm_report_json_totals(struct mm_out *out, const struct mm_totals *totals, bool at_end)
{
    begin(out, at_end ? "summary" : "so_far");
    for (unsigned kind = 0; kind < MM_KINDS; kind++) {
        if (kind < MM_KINDS_OF_FREES || totals->kinds[kind] > 0)
            write_count(out, mm_kinds[kind].name, totals->kinds[kind]);
    }
    write_number(out, "hidden", totals->hidden);
    write_number(out, "suppressed", totals->suppressed);
    write_number(out, "uncertain", totals->uncertain);
    end(out);
}
