/* report.h - misuse found: told once, counted always.
 *
 * A report is put together on the stack and written with one call, so it takes no lock, never
 * allocates and never mixes with another thread's. */
#ifndef MM_REPORT_H
#define MM_REPORT_H

#include "memory_manager.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the process wants it. */
struct mm_report_settings {
    mem_mngr_misuse_fn *on_misuse; /* NULL: to stderr */
    void *user;
    bool once;     /* each kind and caller in full only once ... */
    uint64_t most; /* ... and so many in all; the rest are counted */
};
void mm_report_start(const struct mm_report_settings *settings);

/* No lock of ours may be held. `caller` is where the bad call returns to; NULL when it is not
 * known any more. Keeps errno. Does not return under MM_ON_ERROR=abort and exit. */
void mm_report(enum mem_mngr_misuse_kind kind, const void *ptr, const void *caller);

/* Misuse that cannot be told from a race of fork(), see heap.h: counted, not shown. */
void mm_report_uncertain(void);

/* In a fork()'s child, which begins with no misuse of its own. */
void mm_report_forget(void);
size_t mm_report_count(void);
/* The counts, on stderr, if there are any. */
void mm_report_summary(void);

/* "==PID== mmshim: ", the line and a line end, on stderr. */
void mm_report_note(const char *line);
/* Writes to stderr, unless that is not any more what it was at the start. */
void mm_report_write(const void *text, size_t size);
/* Whether stderr is still what it was. */
bool mm_report_can_write(void);

#endif
