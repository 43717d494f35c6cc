/* demangle.c - see demangle.h. A grammar's reader by descent: each function takes one production
 * off the text. Names are written, arguments of templates and of functions only passed over; what
 * stands for something written before (S_, T_) is met in these alone. All is the caller's. */
#include "findings/demangle.h"

#include <string.h>

#define DEEPEST 64u

struct reader {
    const char *at; /* NULL: not understood */
    struct mm_out *out;
    unsigned silent, depth; /* silent: arguments of templates, which are not shown */
};

static void read_encoding(struct reader *in);
static void read_type(struct reader *in);
static void read_expression(struct reader *in);

static void fail(struct reader *in)
{
    in->at = NULL;
}

static bool enter(struct reader *in)
{
    if (in->at == NULL || ++in->depth > DEEPEST)
        fail(in);
    return in->at != NULL;
}

static void write(struct reader *in, const char *text)
{
    if (in->silent == 0)
        mm_out_format(in->out, "%s", text);
}

static bool is_at(const struct reader *in, const char *text)
{
    return in->at != NULL && strncmp(in->at, text, strlen(text)) == 0;
}

static bool take(struct reader *in, const char *text)
{
    bool there = is_at(in, text);
    if (there)
        in->at += strlen(text);
    return there;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t read_number(struct reader *in)
{
    size_t number = 0;
    while (in->at != NULL && is_digit(*in->at) && number < 100000)
        number = number * 10 + (size_t)(*in->at++ - '0');
    return number;
}

/* [digits or capitals] _ */
static void read_sequence(struct reader *in)
{
    while (in->at != NULL && (is_digit(*in->at) || (*in->at >= 'A' && *in->at <= 'Z')))
        in->at++;
    if (!take(in, "_"))
        fail(in);
}

/* --- names --- */

static const struct {
    char code[3];
    const char *name;
} operators[] = {
    {"nw", " new"}, {"na", " new[]"}, {"dl", " delete"},   {"da", " delete[]"}, {"ps", "+"},
    {"ng", "-"},    {"ad", "&"},      {"de", "*"},         {"co", "~"},         {"pl", "+"},
    {"mi", "-"},    {"ml", "*"},      {"dv", "/"},         {"rm", "%"},         {"an", "&"},
    {"or", "|"},    {"eo", "^"},      {"aS", "="},         {"pL", "+="},        {"mI", "-="},
    {"mL", "*="},   {"dV", "/="},     {"rM", "%="},        {"aN", "&="},        {"oR", "|="},
    {"eO", "^="},   {"ls", "<<"},     {"rs", ">>"},        {"lS", "<<="},       {"rS", ">>="},
    {"eq", "=="},   {"ne", "!="},     {"lt", "<"},         {"gt", ">"},         {"le", "<="},
    {"ge", ">="},   {"ss", "<=>"},    {"nt", "!"},         {"aa", "&&"},        {"oo", "||"},
    {"pp", "++"},   {"mm", "--"},     {"cm", ","},         {"pm", "->*"},       {"pt", "->"},
    {"cl", "()"},   {"ix", "[]"},     {"aw", " co_await"},
};

static const struct {
    char code;
    const char *name, *last; /* the last part: what its constructor is called */
} standard[] = {
    {'t', "std", ""},
    {'a', "std::allocator", "allocator"},
    {'b', "std::basic_string", "basic_string"},
    {'s', "std::string", "basic_string"},
    {'i', "std::istream", "basic_istream"},
    {'o', "std::ostream", "basic_ostream"},
    {'d', "std::iostream", "basic_iostream"},
};

/* A part of a name that constructors repeat. */
struct part {
    const char *at;
    size_t length;
};

static void write_part(struct reader *in, struct part part)
{
    if (in->silent == 0)
        mm_out_part(in->out, part.at, part.length);
}

static void read_arguments(struct reader *in)
{
    write(in, "<...>");
    in->silent++;
    while (in->at != NULL && !take(in, "E")) {
        if (take(in, "X")) {
            read_expression(in);
            if (!take(in, "E"))
                fail(in);
        } else if (take(in, "J")) {
            if (enter(in))
                read_arguments(in);
            in->depth--;
        } else {
            read_type(in);
        }
    }
    in->silent--;
}

static void read_source_name(struct reader *in, struct part *last)
{
    size_t length = read_number(in);
    if (in->at == NULL || length == 0 || strnlen(in->at, length) < length) {
        fail(in);
        return;
    }
    *last = (struct part){in->at, length};
    in->at += length;
    if (length >= 10 && strncmp(last->at, "_GLOBAL__N", 10) == 0)
        write(in, "(anonymous namespace)");
    else
        write_part(in, *last);
}

/* Ul ... E number _ , Ut number _ */
static void read_unnamed(struct reader *in)
{
    if (take(in, "Ut")) {
        write(in, "{unnamed}");
        read_sequence(in);
        return;
    }
    in->at += 2;
    write(in, "{lambda}");
    in->silent++;
    while (in->at != NULL && !take(in, "E"))
        read_type(in);
    in->silent--;
    read_sequence(in);
}

static void read_operator(struct reader *in)
{
    if (take(in, "cv")) {
        write(in, "operator (...)");
        in->silent++;
        read_type(in);
        in->silent--;
        return;
    }
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (take(in, operators[i].code)) {
            write(in, "operator");
            write(in, operators[i].name);
            return;
        }
    }
    fail(in);
}

static void read_tags(struct reader *in)
{
    struct part tag;
    in->silent++;
    while (take(in, "B"))
        read_source_name(in, &tag);
    in->silent--;
}

/* One part of a name, without arguments. */
static void read_part(struct reader *in, struct part *last)
{
    take(in, "L"); /* of this file alone */
    if (in->at == NULL)
        return;
    if (is_digit(*in->at)) {
        read_source_name(in, last);
    } else if ((*in->at == 'C' || *in->at == 'D') && is_digit(in->at[1])) {
        write(in, *in->at == 'D' ? "~" : "");
        write_part(in, *last);
        in->at += 2;
    } else if (is_at(in, "Ul") || is_at(in, "Ut")) {
        read_unnamed(in);
    } else {
        read_operator(in);
    }
    read_tags(in);
}

/* What S with a letter behind it stands for; others stand for what was there before. */
static void read_substitution(struct reader *in, struct part *last)
{
    for (size_t i = 0; i < sizeof standard / sizeof standard[0]; i++) {
        if (*in->at == standard[i].code) {
            in->at++;
            write(in, standard[i].name);
            *last = (struct part){standard[i].last, strlen(standard[i].last)};
            return;
        }
    }
    if (in->silent == 0)
        fail(in);
    else
        read_sequence(in);
}

/* Behind N. */
static void read_nested(struct reader *in, struct part *last)
{
    while (take(in, "r") || take(in, "V") || take(in, "K") || take(in, "R") || take(in, "O"))
        ;
    for (bool is_first = true; in->at != NULL && !take(in, "E"); is_first = false) {
        if (take(in, "I")) {
            read_arguments(in);
            continue;
        }
        if (!is_first)
            write(in, "::");
        if (take(in, "S"))
            read_substitution(in, last);
        else if (is_at(in, "T") || is_at(in, "Dt") || is_at(in, "DT"))
            read_type(in);
        else
            read_part(in, last);
    }
}

/* Z function E entity: what lies in a function. */
static void read_local(struct reader *in, struct part *last)
{
    read_encoding(in);
    if (!take(in, "E"))
        fail(in);
    if (take(in, "s"))
        return;
    if (take(in, "d")) {
        read_number(in);
        take(in, "_");
    }
    write(in, "::");
    if (take(in, "N"))
        read_nested(in, last);
    else
        read_part(in, last);
    if (take(in, "_")) { /* which of several of that name */
        read_number(in);
        take(in, "_");
    }
}

static void read_name(struct reader *in)
{
    struct part last = {"", 0};
    if (!enter(in))
        return;
    if (take(in, "N")) {
        read_nested(in, &last);
    } else if (take(in, "Z")) {
        read_local(in, &last);
    } else {
        if (take(in, "St")) {
            write(in, "std::");
            read_part(in, &last);
        } else if (take(in, "S")) {
            read_substitution(in, &last);
        } else {
            read_part(in, &last);
        }
        if (take(in, "I"))
            read_arguments(in);
    }
    in->depth--;
}

/* --- what is passed over --- */

static void read_literal(struct reader *in)
{
    if (take(in, "_Z")) {
        read_encoding(in);
    } else {
        read_type(in);
        while (in->at != NULL && *in->at != 'E' && *in->at != '\0')
            in->at++;
    }
    if (!take(in, "E"))
        fail(in);
}

/* Those of arguments of templates are short; others are not understood. */
static void read_expression(struct reader *in)
{
    take(in, "ad"); /* the address of */
    if (take(in, "L"))
        read_literal(in);
    else if (is_at(in, "T"))
        read_type(in);
    else
        fail(in);
}

static void read_function_type(struct reader *in)
{
    take(in, "Y");
    while (in->at != NULL && !take(in, "E")) {
        if (!take(in, "R") && !take(in, "O"))
            read_type(in);
    }
}

static void read_array(struct reader *in)
{
    read_number(in);
    if (!take(in, "_"))
        fail(in);
    read_type(in);
}

/* Types of D and a letter: packs, and those that are words. */
static void read_type_of_d(struct reader *in)
{
    char letter = in->at[0];
    in->at += letter != '\0';
    if (letter == 'p' || letter == 'o')
        read_type(in);
    else if (letter == '\0' || strchr("nacsiuefdh", letter) == NULL)
        fail(in);
}

static void read_type_inside(struct reader *in)
{
    char letter = *in->at;
    if (strchr("PROKVr", letter) != NULL && letter != '\0') {
        in->at++;
        read_type(in);
    } else if (letter == 'L') {
        in->at++;
        read_literal(in);
    } else if (take(in, "F")) {
        read_function_type(in);
    } else if (take(in, "A")) {
        read_array(in);
    } else if (take(in, "M")) {
        read_type(in);
        read_type(in);
    } else if (take(in, "D")) {
        read_type_of_d(in);
    } else if (take(in, "T")) {
        read_sequence(in);
        if (take(in, "I"))
            read_arguments(in);
    } else if (letter >= 'a' && letter <= 'z') {
        in->at++;
    } else {
        read_name(in);
    }
}

static void read_type(struct reader *in)
{
    if (!enter(in))
        return;
    in->silent++;
    read_type_inside(in);
    in->silent--;
    in->depth--;
}

/* Up to the end, or the E that ends one that something lies in. */
static void read_encoding(struct reader *in)
{
    if (!enter(in))
        return;
    read_name(in);
    while (in->at != NULL && *in->at != '\0' && *in->at != 'E' && *in->at != '.' && *in->at != '@')
        read_type(in);
    in->depth--;
}

bool mm_demangle(struct mm_out *out, const char *symbol)
{
    struct reader in = {.at = symbol, .out = out};
    size_t before = out->length;
    if (!take(&in, "_Z") || is_at(&in, "T") || is_at(&in, "G"))
        return false;
    read_encoding(&in);
    bool done = in.at != NULL && (*in.at == '\0' || *in.at == '.' || *in.at == '@');
    if (!done)
        mm_out_back_to(out, before);
    return done;
}

void mm_demangle_cut(struct mm_out *out, const char *symbol, size_t most)
{
    size_t before = out->length;
    if (mm_demangle(out, symbol))
        mm_out_shorten(out, before, most);
    else
        mm_out_cut(out, symbol, most);
}
