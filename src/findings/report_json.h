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

/* Names are cut shorter where frames do not fit, then frames are left out. */
void mm_report_json_finding(struct mm_out *out, const struct mm_finding *finding);
/* A finding that was told before, and came `times` times by now. */
void mm_report_json_again(struct mm_out *out, const struct mm_finding *finding, uint64_t times);
void mm_report_json_note(struct mm_out *out, const char *line);
/* At the process's end, or so far. */
void mm_report_json_totals(struct mm_out *out, const struct mm_totals *totals, bool at_end);

#endif
