/* options.c - an input is an environment, its variables ended by a NUL each: every option stays in
 * its range, and what is told of a bad one is a short line of text. */
#include "entry/options.h"

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

/* What holds for a value of each type; the table's names of types stand for these. */
#define NUMBER fits_number
#define SIZE   fits_number
#define CHOICE fits_choice
#define TEXT   fits_text

static void fits_number(int64_t value, int64_t unset, int64_t least, int64_t most,
                        const char *choices)
{
    (void)choices;
    CHECK(value == unset || (value >= least && value <= most));
}

static void fits_choice(int64_t value, int64_t unset, int64_t least, int64_t most,
                        const char *choices)
{
    (void)unset;
    (void)least;
    (void)most;
    CHECK(value >= 0 && value < choices_in(choices));
}

static void fits_text(const char *value, int64_t unset, int64_t least, int64_t most,
                      const char *choices)
{
    (void)unset;
    (void)choices;
    CHECK(value == NULL || ((int64_t)strlen(value) >= least && (int64_t)strlen(value) <= most));
}

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
    type(mm_options.field, value, least, most, choices);
#include "entry/options.def"
#undef OPTION
    mm_options = before;
    free(text);
    return 0;
}
