/* out.c - what each conversion writes, where it is cut, and that nothing is lost on the way to a
 * file. */
#include "system/out.h"

#include "check.h"
#include <string.h>
#include <unistd.h>

enum { CAPACITY = 128, CANARY = 0x5a };

#define CHECK_FORMAT(expected, ...)                                                                \
    do {                                                                                           \
        char text_[CAPACITY];                                                                      \
        struct mm_out out_;                                                                        \
        mm_out_start(&out_, text_, sizeof text_);                                                  \
        mm_out_format(&out_, __VA_ARGS__);                                                         \
        CHECK_TEXT(text_, expected);                                                               \
        CHECK_EQUAL(out_.length, strlen(expected));                                                \
    } while (0)

static void conversions(void)
{
    CHECK_FORMAT("", "%s", "");
    CHECK_FORMAT("plain", "plain");
    CHECK_FORMAT("a text, 100%", "a %s, 100%%", "text");
    CHECK_FORMAT("<x>", "<%c>", 'x');
    CHECK_FORMAT("0", "%u", (uint64_t)0);
    CHECK_FORMAT("10 9", "%u %u", (uint64_t)10, (uint64_t)9);
    CHECK_FORMAT("18446744073709551615", "%u", UINT64_MAX);
    CHECK_FORMAT("0 -1 1", "%d %d %d", (int64_t)0, (int64_t)-1, (int64_t)1);
    CHECK_FORMAT("-9223372036854775808", "%d", INT64_MIN);
    CHECK_FORMAT("9223372036854775807", "%d", INT64_MAX);
    CHECK_FORMAT("0x0 0xf 0x10", "%x %x %x", (uint64_t)0, (uint64_t)15, (uint64_t)16);
    CHECK_FORMAT("0xfedcba9876543210", "%x", UINT64_C(0xfedcba9876543210));
    CHECK_FORMAT("0xffffffffffffffff", "%x", UINT64_MAX);
}

static void bytes(void)
{
    char text[CAPACITY];
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    for (size_t count = 0; count < 3; count++) {
        mm_out_bytes(&out, count);
        mm_out_format(&out, ", ");
    }
    CHECK_TEXT(text, "0 bytes, 1 byte, 2 bytes, ");
}

static void appending(void)
{
    char text[CAPACITY];
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    CHECK_TEXT(text, "");
    mm_out_format(&out, "one");
    mm_out_format(&out, ", %s", "two");
    CHECK_TEXT(text, "one, two");
}

static void cut_to_fit(void)
{
    static const char whole[] = "ab: 12345 0xff -7 end";
    for (size_t capacity = 1; capacity <= sizeof whole + 1; capacity++) {
        char text[CAPACITY], expected[CAPACITY];
        struct mm_out out;
        memset(text, CANARY, sizeof text);
        size_t length = capacity - 1 < strlen(whole) ? capacity - 1 : strlen(whole);
        memcpy(expected, whole, length);
        expected[length] = '\0';
        mm_out_start(&out, text, capacity);
        mm_out_format(&out, "%s: %u %x %d end", "ab", (uint64_t)12345, (uint64_t)255, (int64_t)-7);
        CHECK_TEXT(text, expected);
        CHECK_EQUAL(out.length, length);
        mm_out_format(&out, "%s", "");
        CHECK(check_all_bytes(text + capacity, sizeof text - capacity, CANARY));
    }
}

static void check_cut(const char *text, size_t most, const char *expected)
{
    char buffer[CAPACITY];
    struct mm_out out;
    mm_out_start(&out, buffer, sizeof buffer);
    mm_out_cut(&out, text, most);
    CHECK_TEXT(buffer, expected);
}

static void cut_short(void)
{
    check_cut("", 3, "");
    check_cut("ab", 3, "ab");
    check_cut("abc", 3, "abc");
    check_cut("abcd", 3, "abc...");
    check_cut("abcd", 0, "...");
    check_cut("\033[1m\n\x7f", 9, "?[1m??");
    check_cut("\xc2\x9b"
              "1m\x9b \xc3\xa9 \xc2\xa0",
              20, "?1m? \xc3\xa9 \xc2\xa0");
    check_cut("\xff\xc3", 9, "??");
    check_cut("a\xe2\x82\xac", 3, "a...");
    check_cut("a\xe2\x82\xac", 4, "a\xe2\x82\xac");
}

static void threads(void)
{
    char buffer[CAPACITY];
    struct mm_out out;
    mm_out_start(&out, buffer, sizeof buffer);
    mm_out_thread(&out, 42, "na\tme");
    CHECK_TEXT(buffer, "thread 42 (na?me)");
}

static void to_a_file(void)
{
    struct check_pipe pipe_of;
    check_pipe_open(&pipe_of, STDOUT_FILENO);
    for (size_t capacity = 2; capacity <= 40; capacity++) {
        char buffer[CAPACITY], text[CAPACITY];
        struct mm_out out;
        memset(buffer, CANARY, sizeof buffer);
        mm_out_to_file(&out, buffer, capacity, STDOUT_FILENO);
        mm_out_format(&out, "the number %u, ", (uint64_t)9876543210);
        mm_out_format(&out, "%s", "a text.");
        mm_out_flush(&out);
        check_pipe_take(&pipe_of, text, sizeof text);
        CHECK_TEXT(text, "the number 9876543210, a text.");
        CHECK(check_all_bytes(buffer + capacity, sizeof buffer - capacity, CANARY));
        mm_out_flush(&out);
        check_pipe_take(&pipe_of, text, sizeof text);
        CHECK_TEXT(text, "");
    }
    check_pipe_close(&pipe_of);
}

/* Written out only when the buffer is full, so that a snapshot takes few system calls. */
static void when_full(void)
{
    char buffer[8], text[CAPACITY];
    struct check_pipe pipe_of;
    struct mm_out out;
    check_pipe_open(&pipe_of, STDOUT_FILENO);
    mm_out_to_file(&out, buffer, sizeof buffer, STDOUT_FILENO);
    mm_out_format(&out, "1234567");
    check_pipe_take(&pipe_of, text, sizeof text);
    CHECK_TEXT(text, "");
    mm_out_format(&out, "8");
    check_pipe_take(&pipe_of, text, sizeof text);
    CHECK_TEXT(text, "1234567");
    CHECK_TEXT(buffer, "8");
    check_pipe_close(&pipe_of);
}

static void to_a_closed_file(void)
{
    char buffer[4];
    struct mm_out out;
    mm_out_to_file(&out, buffer, sizeof buffer, -1);
    out.fd = 1000000; /* no such descriptor: the text is dropped, and that is all */
    mm_out_format(&out, "a longer text");
    mm_out_flush(&out);
    CHECK_EQUAL(out.length, 0);
}

int main(void)
{
    conversions();
    bytes();
    appending();
    cut_to_fit();
    cut_short();
    threads();
    to_a_file();
    when_full();
    to_a_closed_file();
    return 0;
}
