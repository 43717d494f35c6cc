/* report_json.h - reports for programs: one JSON object a line. tests/report/report.schema.json
 * says what is in it.
 *
 * Texts are UTF-8: each byte that is no part of a valid character stands as U+FFFD. One of more
 * than 1024 bytes is cut, and ends in "...". Addresses are texts, since a number of JSON need not
 * hold 64 bits. */
#ifndef MM_REPORT_JSON_H
#define MM_REPORT_JSON_H

#include "findings/finding.h"
#include "system/out.h"

/* Frames that find no room are left out. */
void mm_report_json_finding(struct mm_out *out, const struct mm_finding *finding);
void mm_report_json_note(struct mm_out *out, const char *line);
void mm_report_json_summary(struct mm_out *out, const struct mm_totals *totals);

#endif
