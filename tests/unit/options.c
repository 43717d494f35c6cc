/* options.c - every option of options.def at its boundaries and beyond, and names that are none. */
#include "entry/options.h"

#include "check.h"
#include <stdio.h>
#include <string.h>

enum { NUMBER, SIZE, CHOICE, TEXT };
enum { CAPACITY = 2048 };

static const struct option {
    const char *name;
    void *field;
    int type;
    int64_t by_default, least, most;
} options[] = {
#define OPTION(name, field, type, value, least, most, choices, help)                               \
    {#name, &mm_options.field, type, value, least, most},
#include "entry/options.def"
#undef OPTION
};
enum { OPTIONS = sizeof options / sizeof options[0] };

static int64_t *value_of(const struct option *option)
{
    CHECK(option->type != TEXT);
    return option->field;
}

static bool has_default(const struct option *option)
{
    return option->type == TEXT ? *(const char **)option->field == NULL
                                : *value_of(option) == option->by_default;
}

static char complaint[CAPACITY];
static unsigned complaints;

static void complain(const char *line)
{
    CHECK(strlen(line) < sizeof complaint);
    memcpy(complaint, line, strlen(line) + 1);
    complaints++;
}

static void read_variable(const char *variable)
{
    char copy[CAPACITY];
    char *environment[] = {copy, NULL};
    CHECK(strlen(variable) < sizeof copy);
    memcpy(copy, variable, strlen(variable) + 1);
    complaints = 0;
    mm_options_read(environment, complain);
    CHECK_TEXT(copy, variable);
}

static void read_option(const struct option *option, const char *value)
{
    char variable[CAPACITY];
    CHECK(snprintf(variable, sizeof variable, "MM_%s=%s", option->name, value) < CAPACITY);
    read_variable(variable);
}

static void sets(const struct option *option, const char *value, int64_t expected)
{
    *value_of(option) = -2;
    read_option(option, value);
    CHECK_EQUAL(complaints, 0);
    CHECK_EQUAL(*value_of(option), expected);
    *value_of(option) = option->by_default;
}

static void sets_number(const struct option *option, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%jd", (intmax_t)value);
    sets(option, text, value);
}

static void refuses(const struct option *option, const char *value, const char *expected)
{
    char line[2 * CAPACITY];
    *value_of(option) = -2;
    read_option(option, value);
    CHECK_EQUAL(complaints, 1);
    snprintf(line, sizeof line, "MM_%s=%s: not %s, ignored", option->name, value, expected);
    CHECK_TEXT(complaint, line);
    CHECK_EQUAL(*value_of(option), -2);
    *value_of(option) = option->by_default;
}

static void number(const struct option *option)
{
    static const char *const no_numbers[] = {"",
                                             "abc",
                                             "1x",
                                             " 1",
                                             "1 ",
                                             "+1",
                                             "-1",
                                             "-0",
                                             "0x1",
                                             "1.",
                                             "1e3",
                                             "K",
                                             "1k",
                                             "1KK",
                                             "1KB",
                                             "1T",
                                             "٣",
                                             "1,000",
                                             "99999999999999999999",
                                             "18446744073709551617"};
    char expected[CAPACITY], text[32];
    snprintf(expected, sizeof expected, "a whole number from %jd to %jd%s", (intmax_t)option->least,
             (intmax_t)option->most,
             option->type == SIZE ? ", with K, M or G behind it if wanted" : "");
    for (size_t i = 0; i < sizeof no_numbers / sizeof no_numbers[0]; i++)
        refuses(option, no_numbers[i], expected);
    if (option->type != SIZE)
        refuses(option, "1K", expected);

    sets_number(option, option->least);
    sets_number(option, option->most);
    sets_number(option, option->least + (option->most - option->least) / 2);
    snprintf(text, sizeof text, "%jd", (intmax_t)option->most + 1);
    refuses(option, text, expected);
    if (option->least > 0) {
        snprintf(text, sizeof text, "%jd", (intmax_t)option->least - 1);
        refuses(option, text, expected);
    }
    snprintf(text, sizeof text, "000%jd", (intmax_t)option->least);
    sets(option, text, option->least);
}

static const struct option *named(const char *name)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    }
    check_failed(__FILE__, __LINE__, "there is such an option");
}

static void suffixes(void)
{
    const struct option *option = named("ARENA_SIZE");
    const char *expected =
        "a whole number from 0 to 17592186044416, with K, M or G behind it if wanted";
    sets(option, "0K", 0);
    sets(option, "1K", 1 << 10);
    sets(option, "3M", 3 << 20);
    sets(option, "2G", (int64_t)2 << 30);
    sets(option, "16384G", (int64_t)1 << 44);
    refuses(option, "16385G", expected);
    refuses(option, "17179869185K", expected);
    refuses(option, "4503599627370495G", expected);
    refuses(option, "1Kx", expected);
    refuses(option, "1g", expected);
    sets(named("SLOT_MAX"), "2K", 2048);
}

static void choices(void)
{
    const struct option *option = named("ON_ERROR");
    const char *expected = "one of report, abort, exit, stop";
    sets(option, "report", MM_ON_ERROR_REPORT);
    sets(option, "abort", MM_ON_ERROR_ABORT);
    sets(option, "exit", MM_ON_ERROR_EXIT);
    refuses(option, "", expected);
    refuses(option, "Exit", expected);
    refuses(option, "exi", expected);
    refuses(option, "exits", expected);
    refuses(option, "1", expected);
    sets(named("DEEPBIND"), "mask", MM_DEEPBIND_MASK);
    sets(named("DEEPBIND"), "keep", MM_DEEPBIND_KEEP);
    refuses(named("DEEPBIND"), "report", "one of mask, keep");
}

/* The variable may be written over afterwards. */
static void texts(void)
{
    char variable[CAPACITY] = "MM_LOG=/tmp/a b%p", longest[CAPACITY];
    const char *expected = "MM_LOG=: not a text of 1 to 1000 characters, ignored", *kept;
    read_variable(variable);
    CHECK_EQUAL(complaints, 0);
    kept = mm_options.log;
    read_variable(variable);
    CHECK(mm_options.log == kept);
    memset(variable, 'x', 10);
    CHECK_TEXT(kept, "/tmp/a b%p");
    read_variable("MM_LOG=");
    CHECK_TEXT(complaint, expected);
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "MM_LOG=", 7);
    longest[7 + 1001] = '\0';
    read_variable(longest);
    CHECK_EQUAL(complaints, 1);
    CHECK(mm_options.log == kept);
    longest[7 + 1000] = '\0';
    read_variable(longest);
    CHECK_EQUAL(complaints, 0);
    CHECK_TEXT(mm_options.log, longest + 7);
    mm_options.log = NULL;
}

static void unknown_shown_as(const char *name, const char *shown)
{
    char variable[CAPACITY], line[CAPACITY];
    snprintf(variable, sizeof variable, "%s=1", name);
    snprintf(line, sizeof line, "%s: no such option, ignored", shown);
    read_variable(variable);
    CHECK_EQUAL(complaints, 1);
    CHECK_TEXT(complaint, line);
}

static void unknown(const char *name)
{
    unknown_shown_as(name, name);
}

static void unknown_names(void)
{
    unknown("MM_FOO");
    unknown("MM_");
    unknown("MM_SNAPSHO");
    unknown("MM_SNAPSHOTS");
    unknown("MM_snapshot");
    unknown("MM_MM_SNAPSHOT");
    unknown_shown_as("MM_\033[1mLOG\n", "MM_?[1mLOG?");
}

static void not_ours(const char *variable)
{
    read_variable(variable);
    CHECK_EQUAL(complaints, 0);
}

static void other_variables(void)
{
    not_ours("MM=1");
    not_ours("mm_snapshot=1");
    not_ours("XMM_SNAPSHOT=1");
    not_ours("MM_SNAPSHOT");
    not_ours("");
    not_ours("=MM_SNAPSHOT=1");
    mm_options_read(NULL, complain);
    mm_options_read((char *[]){NULL}, complain);
    CHECK_EQUAL(complaints, 0);
    for (size_t i = 0; i < OPTIONS; i++)
        CHECK(has_default(&options[i]));
}

static void starts_alike(const char *text, const char *whole)
{
    CHECK(strlen(text) >= 32);
    CHECK(strncmp(text, whole, 32) == 0);
}

/* What is too long for a line is cut. */
static void overlong(void)
{
    char variable[CAPACITY];
    memset(variable, 'X', sizeof variable);
    memcpy(variable, "MM_MAX_REPORTS=", 15);
    variable[CAPACITY - 1] = '\0';
    read_variable(variable);
    CHECK_EQUAL(complaints, 1);
    starts_alike(complaint, variable);

    memset(variable, 'X', sizeof variable);
    memcpy(variable, "MM_", 3);
    memcpy(variable + CAPACITY - 3, "=1", 3);
    read_variable(variable);
    CHECK_EQUAL(complaints, 1);
    starts_alike(complaint, variable);

    memset(variable, '0', sizeof variable);
    memcpy(variable, "MM_MAX_REPORTS=", 15);
    memcpy(variable + CAPACITY - 3, "77", 3);
    read_variable(variable);
    CHECK_EQUAL(complaints, 0);
    CHECK_EQUAL(mm_options.max_reports, 77);
    mm_options.max_reports = named("MAX_REPORTS")->by_default;
}

static void several_at_once(void)
{
    char first[] = "MM_SNAPSHOT=1", bad[] = "MM_SNAPSHOT=2", path[] = "PATH=/bin",
         last[] = "MM_BATCH_SLOTS=8", again[] = "MM_BATCH_SLOTS=9";
    char *environment[] = {first, bad, path, last, again, NULL};
    complaints = 0;
    mm_options_read(environment, complain);
    CHECK_EQUAL(complaints, 1);
    CHECK_EQUAL(mm_options.snapshot, 1);
    CHECK_EQUAL(mm_options.batch_slots, 9);
}

int main(void)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        CHECK(has_default(&options[i]));
        if (options[i].type == NUMBER || options[i].type == SIZE)
            number(&options[i]);
    }
    suffixes();
    choices();
    texts();
    unknown_names();
    other_variables();
    overlong();
    several_at_once();
    return 0;
}
