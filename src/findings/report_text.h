/* report_text.h - reports for people, in the shape that AddressSanitizer made familiar. In a log
 * with all that is known; on a terminal in 25 lines of 100 columns, see report_terminal.h. */
#ifndef MM_REPORT_TEXT_H
#define MM_REPORT_TEXT_H

#include "findings/finding.h"
#include "system/out.h"

struct mm_text_style {
    bool terminal, colours;
    const char *folder; /* the current one: paths below it are told from there on */
};

/* Frames that do not fit are left out. */
void mm_report_text_finding(struct mm_out *out, const struct mm_finding *finding,
                            const struct mm_text_style *style);
/* A finding that was told before, and came `times` times by now. */
void mm_report_text_again(struct mm_out *out, const struct mm_finding *finding, uint64_t times);
void mm_report_text_note(struct mm_out *out, const char *line);
/* At the process's end, or so far. */
void mm_report_text_totals(struct mm_out *out, const struct mm_totals *totals, bool at_end);

/* What report_terminal.c shares. */
enum mm_paint { MM_PLAIN, MM_ALARM, MM_STRONG, MM_PLACE };
void mm_report_text_paint(struct mm_out *out, const struct mm_text_style *style,
                          enum mm_paint paint);

#endif
