/* sarif.c - bugs as one SARIF 2.1.0 log. Files below the source root are named relative to it, as
 * code hosts want them. What is made of a finding owns what it holds; a finding itself is only
 * read. */
#include "launcher/base.h"
#include "launcher/report.h"
#include <stdlib.h>
#include <string.h>

#define SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"

/* --- texts --- */

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

/* --- places --- */

static json_t *artifact(const char *path)
{
    const char *relative = launcher_behind(path, launcher_source_root());
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
                              launcher_function_of(frame), "kind", "function");
    const char *module = launcher_text_of(frame, "module", NULL);
    json_t *physical = NULL;
    if (launcher_has_line(frame))
        physical = json_pack("{s:o, s:{s:O}}", "artifactLocation",
                             artifact(launcher_text_of(frame, "file", "")), "region", "startLine",
                             json_object_get(frame, "line"));
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

static json_t *stack(const json_t *part, char *text)
{
    json_t *list = json_array(), *frame;
    size_t i;
    json_array_foreach(json_object_get(part, "frames"), i, frame)
    {
        json_t *entry =
            json_pack("{s:o}", "location",
                      location_saying(frame, launcher_text("%s", launcher_function_of(frame))));
        if (json_object_get(frame, "module") != NULL)
            json_object_set(entry, "module", json_object_get(frame, "module"));
        json_array_append_new(list, entry);
    }
    return json_pack("{s:o, s:o}", "message", message(text), "frames", list);
}

/* --- a result --- */

static char *sentence_of(const json_t *finding)
{
    char *place = launcher_place_text(launcher_culprit_of(finding));
    char *text = launcher_text("%s of %s (%s) in %s", launcher_text_of(finding, "kind", "?"),
                               launcher_text_of(finding, "address", "?"),
                               launcher_text_of(finding, "description", "?"), place);
    for (size_t i = 0; i < launcher_history_count; i++) {
        const json_t *part = json_object_get(finding, launcher_history[i].member);
        if (part == NULL)
            continue;
        text = launcher_text("%s; %s %s in %s", text, launcher_history[i].text,
                             launcher_thread_text(part),
                             launcher_place_text(launcher_culprit_of(part)));
    }
    return text;
}

static json_t *stacks_of(const json_t *finding)
{
    json_t *stacks = json_array();
    if (json_array_size(json_object_get(finding, "frames")) > 0)
        json_array_append_new(
            stacks,
            stack(finding,
                  launcher_text(
                      "%s by %s", json_object_get(finding, "damage") != NULL ? "found" : "bad call",
                      json_object_get(finding, "thread") != NULL ? launcher_thread_text(finding)
                                                                 : "an unknown thread")));
    for (size_t i = 0; i < launcher_history_count; i++) {
        const json_t *part = json_object_get(finding, launcher_history[i].member);
        if (json_array_size(json_object_get(part, "frames")) > 0)
            json_array_append_new(stacks,
                                  stack(part, launcher_text("%s %s", launcher_history[i].text,
                                                            launcher_thread_text(part))));
    }
    return stacks;
}

static json_t *related_to(const json_t *finding)
{
    json_t *related = json_array();
    for (size_t i = 0; i < launcher_history_count; i++) {
        const json_t *part = json_object_get(finding, launcher_history[i].member);
        if (part != NULL)
            json_array_append_new(related,
                                  location_saying(launcher_culprit_of(part),
                                                  launcher_text("%s %s", launcher_history[i].text,
                                                                launcher_thread_text(part))));
    }
    return related;
}

static json_t *result_of(const struct launcher_bug *bug)
{
    const json_t *finding = bug->finding;
    size_t rule = launcher_kind_of(finding);
    json_t *result = json_pack("{s:s}", "ruleId", launcher_text_of(finding, "kind", "?"));
    if (rule < launcher_kind_count)
        json_object_set_new(result, "ruleIndex", json_integer((json_int_t)rule));
    json_t *rest = json_pack(
        "{s:s, s:o, s:[o], s:o, s:o, s:{s:s}, s:I}", "level", "error", "message",
        message(sentence_of(finding)), "locations", location(launcher_bug_frame(bug)), "stacks",
        stacks_of(finding), "relatedLocations", related_to(finding), "partialFingerprints",
        "mmshim/v2", bug->fingerprint, "occurrenceCount", (json_int_t)bug->findings);
    json_object_update(result, rest);
    json_decref(rest);
    return result;
}

static json_t *results_of(const struct launcher_findings *findings)
{
    json_t *results = json_array();
    for (size_t i = 0; i < findings->bug_count; i++)
        json_array_append_new(results, result_of(&findings->bugs[i]));
    return results;
}

static json_t *rules_of_tool(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < launcher_kind_count; i++) {
        const struct launcher_kind *kind = &launcher_kinds[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:{s:s}, s:{s:s}, s:{s:s}}", "id", kind->name, "name",
                            kind->rule, "shortDescription", "text", kind->headline,
                            "fullDescription", "text", kind->sentence, "help", "text",
                            "The first stack is that of the bad call. The others, where known, "
                            "tell who freed the block first and who allocated it."));
    }
    return list;
}

void launcher_write_sarif(FILE *to, const struct launcher_findings *findings)
{
    json_t *run = json_pack("{s:{s:{s:s, s:s, s:o}}, s:{s:{s:o}}, s:s, s:o}", "tool", "driver",
                            "name", "mmshim", "version", MM_VERSION, "rules", rules_of_tool(),
                            "originalUriBaseIds", "%SRCROOT%", "uri",
                            string(launcher_text("file://%s", escaped(launcher_source_root()))),
                            "columnKind", "utf16CodeUnits", "results", results_of(findings));
    json_t *sarif =
        json_pack("{s:s, s:s, s:[o]}", "version", "2.1.0", "$schema", SCHEMA, "runs", run);
    json_dumpf(sarif, to, JSON_INDENT(2));
    fputc('\n', to);
}
