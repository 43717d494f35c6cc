/* access.c - see access.h. What the last fault came through is written by the thread whose it is,
 * as it is told: where two threads mix theirs, an access may be told twice. */
#include "entry/access.h"

#include "findings/report.h"
#include "slots/guarded.h"
#include "stacks/unwinder.h"
#include "system/os.h"
#include <errno.h>
#include <stdatomic.h>

/* Of a limit that may be anything: most calls write less. */
#define OPENED_MOST ((size_t)128 << 10)

/* --- faults that were told --- */

#define FRAMES 8u /* of libc's, and the caller of the first */

static struct {
    _Atomic uintptr_t thread, block;
    _Atomic uintptr_t frames[FRAMES];
} last;

void mm_access_faulted(const void *context, uintptr_t block)
{
    struct mm_frames through;
    mm_unwinder_walk_context(context, FRAMES, false, &through);
    atomic_store_explicit(&last.thread, (uintptr_t)mm_os_self(), memory_order_relaxed);
    atomic_store_explicit(&last.block, block, memory_order_relaxed);
    for (unsigned i = 0; i < FRAMES; i++) {
        uintptr_t frame = i < through.count ? (uintptr_t)through.frames[i] : 0;
        atomic_store_explicit(&last.frames[i], frame, memory_order_relaxed);
    }
}

/* Frames are addresses inside of the calls. */
static bool has_faulted(uintptr_t block, const void *caller)
{
    bool found = false;
    if (atomic_load_explicit(&last.thread, memory_order_relaxed) != (uintptr_t)mm_os_self() ||
        atomic_load_explicit(&last.block, memory_order_relaxed) != block)
        return false;
    for (unsigned i = 0; i < FRAMES; i++)
        found |=
            atomic_load_explicit(&last.frames[i], memory_order_relaxed) + 1 == (uintptr_t)caller;
    return found;
}

/* --- accesses --- */

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
    if (!has_faulted(judged.block, caller))
        mm_report(&misuse);
    mm_access_begins(access->start, access->size + (access->is_at_least ? mm_os_page_size() : 0));
}

void mm_access_begins(uintptr_t start, size_t size)
{
    int saved_errno = errno;
    if (mm_guarded_has(start))
        mm_guarded_open_range(start, size < OPENED_MOST ? size : OPENED_MOST);
    errno = saved_errno;
}
