/* symbolize.c - reads a log, lets sources.c ask about the frames that lack a line, and writes the
 * log with the answers. Reports may be text or JSON, or both in turn; other lines pass as they are.
 * The log is one text in memory, which does not change; each line is copied to be read. */
#include "launcher/symbolize.h"

#include "launcher/base.h"
#include "launcher/finding.h"
#include "launcher/sources.h"
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

const char launcher_symbolize_help[] =
    "Usage: mmshim symbolize [--debug-dir=DIR]... <log\n"
    "\n"
    "Writes the log, of text or JSON, with function, file and line added to each frame that lacks\n"
    "them, as the modules on this machine have them. DIR is searched for files with the build-ids\n"
    "of the log.\n";

/* --- a frame in text: "    #NUMBER 0xADDRESS in symbol+0xOFFSET (MODULE+0xOFFSET) (BuildId: ID)",
 * with anything in front, and the symbol and the build-id as they are known --- */

struct frame {
    size_t indent; /* up to the number, with the # */
    unsigned long number;
    const char *address; /* not ended: up to `rest` */
    const char *rest;
};

/* What stands behind an address. */
struct behind {
    struct launcher_place place;
    char *symbol; /* "" if there is none; begins with a space; what all texts here are parts of */
    bool has_line;
};

static size_t hex_digits(const char *text)
{
    return strspn(text, "0123456789abcdef");
}

static bool read_frame(const char *line, struct frame *frame)
{
    for (const char *at = line; (at = strstr(at, "    #")) != NULL; at++) {
        const char *number = at + strlen("    #");
        char *address;
        frame->number = strtoul(number, &address, 10);
        if (!isdigit((unsigned char)*number) || launcher_behind(address, " 0x") == NULL ||
            hex_digits(address + 3) == 0)
            continue;
        frame->indent = (size_t)(number - line);
        frame->address = address + 1;
        frame->rest = address + 3 + hex_digits(address + 3);
        return true;
    }
    return false;
}

/* Cuts " (BuildId: ...)" off the end. */
static const char *take_build_id(char *text)
{
    static const char start[] = " (BuildId: ";
    for (char *at = text; (at = strstr(at, start)) != NULL; at++) {
        char *id = at + strlen(start);
        size_t length = hex_digits(id);
        if (length == 0 || strcmp(id + length, ")") != 0)
            continue;
        *at = '\0';
        id[length] = '\0';
        return id;
    }
    return "";
}

static bool ends_in_line_number(const char *text)
{
    const char *colon = strrchr(text, ':');
    return colon != NULL && colon[1] != '\0' && colon[1 + strspn(colon + 1, "0123456789")] == '\0';
}

/* Splits a text in place. */
static bool split_behind(char *text, struct behind *behind)
{
    behind->symbol = text;
    behind->place.build_id = take_build_id(text);
    char *module = strstr(text, " (/"), *plus = strrchr(text, '+');
    if (module == NULL || plus == NULL || plus < module || launcher_behind(plus, "+0x") == NULL ||
        hex_digits(plus + 3) == 0 || strcmp(plus + 3 + hex_digits(plus + 3), ")") != 0)
        return false;
    behind->place.module = module + 2;
    behind->place.offset = strtoull(plus + 3, NULL, 16);
    *module = *plus = '\0';
    behind->has_line = ends_in_line_number(text);
    return true;
}

/* In a copy, which is the caller's to free, by `symbol`, when it is a place that lacks its line. */
static bool read_behind(const char *text, struct behind *behind)
{
    char *copy = launcher_copy(text, strlen(text));
    if (split_behind(copy, behind) && !behind->has_line)
        return true;
    free(copy);
    return false;
}

/* --- text with answers --- */

/* Those of all frames that were written. */
static const struct launcher_answer **told;
static size_t told_count;

static void remember(const struct launcher_answer *answer)
{
    told = launcher_grow(told, told_count, sizeof(void *));
    told[told_count++] = answer;
}

/* What an answer adds stands before the module; a symbol tells more than a name without a line. */
static void write_rest(const char *rest, const struct behind *behind,
                       const struct launcher_source *source)
{
    if (source->file != NULL)
        printf(" in %s %s:%lu%s\n", source->function, source->file, source->line,
               rest + strlen(behind->symbol));
    else if (*behind->symbol == '\0')
        printf(" in %s%s\n", source->function, rest);
    else
        puts(rest);
}

static void write_start(const char *line, const struct frame *frame, unsigned long number)
{
    printf("%.*s%lu %.*s", (int)frame->indent, line, number, (int)(frame->rest - frame->address),
           frame->address);
}

/* A frame gets its place as "function file:line (module...)", and one frame more for each function
 * that it is inlined in: `added` is by how many the numbers of this trace are higher. */
static void write_frame(const char *line, const struct frame *frame, unsigned long *added)
{
    struct behind behind;
    bool lacks_line = read_behind(frame->rest, &behind);
    const struct launcher_answer *answer = lacks_line ? launcher_sources_find(&behind.place) : NULL;
    unsigned long number = frame->number + (frame->number > 0 ? *added : 0);
    *added = number - frame->number;
    if (answer == NULL) {
        write_start(line, frame, number);
        puts(frame->rest);
    } else {
        for (size_t i = 0; i < answer->count; i++) {
            write_start(line, frame, number + i);
            write_rest(frame->rest, &behind, &answer->sources[i]);
        }
        remember(answer);
        *added += answer->count - 1;
    }
    if (lacks_line)
        free(behind.symbol);
}

/* A summary has no build-id: a frame above it had. */
static const struct launcher_answer *answer_of_frame(const struct launcher_place *place)
{
    for (size_t i = told_count; i > 0; i--) {
        const struct launcher_place *other = &told[i - 1]->place;
        if (other->offset == place->offset && strcmp(other->module, place->module) == 0)
            return told[i - 1];
    }
    return NULL;
}

/* Names the place the other way round. */
static bool write_summary(const char *line)
{
    static const char start[] = "SUMMARY: mmshim: ";
    struct behind behind;
    const char *kind = strstr(line, start);
    if (kind == NULL)
        return false;
    const char *rest = kind + strlen(start);
    rest += strspn(rest, "abcdefghijklmnopqrstuvwxyz-");
    const char *what = launcher_behind(rest, " of a block ");
    if (what == NULL)
        what = launcher_behind(rest, " of blocks ");
    if (what != NULL)
        rest = what + strcspn(what, " ");
    if (!read_behind(rest, &behind))
        return false;
    const struct launcher_answer *answer = answer_of_frame(&behind.place);
    free(behind.symbol);
    if (answer == NULL || answer->sources[0].file == NULL)
        return false;
    printf("%.*s %s:%lu in %s\n", (int)(rest - line), line, answer->sources[0].file,
           answer->sources[0].line, answer->sources[0].function);
    return true;
}

/* --- JSON --- */

/* A report of ours; NULL for any other line. */
static json_t *read_report(const char *line)
{
    if (line[strspn(line, " \t")] != '{')
        return NULL;
    json_t *report = json_loads(line, JSON_ALLOW_NUL, NULL);
    if (json_integer_value(json_object_get(report, "mmshim")) == 1)
        return report;
    json_decref(report);
    return NULL;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* Where a frame without a line is. */
static bool place_of(const json_t *frame, struct launcher_place *place)
{
    const char *offset = text_of(frame, "offset"), *build_id = text_of(frame, "build_id");
    place->module = text_of(frame, "module");
    place->build_id = build_id != NULL ? build_id : "";
    if (place->module == NULL || offset == NULL || json_object_get(frame, "line") != NULL)
        return false;
    place->offset = strtoull(offset, NULL, 16);
    return true;
}

/* Calls `visit` for each list of frames in a report. */
static void for_each_trace(json_t *report, void (*visit)(json_t *trace))
{
    json_t *const traces[] = {report, json_object_get(report, "freed"),
                              json_object_get(report, "allocated")};
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        if (json_is_array(json_object_get(traces[i], "frames")))
            visit(traces[i]);
    }
}

static void want_trace(json_t *trace)
{
    size_t i;
    json_t *frame;
    struct launcher_place place;
    json_array_foreach(json_object_get(trace, "frames"), i, frame)
    {
        if (place_of(frame, &place))
            launcher_sources_want(&place);
    }
}

static json_t *with_source(json_t *frame, const struct launcher_source *source)
{
    json_t *copy = json_copy(frame);
    json_object_set_new_nocheck(copy, "function", json_string(source->function));
    if (source->file != NULL) {
        json_object_set_new_nocheck(copy, "file", json_string(source->file));
        json_object_set_new(copy, "line", json_integer((json_int_t)source->line));
        if (source->function_line > 0)
            json_object_set_new(copy, "function_line",
                                json_integer((json_int_t)source->function_line));
        if (source->is_generated)
            json_object_set_new(copy, "generated", json_true());
    }
    return copy;
}

/* Among those that were one frame, the first of the program's own code. */
static void set_own_frame(json_t *trace, const json_t *frames, size_t first)
{
    size_t own = first;
    while (own + 1 < json_array_size(frames) &&
           launcher_only_passes_on(json_array_get(frames, own)))
        own++;
    json_object_set_new(trace, "own_frame", json_integer((json_int_t)own));
}

static void fill_in_trace(json_t *trace)
{
    size_t i;
    json_t *frame, *frames = json_array(), *own_frame = json_object_get(trace, "own_frame");
    size_t own = own_frame != NULL ? (size_t)json_integer_value(own_frame) : SIZE_MAX;
    struct launcher_place place;
    json_array_foreach(json_object_get(trace, "frames"), i, frame)
    {
        const struct launcher_answer *answer =
            place_of(frame, &place) ? launcher_sources_find(&place) : NULL;
        size_t first = json_array_size(frames);
        if (answer == NULL)
            json_array_append(frames, frame);
        for (size_t j = 0; answer != NULL && j < answer->count; j++)
            json_array_append_new(frames, with_source(frame, &answer->sources[j]));
        if (i == own)
            set_own_frame(trace, frames, first);
    }
    json_object_set_new(trace, "frames", frames);
}

static bool write_report(const char *line)
{
    json_t *report = read_report(line);
    if (report == NULL)
        return false;
    for_each_trace(report, fill_in_trace);
    json_dumpf(report, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(report);
    return true;
}

/* --- the log --- */

/* A line of the log, and a copy to read, which is ended by a NUL; one that holds a NUL itself is no
 * report. */
struct line {
    const char *start;
    size_t length; /* with the newline */
    char *text;
};

static bool next_line(struct line *line, const char *end)
{
    const char *start = line->start + line->length;
    if (start == end)
        return false;
    const char *newline = memchr(start, '\n', (size_t)(end - start));
    size_t length = (size_t)((newline != NULL ? newline : end) - start);
    line->text = launcher_resize(line->text, length + 1);
    memcpy(line->text, start, length);
    line->text[memchr(start, '\0', length) == NULL ? length : 0] = '\0';
    line->start = start;
    line->length = length + (newline != NULL);
    return true;
}

static void want_line(const struct line *line)
{
    struct frame frame;
    struct behind behind;
    json_t *report = read_report(line->text);
    if (report != NULL) {
        for_each_trace(report, want_trace);
        json_decref(report);
    } else if (read_frame(line->text, &frame) && read_behind(frame.rest, &behind)) {
        launcher_sources_want(&behind.place);
        free(behind.symbol);
    }
}

static void write_line(const struct line *line, unsigned long *added)
{
    struct frame frame;
    if (read_frame(line->text, &frame))
        write_frame(line->text, &frame, added);
    else if (!write_summary(line->text) && !write_report(line->text))
        fwrite(line->start, 1, line->length, stdout);
}

static const char **debug_folders_of(char *const *arguments)
{
    const char **folders = NULL;
    size_t count = 0;
    for (; *arguments != NULL; arguments++) {
        const char *folder = launcher_behind(*arguments, "--debug-dir=");
        if (folder == NULL)
            launcher_die("symbolize takes --debug-dir=DIR only, and the log from stdin: %s",
                         *arguments);
        folders = launcher_grow(folders, count, sizeof *folders);
        folders[count++] = folder;
    }
    folders = launcher_grow(folders, count, sizeof *folders);
    folders[count] = NULL;
    return folders;
}

int launcher_symbolize(char *const *arguments)
{
    const char **folders = debug_folders_of(arguments);
    size_t size;
    unsigned long added = 0;
    char *log = launcher_read_all(stdin, &size);
    for (struct line line = {.start = log}; next_line(&line, log + size);)
        want_line(&line);
    launcher_sources_ask(folders);
    for (struct line line = {.start = log}; next_line(&line, log + size);)
        write_line(&line, &added);
    return 0;
}
