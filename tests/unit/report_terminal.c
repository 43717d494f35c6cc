/* report_terminal.c - frames as a terminal shows them: what is known of one, how many there are,
 * and which are left out. */
#include "findings/report_terminal.h"

#include "check.h"
#include <string.h>

static char text[4096];
static struct mm_out out;
static const struct mm_text_style style = {.folder = "/project/shim"};

static void columns(void)
{
    mm_out_start(&out, text, sizeof text);
    CHECK_EQUAL(mm_terminal_columns(&out), 0);
    mm_out_format(&out, "first line\nsome\u00e9");
    CHECK_EQUAL(mm_terminal_columns(&out), 5);
    mm_out_format(&out, "\033[1mbold\033[0m");
    CHECK_EQUAL(mm_terminal_columns(&out), 9);
    mm_out_format(&out, "\033[1");
    CHECK_EQUAL(mm_terminal_columns(&out), 9); /* as if it went on */
}

static void share(unsigned first, unsigned second, unsigned third, unsigned lines,
                  const unsigned expected[3])
{
    static struct mm_trace of[3];
    const struct mm_trace *traces[3] = {&of[0], &of[1], &of[2]};
    unsigned shares[3];
    of[0].shown = first;
    of[1].shown = second;
    of[2].shown = third;
    mm_terminal_share(traces, 3, lines, shares);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQUAL(shares[i], expected[i]);
}

static void shares(void)
{
    share(3, 3, 3, 20, (const unsigned[]){3, 3, 3});
    share(30, 30, 30, 20, (const unsigned[]){8, 6, 6});
    share(30, 2, 0, 20, (const unsigned[]){18, 2, 0});
    share(2, 30, 30, 20, (const unsigned[]){2, 9, 9});
    share(5, 5, 5, 0, (const unsigned[]){1, 1, 1});
}

static void shows(const struct mm_frame *frame, const char *expected)
{
    mm_out_start(&out, text, sizeof text);
    mm_terminal_place(&out, frame, 80, &style);
    CHECK_TEXT(text, expected);
}

static void places(void)
{
    struct mm_frame frame = {.address = (const void *)0x1234, .function = "work", .line = 7};
    frame.file = "/project/shim/src/part/a.c";
    shows(&frame, " src/part/a.c:7 in work");
    frame.file = "/project/shimmer/src/a.c"; /* beside the folder */
    shows(&frame, " src/a.c:7 in work");
    frame.file = "part/a.c";
    shows(&frame, " part/a.c:7 in work");
    frame.file = "a_path_that_is_longer_than_what_is_shown_of_any/and_goes_on/a.c";
    shows(&frame, " a.c:7 in work");
    frame.line = 0;
    frame.place.module = "/usr/lib/libsome.so.1";
    frame.place.module_offset = 0x56;
    shows(&frame, " in work (libsome.so.1+0x56)");
    frame.place.unloaded = true;
    shows(&frame, " in work (libsome.so.1+0x56, unloaded since)");
    frame.function = NULL;
    frame.place.symbol = "symbol";
    frame.place.symbol_offset = 0x9;
    shows(&frame, " in symbol+0x9 (libsome.so.1+0x56, unloaded since)");
    frame.place.symbol = NULL;
    shows(&frame, " in (libsome.so.1+0x56, unloaded since)");
    frame.place = (struct mm_place){.symbol = "alone"};
    shows(&frame, " in alone+0x0");
}

static struct mm_trace trace;

/* Functions a, b, c ..., the one of that number the program's own. */
static void frames(unsigned count, unsigned own, unsigned lines, const char *expected)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    memset(&trace, 0, sizeof trace);
    trace.count = trace.shown = count;
    trace.own = own;
    for (unsigned i = 0; i < count; i++)
        trace.frames[i].function = names[i];
    mm_out_start(&out, text, sizeof text);
    mm_terminal_frames(&out, &trace, lines, &style);
    CHECK_TEXT(text, expected);
}

static void traces(void)
{
    frames(2, 0, 5, "    #0 a\n    #1 b\n");
    frames(4, 1, 3, "    #0 a\n    #1 b\n    ... 2 more\n");
    frames(4, 9, 4, "    #0 a\n    #1 b\n    #2 c\n    #3 d\n"); /* none is own */
    frames(4, 9, 1, "    #0 a\n");
    frames(4, 2, 1, "    #2 c\n"); /* the own one, where there is room for one */
    frames(8, 4, 6, "    #0 a\n    ... 3 more\n    #4 e\n    #5 f\n    #6 g\n    #7 h\n");
    frames(8, 4, 5, "    #0 a\n    ... 3 more\n    #4 e\n    #5 f\n    ... 2 more\n");
    frames(8, 4, 2, "    #4 e\n    ... 3 more\n");
}

/* What comes between own functions is left out where it is much: those at these places are own. */
static void between_own(uint64_t own, unsigned lines, const char *expected)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    memset(&trace, 0, sizeof trace);
    trace.count = trace.shown = 8;
    for (unsigned i = 0; i < 8; i++) {
        trace.frames[i].function = names[i];
        trace.frames[i].place.module = own >> i & 1 ? "/program" : "/lib/libstdc++.so.6";
    }
    mm_out_start(&out, text, sizeof text);
    mm_terminal_frames(&out, &trace, lines, &style);
    CHECK_TEXT(text, expected);
}

static void libraries_between(void)
{
    between_own(0xc1, 8,
                "    #0 a (program+0x0)\n    ... 5 more\n    #6 g (program+0x0)\n"
                "    #7 h (program+0x0)\n");
    between_own(0xc1, 3, "    #0 a (program+0x0)\n    ... 5 more\n    ... 2 more\n");
    between_own(0xc1, 2, "    #0 a (program+0x0)\n    ... 7 more\n");
    between_own(0x91, 3, "    #0 a (program+0x0)\n    #1 b (libstdc++.so.6+0x0)\n    ... 6 more\n");
}

static void without_names(void)
{
    memset(&trace, 0, sizeof trace);
    trace.count = trace.shown = 2;
    trace.own = 5;
    trace.frames[0].address = (const void *)0x1234;
    trace.frames[1].place = (struct mm_place){.module = "/lib/libsome.so", .module_offset = 0x56};
    mm_out_start(&out, text, sizeof text);
    mm_terminal_frames(&out, &trace, 5, &style);
    CHECK_TEXT(text, "    #0 0x1234\n    #1 in (libsome.so+0x56)\n");
}

int main(void)
{
    columns();
    shares();
    places();
    traces();
    libraries_between();
    without_names();
    return 0;
}
