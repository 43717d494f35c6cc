/* draft.c - drafts of reports, those that are set aside and those that are mapped.
 *
 * A draft is its holder's alone. What a fork()'s child finds mapped for threads that it does not
 * have is lost there. */
#include "findings/draft.h"

#include "system/bitmap.h"

#define DRAFTS  4u
#define WAIT_MS 10000u /* without memory for one more */

static struct mm_draft drafts[DRAFTS] MM_SELDOM;

static bool is_set_aside(const struct mm_draft *draft)
{
    return (uintptr_t)draft - (uintptr_t)drafts < sizeof drafts;
}

static struct mm_draft *find_draft(void)
{
    for (unsigned i = 0; i < DRAFTS; i++) {
        if (mm_hold_try(&drafts[i].hold))
            return &drafts[i];
    }
    return mm_os_map(sizeof(struct mm_draft));
}

struct mm_draft *mm_draft_take(void)
{
    uint64_t give_up = mm_os_milliseconds() + WAIT_MS;
    struct mm_draft *draft;
    for (unsigned round = 0; (draft = find_draft()) == NULL; round++) {
        if (mm_os_milliseconds() > give_up)
            return NULL;
        mm_os_wait(round);
    }
    draft->sources = NULL;
    return draft;
}

void mm_draft_leave_sources(struct mm_draft *draft)
{
    if (draft->sources != NULL)
        mm_symbolize_end(draft->sources);
    draft->sources = NULL;
}

void mm_draft_give_back(struct mm_draft *draft)
{
    mm_draft_leave_sources(draft);
    if (is_set_aside(draft))
        mm_hold_end(&draft->hold);
    else
        mm_os_release(draft, sizeof *draft);
}

void mm_draft_renew(void)
{
    for (unsigned i = 0; i < DRAFTS; i++)
        mm_hold_renew(&drafts[i].hold);
}
