/* report.h - misuse found: told once, counted always.
 *
 * A finding is one kind of misuse at one stack; it is shown when it first comes, and counted ever
 * after (seen.h). A report is put together in a draft of its own (draft.h), with signals blocked,
 * and then written at once: it allocates nothing, takes no lock that a thread inside malloc may
 * hold, waits for no other, and mixes with none. */
#ifndef MM_REPORT_H
#define MM_REPORT_H

#include "checks/bounds.h"
#include "checks/checks.h"
#include "memory_manager.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the process wants it. */
struct mm_report_settings {
    mem_mngr_misuse_fn *on_misuse; /* NULL: to where MM_LOG says */
    void *user;
    /* What a debugger stops in, called for each finding that was told; NULL: nothing. */
    void (*on_told)(const struct mem_mngr_misuse *misuse);
    bool once;     /* each finding in full only once ... */
    uint64_t most; /* ... and so many in all; the rest are counted */
    struct mm_report_advice {
        bool stacks, below; /* a report says that these would tell more */
    } advises;
    bool json;       /* else text */
    bool symbolize;  /* frames get function, file and line from a tool */
    bool is_library; /* what the program calls has the library's names */
    enum mm_report_colour { MM_COLOUR_AUTO, MM_COLOUR_NEVER, MM_COLOUR_ALWAYS } colour;
    /* Paths and patterns are kept for good; NULL: none. See the options of these names. */
    const char *log, *suppressions, *only, *wrappers;
    enum mm_report_then { MM_THEN_GO_ON, MM_THEN_ABORT, MM_THEN_EXIT, MM_THEN_STOP } then;
    bool has_exit_status; /* of a process that has findings */
    int exit_status;
    int leak_status; /* of a process that has leaks, where the one above is not set; 0: none */
};
void mm_report_start(const struct mm_report_settings *settings);
/* Takes in what the settings refer to, tools in the folders of a PATH among it; what is wrong there
 * is noted. */
void mm_report_read_files(const char *search_path);

struct mm_misuse {
    enum mem_mngr_misuse_kind kind;
    const void *ptr;
    const void *caller;             /* where the bad call returns to; NULL: not known any more */
    mm_shape how;                   /* of frees: the family, size and alignment they are for */
    enum mm_call call;              /* what the caller called */
    const struct mm_damage *damage; /* of overflows and their like; else NULL */
    const struct mm_leak *leak;     /* of leaks; else NULL */
    const struct mm_dangling *dangling; /* of dangling pointers; else NULL */
    const struct mm_access *access;     /* the same, where the call itself is known; else NULL */
    const struct mm_touch *touch;       /* of what faulted; else NULL */
};
/* No lock of ours may be held. Keeps errno. Returns only if the process is to go on: always after
 * what a look found. False when it is suppressed. */
bool mm_report(const struct mm_misuse *misuse);
/* The same from a fault's handler: true if the process is to end by that. */
bool mm_report_fault(const struct mm_misuse *misuse);

/* Misuse that cannot be told from a race of fork(), see heap.h: counted, not shown. */
void mm_report_uncertain(void);

/* In a fork()'s child, which begins with no misuse of its own. */
void mm_report_forget(void);
/* Whether it is one that is not to be told, as far as names tell that are found without a tool. */
bool mm_report_would_suppress(const struct mm_misuse *misuse);
/* Findings that count: not those that are only possible, nor those that are suppressed. */
size_t mm_report_count(void);
/* The counts, if there are any; once. Not in a vfork()'s child, which is no process of its own. */
void mm_report_summary(void);
/* What a process that ends with `status` is to end with. */
int mm_report_exit_status(int status);

/* A line, without its end, told as a note of ours. */
void mm_report_note(const char *line);

#endif
