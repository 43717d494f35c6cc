/* options.h - what the environment asks for. */
#ifndef MM_OPTIONS_H
#define MM_OPTIONS_H

#include <stdint.h>

enum mm_on_error { MM_ON_ERROR_REPORT, MM_ON_ERROR_ABORT, MM_ON_ERROR_EXIT };
enum mm_deepbind { MM_DEEPBIND_MASK, MM_DEEPBIND_KEEP };

struct mm_options {
#define OPTION(name, field, type, value, least, most, choices, help) int64_t field;
#include "options.def"
#undef OPTION
};
extern struct mm_options mm_options;

/* Takes the options from the environment. A name that starts with MM_ and is none of ours, or a
 * value out of range, is told to `complain`, one line without a line end each, and ignored. */
void mm_options_read(char **environment, void (*complain)(const char *line));

#endif
