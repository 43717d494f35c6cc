/* findings.c - reads logs and puts together what is one bug; see findings.h. While logs are read,
 * findings are entries in the order of their coming; sorted by what they have in common, those of a
 * bug lie together. Nothing is given back. */
#include "launcher/findings.h"

#include "launcher/base.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RECORD "{\"mmshim\":" /* how each line begins */

struct entry {
    const json_t *finding;
    struct launcher_identity identity;
    size_t process, order;
    uint64_t times;
};

struct reading {
    struct launcher_findings *into;
    struct entry *entries;
    size_t count;
    const char *path;
    size_t line, first_process; /* of this file */
    char *strange;              /* numbers of lines that are no reports, ", " between; NULL: none */
};

/* --- one report --- */

static size_t process_of(struct reading *reading, const json_t *report)
{
    struct launcher_findings *into = reading->into;
    const char *host = launcher_text_of(report, "host", "?");
    const char *program = launcher_text_of(report, "program", "?");
    long long id = json_integer_value(json_object_get(report, "pid"));
    for (size_t i = into->process_count; i > reading->first_process; i--) {
        const struct launcher_process *other = &into->processes[i - 1];
        if (other->id == id && strcmp(other->host, host) == 0 &&
            strcmp(other->program, program) == 0)
            return i - 1;
    }
    into->processes = launcher_grow(into->processes, into->process_count, sizeof *into->processes);
    into->processes[into->process_count] = (struct launcher_process){
        .host = launcher_text("%s", host), .program = launcher_text("%s", program), .id = id};
    return into->process_count++;
}

static void add_finding(struct reading *reading, json_t *report)
{
    size_t kind = launcher_kind_of(report), process = process_of(reading, report);
    reading->entries = launcher_grow(reading->entries, reading->count, sizeof *reading->entries);
    reading->entries[reading->count] = (struct entry){
        .finding = json_incref(report),
        .identity = launcher_identity_of(report),
        .process = process,
        .order = reading->count,
        .times = 1,
    };
    reading->count++;
    if (kind == launcher_kind_count || launcher_kinds[kind].is_certain)
        reading->into->processes[process].has_findings = true;
}

/* By addresses: what is told again is told without sources, which may add frames. A leak that is
 * found again is the same blocks. */
static bool is_same_call(const json_t *finding, const json_t *again)
{
    const json_t *told = json_object_get(finding, "frames"), *frame;
    const char *last = "";
    size_t place = 0, i;
    if (strcmp(launcher_text_of(finding, "kind", ""), launcher_text_of(again, "kind", "?")) != 0 ||
        json_object_get(finding, "leak") != NULL)
        return false;
    json_array_foreach(told, i, frame)
    {
        const char *address = launcher_text_of(frame, "address", "?");
        const json_t *other = json_array_get(json_object_get(again, "frames"), place);
        if (strcmp(address, last) == 0) /* inlined */
            continue;
        if (strcmp(address, launcher_text_of(other, "address", "")) != 0)
            return false;
        last = address;
        place++;
    }
    return place == json_array_size(json_object_get(again, "frames"));
}

static void count_again(struct reading *reading, const json_t *report)
{
    size_t process = process_of(reading, report);
    json_int_t times = json_integer_value(json_object_get(report, "times"));
    for (size_t i = reading->count; i > 0; i--) {
        struct entry *entry = &reading->entries[i - 1];
        if (entry->process != process || !is_same_call(entry->finding, report))
            continue;
        if (times > 0 && (uint64_t)times > entry->times)
            entry->times = (uint64_t)times;
        return;
    }
}

/* A process may have told no finding in full. */
static void read_totals(struct reading *reading, const json_t *report)
{
    size_t process = process_of(reading, report);
    for (size_t kind = 0; kind < launcher_kind_count; kind++) {
        char *member = launcher_text("%s", launcher_kinds[kind].name);
        for (char *dash; (dash = strchr(member, '-')) != NULL;)
            *dash = '_';
        if (launcher_kinds[kind].is_certain &&
            json_integer_value(json_object_get(report, member)) > 0)
            reading->into->processes[process].has_findings = true;
        free(member);
    }
}

static bool read_report(struct reading *reading, const char *text, size_t length)
{
    json_t *report = json_loadb(text, length, JSON_ALLOW_NUL, NULL);
    const char *type = launcher_text_of(report, "type", "");
    bool is_ours = json_integer_value(json_object_get(report, "mmshim")) == 1;
    if (is_ours && strcmp(type, "finding") == 0)
        add_finding(reading, report);
    else if (is_ours && strcmp(type, "again") == 0)
        count_again(reading, report);
    else if (is_ours && (strcmp(type, "summary") == 0 || strcmp(type, "so_far") == 0))
        read_totals(reading, report);
    json_decref(report);
    return is_ours;
}

/* --- logs --- */

/* What was killed while it wrote left a part of a line, in front of another's. */
static void read_line(struct reading *reading, const char *line, size_t length)
{
    if (read_report(reading, line, length))
        return;
    reading->strange = reading->strange == NULL
                           ? launcher_text("%zu", reading->line)
                           : launcher_text("%s, %zu", reading->strange, reading->line);
    if (length == 0)
        return;
    const char *next = memmem(line + 1, length - 1, RECORD, strlen(RECORD));
    if (next != NULL)
        read_report(reading, next, (size_t)(line + length - next));
}

static void read_log(struct reading *reading, FILE *file, const char *path)
{
    char *line = NULL;
    size_t capacity = 0;
    reading->first_process = reading->into->process_count;
    reading->strange = NULL;
    reading->line = 1;
    for (ssize_t length; (length = getline(&line, &capacity, file)) > 0; reading->line++) {
        if (line[length - 1] == '\n')
            length--;
        if (length > 0)
            read_line(reading, line, (size_t)length);
    }
    free(line);
    if (reading->strange == NULL)
        return;
    reading->into->has_strange = true;
    launcher_say("left out, being no reports of mmshim in JSON: %s%sline %s",
                 path != NULL ? path : "", path != NULL ? ": " : "", reading->strange);
}

static void read_file(struct reading *reading, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        launcher_die("%s: %s", path, strerror(errno));
    read_log(reading, file, path);
    if (ferror(file))
        launcher_die("%s: can't read it", path);
    fclose(file);
}

/* scandir() passes nothing on. */
static const char *wanted_part;

static int is_wanted(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > strlen(".jsonl") && *entry->d_name != '.' &&
           strcmp(entry->d_name + length - strlen(".jsonl"), ".jsonl") == 0 &&
           (wanted_part == NULL || launcher_behind(entry->d_name, wanted_part) != NULL);
}

/* False when it is none. */
static bool read_folder(struct reading *reading, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_wanted, alphasort);
    if (count < 0 && errno == ENOTDIR)
        return false;
    if (count < 0)
        launcher_die("%s: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        char *path = launcher_text("%s/%s", folder, entries[i]->d_name);
        read_file(reading, path);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return true;
}

/* --- bugs --- */

static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = strcmp(a->identity.place, b->identity.place);
    if (order == 0)
        order = strcmp(a->identity.detail, b->identity.detail);
    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

/* Those that don't know the detail sort first, and are taken for the first that does. */
static bool are_same(const struct entry *first, const struct entry *last, const struct entry *entry)
{
    return strcmp(first->identity.place, entry->identity.place) == 0 &&
           (*last->identity.detail == '\0' ||
            strcmp(last->identity.detail, entry->identity.detail) == 0);
}

/* How much a finding knows. */
static size_t knowledge(const json_t *finding)
{
    size_t known = launcher_has_line(launcher_culprit_of(finding));
    for (size_t i = 0; i < launcher_history_count; i++)
        known += json_object_get(finding, launcher_history[i].member) != NULL;
    return known;
}

static void add_process(struct launcher_bug *bug, size_t process)
{
    for (size_t i = 0; i < bug->process_count; i++) {
        if (bug->processes[i] == process)
            return;
    }
    bug->processes = launcher_grow(bug->processes, bug->process_count, sizeof *bug->processes);
    bug->processes[bug->process_count++] = process;
}

static void set_fingerprint(struct launcher_bug *bug)
{
    uint64_t hash = launcher_hash(launcher_hash(0, bug->identity.place), bug->identity.detail);
    sprintf(bug->fingerprint, "%016" PRIx64, hash);
}

/* Of one or more. */
static struct launcher_bug bug_of(const struct entry *entries, size_t count)
{
    struct launcher_bug bug = {.identity = entries[count - 1].identity, .findings = count};
    const struct entry *best = entries;
    for (size_t i = 0; i < count; i++) {
        size_t known = knowledge(entries[i].finding), most = knowledge(best->finding);
        if (known > most || (known == most && entries[i].order < best->order))
            best = &entries[i];
        bug.times += entries[i].times;
        add_process(&bug, entries[i].process);
    }
    bug.finding = best->finding;
    set_fingerprint(&bug);
    return bug;
}

struct ordered {
    struct launcher_bug bug;
    size_t order;
};

static int compare_order(const void *left, const void *right)
{
    const struct ordered *a = left, *b = right;
    return (a->order > b->order) - (a->order < b->order);
}

static size_t first_order(const struct entry *entries, size_t count)
{
    size_t first = entries->order;
    for (size_t i = 1; i < count; i++)
        first = entries[i].order < first ? entries[i].order : first;
    return first;
}

static void put_together(struct reading *reading)
{
    struct launcher_findings *into = reading->into;
    struct entry *entries = reading->entries;
    struct ordered *bugs = NULL;
    size_t bug_count = 0;
    if (reading->count > 0)
        qsort(entries, reading->count, sizeof *entries, compare);
    for (size_t i = 0, next; i < reading->count; i = next) {
        for (next = i + 1; next < reading->count; next++) {
            if (!are_same(&entries[i], &entries[next - 1], &entries[next]))
                break;
        }
        bugs = launcher_grow(bugs, bug_count, sizeof *bugs);
        bugs[bug_count++] =
            (struct ordered){bug_of(&entries[i], next - i), first_order(&entries[i], next - i)};
    }
    if (bug_count > 0)
        qsort(bugs, bug_count, sizeof *bugs, compare_order);
    into->bugs = launcher_resize(NULL, bug_count * sizeof *into->bugs);
    into->bug_count = bug_count;
    for (size_t i = 0; i < bug_count; i++)
        into->bugs[i] = bugs[i].bug;
    free(bugs);
}

struct launcher_findings launcher_findings_read(char *const *paths, const char *part)
{
    struct launcher_findings findings = {0};
    struct reading reading = {.into = &findings};
    wanted_part = part;
    if (*paths == NULL)
        read_log(&reading, stdin, NULL);
    for (; *paths != NULL; paths++) {
        if (!read_folder(&reading, *paths))
            read_file(&reading, *paths);
    }
    put_together(&reading);
    return findings;
}

size_t launcher_findings_guilty(const struct launcher_findings *findings)
{
    size_t count = 0;
    for (size_t i = 0; i < findings->process_count; i++)
        count += findings->processes[i].has_findings;
    return count;
}

/* --- as text --- */

char *launcher_count_text(uint64_t count, const char *noun, const char *plural)
{
    return launcher_text("%" PRIu64 " %s", count, count == 1 ? noun : plural);
}

const json_t *launcher_bug_frame(const struct launcher_bug *bug)
{
    const char *word;
    return launcher_culprit_of(launcher_part_to_blame(bug->finding, &word));
}

char *launcher_bug_title(const struct launcher_bug *bug)
{
    const char *word;
    const json_t *part = launcher_part_to_blame(bug->finding, &word);
    return launcher_text("%s %s %s", launcher_text_of(bug->finding, "kind", "?"), word,
                         launcher_place_text(launcher_culprit_of(part)));
}

static void write_frames(FILE *to, const json_t *part, const char *margin)
{
    const json_t *frames = json_object_get(part, "frames");
    for (size_t i = 0, count = launcher_own_frames(part); i < count; i++)
        fprintf(to, "%s    %s\n", margin, launcher_frame_text(json_array_get(frames, i)));
}

/* Each name once. */
static void write_programs(FILE *to, const struct launcher_findings *findings,
                           const struct launcher_bug *bug)
{
    const char **names = NULL;
    size_t count = 0;
    for (size_t i = 0; i < bug->process_count; i++) {
        const char *name = launcher_base_name(findings->processes[bug->processes[i]].program);
        size_t known = 0;
        while (known < count && strcmp(names[known], name) != 0)
            known++;
        if (known < count)
            continue;
        names = launcher_grow(names, count, sizeof *names);
        names[count++] = name;
        fprintf(to, "%s%s", count > 1 ? ", " : "", name);
    }
    free(names);
}

char *launcher_bug_text(const struct launcher_findings *findings, const struct launcher_bug *bug,
                        const char *margin)
{
    char *text;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL)
        launcher_die("out of memory");
    fprintf(to, "%s%s in %s (", margin, launcher_count_text(bug->times, "time", "times"),
            launcher_count_text(bug->process_count, "process", "processes"));
    write_programs(to, findings, bug);
    fprintf(to, ")\n%s%s\n", margin, launcher_text_of(bug->finding, "description", "?"));
    if (json_object_get(bug->finding, "thread") != NULL)
        fprintf(to, "%s%s in %s:\n", margin,
                json_object_get(bug->finding, "damage") != NULL ? "found" : "bad call",
                launcher_thread_text(bug->finding));
    write_frames(to, bug->finding, margin);
    for (size_t i = 0; i < launcher_history_count; i++) {
        const json_t *part = json_object_get(bug->finding, launcher_history[i].member);
        if (part == NULL)
            continue;
        fprintf(to, "%s%s %s:\n", margin, launcher_history[i].text, launcher_thread_text(part));
        write_frames(to, part, margin);
    }
    fclose(to);
    text[size - 1] = '\0'; /* the last line's end */
    return text;
}
