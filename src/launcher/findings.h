/* findings.h - the findings of JSON logs, those of one bug together. */
#ifndef LAUNCHER_FINDINGS_H
#define LAUNCHER_FINDINGS_H

#include "launcher/finding.h"
#include <stdint.h>

struct launcher_process {
    char *host, *program;
    long long id;
    bool has_findings; /* that count for the exit status, told in full or not */
};

/* One bug, wherever and however often it was met. */
struct launcher_bug {
    const json_t *finding; /* the first of those that tell the most */
    struct launcher_identity identity;
    char fingerprint[17]; /* of the identity, in hex */
    size_t findings;      /* that were told in full */
    uint64_t times;       /* with those that were only counted */
    size_t *processes;    /* of `launcher_findings` */
    size_t process_count;
};

/* In the order in which they come in the logs. */
struct launcher_findings {
    struct launcher_bug *bugs;
    size_t bug_count;
    struct launcher_process *processes;
    size_t process_count;
    bool has_strange; /* lines that are no reports, which were told of */
};

/* Takes in what is in the files, and in the folders' files *.jsonl, in the order of their names;
 * without any, in stdin. `part`: of the folders' files only those whose names begin so; NULL: all.
 * Ends the program when one can't be read; says which lines are no reports. */
struct launcher_findings launcher_findings_read(char *const *paths, const char *part);

/* How many processes have findings that count. */
size_t launcher_findings_guilty(const struct launcher_findings *findings);

/* The frame that tells where the bug is; NULL: there is none. */
const json_t *launcher_bug_frame(const struct launcher_bug *bug);
/* "double-free in close_handle (server.c:88)". */
char *launcher_bug_title(const struct launcher_bug *bug);
/* The bug's stacks and history, as lines with `margin` in front; the last is not ended. */
char *launcher_bug_text(const struct launcher_findings *findings, const struct launcher_bug *bug,
                        const char *margin);
/* "1 bug", "2 bugs". */
char *launcher_count_text(uint64_t count, const char *noun, const char *plural);

#endif
