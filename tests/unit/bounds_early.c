/* bounds_early.c - the plain functions of memory and strings do what libc's do. */
#include "bounds_early.h"

#include "check.h"
#include <string.h>

#define SIZE 64u

static char ours[SIZE], theirs[SIZE];

/* Both hold the same, and the same was returned: how far it is into them. */
static void begin(const char *text)
{
    memset(ours, '.', SIZE);
    memset(theirs, '.', SIZE);
    strcpy(ours, text);
    strcpy(theirs, text);
}

static void same(const void *result, const void *expected)
{
    CHECK_EQUAL((uintptr_t)result - (uintptr_t)ours, (uintptr_t)expected - (uintptr_t)theirs);
    CHECK(memcmp(ours, theirs, SIZE) == 0);
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void moving(void)
{
    for (unsigned to = 0; to < 16; to++) {
        for (size_t size = 0; size < 12; size++) {
            begin("0123456789abcdefghijklmnopqrstuvwxyz");
            same(bounds_early_memmove(ours + to, ours + 8, size),
                 memmove(theirs + to, theirs + 8, size));
        }
    }
    begin("0123456789abcdefghijklmnopqrstuvwxyz");
    same(bounds_early_memcpy(ours + 20, ours, 9), memcpy(theirs + 20, theirs, 9));
    same(bounds_early_mempcpy(ours + 20, ours + 3, 9),
         (char *)memcpy(theirs + 20, theirs + 3, 9) + 9);
    same(bounds_early_memset(ours + 5, 0x1fe, 9), memset(theirs + 5, 0xfe, 9));
    same(bounds_early_memset(ours + 5, 'x', 0), theirs + 5);
}

/* The compiler is not to know that not all is copied. */
static volatile size_t few = 5;

static void copying(void)
{
    begin("");
    same(bounds_early_strcpy(ours, "some"), strcpy(theirs, "some"));
    same(bounds_early_strcat(ours, " more"), strcat(theirs, " more"));
    same(bounds_early_strncat(ours, ", not all", 5), strncat(theirs, ", not all", few));
    same(bounds_early_strncat(ours, "!", 5), strncat(theirs, "!", 5));
    same(bounds_early_strcpy(ours, ""), strcpy(theirs, ""));
    same(bounds_early_stpcpy(ours, "end"), strcpy(theirs, "end") + 3);
    same(bounds_early_strncpy(ours, "ab", 9), strncpy(theirs, "ab", 9));
    begin("0123456789");
    same(bounds_early_strncpy(ours, "abcdef", 3), memcpy(theirs, "abc", 3)); /* no end */
}

/* Of which older libcs have none. */
static void limited(void)
{
    begin("0123456789");
    CHECK(bounds_early_strlcpy(ours, "abc", 4) == 3 && strcmp(ours, "abc") == 0);
    CHECK(bounds_early_strlcpy(ours, "defg", 4) == 4 && strcmp(ours, "def") == 0);
    CHECK(bounds_early_strlcpy(ours, "xyz", 0) == 3 && strcmp(ours, "def") == 0);
    CHECK(bounds_early_strlcpy(ours, "xyz", 1) == 3 && strcmp(ours, "") == 0);
    CHECK(bounds_early_strlcat(ours, "abc", 5) == 3 && strcmp(ours, "abc") == 0);
    CHECK(bounds_early_strlcat(ours, "defg", 5) == 7 && strcmp(ours, "abcd") == 0);
    CHECK(bounds_early_strlcat(ours, "defg", 2) == 6 && strcmp(ours, "abcd") == 0);
}

static void comparing(void)
{
    static const char *const texts[] = {"", "a", "ab", "abc", "abd", "b", "\xff", "ab\xff"};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (unsigned j = 0; j < sizeof texts / sizeof texts[0]; j++) {
            CHECK(sign(bounds_early_strcmp(texts[i], texts[j])) ==
                  sign(strcmp(texts[i], texts[j])));
            for (size_t most = 0; most < 4; most++)
                CHECK(sign(bounds_early_strncmp(texts[i], texts[j], most)) ==
                      sign(strncmp(texts[i], texts[j], most)));
        }
    }
    CHECK(bounds_early_memcmp("a\0b", "a\0b", 3) == 0 && bounds_early_memcmp("a", "b", 0) == 0);
    CHECK(bounds_early_memcmp("a\0b", "a\0c", 3) < 0 && bounds_early_memcmp("\xff", "a", 1) > 0);
}

static void searching(void)
{
    static const char text[] = "to be or not to be";
    static const char *const parts[] = {"", "to", "not", "be", "to be", "bee", "x"};
    for (const char *letter = "tboxe"; *letter != '\0'; letter++) {
        int byte = *letter + 0x100; /* as a char it is the letter */
        CHECK(bounds_early_memchr(text, byte, sizeof text) == memchr(text, byte, sizeof text));
        CHECK(bounds_early_memrchr(text, byte, 10) == memrchr(text, byte, 10));
        CHECK(bounds_early_strchr(text, byte) == strchr(text, byte));
        CHECK(bounds_early_strrchr(text, byte) == strrchr(text, byte));
        CHECK(bounds_early_strchrnul(text, byte) == strchrnul(text, byte));
    }
    CHECK(bounds_early_strchr(text, '\0') == text + strlen(text));
    CHECK(bounds_early_strrchr(text, '\0') == text + strlen(text));
    CHECK(bounds_early_rawmemchr(text, 'n') == strchr(text, 'n'));
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++)
        CHECK(bounds_early_strstr(text, parts[i]) == strstr(text, parts[i]));
    CHECK(bounds_early_strlen(text) == sizeof text - 1 && bounds_early_strlen("") == 0);
    CHECK(bounds_early_strnlen(text, 5) == 5 && bounds_early_strnlen("abc", 5) == 3);
}

int main(void)
{
    moving();
    copying();
    limited();
    comparing();
    searching();
    return 0;
}
