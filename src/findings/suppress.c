/* suppress.c - patterns and rules, read anew each time that they are asked. Keeps nothing. */
#include "findings/suppress.h"

#include "findings/kind.h"
#include <string.h>

/* A piece of a text. */
struct piece {
    const char *at, *end;
};

static size_t length_of(struct piece piece)
{
    return (size_t)(piece.end - piece.at);
}

static bool is(struct piece piece, const char *text)
{
    return length_of(piece) == strlen(text) && memcmp(piece.at, text, length_of(piece)) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct piece trimmed(struct piece piece)
{
    while (piece.at < piece.end && is_blank(*piece.at))
        piece.at++;
    while (piece.end > piece.at && is_blank(piece.end[-1]))
        piece.end--;
    return piece;
}

/* Takes what comes before the next of these characters off the front of `rest`; false at the end.
 */
static bool next_piece(struct piece *rest, const char *separators, struct piece *piece)
{
    if (rest->at == NULL)
        return false;
    const char *end = rest->at;
    while (end < rest->end && (*end == '\0' || strchr(separators, *end) == NULL))
        end++;
    *piece = (struct piece){rest->at, end};
    rest->at = end < rest->end ? end + 1 : NULL;
    return true;
}

/* --- patterns --- */

/* Whether `part`, without *, is at this place. */
static bool is_at(struct piece part, const char *name, const char *end)
{
    return length_of(part) <= (size_t)(end - name) && memcmp(name, part.at, length_of(part)) == 0;
}

/* The first place of `part`; NULL when it is nowhere. */
static const char *find(struct piece part, const char *name, const char *end)
{
    for (; name <= end; name++) {
        if (is_at(part, name, end))
            return name;
    }
    return NULL;
}

/* Part by part, each as early as can be; the last one, before a $, as late. */
static bool matches(struct piece pattern, const char *name)
{
    const char *end = name + strlen(name);
    bool at_start = pattern.at < pattern.end && *pattern.at == '^';
    pattern.at += at_start;
    bool at_end = pattern.at < pattern.end && pattern.end[-1] == '$';
    pattern.end -= at_end;
    struct piece part;
    while (next_piece(&pattern, "*", &part)) {
        bool is_last = pattern.at == NULL;
        if (is_last && at_end) {
            const char *place = end - length_of(part);
            return length_of(part) <= (size_t)(end - name) && is_at(part, place, end) &&
                   (!at_start || place == name);
        }
        const char *place =
            at_start ? (is_at(part, name, end) ? name : NULL) : find(part, name, end);
        if (place == NULL)
            return false;
        name = place + length_of(part);
        at_start = false;
    }
    return true;
}

bool mm_suppress_is(const char *pattern, const char *name)
{
    return matches((struct piece){pattern, pattern + strlen(pattern)}, name);
}

bool mm_suppress_is_in(const char *patterns, const char *name)
{
    struct piece rest = {patterns, patterns + strlen(patterns)}, pattern;
    while (next_piece(&rest, ":,", &pattern)) {
        if (length_of(pattern) > 0 && matches(pattern, name))
            return true;
    }
    return false;
}

/* --- rules --- */

struct rule {
    struct piece kind, pattern;
};

static bool is_rule(struct piece line)
{
    return length_of(line) > 0 && *line.at != '#';
}

static bool is_kind(struct piece word)
{
    for (unsigned kind = 0; kind < MM_KINDS; kind++) {
        if (is(word, mm_kinds[kind].name))
            return true;
    }
    return false;
}

/* NULL when it is one, otherwise what is wrong with it. */
static const char *read_rule(struct piece line, struct rule *rule)
{
    const char *colon = memchr(line.at, ':', length_of(line));
    if (colon == NULL)
        return "no colon";
    rule->kind = trimmed((struct piece){line.at, colon});
    rule->pattern = trimmed((struct piece){colon + 1, line.end});
    if (!is_kind(rule->kind))
        return "the kind is not one of "
#define KIND MM_KIND_NAME
#include "findings/kinds.def"
#undef KIND
               "as reports name them";
    return length_of(rule->pattern) > 0 ? NULL : "no pattern";
}

void mm_suppress_check(const char *rules, size_t size,
                       void (*complain)(size_t line, const char *why))
{
    struct piece rest = {rules, rules + size}, line;
    struct rule rule;
    for (size_t number = 1; next_piece(&rest, "\n", &line); number++) {
        line = trimmed(line);
        const char *why = is_rule(line) ? read_rule(line, &rule) : NULL;
        if (why != NULL)
            complain(number, why);
    }
}

bool mm_suppress_matches(const char *rules, size_t size, const char *kind, const char *name)
{
    struct piece rest = {rules, rules + size}, line;
    struct rule rule;
    while (name != NULL && next_piece(&rest, "\n", &line)) {
        line = trimmed(line);
        if (is_rule(line) && read_rule(line, &rule) == NULL && is(rule.kind, kind) &&
            matches(rule.pattern, name))
            return true;
    }
    return false;
}
