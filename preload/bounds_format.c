/* bounds_format.c - what printf() and its like read, and scanf() and its like write: what their
 * formats refer to. Owns nothing. */
#include "bounds.h"

#include <limits.h>
#include <stdint.h>

/* --- formats of either --- */

/* A format, in letters of either kind, and how far it was read. */
struct format {
    const char *narrow;
    const wchar_t *wide; /* NULL: it is the other */
    size_t at;
};

static unsigned letter_of(const struct format *format)
{
    return format->wide != NULL ? (unsigned)format->wide[format->at]
                                : (unsigned char)format->narrow[format->at];
}

static bool takes(struct format *format, char letter)
{
    bool is_there = letter_of(format) == (unsigned)letter;
    format->at += is_there;
    return is_there;
}

/* C passes on what a function did to a list only if it has the list's address. */
struct arguments {
    va_list list;
};

/* A number or *, which is in the list; -1: neither. */
static int take_number(struct format *format, struct arguments *arguments)
{
    int number = -1;
    if (takes(format, '*'))
        return va_arg(arguments->list, int);
    for (unsigned letter; (letter = letter_of(format)) >= '0' && letter <= '9'; format->at++) {
        int before = number > 0 ? number : 0;
        number = before < INT_MAX / 10 ? before * 10 + (int)(letter - '0') : INT_MAX;
    }
    return number;
}

/* How an argument is passed, by what stands before its letter. */
enum length { AS_INT, AS_CHAR, AS_SHORT, AS_LONG, AS_LONG_DOUBLE };

static enum length take_length(struct format *format)
{
    if (takes(format, 'h'))
        return takes(format, 'h') ? AS_CHAR : AS_SHORT;
    if (takes(format, 'L'))
        return AS_LONG_DOUBLE;
    if (takes(format, 'l')) {
        takes(format, 'l');
        return AS_LONG;
    }
    bool is_long = takes(format, 'q') || takes(format, 'j') || takes(format, 'z') ||
                   takes(format, 'Z') || takes(format, 't');
    return is_long ? AS_LONG : AS_INT;
}
_Static_assert(sizeof(long) == sizeof(long long) && sizeof(long) == sizeof(size_t) &&
                   sizeof(long) == sizeof(intmax_t),
               "one is passed as the other");

static size_t size_of(enum length length)
{
    return length == AS_CHAR    ? sizeof(char)
           : length == AS_SHORT ? sizeof(short)
           : length == AS_INT   ? sizeof(int)
                                : sizeof(long);
}

/* --- printf() --- */

/* Of wide texts bytes are what a precision counts. */
static void read_text(struct bounds_call call, const void *text, bool is_wide, int precision)
{
    if (text == NULL)
        return;
    if (!is_wide)
        bounds_text(call, text, precision >= 0 ? (size_t)precision : BOUNDS_ANY);
    else if (precision < 0)
        bounds_wide_text(call, text, BOUNDS_ANY);
}

/* False where it can't be told how what follows is passed. */
static bool take_argument(struct bounds_call call, struct format *format,
                          struct arguments *arguments, int precision)
{
    enum length length = take_length(format);
    unsigned letter = letter_of(format);
    format->at += letter != '\0';
    switch (letter) {
    case '%':
    case 'm':
        return true;
    case 'd':
    case 'i':
    case 'o':
    case 'u':
    case 'x':
    case 'X':
    case 'c':
    case 'C':
    case 'b':
    case 'B':
        (void)(length == AS_LONG || length == AS_LONG_DOUBLE ? va_arg(arguments->list, long)
                                                             : va_arg(arguments->list, int));
        return true;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
        (void)(length == AS_LONG_DOUBLE ? va_arg(arguments->list, long double)
                                        : va_arg(arguments->list, double));
        return true;
    case 's':
    case 'S':
        read_text(call, va_arg(arguments->list, const void *), letter == 'S' || length == AS_LONG,
                  precision);
        return true;
    case 'n':
        bounds_use(call, va_arg(arguments->list, const void *), size_of(length), BOUNDS_WRITES);
        return true;
    case 'p':
        (void)va_arg(arguments->list, const void *);
        return true;
    default:
        return false;
    }
}

static bool take_conversion(struct bounds_call call, struct format *format,
                            struct arguments *arguments)
{
    int precision = -1;
    while (takes(format, '-') || takes(format, '+') || takes(format, ' ') || takes(format, '#') ||
           takes(format, '0') || takes(format, '\'') || takes(format, 'I')) {
    }
    take_number(format, arguments);
    if (letter_of(format) == '$') /* arguments by their numbers */
        return false;
    if (takes(format, '.')) {
        bool is_passed = letter_of(format) == '*';
        precision = take_number(format, arguments);
        if (precision < 0 && !is_passed) /* one that is passed counts as none, then */
            precision = 0;
    }
    return take_argument(call, format, arguments, precision);
}

static void read_format(struct bounds_call call, struct format *format, va_list list)
{
    struct arguments arguments;
    va_copy(arguments.list, list);
    bool goes_on = true;
    while (goes_on && letter_of(format) != '\0') {
        if (takes(format, '%'))
            goes_on = take_conversion(call, format, &arguments);
        else
            format->at++;
    }
    va_end(arguments.list);
}

void bounds_format(struct bounds_call call, const char *format, va_list list)
{
    if (call.shim == NULL || format == NULL)
        return;
    bounds_text(call, format, BOUNDS_ANY);
    read_format(call, &(struct format){.narrow = format}, list);
}

void bounds_wide_format(struct bounds_call call, const wchar_t *format, va_list list)
{
    if (call.shim == NULL || format == NULL)
        return;
    bounds_wide_text(call, format, BOUNDS_ANY);
    read_format(call, &(struct format){.wide = format}, list);
}

/* --- scanf() --- */

/* Behind the set of letters of a %[. */
static void pass_set(struct format *format)
{
    takes(format, '^');
    takes(format, ']');
    while (letter_of(format) != '\0' && !takes(format, ']'))
        format->at++;
}

static size_t letters_left(const void *to, bool is_wide)
{
    return is_wide ? (NEXT(wcslen)(to) + 1) * sizeof(wchar_t) : NEXT(strlen)(to) + 1;
}

/* What one conversion wrote, by its letter; 0: that can't be told. */
static size_t size_written(unsigned letter, enum length length, int width, const void *to)
{
    bool is_wide = length == AS_LONG || letter == 'S' || letter == 'C';
    switch (letter) {
    case 's':
    case 'S':
    case '[':
        return letters_left(to, is_wide);
    case 'c':
    case 'C':
        return (width > 0 ? (size_t)width : 1) * (is_wide ? sizeof(wchar_t) : 1);
    case 'd':
    case 'i':
    case 'o':
    case 'u':
    case 'x':
    case 'X':
    case 'n':
        return size_of(length);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
        return length == AS_LONG_DOUBLE ? sizeof(long double)
               : length == AS_LONG      ? sizeof(double)
                                        : sizeof(float);
    case 'p':
        return sizeof(void *);
    default:
        return 0;
    }
}

/* Whether it counts as one that was assigned; false in `goes_on` where it can't be told how what
 * follows is passed. */
static bool scan_conversion(struct bounds_call call, struct format *format,
                            struct arguments *arguments, bool *goes_on)
{
    bool is_skipped = takes(format, '*');
    int width = take_number(format, arguments);
    bool is_made = takes(format, 'm');
    enum length length = take_length(format);
    unsigned letter = letter_of(format);
    *goes_on = letter != '\0' && letter != '$';
    format->at += letter != '\0';
    if (letter == '[')
        pass_set(format);
    if (!*goes_on || letter == '%' || is_skipped)
        return false;
    const void *to = va_arg(arguments->list, const void *);
    size_t size = is_made ? sizeof(void *) : size_written(letter, length, width, to);
    *goes_on = size != 0;
    bounds_use(call, to, size, BOUNDS_WRITES);
    return letter != 'n';
}

/* By whoever scanned: `count` conversions were assigned, and what lies between them. */
static void scan(struct bounds_call call, struct format *format, int count, va_list list)
{
    struct arguments arguments;
    va_copy(arguments.list, list);
    bool goes_on = true;
    while (goes_on && count > 0 && letter_of(format) != '\0') {
        if (takes(format, '%'))
            count -= scan_conversion(call, format, &arguments, &goes_on);
        else
            format->at++;
    }
    va_end(arguments.list);
}

void bounds_scanned(struct bounds_call call, const char *format, int count, va_list list)
{
    if (call.shim != NULL && format != NULL)
        scan(call, &(struct format){.narrow = format}, count, list);
}

void bounds_wide_scanned(struct bounds_call call, const wchar_t *format, int count, va_list list)
{
    if (call.shim != NULL && format != NULL)
        scan(call, &(struct format){.wide = format}, count, list);
}
