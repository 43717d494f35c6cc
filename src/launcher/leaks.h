/* leaks.h - `mmshim leaks`: asks a process that runs which blocks nothing points to any more. */
#ifndef LAUNCHER_LEAKS_H
#define LAUNCHER_LEAKS_H

extern const char launcher_leaks_help[];

/* The exit status. */
int launcher_leaks(char *const *arguments);

#endif
