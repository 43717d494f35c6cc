/* symbolize.h - `mmshim symbolize`: function, file and line for the frames of a log. */
#ifndef LAUNCHER_SYMBOLIZE_H
#define LAUNCHER_SYMBOLIZE_H

extern const char launcher_symbolize_help[];

/* Copies the log from stdin to stdout, with what is found added. The exit status. */
int launcher_symbolize(char *const *arguments);

#endif
