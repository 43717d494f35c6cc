/* options.c - an input is an environment, its variables ended by a NUL each: every option stays in
 * its range, and what is told of a bad one is a short line of text. */
#include "options.h"

#include "check.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VARIABLES = 64, LINE_MOST = 256 };

static unsigned complaints;

static void complain(const char *line)
{
    CHECK(strlen(line) < LINE_MOST && strncmp(line, "MM_", 3) == 0);
    CHECK(strstr(line, "ignored") != NULL || strlen(line) == LINE_MOST - 1);
    complaints++;
}

static int64_t choices_in(const char *words)
{
    int64_t count = 1;
    for (; *words != '\0'; words++)
        count += *words == ',';
    return count;
}

#define CHECK_OPTION_NUMBER(option, unset, least, most, choices)                                   \
    CHECK((option) == (unset) || ((option) >= (least) && (option) <= (most)));
#define CHECK_OPTION_SIZE(option, unset, least, most, choices)                                     \
    CHECK_OPTION_NUMBER(option, unset, least, most, choices)
#define CHECK_OPTION_CHOICE(option, unset, least, most, choices)                                   \
    CHECK((option) >= 0 && (option) < choices_in(choices));
#define CHECK_OPTION_TEXT(option, unset, least, most, choices)                                     \
    CHECK((option) == NULL || (strlen(option) >= (least) && strlen(option) <= (most)));

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *variables[VARIABLES + 1] = {NULL}, *text = malloc(size + 1);
    struct mm_options before = mm_options;
    unsigned count = 0, ours = 0;
    CHECK(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *at = text; at <= text + size && count < VARIABLES; at += strlen(at) + 1)
        variables[count++] = at;
    for (unsigned i = 0; i < count; i++)
        ours += strncmp(variables[i], "MM_", 3) == 0 && strchr(variables[i], '=') != NULL;
    complaints = 0;
    mm_options_read(variables, complain);
    CHECK(complaints <= ours);
#define OPTION(name, field, type, value, least, most, choices, help)                               \
    CHECK_OPTION_##type(mm_options.field, value, least, most, choices)
#include "options.def"
#undef OPTION
    mm_options = before;
    free(text);
    return 0;
}
