/* processes.h - which processes of a tree had the shim: the lines of MM_PROCESSES. */
#ifndef LAUNCHER_PROCESSES_H
#define LAUNCHER_PROCESSES_H

#include "launcher/findings.h"
#include <stddef.h>

struct launcher_started {
    long long id;
    size_t order;  /* of their lines */
    char *program; /* the last part of its path; of several that it became, the last */
};

/* By id. */
struct launcher_processes {
    struct launcher_started *list;
    size_t count;
};

/* None where the file can't be read, or `path` is NULL. A process that only was made by fork() has
 * no line, but counts if it has findings. */
struct launcher_processes launcher_processes_read(const char *path,
                                                  const struct launcher_findings *findings);

/* Adds the lines of one such file to another one that is there. */
void launcher_processes_hand_on(const char *path, const char *to);

/* "3 processes: cc1 (2), make". */
char *launcher_processes_text(const struct launcher_processes *processes);

#endif
