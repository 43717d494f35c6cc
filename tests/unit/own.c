/* own.c - which frames are the program's own, what its code called, and functions in short. */
#include "findings/own.h"

#include "check.h"
#include <string.h>

static struct mm_trace trace;
static char text[4096];

static struct mm_frame *add(const char *module, const char *symbol)
{
    struct mm_frame *frame = &trace.frames[trace.count++];
    *frame = (struct mm_frame){.place = {.module = module, .symbol = symbol}};
    return frame;
}

static void begin(const char *call)
{
    trace = (struct mm_trace){.call = call};
}

#define LIBC    "/lib/x86_64-linux-gnu/libc.so.6"
#define CXX     "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"
#define PROGRAM "/usr/bin/server"

static void end_at_main(void)
{
    add(PROGRAM, "serve");
    add(PROGRAM, "main");
    add(LIBC, NULL);
    add(LIBC, "__libc_start_main");
    add(PROGRAM, "_start");
    mm_own_judge(&trace);
}

static void check_call(unsigned own, unsigned shown, const char *call)
{
    struct mm_out out;
    CHECK_EQUAL(trace.own, own);
    CHECK_EQUAL(trace.shown, shown);
    mm_out_start(&out, text, sizeof text);
    mm_own_write_call(&out, &trace);
    CHECK_TEXT(text, call);
}

static void calls(void)
{
    begin("free");
    end_at_main();
    check_call(0, 2, "free");

    begin("free");
    add(LIBC, NULL);
    add(LIBC, "fclose");
    end_at_main();
    check_call(2, 4, "fclose → free");

    begin(NULL);
    add(LIBC, "strdup");
    end_at_main();
    check_call(1, 3, "strdup");

    begin("free");
    add(PROGRAM, "xfree");
    end_at_main();
    check_call(1, 3, "xfree → free");
}

static void templates(void)
{
    begin("delete");
    add(PROGRAM, NULL)->function = "void std::_Destroy<int*>(int*, int*)";
    struct mm_frame *inlined = add(PROGRAM, NULL);
    inlined->function = "operator()";
    inlined->file = "/usr/include/c++/12/bits/unique_ptr.h";
    end_at_main();
    check_call(2, 4, "operator() → delete");
}

/* What nobody wrote has no line to change. */
static void made_by_compiler(void)
{
    begin("delete");
    add(PROGRAM, "~string");
    add(PROGRAM, "~session")->is_generated = true;
    trace.frames[0].is_generated = true;
    end_at_main();
    check_call(2, 4, "~session → delete");
}

/* No frame need be the program's own, and one is always shown. */
static void none_own(void)
{
    begin("free");
    add(LIBC, "exit");
    add(LIBC, "__libc_start_main");
    mm_own_judge(&trace);
    CHECK(trace.own == trace.count && trace.shown == trace.count);
    begin("free");
    mm_own_judge(&trace);
    CHECK(trace.own == 0 && trace.shown == 0);
}

static void wrappers(void)
{
    mm_own_start("^pool_*$,/libpool.so");
    begin("free");
    add(PROGRAM, "pool_put");
    add("/opt/libpool.so", "anything");
    end_at_main();
    check_call(2, 4, "anything → free");
    mm_own_start(NULL);
}

static void check_short(const char *function, size_t most, const char *expected)
{
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    mm_own_write_function(&out, function, most);
    CHECK_TEXT(text, expected);
}

static void short_names(void)
{
    check_short("main", 100, "main");
    check_short("server::close(int)", 100, "server::close");
    check_short("void ns::box<int>::set<char>(int const&)", 100, "ns::box<...>::set<...>");
    check_short("std::vector<a, b<c> >::~vector()", 100, "std::vector<...>::~vector");
    check_short("(anonymous namespace)::drop(char*)", 100, "(anonymous namespace)::drop");
    check_short("bool operator< <int>(a, b)", 100, "operator< <...>");
    check_short("thing::operator()(int) const", 100, "thing::operator()");
    check_short("operator new(unsigned long)", 100, "operator new");
    check_short("main::{lambda(int)#1}::operator()(int) const", 100,
                "main::{lambda(int)#1}::operator()");
    check_short("one::two::three(int)", 12, "two::three");
    check_short("abcdefghijklmnop", 10, "...jklmnop");
}

int main(void)
{
    calls();
    templates();
    made_by_compiler();
    none_own();
    wrappers();
    short_names();
    return 0;
}
