/* symbolize.c - what the tools write, in all their ways. */
#include "findings/symbolize.h"

#include "check.h"
#include <stdio.h>
#include <string.h>

static struct mm_lookup lookup;

static void read_text(const char *text)
{
    static char copy[sizeof lookup.text];
    CHECK(strlen(text) < sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    lookup.source_count = 0;
    mm_symbolize_read(copy, "module", &lookup);
}

static void check_part(const char *text, const char *expected)
{
    if (expected == NULL)
        CHECK(text == NULL);
    else
        CHECK_TEXT(text, expected);
}

static void check_source(unsigned index, size_t offset, const char *function, const char *file,
                         uint64_t line)
{
    const struct mm_source *source = &lookup.sources[index];
    CHECK(index < lookup.source_count);
    CHECK_TEXT(source->module, "module");
    CHECK_EQUAL(source->offset, offset);
    check_part(source->function, function);
    check_part(source->file, file);
    CHECK_EQUAL(source->line, line);
}

static void llvm_symbolizer(void)
{
    read_text("0x1168\ninner(int)\n/a b/in.c:2 (discriminator 3)\nouter\n/a b/in.c:4\n"
              "0x1\n??\n??:0\n0x1160\nno_debug_info\n??:0\n");
    CHECK_EQUAL(lookup.source_count, 3);
    check_source(0, 0x1168, "inner(int)", "/a b/in.c", 2);
    check_source(1, 0x1168, "outer", "/a b/in.c", 4);
    check_source(2, 0x1160, "no_debug_info", NULL, 0);
}

static void eu_addr2line(void)
{
    read_text(
        "0x0000000000001168\ninner inlined at /in.c:4:3 in outer\n/in.c:2:66\nouter\n/in.c:4:3\n"
        "0x000000000000116d\nmain\n/in.c:9\n");
    CHECK_EQUAL(lookup.source_count, 3);
    check_source(0, 0x1168, "inner", "/in.c", 2);
    check_source(1, 0x1168, "outer", "/in.c", 4);
    check_source(2, 0x116d, "main", "/in.c", 9);
}

static void addr2line(void)
{
    read_text("0x0000000000001168\nouter\nin.c:?\n0x0000000000001169\n??\n??:?\n"
              "0x000000000000116a\n??\n/in.c:7\n0x000000000000116b\nf\n/with:colon.c:8\n");
    CHECK_EQUAL(lookup.source_count, 3);
    check_source(0, 0x1168, "outer", NULL, 0);
    check_source(1, 0x116a, NULL, "/in.c", 7);
    check_source(2, 0x116b, "f", "/with:colon.c", 8);
}

static void own_tool(void)
{
    read_text("0x1168\ninner(int)\n/a b/in.c:12 (function at 10)\nouter\n/a b/in.c:4\n");
    CHECK_EQUAL(lookup.source_count, 2);
    check_source(0, 0x1168, "inner(int)", "/a b/in.c", 12);
    CHECK_EQUAL(lookup.sources[0].function_line, 10);
    check_source(1, 0x1168, "outer", "/a b/in.c", 4);
    CHECK_EQUAL(lookup.sources[1].function_line, 0);
}

static void generated(void)
{
    read_text("0x1168\n~session\n/a b/in.c:12 (generated)\nouter\n/a b/in.c:4\n");
    CHECK_EQUAL(lookup.source_count, 2);
    check_source(0, 0x1168, "~session", "/a b/in.c", 12);
    CHECK(lookup.sources[0].is_generated && !lookup.sources[1].is_generated);
}

static void variable(void)
{
    read_text("0x1168\nouter\n/in.c:4\n0x1168@-40\nbuffer serve(int, char)\n"
              "/in.c:2 (variable at 3) (variable of 16)\n");
    CHECK_EQUAL(lookup.source_count, 1);
    CHECK_TEXT(lookup.variable.name, "buffer");
    CHECK_TEXT(lookup.variable.function, "serve(int, char)");
    CHECK_TEXT(lookup.variable.file, "/in.c");
    CHECK(lookup.variable.line == 2 && lookup.variable.inside == 3 && lookup.variable.size == 16);
    read_text("0x1168@-40\n??\n??:0\n0x1170\nmain\n/in.c:9\n");
    CHECK_EQUAL(lookup.source_count, 1);
    CHECK(lookup.variable.name == NULL && lookup.variable.file == NULL);
    read_text("0x1168@-40\nother work\n/in.c:2 (variable at 4) (variable of 4)\n");
    CHECK(lookup.variable.name == NULL);
}

static void cut_short(void)
{
    read_text("");
    CHECK_EQUAL(lookup.source_count, 0);
    read_text("0x1168\nouter\n/in.c:4");
    CHECK_EQUAL(lookup.source_count, 0);
    read_text("0x1168\nouter");
    CHECK_EQUAL(lookup.source_count, 0);
    read_text("\n\n0x\n??\n:\n??\n::\n");
    CHECK_EQUAL(lookup.source_count, 0);
}

static void too_many(void)
{
    static char text[sizeof lookup.text];
    size_t length = 0;
    for (unsigned i = 0; i < MM_SYMBOLIZE_SOURCES_MAX + 10; i++)
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "0x%x\nf\nf.c:%u\n", i, i + 1);
    read_text(text);
    CHECK_EQUAL(lookup.source_count, MM_SYMBOLIZE_SOURCES_MAX);
    check_source(MM_SYMBOLIZE_SOURCES_MAX - 1, MM_SYMBOLIZE_SOURCES_MAX - 1, "f", "f.c",
                 MM_SYMBOLIZE_SOURCES_MAX);
}

int main(void)
{
    llvm_symbolizer();
    eu_addr2line();
    addr2line();
    own_tool();
    generated();
    variable();
    cut_short();
    too_many();
    return 0;
}
