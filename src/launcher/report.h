/* report.h - `mmshim report`: logs, grouped by bug, for people and for what shows them. */
#ifndef LAUNCHER_REPORT_H
#define LAUNCHER_REPORT_H

#include "launcher/findings.h"
#include <stdio.h>

extern const char launcher_report_help[], launcher_sarif_help[];
/* What stands behind `report` and `sarif`; the exit status: 1 when lines were no reports, which are
 * named and left out. */
int launcher_report(char *const *arguments);
int launcher_sarif(char *const *arguments);

void launcher_write_text(FILE *to, const struct launcher_findings *findings);
void launcher_write_junit(FILE *to, const struct launcher_findings *findings);
void launcher_write_github(FILE *to, const struct launcher_findings *findings);
void launcher_write_prometheus(FILE *to, const struct launcher_findings *findings);
/* In sarif.c. */
void launcher_write_sarif(FILE *to, const struct launcher_findings *findings);

#endif
