/* report.c - the subcommands that read logs, and the simpler forms that they write. */
#include "launcher/report.h"

#include "launcher/base.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char launcher_report_help[] =
    "Usage: mmshim report [--junit|--sarif|--github|--prometheus] [--source-root=DIR] [PATH...]\n"
    "\n"
    "Tells what is in logs of MM_FORMAT=json: files, folders of files *.jsonl, as --tree=DIR "
    "makes\n"
    "them, or stdin; each bug once, as text or in another form:\n"
    "  --junit       JUnit's XML, a failed test case for each bug\n"
    "  --sarif       SARIF 2.1.0, as `mmshim sarif`\n"
    "  --github      lines that GitHub's runners show at the source\n"
    "  --prometheus  numbers for the textfile collector of Prometheus' node exporter\n"
    "Files below DIR, by default the working directory, are named relative to it.\n"
    "Status 0, but 1 when lines were left out that are no reports.\n";

/* --- text --- */

void launcher_write_text(FILE *to, const struct launcher_findings *findings)
{
    for (size_t i = 0; i < findings->bug_count; i++) {
        const struct launcher_bug *bug = &findings->bugs[i];
        fprintf(to, "%zu. %s\n%s\n\n", i + 1, launcher_bug_title(bug),
                launcher_bug_text(findings, bug, "   "));
    }
    size_t guilty = launcher_findings_guilty(findings);
    if (findings->bug_count == 0 && guilty == 0)
        fputs("no findings\n", to);
    else
        fprintf(to, "%s in %s\n", launcher_count_text(findings->bug_count, "bug", "bugs"),
                launcher_count_text(guilty, "process", "processes"));
}

/* --- JUnit --- */

/* Of control characters XML 1.0 knows three. */
static void write_xml(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (strchr("<>&\"'", c) != NULL)
            fprintf(to, "&#%u;", c);
        else
            fputc(c < ' ' && c != '\n' ? '?' : c, to);
    }
}

static void write_case(FILE *to, const struct launcher_findings *findings,
                       const struct launcher_bug *bug)
{
    char *title = launcher_bug_title(bug), *text = launcher_bug_text(findings, bug, "");
    const char *program = findings->processes[bug->processes[0]].program;
    fputs("    <testcase classname=\"", to);
    write_xml(to, launcher_base_name(program));
    fputs("\" name=\"", to);
    write_xml(to, title);
    fprintf(to, " [%s]\">\n      <failure type=\"", bug->fingerprint);
    write_xml(to, launcher_text_of(bug->finding, "kind", "?"));
    fputs("\" message=\"", to);
    write_xml(to, title);
    fputs("\">", to);
    write_xml(to, text);
    fputs("</failure>\n    </testcase>\n", to);
    free(title);
}

/* A suite without a case is an error to some that read it. */
void launcher_write_junit(FILE *to, const struct launcher_findings *findings)
{
    size_t count = findings->bug_count;
    fprintf(to,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuites>\n"
            "  <testsuite name=\"mmshim\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" "
            "skipped=\"0\">\n",
            count > 0 ? count : 1, count);
    for (size_t i = 0; i < count; i++)
        write_case(to, findings, &findings->bugs[i]);
    if (count == 0)
        fputs("    <testcase classname=\"mmshim\" name=\"no findings\"/>\n", to);
    fputs("  </testsuite>\n</testsuites>\n", to);
}

/* --- GitHub --- */

/* What ends a line, or in a property the property itself, is escaped as a URL would have it. */
static void write_github(FILE *to, const char *text, bool in_property)
{
    for (; *text != '\0'; text++) {
        if (strchr("%\r\n", *text) != NULL || (in_property && strchr(":,", *text) != NULL))
            fprintf(to, "%%%02X", (unsigned char)*text);
        else
            fputc(*text, to);
    }
}

void launcher_write_github(FILE *to, const struct launcher_findings *findings)
{
    for (size_t i = 0; i < findings->bug_count; i++) {
        const struct launcher_bug *bug = &findings->bugs[i];
        const json_t *frame = launcher_bug_frame(bug);
        fputs("::error ", to);
        if (launcher_has_line(frame)) {
            fputs("file=", to);
            write_github(to, launcher_shown_path(launcher_text_of(frame, "file", "")), true);
            fprintf(to, ",line=%" JSON_INTEGER_FORMAT ",",
                    json_integer_value(json_object_get(frame, "line")));
        }
        fputs("title=mmshim%3A ", to);
        write_github(to, launcher_text_of(bug->finding, "kind", "?"), true);
        fputs("::", to);
        write_github(to, launcher_bug_title(bug), false);
        fputs("%0A", to);
        write_github(to, launcher_bug_text(findings, bug, ""), false);
        fputc('\n', to);
    }
}

/* --- Prometheus --- */

struct series {
    const char *program, *kind;
    uint64_t bugs, times;
};

static struct series *series_of(struct series **list, size_t *count, const char *program,
                                const char *kind)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp((*list)[i].program, program) == 0 && strcmp((*list)[i].kind, kind) == 0)
            return &(*list)[i];
    }
    *list = launcher_grow(*list, *count, sizeof **list);
    (*list)[*count] = (struct series){.program = program, .kind = kind};
    return &(*list)[(*count)++];
}

static void write_label(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            fputs("\\n", to);
        else if (*text == '\\' || *text == '"')
            fprintf(to, "\\%c", *text);
        else
            fputc(*text, to);
    }
}

static void write_series(FILE *to, const char *name, const struct series *series, uint64_t value)
{
    fprintf(to, "%s{program=\"", name);
    write_label(to, series->program);
    fputs("\",kind=\"", to);
    write_label(to, series->kind);
    fprintf(to, "\"} %" PRIu64 "\n", value);
}

/* Gauges: a log that was rotated away takes its findings with it. */
void launcher_write_prometheus(FILE *to, const struct launcher_findings *findings)
{
    struct series *list = NULL;
    size_t count = 0;
    for (size_t i = 0; i < findings->bug_count; i++) {
        const struct launcher_bug *bug = &findings->bugs[i];
        struct series *series =
            series_of(&list, &count, findings->processes[bug->processes[0]].program,
                      launcher_text_of(bug->finding, "kind", "?"));
        series->bugs++;
        series->times += bug->times;
    }
    fputs("# HELP mmshim_bugs Different places of misuse of the heap in the logs.\n"
          "# TYPE mmshim_bugs gauge\n",
          to);
    for (size_t i = 0; i < count; i++)
        write_series(to, "mmshim_bugs", &list[i], list[i].bugs);
    fputs("# HELP mmshim_findings Misuses of the heap in the logs.\n"
          "# TYPE mmshim_findings gauge\n",
          to);
    for (size_t i = 0; i < count; i++)
        write_series(to, "mmshim_findings", &list[i], list[i].times);
    fprintf(to,
            "# HELP mmshim_processes_with_findings Processes with findings in the logs.\n"
            "# TYPE mmshim_processes_with_findings gauge\n"
            "mmshim_processes_with_findings %zu\n",
            launcher_findings_guilty(findings));
    free(list);
}

/* --- the command line --- */

static const struct form {
    const char *flag;
    void (*write)(FILE *to, const struct launcher_findings *findings);
} forms[] = {
    {"--junit", launcher_write_junit},
    {"--sarif", launcher_write_sarif},
    {"--github", launcher_write_github},
    {"--prometheus", launcher_write_prometheus},
};

static const struct form *form_of(const char *argument)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(forms[i].flag, argument) == 0)
            return &forms[i];
    }
    launcher_die("report knows no %s (mmshim report --help says more)", argument);
}

static int tell(const struct form *form, char *const *paths)
{
    struct launcher_findings findings = launcher_findings_read(paths, NULL);
    if (form != NULL)
        form->write(stdout, &findings);
    else
        launcher_write_text(stdout, &findings);
    return findings.has_strange;
}

/* In any order. */
int launcher_report(char *const *arguments)
{
    const struct form *form = NULL;
    char **paths = NULL;
    size_t count = 0;
    bool only_paths = false;
    for (; *arguments != NULL; arguments++) {
        const char *root = launcher_behind(*arguments, "--source-root=");
        if (only_paths || **arguments != '-') {
            paths = launcher_grow(paths, count, sizeof *paths);
            paths[count++] = *arguments;
        } else if (strcmp(*arguments, "--") == 0) {
            only_paths = true;
        } else if (root != NULL) {
            launcher_set_source_root(root);
        } else if (form != NULL) {
            launcher_die("report writes one form at a time: %s or %s", form->flag, *arguments);
        } else {
            form = form_of(*arguments);
        }
    }
    paths = launcher_grow(paths, count, sizeof *paths);
    paths[count] = NULL;
    return tell(form, paths);
}

const char launcher_sarif_help[] =
    "Usage: mmshim sarif [--source-root=DIR] <log.jsonl\n"
    "\n"
    "Turns a log of MM_FORMAT=json into SARIF 2.1.0, which code hosts show at the line. Files "
    "below\n"
    "DIR, by default the working directory, are named relative to it.\n";

int launcher_sarif(char *const *arguments)
{
    static char *const no_paths[] = {NULL};
    const char *folder = NULL;
    if (arguments[0] != NULL) {
        folder = launcher_behind(arguments[0], "--source-root=");
        if (folder == NULL || arguments[1] != NULL)
            launcher_die("sarif takes --source-root=DIR only, and the log from stdin");
    }
    launcher_set_source_root(folder);
    return tell(form_of("--sarif"), no_paths);
}
