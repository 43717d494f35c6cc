/* access.c - see access.h. Owns nothing. */
#include "entry/access.h"

#include "findings/report.h"

static void tell_overlap(const struct mm_access *access, const void *caller)
{
    mm_report(&(struct mm_misuse){.kind = MEM_MNGR_OVERLAP,
                                  .ptr = (const void *)access->start,
                                  .caller = caller,
                                  .access = access});
}

void mm_access_tell(const struct mm_access *access, const void *caller)
{
    struct mm_access judged = *access;
    struct mm_misuse misuse = {.caller = caller, .access = &judged};
    if (access->from != 0) {
        tell_overlap(access, caller);
        return;
    }
    if (!mm_bounds_judge(&judged, &misuse.kind))
        return;
    misuse.ptr = (const void *)judged.block;
    mm_report(&misuse);
}
