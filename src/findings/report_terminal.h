/* report_terminal.h - frames for a terminal: without addresses, build-ids and what starts a process
 * or thread, paths short, a line each of at most MM_TERMINAL_COLUMNS, and no more than a report of
 * MM_TERMINAL_LINES has room for. What is left out stands in logs and in JSON. */
#ifndef MM_REPORT_TERMINAL_H
#define MM_REPORT_TERMINAL_H

#include "findings/report_text.h"

#define MM_TERMINAL_COLUMNS 100u
#define MM_TERMINAL_LINES   25u

/* How many lines each of some traces gets when there are so many for all: the first ones more. */
void mm_terminal_share(const struct mm_trace *const *traces, unsigned count, unsigned lines,
                       unsigned *shares);
/* The innermost ones, and those from the first on that is the program's own. */
void mm_terminal_frames(struct mm_out *out, const struct mm_trace *trace, unsigned lines,
                        const struct mm_text_style *style);
/* "FILE:LINE in FUNCTION", or what else is known, in so many columns. */
void mm_terminal_place(struct mm_out *out, const struct mm_frame *frame, unsigned columns,
                       const struct mm_text_style *style);
/* Columns that the last line takes so far. */
unsigned mm_terminal_columns(const struct mm_out *out);

#endif
