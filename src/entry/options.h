/* options.h - what the environment asks for. */
#ifndef MM_OPTIONS_H
#define MM_OPTIONS_H

#include <stdint.h>

enum { MM_ON_ERROR_REPORT, MM_ON_ERROR_ABORT, MM_ON_ERROR_EXIT, MM_ON_ERROR_STOP };
enum { MM_DEEPBIND_MASK, MM_DEEPBIND_KEEP };
enum { MM_UNWIND_DWARF, MM_UNWIND_FP };

enum { MM_LEAKS_OFF, MM_LEAKS_ON, MM_LEAKS_STRICT };
enum { MM_FORMAT_TEXT, MM_FORMAT_JSON };
enum { MM_COLOR_AUTO, MM_COLOR_NEVER, MM_COLOR_ALWAYS };

#define MM_OPTION_NUMBER int64_t
#define MM_OPTION_SIZE   int64_t
#define MM_OPTION_CHOICE int64_t
#define MM_OPTION_TEXT   const char * /* NULL when not set; kept for good */

struct mm_options {
#define OPTION(name, field, type, value, least, most, choices, help) MM_OPTION_##type field;
#include "entry/options.def"
#undef OPTION
};
extern struct mm_options mm_options;

/* Takes the options from the environment; not by several threads at once. A name that starts with
 * MM_ and is none of ours, or a value out of range, is told to `complain`, one line without a line
 * end each, and ignored. A second call with the same environment sets the same. */
void mm_options_read(char **environment, void (*complain)(const char *line));

#endif
