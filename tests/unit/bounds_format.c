/* bounds_format.c - which memory printf() and scanf() use, by their formats: each use in turn, as
 * the rest of the library of bounds would be told of it. */
#include "bounds.h"

#include "check.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* --- the rest of the library: notes what is used --- */

enum what { TEXT, WIDE_TEXT, USE };

struct use {
    enum what what;
    const void *at;
    size_t size;
};

#define USES_MOST 8u
static struct use uses[USES_MOST];
static unsigned use_count;

void *_Atomic bounds_found[BOUNDS_FUNCTIONS];
const struct shim_door *_Atomic bounds_door;

static void note(enum what what, const void *at, size_t size)
{
    CHECK(use_count < USES_MOST);
    uses[use_count++] = (struct use){what, at, size};
}

void bounds_text(struct bounds_call call, const char *text, size_t most)
{
    CHECK(call.shim != NULL);
    note(TEXT, text, most);
}

void bounds_wide_text(struct bounds_call call, const wchar_t *text, size_t most)
{
    CHECK(call.shim != NULL);
    note(WIDE_TEXT, text, most);
}

size_t bounds_room_outside(const struct shim_door *shim, uintptr_t address)
{
    (void)shim;
    (void)address;
    return 0;
}

/* There is no room anywhere, and so each use is told. */
void bounds_tell(struct bounds_call call, const void *at, size_t size, enum bounds_how how)
{
    CHECK(call.shim != NULL && how == BOUNDS_WRITES);
    note(USE, at, size);
}

static struct mm_arena arena;
static const struct shim_door door = {.arena = &arena};
static const struct bounds_call call = {.function = "printf", .shim = &door};

/* --- calls --- */

static void printed(const char *format, ...)
{
    va_list list;
    use_count = 0;
    va_start(list, format);
    bounds_format(call, format, list);
    va_end(list);
    CHECK(use_count > 0 && uses[0].what == TEXT && uses[0].at == format &&
          uses[0].size == BOUNDS_ANY);
}

static void wide_printed(const wchar_t *format, ...)
{
    va_list list;
    use_count = 0;
    va_start(list, format);
    bounds_wide_format(call, format, list);
    va_end(list);
    CHECK(use_count > 0 && uses[0].what == WIDE_TEXT && uses[0].at == format);
}

static void scanned(int count, const char *format, ...)
{
    va_list list;
    use_count = 0;
    va_start(list, format);
    bounds_scanned(call, format, count, list);
    va_end(list);
}

static void wide_scanned(int count, const wchar_t *format, ...)
{
    va_list list;
    use_count = 0;
    va_start(list, format);
    bounds_wide_scanned(call, format, count, list);
    va_end(list);
}

static void used(unsigned number, enum what what, const void *at, size_t size)
{
    CHECK(number < use_count);
    CHECK_EQUAL(uses[number].what, what);
    CHECK_EQUAL((uintptr_t)uses[number].at, (uintptr_t)at);
    CHECK_EQUAL(uses[number].size, size);
}

/* --- printf() --- */

static char first[8], second[8];
static const wchar_t wide[4];

/* Where the text is found behind others, these were passed as the format says. */
static void past_numbers(void)
{
    static const char *const whole[] = {
        "%d%s",      "%i%s",   "%o%s",  "%u%s",   "%x%s",   "%X%s",   "%c%s",
        "%C%s",      "%b%s",   "%B%s",  "%p%s",   "%hd%s",  "%hhd%s", "%ld%s",
        "%Ld%s",     "%lld%s", "%qd%s", "%jd%s",  "%zd%s",  "%Zd%s",  "%td%s",
        "%-+ #0d%s", "%'d%s",  "%Id%s", "%12d%s", "%.3d%s", "%.d%s",  "%99999999999d%s"};
    static const char *const real[] = {"%e%s", "%E%s", "%f%s", "%F%s",
                                       "%g%s", "%G%s", "%a%s", "%A%s"};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        printed(whole[i], 7L, first);
        used(1, TEXT, first, BOUNDS_ANY);
    }
    for (size_t i = 0; i < sizeof real / sizeof real[0]; i++) {
        printed(real[i], 7.5, first);
        used(1, TEXT, first, BOUNDS_ANY);
    }
    printed("%Lf%s", (long double)7.5, first);
    used(1, TEXT, first, BOUNDS_ANY);
    printed("%*d%s", 5, 7, first);
    used(1, TEXT, first, BOUNDS_ANY);
    printed("100 %% of %m: %s", first);
    used(1, TEXT, first, BOUNDS_ANY);
}

static void texts(void)
{
    printed("%s, %s", first, second);
    used(1, TEXT, first, BOUNDS_ANY);
    used(2, TEXT, second, BOUNDS_ANY);
    printed("%.4s%.*s%.s", first, 3, second, first);
    used(1, TEXT, first, 4);
    used(2, TEXT, second, 3);
    used(3, TEXT, first, 0);
    printed("%.*s", -1, first);
    used(1, TEXT, first, BOUNDS_ANY);
    printed("%ls%S%.2ls%s", wide, wide, wide, first);
    used(1, WIDE_TEXT, wide, BOUNDS_ANY);
    used(2, WIDE_TEXT, wide, BOUNDS_ANY);
    used(3, TEXT, first, BOUNDS_ANY); /* a precision counts bytes of what it becomes */
    printed("%s%s", NULL, first);
    used(1, TEXT, first, BOUNDS_ANY);
    CHECK(use_count == 2);
}

static void counts(void)
{
    static long number;
    printed("%n%ln%hn%hhn%zn", &number, &number, &number, &number, &number);
    used(1, USE, &number, sizeof(int));
    used(2, USE, &number, sizeof(long));
    used(3, USE, &number, sizeof(short));
    used(4, USE, &number, sizeof(char));
    used(5, USE, &number, sizeof(size_t));
}

/* What follows can't be told apart, and is let go. */
static void up_to_unknown(void)
{
    static const char *const formats[] = {"%s%y%s", "%s%1$s", "%s%w8d%s", "%s%"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        printed(formats[i], first, second, second);
        used(1, TEXT, first, BOUNDS_ANY);
        CHECK(use_count == 2);
    }
    wide_printed(L"%ls%d%s%\x100%s", wide, 7, first, second);
    used(1, WIDE_TEXT, wide, BOUNDS_ANY);
    used(2, TEXT, first, BOUNDS_ANY);
    CHECK(use_count == 3);
}

/* --- scanf() --- */

static void numbers(void)
{
    static long double place;
    static const struct {
        const char *format;
        size_t size;
    } of[] = {{"%d", sizeof(int)},
              {"%i", sizeof(int)},
              {"%o", sizeof(int)},
              {"%u", sizeof(int)},
              {"%x", sizeof(int)},
              {"%X", sizeof(int)},
              {"%hd", sizeof(short)},
              {"%hhd", 1},
              {"%ld", sizeof(long)},
              {"%Ld", sizeof(long)},
              {"%zu", sizeof(size_t)},
              {"%9d", sizeof(int)},
              {"%e", sizeof(float)},
              {"%E", sizeof(float)},
              {"%f", sizeof(float)},
              {"%F", sizeof(float)},
              {"%g", sizeof(float)},
              {"%G", sizeof(float)},
              {"%a", sizeof(float)},
              {"%A", sizeof(float)},
              {"%lf", sizeof(double)},
              {"%Lf", sizeof place},
              {"%p", sizeof(void *)},
              {"%ms", sizeof(char *)},
              {"%mc", sizeof(char *)},
              {"%c", 1},
              {"%5c", 5},
              {"%lc", sizeof(wchar_t)},
              {"%C", sizeof(wchar_t)},
              {"%3lc", 3 * sizeof(wchar_t)}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        scanned(1, of[i].format, &place);
        used(0, USE, &place, of[i].size);
    }
}

static void scanned_texts(void)
{
    static wchar_t to[] = L"abcd";
    strcpy(first, "abc");
    strcpy(second, "d");
    scanned(2, "x %s %7s", first, second);
    used(0, USE, first, 4);
    used(1, USE, second, 2);
    scanned(4, "%[a-z]%[]x]%[^]x]%[^ ]", first, second, first, second);
    for (unsigned i = 0; i < 4; i++)
        used(i, USE, i % 2 == 0 ? first : second, i % 2 == 0 ? 4 : 2);
    scanned(3, "%ls%S%l[a]", to, to, to);
    for (unsigned i = 0; i < 3; i++)
        used(i, USE, to, sizeof to);
    wide_scanned(2, L"%ls%hs", to, first);
    used(0, USE, to, sizeof to);
    used(1, USE, first, 4);
}

/* Only as many were assigned; what is skipped, and %n, count as none. */
static void as_many(void)
{
    static int one, other;
    scanned(1, "%d%d", &one, &other);
    CHECK(use_count == 1);
    scanned(0, "%d", &one);
    CHECK(use_count == 0);
    scanned(-1, "%d", &one);
    CHECK(use_count == 0);
    scanned(1, "%*d%%%*[a]%n%d", &one, &other);
    used(0, USE, &one, sizeof one);
    used(1, USE, &other, sizeof other);
    scanned(3, "%d%1$d%d", &one, &other);
    CHECK(use_count == 1);
    scanned(3, "%d%y%d", &one, &other, &other);
    CHECK(use_count == 1);
    scanned(3, "%d%[", &one, first);
    used(1, USE, first, 4);
    scanned(3, "%d%", &one);
    CHECK(use_count == 1);
}

/* --- without a shim, or a format --- */

static void no_shim(va_list list)
{
    struct bounds_call none = {.function = "printf"};
    bounds_format(none, "%s", list);
    bounds_wide_format(none, L"%s", list);
    bounds_scanned(none, "%s", 1, list);
    bounds_wide_scanned(none, L"%s", 1, list);
    bounds_format(call, NULL, list);
    bounds_wide_format(call, NULL, list);
    bounds_scanned(call, NULL, 1, list);
    bounds_wide_scanned(call, NULL, 1, list);
}

static void with_nothing(int unused, ...)
{
    va_list list;
    use_count = 0;
    va_start(list, unused);
    no_shim(list);
    va_end(list);
    CHECK(use_count == 0);
}

int main(void)
{
    bounds_found[BOUNDS_OF_strlen] = (void *)(uintptr_t)strlen;
    bounds_found[BOUNDS_OF_wcslen] = (void *)(uintptr_t)wcslen;
    past_numbers();
    texts();
    counts();
    up_to_unknown();
    numbers();
    scanned_texts();
    as_many();
    with_nothing(0, first);
    return 0;
}
