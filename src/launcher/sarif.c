/* sarif.c - the findings of a JSON log as one SARIF 2.1.0 log. Files below a folder, the root, are
 * named relative to it, as code hosts want them. What is made of a finding owns what it holds; a
 * finding itself is only read. */
#include "launcher/sarif.h"

#include "launcher/base.h"
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"

const char launcher_sarif_help[] =
    "Usage: mmshim sarif [--source-root=DIR] <log.jsonl\n"
    "\n"
    "Turns a log of MM_FORMAT=json into SARIF 2.1.0, which code hosts show at the line. Files "
    "below\n"
    "DIR, by default the working directory, are named relative to it.\n";

static const char *root; /* ends in a slash */

static const struct {
    const char *kind, *name, *sentence, *explanation;
} rules[] = {
#define KIND(enumerator, name, word, certainty, rule, headline, sentence)                          \
    {name, rule, headline, sentence},
#include "findings/kinds.def"
#undef KIND
};
#define RULES (sizeof rules / sizeof rules[0])

/* The parts of a finding besides the bad call, as they are told. */
static const struct {
    const char *member, *text;
} history[] = {{"freed", "first freed by"}, {"allocated", "allocated by"}};
#define HISTORY (sizeof history / sizeof history[0])

/* --- texts --- */

static const char *text_or(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : otherwise;
}

/* A JSON string of a text that is not needed any more. */
static json_t *string(char *text)
{
    json_t *value = json_string(text);
    free(text);
    return value != NULL ? value : json_string("?");
}

static json_t *message(char *text)
{
    return json_pack("{s:o}", "text", string(text));
}

/* As RFC 3986 wants a path. */
static char *escaped(const char *path)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~/";
    char *text = launcher_resize(NULL, 3 * strlen(path) + 1), *to = text;
    for (; *path != '\0'; path++) {
        if (strchr(plain, *path) != NULL)
            *to++ = *path;
        else
            to += sprintf(to, "%%%02X", (unsigned char)*path);
    }
    *to = '\0';
    return text;
}

static const char *function_of(const json_t *frame)
{
    return text_or(frame, "function", text_or(frame, "symbol", "unknown function"));
}

static bool has_line(const json_t *frame)
{
    return text_or(frame, "file", NULL) != NULL && json_object_get(frame, "line") != NULL;
}

static char *thread_of(const json_t *part)
{
    const json_t *thread = json_object_get(part, "thread");
    return launcher_text("thread %lld (%s)",
                         (long long)json_integer_value(json_object_get(thread, "id")),
                         text_or(thread, "name", "?"));
}

/* --- places --- */

static json_t *artifact(const char *path)
{
    const char *relative = launcher_behind(path, root);
    char *uri = escaped(relative != NULL ? relative : path);
    if (relative != NULL)
        return json_pack("{s:o, s:s}", "uri", string(uri), "uriBaseId", "%SRCROOT%");
    return json_pack("{s:o}", "uri",
                     *path == '/' ? string(launcher_text("file://%s", uri)) : string(uri));
}

/* Where a frame is: in a source file, or at least in a module. */
static json_t *location(const json_t *frame)
{
    json_t *place = json_pack("{s:[{s:s, s:s}]}", "logicalLocations", "fullyQualifiedName",
                              function_of(frame), "kind", "function");
    const char *module = text_or(frame, "module", NULL);
    json_t *physical = NULL;
    if (has_line(frame))
        physical =
            json_pack("{s:o, s:{s:O}}", "artifactLocation", artifact(text_or(frame, "file", "")),
                      "region", "startLine", json_object_get(frame, "line"));
    else if (module != NULL)
        physical = json_pack("{s:o}", "artifactLocation", artifact(module));
    if (physical != NULL)
        json_object_set_new(place, "physicalLocation", physical);
    return place;
}

static json_t *location_saying(const json_t *frame, char *text)
{
    json_t *place = location(frame);
    json_object_set_new(place, "message", message(text));
    return place;
}

static char *place_of(const json_t *frame)
{
    if (!has_line(frame))
        return launcher_text("%s", function_of(frame));
    return launcher_text("%s (%s:%lld)", function_of(frame), text_or(frame, "file", ""),
                         (long long)json_integer_value(json_object_get(frame, "line")));
}

/* The innermost frame of the program's own sources, or with a line at all, or any; NULL: none. */
static const json_t *culprit_of(const json_t *part)
{
    const json_t *frames = json_object_get(part, "frames"), *with_line = NULL, *frame;
    size_t i;
    json_array_foreach(frames, i, frame)
    {
        if (!has_line(frame))
            continue;
        if (launcher_behind(text_or(frame, "file", ""), root) != NULL)
            return frame;
        with_line = with_line != NULL ? with_line : frame;
    }
    return with_line != NULL ? with_line : json_array_get(frames, 0);
}

static json_t *stack(const json_t *part, char *text)
{
    json_t *list = json_array(), *frame;
    size_t i;
    json_array_foreach(json_object_get(part, "frames"), i, frame)
    {
        json_t *entry = json_pack("{s:o}", "location",
                                  location_saying(frame, launcher_text("%s", function_of(frame))));
        if (json_object_get(frame, "module") != NULL)
            json_object_set(entry, "module", json_object_get(frame, "module"));
        json_array_append_new(list, entry);
    }
    return json_pack("{s:o, s:o}", "message", message(text), "frames", list);
}

/* --- a result --- */

static char *sentence_of(const json_t *finding)
{
    char *place = place_of(culprit_of(finding));
    char *text = launcher_text("%s of %s (%s) in %s", text_or(finding, "kind", "?"),
                               text_or(finding, "address", "?"),
                               text_or(finding, "description", "?"), place);
    for (size_t i = 0; i < HISTORY; i++) {
        const json_t *part = json_object_get(finding, history[i].member);
        if (part == NULL)
            continue;
        text = launcher_text("%s; %s %s in %s", text, history[i].text, thread_of(part),
                             place_of(culprit_of(part)));
    }
    return text;
}

static json_t *stacks_of(const json_t *finding)
{
    json_t *stacks = json_array();
    if (json_array_size(json_object_get(finding, "frames")) > 0)
        json_array_append_new(
            stacks,
            stack(finding, launcher_text("freed by %s", json_object_get(finding, "thread") != NULL
                                                            ? thread_of(finding)
                                                            : "an unknown thread")));
    for (size_t i = 0; i < HISTORY; i++) {
        const json_t *part = json_object_get(finding, history[i].member);
        if (json_array_size(json_object_get(part, "frames")) > 0)
            json_array_append_new(
                stacks, stack(part, launcher_text("%s %s", history[i].text, thread_of(part))));
    }
    return stacks;
}

static json_t *related_to(const json_t *finding)
{
    json_t *related = json_array();
    for (size_t i = 0; i < HISTORY; i++) {
        const json_t *part = json_object_get(finding, history[i].member);
        if (part != NULL)
            json_array_append_new(
                related, location_saying(culprit_of(part),
                                         launcher_text("%s %s", history[i].text, thread_of(part))));
    }
    return related;
}

/* The same for the same bug in another run. */
static char *fingerprint_of(const json_t *finding)
{
    char *text = launcher_text("%s", text_or(finding, "kind", "?"));
    size_t i;
    json_t *frame;
    json_array_foreach(json_object_get(finding, "frames"), i, frame)
    {
        char *longer = launcher_text(
            "%s %s", text,
            text_or(frame, "function", text_or(frame, "symbol", text_or(frame, "offset", ""))));
        free(text);
        text = longer;
    }
    return text;
}

static json_t *result_of(const json_t *finding)
{
    const char *kind = text_or(finding, "kind", "?");
    size_t rule = 0;
    while (rule < RULES && strcmp(rules[rule].kind, kind) != 0)
        rule++;
    json_t *result = json_pack("{s:s}", "ruleId", kind);
    if (rule < RULES)
        json_object_set_new(result, "ruleIndex", json_integer((json_int_t)rule));
    json_t *rest =
        json_pack("{s:s, s:o, s:[o], s:o, s:o, s:{s:o}}", "level", "error", "message",
                  message(sentence_of(finding)), "locations", location(culprit_of(finding)),
                  "stacks", stacks_of(finding), "relatedLocations", related_to(finding),
                  "partialFingerprints", "stack/v1", string(fingerprint_of(finding)));
    json_object_update(result, rest);
    json_decref(rest);
    return result;
}

/* --- all results: those of one fingerprint are one --- */

struct entry {
    json_t *result;
    const char *fingerprint;
    size_t place; /* in the log */
};

static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = strcmp(a->fingerprint, b->fingerprint);
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

/* The first that knows more than the bad call, or the first. */
static json_t *best_of(const struct entry *first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (json_array_size(json_object_get(first[i].result, "relatedLocations")) > 0)
            return first[i].result;
    }
    return first->result;
}

static json_t *joined(struct entry *entries, size_t count)
{
    json_t *results = json_array();
    if (count > 0)
        qsort(entries, count, sizeof *entries, compare);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count; next++) {
            if (strcmp(entries[next].fingerprint, entries[i].fingerprint) != 0)
                break;
        }
        json_t *result = best_of(&entries[i], next - i);
        json_object_set_new(result, "occurrenceCount", json_integer((json_int_t)(next - i)));
        json_array_append(results, result);
    }
    return results;
}

/* --- the log --- */

struct log {
    struct entry *entries;
    size_t count;
    char *strange; /* numbers of lines that are no reports, ", " between; NULL: none */
};

static void read_line(struct log *log, const char *line, size_t length, size_t number)
{
    json_t *report = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
    if (json_integer_value(json_object_get(report, "mmshim")) != 1) {
        log->strange = log->strange == NULL ? launcher_text("%zu", number)
                                            : launcher_text("%s, %zu", log->strange, number);
        return;
    }
    if (strcmp(text_or(report, "type", ""), "finding") != 0)
        return;
    json_t *result = result_of(report);
    const json_t *prints = json_object_get(result, "partialFingerprints");
    log->entries = launcher_grow(log->entries, log->count, sizeof *log->entries);
    log->entries[log->count] = (struct entry){result, text_or(prints, "stack/v1", ""), log->count};
    log->count++;
}

static struct log read_log(void)
{
    struct log log = {0};
    char *line = NULL;
    size_t capacity = 0, number = 1;
    for (ssize_t length; (length = getline(&line, &capacity, stdin)) > 0; number++) {
        if (line[length - 1] == '\n')
            length--;
        if (length > 0)
            read_line(&log, line, (size_t)length, number);
    }
    free(line);
    return log;
}

static json_t *rules_of_tool(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < RULES; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:{s:s}, s:{s:s}, s:{s:s}}", "id", rules[i].kind, "name",
                            rules[i].name, "shortDescription", "text", rules[i].sentence,
                            "fullDescription", "text", rules[i].explanation, "help", "text",
                            "The first stack is that of the bad call. The others, where known, "
                            "tell who freed the block first and who allocated it."));
    return list;
}

/* Without links where it is there; else only made absolute. */
static char *absolute(const char *folder, const char *here)
{
    char *real = realpath(folder, NULL);
    if (real != NULL)
        return real;
    return *folder == '/' ? launcher_text("%s", folder) : launcher_text("%s/%s", here, folder);
}

/* The working directory, NULL, is as the shell knows it. */
static const char *root_of(const char *folder)
{
    char *here = get_current_dir_name();
    if (here == NULL)
        launcher_die("no working directory: %s", strerror(errno));
    char *path = folder != NULL ? absolute(folder, here) : here;
    for (size_t length = strlen(path); length > 0 && path[length - 1] == '/'; length--)
        path[length - 1] = '\0';
    return launcher_text("%s/", path);
}

int launcher_sarif(char *const *arguments, const char *version)
{
    const char *folder = NULL;
    if (arguments[0] != NULL) {
        folder = launcher_behind(arguments[0], "--source-root=");
        if (folder == NULL || arguments[1] != NULL)
            launcher_die("sarif takes --source-root=DIR only, and the log from stdin");
    }
    root = root_of(folder);
    struct log log = read_log();
    json_t *run =
        json_pack("{s:{s:{s:s, s:s, s:o}}, s:{s:{s:o}}, s:s, s:o}", "tool", "driver", "name",
                  "mmshim", "version", version, "rules", rules_of_tool(), "originalUriBaseIds",
                  "%SRCROOT%", "uri", string(launcher_text("file://%s", escaped(root))),
                  "columnKind", "utf16CodeUnits", "results", joined(log.entries, log.count));
    json_t *sarif =
        json_pack("{s:s, s:s, s:[o]}", "version", "2.1.0", "$schema", SCHEMA, "runs", run);
    json_dumpf(sarif, stdout, JSON_INDENT(2));
    putchar('\n');
    if (log.strange == NULL)
        return 0;
    fflush(stdout);
    launcher_say("left out, being no reports of mmshim in JSON: line %s", log.strange);
    return 1;
}
