/* report_json.c - texts of any bytes, and what does not fit. That lines are as the schema says is
 * tested with tests/report. */
#include "findings/report_json.h"

#include "check.h"
#include "checks/bounds.h"
#include "checks/checks.h"
#include <stdio.h>
#include <string.h>

static char text[65536];
static struct mm_finding finding;

static const char *member(const char *name)
{
    char head[64];
    snprintf(head, sizeof head, ",\"%s\":", name);
    const char *at = strstr(text, head);
    CHECK(at != NULL);
    return at + strlen(head);
}

static void check_member(const char *name, const char *expected)
{
    CHECK(strncmp(member(name), expected, strlen(expected)) == 0);
}

static void note(const char *line, const char *expected)
{
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    mm_report_json_note(&out, line);
    CHECK(strncmp(text, "{\"mmshim\":1,\"type\":\"note\",\"time\":\"20", 36) == 0);
    CHECK_TEXT(member("text"), expected);
}

static void texts(void)
{
    note("", "\"\"}\n");
    note("a \"b\" \\ / c", "\"a \\\"b\\\" \\\\ / c\"}\n");
    note("\t\n\x01\x1f\x7f", "\"\\u0009\\u000a\\u0001\\u001f\\u007f\"}\n");
    note("\u00e9 \u20ac \U0001f600", "\"\u00e9 \u20ac \U0001f600\"}\n");
    note("\x80"
         "a\xff",
         "\"\\ufffda\\ufffd\"}\n");
    note("\xc3", "\"\\ufffd\"}\n");            /* cut short */
    note("\xe2\x82", "\"\\ufffd\\ufffd\"}\n"); /* cut short */
    note("\xc0\x80", "\"\\ufffd\\ufffd\"}\n"); /* longer than need be */
    note("\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\"}\n");
    note("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"}\n"); /* half of a pair */
    note("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"}\n");
    note("\xf5\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"}\n");
    note("\xc2\x80\xc2\x9f\xc2\xa0", "\"\\u0080\\u009f\xc2\xa0\"}\n");
    note("\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"}\n");
}

static void write_finding(size_t capacity)
{
    struct mm_out out;
    mm_out_start(&out, text, capacity);
    mm_report_json_finding(&out, &finding);
    CHECK_EQUAL(out.length, strlen(text));
    CHECK(strcmp(text + out.length - 2, "}\n") == 0);
}

static void members(void)
{
    finding = (struct mm_finding){.kind = MEM_MNGR_INTERIOR_FREE, .ptr = (void *)0x10, .asked = 40};
    snprintf(finding.description, sizeof finding.description, "a slot");
    write_finding(sizeof text);
    check_member("kind", "\"interior-free\",\"address\":\"0x10\",\"description\":\"a slot\","
                         "\"frames\":[]}\n");
    finding.bad.count = 1;
    finding.bad.thread = 7;
    snprintf(finding.bad.thread_name, MM_THREAD_NAME, "main");
    finding.bad.frames[0] = (struct mm_frame){.address = (void *)0x1234};
    finding.bad.own = 1; /* none */
    finding.allocated = finding.freed = finding.bad;
    finding.freed.own = 0;
    finding.freed.call = "realloc";
    finding.has_allocated = finding.has_freed = true;
    write_finding(sizeof text);
    check_member("description",
                 "\"a slot\",\"thread\":{\"id\":7,\"name\":\"main\"},\"frames\":[{\"address\":"
                 "\"0x1234\"}],\"freed\":{\"thread\":{\"id\":7,\"name\":\"main\"},"
                 "\"call\":\"realloc\",\"own_frame\":0,\"frames\":[{"
                 "\"address\":\"0x1234\"}]},\"allocated\":{\"thread\":{\"id\":7,\"name\":\"main\"},"
                 "\"frames\":[{\"address\":\"0x1234\"}],\"size\":40}}\n");
}

/* As many frames as fit, and always whole ones. */
static void when_full(void)
{
    finding.bad.count = MM_TRACE_MAX;
    for (unsigned i = 0; i < MM_TRACE_MAX; i++) {
        finding.bad.frames[i] = (struct mm_frame){.address = (void *)0x1234, .function = "f"};
        finding.bad.frames[i].place.module = "/a/module";
    }
    size_t shown = 0;
    for (size_t capacity = 4096; capacity < 12288; capacity += 61) {
        write_finding(capacity);
        size_t frames = 0;
        for (const char *at = text; (at = strstr(at, "\"function\":\"f\"}")) != NULL; at++)
            frames++;
        CHECK(frames >= shown);
        shown = frames;
    }
    CHECK_EQUAL(shown, MM_TRACE_MAX);
}

/* A text of so many zeros and the rest, which is shown like this. */
/* What was done to a block's memory, and what a leak is of. */
static void what_was_done(void)
{
    static char block[40];
    struct mm_damage damage = {.block = (uintptr_t)block, .at = (uintptr_t)block - 2, .asked = 40};
    struct mm_access access = {.function = "memcpy",
                               .block = (uintptr_t)block,
                               .start = (uintptr_t)block + 8,
                               .size = 33,
                               .asked = 40,
                               .is_write = true};
    struct mm_touch touch = {.block = (uintptr_t)block,
                             .at = (uintptr_t)block + 40,
                             .asked = 40,
                             .access = MM_FAULT_READ};
    struct mm_leak leak = {
        .how = MM_LEAK_GROWN, .blocks = 2, .bytes = 300, .grown_bytes = 100, .milliseconds = 1500};
    damage.found_count = 2;
    damage.found[0] = 0x78;
    damage.found[1] = 0x0a;
    finding = (struct mm_finding){
        .description = "d", .damage = &damage, .leak = &leak, .access = &access};
    write_finding(sizeof text);
    check_member("damage", "{\"offset\":-2,\"size\":40,\"bytes\":\"780a\"}");
    check_member("leak", "{\"how\":\"grown\",\"blocks\":2,\"bytes\":300,\"grown_bytes\":100,"
                         "\"milliseconds\":1500}");
    check_member("access", "{\"function\":\"memcpy\",\"by\":\"write\",\"bytes\":33,"
                           "\"at_least\":false,\"offset\":8,\"size\":40}");
    access.is_write = false;
    access.is_at_least = true;
    access.from = access.start - 5;
    finding.damage = NULL;
    finding.leak = NULL;
    write_finding(sizeof text);
    CHECK(strstr(text, "damage\"") == NULL && strstr(text, "leak\"") == NULL);
    check_member("access", "{\"function\":\"memcpy\",\"by\":\"read\",\"bytes\":33,"
                           "\"at_least\":true,\"distance\":5}");
    finding.access = NULL;
    finding.touch = &touch;
    write_finding(sizeof text);
    check_member("access", "{\"offset\":40,\"size\":40,\"by\":\"read\"}");
    touch = (struct mm_touch){.access = MM_FAULT_WRITE};
    write_finding(sizeof text);
    check_member("access", "{\"by\":\"write\"}");
    touch.access = MM_FAULT_UNKNOWN;
    write_finding(sizeof text);
    check_member("access", "{}");
}

static void check_cut(unsigned zeros, const char *rest, const char *shown)
{
    char line[2048], expected[2048];
    snprintf(line, sizeof line, "%0*u%s", (int)zeros, 0u, rest);
    snprintf(expected, sizeof expected, "\"%0*u%s\"}\n", (int)zeros, 0u, shown);
    note(line, expected);
}

static void long_texts(void)
{
    check_cut(1024, "", "");
    check_cut(1024, "0", "...");
    check_cut(1018, "\u20ac\u20ac", "\u20ac\u20ac");
    check_cut(1019, "\u20ac\u20ac", "\u20ac...");
    check_cut(1021, "\u20ac\u20ac", "\u20ac...");
    check_cut(1022, "\u20ac\u20ac", "...");
}

static size_t count(const char *what)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
        found++;
    return found;
}

/* Names as long as compilers make them: no frame is left out for one. */
static void long_names(void)
{
    static char name[8192];
    memset(name, 'n', sizeof name - 1);
    finding = (struct mm_finding){.bad.count = 12};
    for (unsigned i = 0; i < finding.bad.count; i++) {
        finding.bad.frames[i] = (struct mm_frame){.address = (void *)0x1234, .function = name};
        finding.bad.frames[i].place = (struct mm_place){.module = "/m", .symbol = name};
    }
    write_finding(32768);
    CHECK_EQUAL(count("\"address\":\"0x1234\""), finding.bad.count);
    finding.bad.count = 40;
    for (unsigned i = 0; i < finding.bad.count; i++)
        finding.bad.frames[i] = finding.bad.frames[0];
    finding.freed = finding.allocated = finding.bad;
    finding.has_freed = finding.has_allocated = true;
    write_finding(65536);
    CHECK_EQUAL(count("\"address\":\"0x1234\""), 3 * finding.bad.count);
    CHECK_EQUAL(count("nnnn...\""), 6 * finding.bad.count);
}

int main(void)
{
    texts();
    long_texts();
    members();
    when_full();
    what_was_done();
    long_names();
    return 0;
}
