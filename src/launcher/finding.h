/* finding.h - one finding of a JSON log, as it is told again: its kind, its places, and what makes
 * it the same bug as another. It is only read, and fields that are not known here don't matter. */
#ifndef LAUNCHER_FINDING_H
#define LAUNCHER_FINDING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Of the table of kinds. */
struct launcher_kind {
    const char *name, *rule, *headline, *sentence;
    bool is_certain; /* has a part in the exit status */
};
extern const struct launcher_kind launcher_kinds[];
extern const size_t launcher_kind_count;
/* launcher_kind_count: a kind that is not known here. */
size_t launcher_kind_of(const json_t *finding);

/* The parts of a finding besides the bad call, in the order in which they are told. */
struct launcher_history {
    const char *member, *text;
};
extern const struct launcher_history launcher_history[];
extern const size_t launcher_history_count;

/* The member's text, or what is said otherwise. */
const char *launcher_text_of(const json_t *object, const char *name, const char *otherwise);

/* Sources below this folder are the program's own, and named relative to it; NULL: the working
 * directory. Called once. */
void launcher_set_source_root(const char *folder);
/* With a slash at its end. */
const char *launcher_source_root(void);
/* The path relative to the root, or as it is. */
const char *launcher_shown_path(const char *path);

bool launcher_has_line(const json_t *frame);
const char *launcher_function_of(const json_t *frame);
/* "function file:line", or "function (module+offset)". */
char *launcher_frame_text(const json_t *frame);
/* How many frames of a part there are up to main() or a thread's function. */
size_t launcher_own_frames(const json_t *part);
/* "thread 7 (main)"; of the bad call or of a part. */
char *launcher_thread_text(const json_t *part);

/* The frame that tells where to look, of those that do more than pass on: the innermost below the
 * source root, or with a line, or any; or any of all. NULL: there is none. */
const json_t *launcher_culprit_of(const json_t *part);
/* A frame of libc, of the languages, of a wrapper, or that the compiler made. */
bool launcher_only_passes_on(const json_t *frame);
/* The part of a finding that tells most of the bug. What is found late is told of the block: who
 * freed it before it was written to, or who allocated it. `word`: "in", or "of a block freed in".
 */
const json_t *launcher_part_to_blame(const json_t *finding, const char **word);
/* A frame as a part of a sentence: "function (file:line)", or (module+offset). */
char *launcher_place_text(const json_t *frame);

/* What the same bug has in common in another run or build: the kind, and for each frame that is the
 * program's the function and the line in it. A finding that was made late is that of the block's
 * stacks, wherever it was made. `detail` is what tells apart two bugs of one place, "" where that
 * is not known: who freed first. */
struct launcher_identity {
    char *place, *detail;
};
struct launcher_identity launcher_identity_of(const json_t *finding);

#endif
