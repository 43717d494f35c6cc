/* sarif.h - `mmshim sarif`: what code hosts show at the line. */
#ifndef LAUNCHER_SARIF_H
#define LAUNCHER_SARIF_H

extern const char launcher_sarif_help[];

/* Turns the JSON log on stdin into SARIF 2.1.0 on stdout. The exit status: 1 when lines were no
 * reports; they are named, and left out. */
int launcher_sarif(char *const *arguments, const char *version);

#endif
