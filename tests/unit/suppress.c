/* suppress.c - patterns, rules and what is wrong with a line. */
#include "findings/suppress.h"

#include "check.h"
#include <stdio.h>
#include <string.h>

static bool matches(const char *pattern, const char *name)
{
    char rules[256];
    snprintf(rules, sizeof rules, "double-free:%s\n", pattern);
    bool by_rule = mm_suppress_matches(rules, strlen(rules), "double-free", name);
    CHECK_EQUAL(mm_suppress_is_in(pattern, name), by_rule);
    CHECK(!mm_suppress_matches(rules, strlen(rules), "foreign-free", name));
    return by_rule;
}

static void patterns(void)
{
    CHECK(matches("a", "a") && matches("a", "xay") && !matches("a", "xy") && !matches("ab", "a"));
    CHECK(matches("^a", "ab") && !matches("^a", "ba") && matches("a$", "ba") &&
          !matches("a$", "ab"));
    CHECK(matches("^a$", "a") && !matches("^a$", "aa") && !matches("^aa$", "a"));
    CHECK(matches("^$", "") && !matches("^$", "a") && matches("$", "a") && matches("^", "a"));
    CHECK(matches("*", "") && matches("*", "a") && matches("^*$", "abc") && matches("**", "abc"));
    CHECK(matches("a*b", "xaxxbx") && matches("a*b", "ab") && !matches("a*b", "ba"));
    CHECK(matches("^a*b$", "aab") && matches("^a*b$", "abab") && !matches("^a*b$", "aba"));
    CHECK(matches("^a*a$", "aa") && !matches("^a*a$", "a"));
    CHECK(matches("a*b*c$", "a1b2c3bc") && !matches("a*b*c$", "a1c2b"));
    CHECK(matches("^std::*alloc*<", "std::allocator<int>"));
    CHECK(!matches("ab", "") && !matches("a$b", "ab"));
}

static void lists(void)
{
    CHECK(mm_suppress_is_in("x:^/lib/*.so$,y", "/lib/libc.so"));
    CHECK(mm_suppress_is_in("x,y", "aya") && mm_suppress_is_in("x:y", "aya"));
    CHECK(!mm_suppress_is_in("x,z", "aya"));
    CHECK(!mm_suppress_is_in("", "a") && !mm_suppress_is_in(",::", "a"));
}

static char complaints[1024];

static void complain(size_t line, const char *why)
{
    size_t length = strlen(complaints);
    snprintf(complaints + length, sizeof complaints - length, "%zu: %s\n", line, why);
}

static void check_complaints(const char *rules, const char *expected)
{
    complaints[0] = '\0';
    mm_suppress_check(rules, strlen(rules), complain);
    CHECK_TEXT(complaints, expected);
}

static void broken_lines(void)
{
    check_complaints("", "");
    check_complaints("\n\n  \n# a comment without meaning\n   #\n", "");
    check_complaints("double-free:a\ninterior-free:b\nforeign-free:c\nleak:d", "");
    check_complaints(" \tdouble-free : a\r\n", "");
    check_complaints("a\n\ndouble-free\n", "1: no colon\n3: no colon\n");
    check_complaints("double-free:\nleak:  ", "1: no pattern\n2: no pattern\n");
    check_complaints(
        "double_free:a\n:a\nDouble-free:a",
        "1: the kind is not one of double-free, interior-free, foreign-free, overflow, underflow, "
        "use-after-free, mismatched-free, mismatched-size, bad-query, leak, possible-leak, as "
        "reports name them\n"
        "2: the kind is not one of double-free, interior-free, foreign-free, overflow, underflow, "
        "use-after-free, mismatched-free, mismatched-size, bad-query, leak, possible-leak, as "
        "reports name them\n"
        "3: the kind is not one of double-free, interior-free, foreign-free, overflow, underflow, "
        "use-after-free, mismatched-free, mismatched-size, bad-query, leak, possible-leak, as "
        "reports name them\n");
}

static void rules(void)
{
    static const char text[] = "# double-free:commented\nbroken\nleak:leaked\n"
                               "  interior-free:  a b  \r\ndouble-free:a:b\0c\nforeign-free:last";
    size_t size = sizeof text - 1;
    CHECK(mm_suppress_matches(text, size, "interior-free", "xa by"));
    CHECK(mm_suppress_matches(text, size, "foreign-free", "last"));
    CHECK(!mm_suppress_matches(text, size, "foreign-free", "las"));
    CHECK(mm_suppress_matches(text, size - 1, "foreign-free", "las"));
    CHECK(!mm_suppress_matches(text, size, "double-free", "commented"));
    CHECK(!mm_suppress_matches(text, size, "double-free", "leaked"));
    CHECK(!mm_suppress_matches(text, size, "double-free", NULL));
    CHECK(!mm_suppress_matches(NULL, 0, "double-free", "a"));
}

/* Whatever bytes a file holds, nothing outside of it is read (with a sanitizer, or the page
 * behind). */
static void any_bytes(void)
{
    static const char alphabet[] = "a:^$*#\n\r \0-double-free:leak:";
    uint64_t random = 1;
    for (unsigned round = 0; round < 20000 / CHECK_SLOWER; round++) {
        char text[64];
        size_t size = check_below(&random, sizeof text);
        for (size_t i = 0; i < size; i++)
            text[i] = alphabet[check_below(&random, sizeof alphabet)];
        complaints[0] = '\0';
        mm_suppress_check(text, size, complain);
        mm_suppress_matches(text, size, "double-free", "a^a$a*");
    }
}

int main(void)
{
    patterns();
    lists();
    broken_lines();
    rules();
    any_bytes();
    return 0;
}
