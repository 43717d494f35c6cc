#include "report_json.h"

#include "mapping.h"
#define VERSION       1u    /* of this format */
#define TEXT_SHOWN    1024u /* bytes: in C++ one name may be longer than a report */
#define ROOM_FOR_REST 2000u /* what follows the frames, at its longest */

/* --- texts --- */

/* Bytes of the character that starts here, as its first byte says; 0 for none that starts one. */
static size_t claimed_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return 2;
    if (first >= 0xe0 && first < 0xf0)
        return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* The second byte has less room after some first ones: no longer form than needed, no surrogates,
 * nothing beyond U+10FFFF. */
static bool is_second(unsigned char first, unsigned char second)
{
    unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= least && second <= most;
}

/* Bytes of the valid character at `text`; 0 when there is none. Ends at a NUL at the latest. */
static size_t character_length(const unsigned char *text)
{
    size_t length = claimed_length(text[0]);
    if (length < 2)
        return length;
    if (!is_second(text[0], text[1]))
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

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
    else if (*text < ' ' || *text == 0x7f)
        write_escaped(out, *text);
    else
        for (size_t i = 0; i < length; i++)
            mm_out_format(out, "%c", text[i]);
}

/* Cut between two characters, with an ellipsis. */
static void write_text(struct mm_out *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + TEXT_SHOWN;
    mm_out_format(out, "\"");
    for (size_t length; *at != '\0'; at += length > 0 ? length : 1) {
        length = character_length(at);
        if (at + length > end || at == end) {
            mm_out_format(out, "...");
            break;
        }
        write_character(out, at, length);
    }
    mm_out_format(out, "\"");
}

/* --- members --- */

static void write_text_member(struct mm_out *out, const char *name, const char *text)
{
    if (text == NULL)
        return;
    mm_out_format(out, ",\"%s\":", name);
    write_text(out, text);
}

static void write_number(struct mm_out *out, const char *name, uint64_t number)
{
    mm_out_format(out, ",\"%s\":%u", name, number);
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

static void write_place(struct mm_out *out, const struct mm_place *place)
{
    if (place->module != NULL) {
        write_text_member(out, "module", place->module);
        write_address(out, "offset", place->module_offset);
    }
    if (place->build_id_size > 0) {
        mm_out_format(out, ",\"build_id\":\"");
        mm_out_hex(out, place->build_id, place->build_id_size);
        mm_out_format(out, "\"");
    }
    if (place->symbol != NULL) {
        write_text_member(out, "symbol", place->symbol);
        write_address(out, "symbol_offset", place->symbol_offset);
    }
}

static void write_frame(struct mm_out *out, const struct mm_frame *frame)
{
    mm_out_format(out, "{\"address\":\"%x\"", (uint64_t)(uintptr_t)frame->address);
    write_place(out, &frame->place);
    write_text_member(out, "function", frame->function);
    write_text_member(out, "file", frame->file);
    if (frame->line > 0)
        write_number(out, "line", frame->line);
    mm_out_format(out, "}");
}

static void write_frames(struct mm_out *out, const struct mm_trace *trace)
{
    mm_out_format(out, "\"frames\":[");
    for (unsigned i = 0; i < trace->count; i++) {
        size_t before = out->length;
        mm_out_format(out, i > 0 ? "," : "");
        write_frame(out, &trace->frames[i]);
        if (mm_out_room(out) < ROOM_FOR_REST) {
            mm_out_back_to(out, before);
            break;
        }
    }
    mm_out_format(out, "]");
}

static void write_thread(struct mm_out *out, const struct mm_trace *trace)
{
    mm_out_format(out, "\"thread\":{\"id\":%u", (uint64_t)trace->thread);
    write_text_member(out, "name", trace->thread_name);
    mm_out_format(out, "}");
}

static void begin_history(struct mm_out *out, const char *name, const struct mm_trace *trace)
{
    mm_out_format(out, ",\"%s\":{", name);
    write_thread(out, trace);
    mm_out_format(out, ",");
    write_frames(out, trace);
}

void mm_report_json_finding(struct mm_out *out, const struct mm_finding *finding)
{
    begin(out, "finding");
    write_text_member(out, "kind", mm_finding_kind(finding->kind));
    write_address(out, "address", (uint64_t)(uintptr_t)finding->ptr);
    write_text_member(out, "description", finding->description);
    mm_out_format(out, ",");
    if (finding->bad.count > 0) {
        write_thread(out, &finding->bad);
        mm_out_format(out, ",");
    }
    write_frames(out, &finding->bad);
    if (finding->has_freed) {
        begin_history(out, "freed", &finding->freed);
        mm_out_format(out, "}");
    }
    if (finding->has_allocated) {
        begin_history(out, "allocated", &finding->allocated);
        write_number(out, "size", finding->asked);
        mm_out_format(out, "}");
    }
    end(out);
}

void mm_report_json_note(struct mm_out *out, const char *line)
{
    begin(out, "note");
    write_text_member(out, "text", line);
    end(out);
}

void mm_report_json_summary(struct mm_out *out, const struct mm_totals *totals)
{
    begin(out, "summary");
    write_number(out, "double_free", totals->kinds[MEM_MNGR_DOUBLE_FREE]);
    write_number(out, "interior_free", totals->kinds[MEM_MNGR_INTERIOR_FREE]);
    write_number(out, "foreign_free", totals->kinds[MEM_MNGR_FOREIGN_FREE]);
    write_number(out, "hidden", totals->hidden);
    write_number(out, "suppressed", totals->suppressed);
    write_number(out, "uncertain", totals->uncertain);
    end(out);
}
