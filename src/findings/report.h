/* report.h - misuse found: told once, counted always.
 *
 * A finding is one kind of misuse at one stack; it is shown when it first comes, and counted ever
 * after (seen.h). A report is put together in a room of its own (room.h), with signals blocked, and
 * then written at once: it allocates nothing, takes no lock that a thread inside malloc may hold,
 * waits for no other, and mixes with none. */
#ifndef MM_REPORT_H
#define MM_REPORT_H

#include "memory_manager.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the process wants it. */
struct mm_report_settings {
    mem_mngr_misuse_fn *on_misuse; /* NULL: to where MM_LOG says */
    void *user;
    bool once;        /* each finding in full only once ... */
    uint64_t most;    /* ... and so many in all; the rest are counted */
    bool has_options; /* the user can set options, and may be told of one that helps */
};
void mm_report_start(const struct mm_report_settings *settings);
/* Takes in what MM_SUPPRESSIONS and MM_SYMBOLIZE refer to; what is wrong there is noted. */
void mm_report_read_options(const char *search_path);

/* No lock of ours may be held. `caller` is where the bad call returns to; NULL when it is not
 * known any more. Keeps errno. Does not return under MM_ON_ERROR=abort and exit. */
void mm_report(enum mem_mngr_misuse_kind kind, const void *ptr, const void *caller);

/* Misuse that cannot be told from a race of fork(), see heap.h: counted, not shown. */
void mm_report_uncertain(void);

/* In a fork()'s child, which begins with no misuse of its own. */
void mm_report_forget(void);
/* Findings that count: not those that are suppressed. */
size_t mm_report_count(void);
/* The counts, if there are any; once. Not in a vfork()'s child, which is no process of its own. */
void mm_report_summary(void);
/* What a process that ends with `status` is to end with, by MM_EXITCODE. */
int mm_report_exit_status(int status);

/* A line, without its end, told as a note of ours. */
void mm_report_note(const char *line);

#endif
