/* sources.h - asks a tool where in the source addresses come from: first all that is wanted is
 * named, then each module is asked about once, then answers are looked up.
 *
 * The tool is mmshim-symbolize where it is installed, else llvm-symbolizer, eu-addr2line or
 * addr2line, all of which answer alike. A module is asked about only where its file has the
 * build-id that the log tells, if it tells one. */
#ifndef LAUNCHER_SOURCES_H
#define LAUNCHER_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address in a module. */
struct launcher_place {
    const char *module, *build_id; /* "": the log has none */
    uint64_t offset;
};

struct launcher_source {
    const char *function;
    const char *file; /* NULL: not known */
    unsigned long line;
    unsigned long function_line; /* where the function begins; 0: not known */
    bool is_generated;           /* the function, by the compiler */
};

/* The innermost of inlined functions first. */
struct launcher_answer {
    struct launcher_place place;
    struct launcher_source *sources;
    size_t count;
};

/* Copies what it keeps. */
void launcher_sources_want(const struct launcher_place *place);

/* Folders to look for debugging information in, NULL at the end. */
void launcher_sources_ask(const char *const *debug_folders);

/* NULL when nothing is known. */
const struct launcher_answer *launcher_sources_find(const struct launcher_place *place);

#endif
