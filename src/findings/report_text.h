/* report_text.h - reports for people, in the shape that AddressSanitizer made familiar. */
#ifndef MM_REPORT_TEXT_H
#define MM_REPORT_TEXT_H

#include "findings/finding.h"
#include "system/out.h"

/* Frames that find no room are left out. */
void mm_report_text_finding(struct mm_out *out, const struct mm_finding *finding);
void mm_report_text_note(struct mm_out *out, const char *line);
void mm_report_text_summary(struct mm_out *out, const struct mm_totals *totals);

#endif
