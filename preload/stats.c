/* stats.c - libc's questions about the heap, answered with libc's figures and ours. */
#include "findings/report.h"
#include "lookup.h"
#include "slots/heap.h"
#include "view/snapshot.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int mallopt(int parameter, int value)
{
    shim_leave_libc_alone();
    int (*next)(int, int) = shim_libc(SHIM_MALLOPT);
    return next != NULL ? next(parameter, value) : 0;
}

#if !__GLIBC_PREREQ(2, 33)
struct mallinfo2 {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
#endif

/* Before glibc 2.33 there is only this form, in int. */
static struct mallinfo2 old_libc_figures(void)
{
    struct mallinfo (*next)(void) = shim_libc(SHIM_MALLINFO);
    struct mallinfo info = next != NULL ? next() : (struct mallinfo){0};
    return (struct mallinfo2){
        .arena = (unsigned)info.arena,
        .ordblks = (unsigned)info.ordblks,
        .smblks = (unsigned)info.smblks,
        .hblks = (unsigned)info.hblks,
        .hblkhd = (unsigned)info.hblkhd,
        .usmblks = (unsigned)info.usmblks,
        .fsmblks = (unsigned)info.fsmblks,
        .uordblks = (unsigned)info.uordblks,
        .fordblks = (unsigned)info.fordblks,
        .keepcost = (unsigned)info.keepcost,
    };
}

static struct mallinfo2 libc_figures(void)
{
    struct mallinfo2 (*next)(void) = shim_libc(SHIM_MALLINFO2);
    return next != NULL ? next() : old_libc_figures();
}

EXPORT struct mallinfo2 mallinfo2(void)
{
    struct mallinfo2 info = libc_figures();
    size_t taken = mm_arena_usage().taken;
    size_t live = mm_snapshot_sums().live_bytes;
    info.arena += taken;
    info.uordblks += live;
    info.fordblks += taken > live ? taken - live : 0;
    return info;
}

/* The old form counts in int; what does not fit wraps round, as in libc. */
EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 info = mallinfo2();
    return (struct mallinfo){
        .arena = (int)info.arena,
        .ordblks = (int)info.ordblks,
        .smblks = (int)info.smblks,
        .hblks = (int)info.hblks,
        .hblkhd = (int)info.hblkhd,
        .usmblks = (int)info.usmblks,
        .fsmblks = (int)info.fsmblks,
        .uordblks = (int)info.uordblks,
        .fordblks = (int)info.fordblks,
        .keepcost = (int)info.keepcost,
    };
}

static void tell_slots(void)
{
    struct mm_arena_usage usage = mm_arena_usage();
    struct mm_snapshot_sums sums = mm_snapshot_sums();
    fprintf(
        stderr,
        "mmshim slots:\nsystem bytes     = %10zu\nin use bytes     = %10zu\nthe rest is libc's:\n",
        usage.taken, sums.live_bytes);
}

/* No cancellation point, as libc's is none. */
EXPORT void malloc_stats(void)
{
    int cancel_state;
    void (*next)(void) = shim_libc(SHIM_MALLOC_STATS);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    flockfile(stderr);
    if (!shim_is_aside())
        tell_slots();
    if (next != NULL)
        next();
    funlockfile(stderr);
    pthread_setcancelstate(cancel_state, &cancel_state);
}

EXPORT int malloc_trim(size_t pad)
{
    int (*next)(size_t) = shim_libc(SHIM_MALLOC_TRIM);
    size_t given = mm_heap_trim();
    bool trimmed = given + mm_arena_trim() > 0;
    return (next != NULL && next(pad)) || trimmed;
}

EXPORT int malloc_info(int options, FILE *file)
{
    if (options != 0)
        return EINVAL; /* as glibc does, whatever its manual says */
    struct mm_arena_usage usage = mm_arena_usage();
    struct mm_snapshot_sums sums = mm_snapshot_sums();
    struct mallinfo2 libc = libc_figures();
    fprintf(file,
            "<malloc version=\"mmshim-1\">\n"
            "<slots live=\"%zu\" live_bytes=\"%zu\" heap_bytes=\"%zu\" unused_bytes=\"%zu\"/>\n"
            "<libc arena=\"%zu\" mmapped=\"%zu\" in_use=\"%zu\" free=\"%zu\"/>\n"
            "</malloc>\n",
            sums.live, sums.live_bytes, usage.taken, usage.dirty, libc.arena, libc.hblkhd,
            libc.uordblks, libc.fordblks);
    return 0;
}
