/* options.c - reads options.def's table out of an environment.
 *
 * mm_options is written while the manager starts, by the thread that does, and only read from then
 * on. Texts are copied into memory of their own, which is never given back. */
#include "entry/options.h"

#include "system/bitmap.h"
#include "system/out.h"
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define VALUE_SHOWN 64u
#define TEXTS_SIZE  4096u /* for the values of all TEXT options */

enum type { NUMBER, SIZE, CHOICE, TEXT };

struct option {
    const char *name;
    void *value; /* a field of mm_options */
    enum type type;
    int64_t least, most;
    const char *choices; /* separated by ", " */
};

#define DEFAULT_NUMBER(value)                                        (value)
#define DEFAULT_SIZE(value)                                          (value)
#define DEFAULT_CHOICE(value)                                        (value)
#define DEFAULT_TEXT(value)                                          NULL
#define OPTION(name, field, type, value, least, most, choices, help) DEFAULT_##type(value),
struct mm_options mm_options = {
#include "entry/options.def"
};
#undef OPTION

static const struct option options[] = {
#define OPTION(name, field, type, value, least, most, choices, help)                               \
    {#name, &mm_options.field, type, least, most, choices},
#include "entry/options.def"
#undef OPTION
};
#define OPTIONS (sizeof options / sizeof options[0])

/* A program may write over its environment, so texts are copied. */
static char texts[TEXTS_SIZE] MM_SELDOM;
static size_t texts_used;

/* A whole number; -1 when it is none, or larger than any option's most. */
static int64_t number_of(const char *text, bool with_suffix)
{
    int64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (*at - '0');
        if (value > INT64_MAX / 2048)
            return -1;
    }
    if (at == text)
        return -1;
    const char *suffix = strchr("KMG", *at);
    if (with_suffix && *at != '\0' && suffix != NULL) {
        for (const char *unit = "KMG"; unit <= suffix && value <= INT64_MAX / 1024; unit++)
            value *= 1024;
        at++;
    }
    return *at == '\0' ? value : -1;
}

static bool set_choice(const struct option *option, const char *text)
{
    int64_t index = 0;
    for (const char *word = option->choices; *word != '\0'; index++) {
        size_t length = strcspn(word, ",");
        if (strlen(text) == length && memcmp(word, text, length) == 0) {
            *(int64_t *)option->value = index;
            return true;
        }
        word += length + strspn(word + length, ", ");
    }
    return false;
}

static bool set_number(const struct option *option, const char *text)
{
    int64_t value = number_of(text, option->type == SIZE);
    if (value < option->least || value > option->most)
        return false;
    *(int64_t *)option->value = value;
    return true;
}

static bool set_text(const struct option *option, const char *text)
{
    const char **value = option->value;
    size_t length = strlen(text);
    if ((int64_t)length < option->least || (int64_t)length > option->most)
        return false;
    if (*value != NULL && strcmp(*value, text) == 0)
        return true;
    if (length >= sizeof texts - texts_used)
        return false;
    *value = memcpy(&texts[texts_used], text, length + 1);
    texts_used += length + 1;
    return true;
}

static bool set(const struct option *option, const char *text)
{
    switch (option->type) {
    case CHOICE:
        return set_choice(option, text);
    case TEXT:
        return set_text(option, text);
    default:
        return set_number(option, text);
    }
}

static void say_expected(struct mm_out *out, const struct option *option)
{
    if (option->type == CHOICE)
        mm_out_format(out, "not one of %s", option->choices);
    else if (option->type == TEXT)
        mm_out_format(out, "not a text of %d to %d characters", option->least, option->most);
    else
        mm_out_format(out, "not a whole number from %d to %d%s", option->least, option->most,
                      option->type == SIZE ? ", with K, M or G behind it if wanted" : "");
}

static void read_one(const char *name, size_t length, const char *value,
                     void (*complain)(const char *line))
{
    char line[256], shown[64];
    struct mm_out out;
    mm_out_start(&out, shown, length < sizeof shown ? length + 1 : sizeof shown);
    mm_out_format(&out, "%s", name);
    mm_out_start(&out, line, sizeof line);
    for (const struct option *option = options; option < options + OPTIONS; option++) {
        if (strlen(option->name) != length || memcmp(option->name, name, length) != 0)
            continue;
        if (set(option, value))
            return;
        mm_out_format(&out, "MM_%s=", option->name);
        mm_out_cut(&out, value, VALUE_SHOWN);
        mm_out_format(&out, ": ");
        say_expected(&out, option);
        mm_out_format(&out, ", ignored");
        complain(line);
        return;
    }
    mm_out_format(&out, "MM_");
    mm_out_cut(&out, shown, sizeof shown);
    mm_out_format(&out, ": no such option, ignored");
    complain(line);
}

void mm_options_read(char **environment, void (*complain)(const char *line))
{
    for (; environment != NULL && *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        if (equals != NULL && strncmp(*environment, "MM_", 3) == 0)
            read_one(*environment + 3, (size_t)(equals - *environment - 3), equals + 1, complain);
    }
}
