/* symbolize.h - function, file and line of frames, from mmshim-symbolize, which lies beside the
 * shim or where it is installed, or llvm-symbolizer, eu-addr2line or addr2line, which PATH has.
 *
 * A tool is run once for each module of a report, with an environment of its own, and at most
 * MM_SYMBOLIZE_MS for all of them. Nothing here allocates, takes a lock, runs a fork handler or
 * shows up in the program's waits, so a report may come from any place, a signal handler and a
 * fork()'s child among them; not from a vfork()'s, whose memory is its parent's. */
#ifndef MM_SYMBOLIZE_H
#define MM_SYMBOLIZE_H

#include "findings/finding.h"
#include <stdint.h>

#define MM_SYMBOLIZE_MS          5000u
#define MM_SYMBOLIZE_SOURCES_MAX 256u
#define MM_SYMBOLIZE_FRAMES_MAX  (3 * MM_TRACE_MAX)

/* A place in the source that an address comes from; several for inlined functions, innermost
 * first. */
struct mm_source {
    const char *module;
    size_t offset;
    const char *function, *file; /* NULL: not known */
    uint64_t line;
    uint64_t function_line; /* 0: not known */
    bool is_generated;      /* the function, by the compiler */
};

/* The variable of a stack that a pointer points to, or into. */
struct mm_variable {
    const char *name, *function; /* NULL: not known */
    const char *file;            /* the same */
    uint64_t line, size, inside; /* bytes; `inside` of it */
};

/* What symbolizing one report takes; what frames then refer to lies here. */
struct mm_lookup {
    struct mm_hold hold;
    struct mm_source sources[MM_SYMBOLIZE_SOURCES_MAX];
    unsigned source_count;
    struct mm_variable variable;
    char addresses[MM_SYMBOLIZE_FRAMES_MAX][20];
    const char *local_module; /* that our own tool is asked for a variable of; NULL: none */
    char local[48];           /* how it is asked */
    const char *arguments[MM_SYMBOLIZE_FRAMES_MAX + 10];
    struct mm_frame frames[MM_TRACE_MAX];
    char text[65536];
    size_t text_length;
    char stack[16384];
    const char *changed; /* a module whose file is another one by now, told once; or NULL */
};

/* One of a few, which is also how many tools run at once: each may take much memory. NULL when no
 * tool is to be run any more, or the others take long. */
struct mm_lookup *mm_symbolize_take(void);
void mm_symbolize_end(struct mm_lookup *lookup);
/* In a fork()'s child. */
void mm_symbolize_renew(void);

/* Looks for the tools, those that are not ours in the folders of a PATH; false when there is none.
 */
bool mm_symbolize_start(const char *search_path);

/* Adds what is found to the frames, and frames of inlined functions; and the variable, to the
 * lookup. False, once, when the tool could not be run, or not in time: it is not tried again. */
bool mm_symbolize(struct mm_finding *finding, struct mm_lookup *lookup);

/* Reads what a tool wrote about addresses of `module`; writes into the text. */
void mm_symbolize_read(char *text, const char *module, struct mm_lookup *lookup);

#endif
