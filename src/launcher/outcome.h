/* outcome.h - what is said at the end of a tree of processes. */
#ifndef LAUNCHER_OUTCOME_H
#define LAUNCHER_OUTCOME_H

#include "launcher/findings.h"
#include "launcher/processes.h"

struct launcher_outcome {
    const char *folder; /* of the logs */
    const struct launcher_findings *findings;
    const struct launcher_processes *processes;
    int status; /* how the first process ended, as waitpid() has it */
};

/* Each bug, then a line of what was seen; after a crash of which nothing was found another one, of
 * what to try next. */
void launcher_outcome_tell(const struct launcher_outcome *outcome);

#endif
