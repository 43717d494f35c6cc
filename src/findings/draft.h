/* draft.h - where a report is put together. A few drafts are set aside, so that a report needs no
 * memory; when these are taken, be it for as long as a reader of stderr sleeps, more are mapped,
 * one for each report that is on its way. */
#ifndef MM_DRAFT_H
#define MM_DRAFT_H

#include "findings/finding.h"
#include "findings/symbolize.h"

struct mm_draft {
    struct mm_hold hold; /* of those set aside */
    struct mm_finding finding;
    struct mm_names names;
    struct mm_lookup *sources; /* NULL: not looked up */
    char program[1024];
    char folder[1024]; /* the current one */
    char text[65536];
};

/* NULL when the system refuses memory, and all that are set aside are taken for long. */
struct mm_draft *mm_draft_take(void);
void mm_draft_give_back(struct mm_draft *draft);
/* When the text is written: others may wait for a tool. */
void mm_draft_leave_sources(struct mm_draft *draft);
/* In a fork()'s child: other threads' drafts. */
void mm_draft_renew(void);

#endif
