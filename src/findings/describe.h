/* describe.h - puts into a draft what is known of the memory that a bad call was about. */
#ifndef MM_DESCRIBE_H
#define MM_DESCRIBE_H

#include "findings/draft.h"
#include "findings/report.h"

/* For whom: what differs with that. */
struct mm_describe_for {
    bool is_library;  /* its functions have names of their own */
    bool on_terminal; /* paths are short */
};

/* The finding has its kind, its pointer and the bad call's trace. */
void mm_describe(struct mm_draft *draft, const struct mm_misuse *misuse,
                 const struct mm_describe_for *whom);

/* Where to look next, where the traces do not show it; they are judged (own.h). NULL: nothing. */
const char *mm_describe_advice(const struct mm_finding *finding,
                               const struct mm_report_advice *advises);

/* What it was done by: a call's name, or an instruction; NULL: nothing that has a name. */
const char *mm_describe_what(const struct mm_misuse *misuse, bool is_library);

#endif
