/* options.c - the table of options, as help and as flags; see options.h. A value is judged here by
 * the rules that the shim has (src/entry/options.c), so that a mistake is told before anything
 * runs. */
#include "launcher/options.h"

#include "launcher/base.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum type { NUMBER, SIZE, CHOICE, TEXT };

struct option {
    const char *name;
    enum type type;
    int64_t value; /* -1: not set by default */
    int64_t least, most;
    const char *choices; /* of TEXT: what it is */
    const char *help;
};

static const struct option options[] = {
#define OPTION(name, field, type, value, least, most, choices, help)                               \
    {#name, type, value, least, most, choices, help},
#include "entry/options.def"
#undef OPTION
};
#define OPTIONS (sizeof options / sizeof options[0])

/* --- how an option is written --- */

static char *flag_of(const struct option *option)
{
    char *flag = launcher_text("--%s", option->name);
    for (char *at = flag; *at != '\0'; at++)
        *at = *at == '_' ? '-' : (char)tolower((unsigned char)*at);
    return flag;
}

static char *values_of(const struct option *option)
{
    if (option->type == CHOICE || option->type == TEXT)
        return launcher_text("%s", option->choices);
    return launcher_text("%" PRId64 " to %" PRId64 "%s", option->least, option->most,
                         option->type == SIZE ? " bytes, also as a number with K, M or G behind it"
                                              : "");
}

/* "report, abort, exit" as report|abort|exit, "path" as PATH. */
static char *placeholder_of(const struct option *option)
{
    if (option->type == NUMBER || option->type == SIZE)
        return launcher_text("%s", option->type == NUMBER ? "N" : "SIZE");
    char *text = launcher_resize(NULL, strlen(option->choices) + 1), *to = text;
    for (const char *from = option->choices; *from != '\0'; from++) {
        if (*from == ',')
            *to++ = '|';
        else if (*from != ' ' || option->type == TEXT)
            *to++ = option->type == TEXT ? (char)toupper((unsigned char)*from) : *from;
    }
    *to = '\0';
    return text;
}

static char *default_of(const struct option *option)
{
    if (option->type == CHOICE)
        return launcher_copy(option->choices, strcspn(option->choices, ","));
    return option->value == -1 ? launcher_text("not set")
                               : launcher_text("%" PRId64, option->value);
}

void launcher_options_help(void)
{
    for (const struct option *option = options; option < options + OPTIONS; option++) {
        bool by_range = option->type == NUMBER || option->type == SIZE;
        printf("  %s=%s\n        %s (%s%sdefault: %s)\n", flag_of(option), placeholder_of(option),
               option->help, by_range ? values_of(option) : "", by_range ? "; " : "",
               default_of(option));
    }
}

/* --- does a value fit? --- */

static bool takes_choice(const struct option *option, const char *value)
{
    for (const char *word = option->choices; *word != '\0';) {
        size_t length = strcspn(word, ",");
        if (strlen(value) == length && memcmp(word, value, length) == 0)
            return true;
        word += length;
        word += strspn(word, ", ");
    }
    return false;
}

static bool takes_number(const struct option *option, const char *value)
{
    size_t digits = strspn(value, "0123456789"), zeros = strspn(value, "0");
    const char *suffix = value + digits;
    if (digits == 0 || digits - zeros > 18)
        return false;
    int64_t number = strtoll(value, NULL, 10);
    const char *units = option->type == SIZE ? "KMG" : "";
    const char *unit = *suffix != '\0' ? strchr(units, *suffix) : NULL;
    if (*suffix != '\0' && (unit == NULL || suffix[1] != '\0'))
        return false;
    int shift = unit != NULL ? 10 * (int)(unit - units + 1) : 0;
    return number <= option->most >> shift && number << shift >= option->least;
}

static bool takes(const struct option *option, const char *value)
{
    int64_t length = (int64_t)strlen(value);
    if (option->type == CHOICE)
        return takes_choice(option, value);
    if (option->type == TEXT)
        return length >= option->least && length <= option->most;
    return takes_number(option, value);
}

/* --- setting --- */

static const struct option *find(const char *argument, size_t length)
{
    for (const struct option *option = options; option < options + OPTIONS; option++) {
        char *flag = flag_of(option);
        bool found = strlen(flag) == length && memcmp(flag, argument, length) == 0;
        free(flag);
        if (found)
            return option;
    }
    return NULL;
}

void launcher_options_set(const char *argument)
{
    size_t length = strcspn(argument, "=");
    const struct option *option = find(argument, length);
    if (option == NULL)
        launcher_die("no such option: %.*s (mmshim --help lists them)", (int)length, argument);
    if (argument[length] == '\0')
        launcher_die("%s needs a value: %s=... (%s)", argument, argument, values_of(option));
    const char *value = argument + length + 1;
    if (!takes(option, value))
        launcher_die("%s: takes %s", argument, values_of(option));
    char *variable = launcher_text("MM_%s", option->name);
    setenv(variable, value, 1);
    free(variable);
}
