#include "finding.h"

const char *mm_finding_kind(enum mem_mngr_misuse_kind kind)
{
    static const char *const names[] = {"double-free", "interior-free", "foreign-free"};
    return names[kind];
}

void mm_trace_take(struct mm_trace *trace, const void *const *frames, unsigned count,
                   const char *program)
{
    trace->count = count < MM_TRACE_MAX ? count : MM_TRACE_MAX;
    for (unsigned i = 0; i < trace->count; i++) {
        trace->frames[i] = (struct mm_frame){.address = frames[i]};
        mm_module_place(frames[i], program, &trace->frames[i].place);
    }
}
