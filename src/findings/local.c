/* local.c - see local.h. All is the caller's. */
#include "findings/local.h"

#include "findings/own.h"
#include "findings/symbolize.h"
#include "stacks/unwinder.h"
#include <string.h>

#define FUNCTION_SHOWN 60u

void mm_local_find(struct mm_local *local, const void *caller, uintptr_t address)
{
    struct mm_unwinder_frame frame;
    if (caller != NULL && mm_unwinder_frame_around(caller, address, &frame))
        *local = (struct mm_local){.frame = frame.pc, .offset = frame.offset};
}

/* The one that the others of this address are inlined in; NULL: the trace does not reach it. */
static const struct mm_frame *frame_of(const struct mm_finding *finding)
{
    const struct mm_frame *found = NULL;
    for (unsigned i = 0; i < finding->bad.count; i++) {
        if (finding->bad.frames[i].address == finding->local.frame)
            found = &finding->bad.frames[i];
    }
    return found;
}

static void write_file(struct mm_out *out, const char *file, bool briefly)
{
    const char *slash = briefly ? strrchr(file, '/') : NULL;
    mm_out_cut(out, slash != NULL ? slash + 1 : file, MM_PATH_SHOWN);
}

static void write_variable(struct mm_out *out, const struct mm_variable *variable, bool briefly)
{
    mm_out_format(out, ", ");
    if (variable->inside > 0) {
        mm_out_bytes(out, variable->inside);
        mm_out_format(out, " inside ");
    }
    mm_out_format(out, "variable ");
    mm_out_cut(out, variable->name, MM_SYMBOL_SHOWN);
    if (variable->function != NULL) {
        mm_out_format(out, " of ");
        mm_own_write_function(out, variable->function, FUNCTION_SHOWN);
    }
    mm_out_format(out, ", ");
    mm_out_bytes(out, variable->size);
    if (variable->file != NULL) {
        mm_out_format(out, ", at ");
        write_file(out, variable->file, briefly);
        mm_out_format(out, ":%u", variable->line);
    }
}

static void write_frame(struct mm_out *out, const struct mm_frame *frame)
{
    size_t before = out->length;
    mm_out_format(out, ", in the frame of ");
    if (!mm_own_write_name(out, frame, FUNCTION_SHOWN))
        mm_out_back_to(out, before);
}

void mm_local_describe(struct mm_finding *finding, const struct mm_lookup *lookup, bool briefly)
{
    const struct mm_frame *frame = frame_of(finding);
    size_t length = strlen(finding->description);
    struct mm_out out;
    if (finding->local.frame == NULL || frame == NULL)
        return;
    mm_out_start(&out, finding->description + length, sizeof finding->description - length);
    if (lookup != NULL && lookup->variable.name != NULL)
        write_variable(&out, &lookup->variable, briefly);
    else
        write_frame(&out, frame);
}
