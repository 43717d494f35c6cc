/* suppress.h - findings that the user does not want to be told: rules in the syntax of
 * LeakSanitizer's suppressions, and lists of modules.
 *
 * A rule is a line KIND:PATTERN, where KIND is the name of a kind (kind.h). Lines that start with #
 * are comments. A pattern is to be found anywhere in a name; * stands for any characters, ^ for its
 * start and $ for its end.
 *
 * All are functions of their arguments alone; the text need not end in a NUL. */
#ifndef MM_SUPPRESS_H
#define MM_SUPPRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Tells each line that is no rule, comment or blank, counted from 1 on, and why. */
void mm_suppress_check(const char *rules, size_t size,
                       void (*complain)(size_t line, const char *why));

/* Whether a rule for `kind` has a pattern for this name. NULL is no name. */
bool mm_suppress_matches(const char *rules, size_t size, const char *kind, const char *name);

/* Whether a pattern is that of this name. */
bool mm_suppress_is(const char *pattern, const char *name);

/* Whether one of the patterns, separated by : or , is that of this name. */
bool mm_suppress_is_in(const char *patterns, const char *name);

#endif
