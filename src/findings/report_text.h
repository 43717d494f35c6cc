/* report_text.h - reports for people, in the shape that AddressSanitizer made familiar. */
#ifndef MM_REPORT_TEXT_H
#define MM_REPORT_TEXT_H

#include "findings/finding.h"
#include "system/out.h"

/* Frames that do not fit are left out. */
void mm_report_text_finding(struct mm_out *out, const struct mm_finding *finding);
/* A finding that was told before, and came `times` times by now. */
void mm_report_text_again(struct mm_out *out, const struct mm_finding *finding, uint64_t times);
void mm_report_text_note(struct mm_out *out, const char *line);
/* At the process's end, or so far. */
void mm_report_text_totals(struct mm_out *out, const struct mm_totals *totals, bool at_end);

#endif
